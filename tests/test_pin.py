"""Pinning what a hub on this machine has, in model tables and in run files."""

import hashlib
from argparse import Namespace

import pytest
from huggingface_hub import constants

from dissent import pin
from dissent.commandline import InputError
from loopback_hub import COMMIT, loopback_hub

COLUMNS = "model,source,architecture,location,revision,sha256,licence,citation"
HUB = "https://huggingface.co"
WEIGHTS, OLDER = "model.safetensors", "pytorch_model.bin"
FILES = {
    f"timm/tiny/{WEIGHTS}": b"weights",
    "laion/clip/open_clip_pytorch_model.bin": b"of two towers",
    f"somebody/bert/{WEIGHTS}": b"of a bert",
    f"somebody/old-bert/{OLDER}": b"of an old bert",
    **{f"datasets/made/shards/train/{i}.tar": b"shard %d" % i for i in range(11)},
    "datasets/made/shards/test/0.tar": b"of the test",
}
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


@pytest.fixture(autouse=True)
def hub(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with loopback_hub(FILES) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        yield server


def table(path, *rows):
    given = f"mine,file,a,given/mine.safetensors,,{'1' * 64},MIT,"
    path.write_text("\n".join([COLUMNS, given, *rows]) + "\n")
    return path


def test_weights_are_pinned_and_other_rows_stay(tmp_path):
    rows = [
        f"tiny,file,tiny,{HUB}/timm/tiny/resolve/main/{WEIGHTS},,,,them",
        f"clip,open_clip,x,{HUB}/laion/clip/resolve/main/open_clip_model.safetensors,,,MIT,",
    ]
    path = table(tmp_path / "models.csv", *rows)
    before = path.read_text().splitlines()
    pin.pin_table(path)
    after = path.read_text().splitlines()
    assert after[:2] == before[:2]
    of_tiny = f"{HUB}/timm/tiny/resolve/{COMMIT}/{WEIGHTS},,{DIGESTS[f'timm/tiny/{WEIGHTS}']}"
    assert after[2] == f"tiny,file,tiny,{of_tiny},apache-2.0,them"
    # Weights that open_clip reads may be there for torch alone.
    older = "open_clip_pytorch_model.bin"
    of_clip = f"{HUB}/laion/clip/resolve/{COMMIT}/{older},,{DIGESTS[f'laion/clip/{older}']}"
    assert after[3] == f"clip,open_clip,x,{of_clip},MIT,"
    pin.pin_table(path)
    assert path.read_text().splitlines() == after


def test_text_models_have_commit_and_digest_in_columns_of_their_own(tmp_path):
    rows = [f"{name},transformers,,somebody/{name},main,,,them" for name in ("bert", "old-bert")]
    path = table(tmp_path / "models.csv", *rows)
    pin.pin_table(path)
    for row, file in zip(path.read_text().splitlines()[2:], (WEIGHTS, OLDER), strict=True):
        name = row.split(",")[0]
        digest = DIGESTS[f"somebody/{name}/{file}"]
        assert row == f"{name},transformers,,somebody/{name},{COMMIT},{digest},apache-2.0,them"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            f"tiny,file,tiny,{HUB}/timm/tiny/resolve/main/{WEIGHTS},,{'2' * 64},,",
            f"has sha256 {'2' * 64}, and the hub has other bytes now",
        ),
        (f"tiny,file,tiny,{HUB}/timm/tiny/resolve/main/other.pth,,,,", "has no other.pth"),
        (f"none,file,x,{HUB}/timm/none/resolve/main/{WEIGHTS},,,,", "has no public repository"),
        ("none,transformers,,somebody/none,main,,,", "has no public repository 'somebody/none'"),
    ],
)
def test_a_row_that_cannot_be_pinned_leaves_the_table(tmp_path, row, sentence):
    path = table(tmp_path / "models.csv", row)
    before = path.read_text()
    with pytest.raises(InputError, match=sentence):
        pin.pin_table(path)
    assert path.read_text() == before


def test_a_digest_that_is_right_stays(tmp_path):
    digest = DIGESTS[f"timm/tiny/{WEIGHTS}"]
    row = f"tiny,file,tiny,{HUB}/timm/tiny/resolve/main/{WEIGHTS},,{digest},,"
    path = table(tmp_path / "models.csv", row)
    pin.pin_table(path)
    assert f"/resolve/{COMMIT}/{WEIGHTS},,{digest}," in path.read_text()


SHARDS = f"{HUB}/datasets/made/shards"
RUN = f"""# A comment.
data:
  mine:
    images:
      - {{location: {SHARDS}/resolve/main/train/*.tar, licence: MIT}}
      - {{location: {SHARDS}/resolve/main/test/0.tar, split: report, licence: MIT}}
      - {{location: given/more.tar}}  # as it is
"""


def test_files_of_data_sets_are_pinned_each_on_a_line(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    pin.pin_run(path)
    made = path.read_text().splitlines()
    below = f"{SHARDS}/resolve/{COMMIT}"
    # By their numbers: the tenth comes after the ninth.
    expected = [
        f"      - {{location: {below}/train/{i}.tar, "
        f"sha256: {DIGESTS[f'datasets/made/shards/train/{i}.tar']}, licence: MIT}}"
        for i in range(11)
    ]
    digest = DIGESTS["datasets/made/shards/test/0.tar"]
    expected.append(
        f"      - {{location: {below}/test/0.tar, sha256: {digest}, split: report, licence: MIT}}"
    )
    before = RUN.splitlines()
    assert made == [*before[:4], *expected, before[-1]]
    pin.pin_run(path)
    assert path.read_text().splitlines() == made


def test_a_digest_in_a_run_file_that_is_right_stays(tmp_path):
    path = tmp_path / "run.yaml"
    digest = DIGESTS["datasets/made/shards/test/0.tar"]
    path.write_text(RUN.replace("split: report", f"sha256: {digest}"))
    pin.pin_run(path)
    (line,) = [line for line in path.read_text().splitlines() if "/test/" in line]
    below = f"{SHARDS}/resolve/{COMMIT}"
    assert line == f"      - {{location: {below}/test/0.tar, sha256: {digest}, licence: MIT}}"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("train/*.tar", "valid/*.tar", r"made/shards has no file valid/\*.tar: mend its location"),
        (
            "made/shards/resolve/main/test",
            "made/none/resolve/main/test",
            "has no public repository",
        ),
        ("- {location: https", "- location: https", "line 5: should be one line"),
        ("- {location: https", "- {location: 'https", "line 5: should be one line"),
        ("split: report", f"sha256: {'2' * 64}", "line 6: has sha256 2222"),
    ],
)
def test_a_file_that_cannot_be_pinned_leaves_the_run_file(tmp_path, old, new, sentence):
    path = tmp_path / "run.yaml"
    path.write_text(RUN.replace(old, new, 1))
    before = path.read_text()
    with pytest.raises(InputError, match=sentence):
        pin.pin_run(path)
    assert path.read_text() == before


def test_the_command_takes_tables_and_run_files(tmp_path):
    run = tmp_path / "run.yaml"
    run.write_text(RUN)
    row = f"tiny,file,tiny,{HUB}/timm/tiny/resolve/main/{WEIGHTS},,,,"
    models = table(tmp_path / "models.csv", row)
    pin.main(Namespace(files=[models, run]))
    assert "/main/" not in models.read_text() + run.read_text()
    with pytest.raises(InputError, match=r"there is no file .*: name a model table or a run file"):
        pin.main(Namespace(files=[tmp_path / "absent.yaml"]))
