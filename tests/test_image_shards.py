import io
import tarfile

import numpy as np
import pytest

from dissent.commandline import InputError
from dissent.image_shards import read_shards
from made_images import encoded, write_parquet, write_tar, write_zip

RNG = np.random.default_rng(0)
PICTURES = [encoded(RNG, kind) for kind in ("JPEG", "PNG", "JPEG", "WEBP", "JPEG", "JPEG")]
FOLDERS = {f"top/{'cat' if i % 2 else 'dog'}/0.{i}_a b_{i}.jpg": p for i, p in enumerate(PICTURES)}
EXPECTED = [
    (f"{'cat' if i % 2 else 'dog'}/0.{i}_a b_{i}.jpg", picture, "cat" if i % 2 else "dog")
    for i, picture in enumerate(PICTURES)
]


def read(*paths, **options):
    return [tuple(image)[:3] for image in read_shards(paths, **options)]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_of_class_folders(tmp_path, mode):
    members = {"top/readme.txt": b"text", "top/._hidden.jpg": b"no image", **FOLDERS}
    assert read(write_tar(tmp_path / "a.tar", members, mode)) == EXPECTED


def test_what_a_class_folder_lies_in_is_the_domain(tmp_path):
    members = {f"pacs/{domain}/cat/0.jpg": PICTURES[0] for domain in ("photo", "sketch")}
    members |= {"cat/0.jpg": PICTURES[0]}
    images = read_shards([write_tar(tmp_path / "a.tar", members)])
    assert [image.domain for image in images] == ["photo", "sketch", None]


def test_a_zip_of_class_folders(tmp_path):
    assert read(write_zip(tmp_path / "a.bin", {"top/": b"", **FOLDERS})) == EXPECTED


def test_a_tar_of_images_alone_has_no_labels(tmp_path):
    path = write_tar(tmp_path / "a.tar", {f"{i}.JPEG": p for i, p in enumerate(PICTURES)})
    assert read(path) == [(f"{i}.JPEG", p, None) for i, p in enumerate(PICTURES)]


@pytest.mark.parametrize("label_first", [True, False])
@pytest.mark.parametrize(("suffix", "text"), [("cls", "{}\n"), ("json", '{{"label": {}}}')])
def test_webdataset_shards(tmp_path, label_first, suffix, text):
    samples = []
    for i, picture in enumerate(PICTURES):
        both = [(f"{i:04d}.{suffix}", text.format(i).encode()), (f"{i:04d}.jpg", picture)]
        samples.append(dict(both if label_first else reversed(both)))
    shards = [
        write_tar(tmp_path / f"{k}.tar", {n: c for s in samples[k::2] for n, c in s.items()})
        for k in range(2)
    ]
    expected = [(f"{i:04d}.jpg", PICTURES[i], str(i)) for k in range(2) for i in range(k, 6, 2)]
    assert read(*shards) == expected


def test_parquet_as_the_hub_has_it(tmp_path):
    images = {f"val_{i}.JPEG": picture for i, picture in enumerate(PICTURES)}
    path = write_parquet(tmp_path / "a.parquet", images, [3, 1, 4, 1, 5, 9])
    assert read(path) == [
        (name, picture, str(label))
        for (name, picture), label in zip(images.items(), [3, 1, 4, 1, 5, 9], strict=True)
    ]
    assert {label for *_, label in read(path, label="no such column")} == {None}


def link(path):
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("cat/a.jpg")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)


def cut(path):
    write_tar(path, FOLDERS, "w:gz")
    path.write_bytes(path.read_bytes()[:-400])


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("a.tar", lambda path: None, "there is no file"),
        ("a.tar", lambda path: path.write_bytes(b"text"), "is no tar, zip or parquet file"),
        ("a.tar", lambda path: write_tar(path, {"a.txt": b"text"}), "holds no images"),
        ("a.tar", lambda path: write_tar(path, {"a.jpg": b"text"}), "'a.jpg', which cannot be"),
        ("a.tar", link, "'cat/a.jpg' is a link"),
        ("a.tar", cut, "cannot be read"),
        ("a.parquet", lambda path: path.write_bytes(b"text"), "cannot be read"),
        (
            "a.tar",
            lambda path: write_tar(path, {"a.jpg": PICTURES[0], "a.json": b"{"}),
            "cannot be read",
        ),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, make, sentence):
    make(tmp_path / name)
    with pytest.raises(InputError, match=sentence) as refused:
        read(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_a_name_that_leads_out_of_an_archive_is_a_name_and_no_place(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    members = {"../../cat/evil.jpg": PICTURES[0], "/cat/absolute.jpg": PICTURES[1]}
    found = read(write_tar(inside / "a.tar", members))
    assert [id for id, *_ in found] == ["cat/evil.jpg", "cat/absolute.jpg"]
    assert sorted(tmp_path.rglob("*.jpg")) == []


def test_a_tar_that_looks_like_a_zip_at_its_end_is_a_tar(tmp_path):
    packed = io.BytesIO()
    write_zip(tmp_path / "inner.zip", {"cat/a.jpg": PICTURES[0]})
    packed.write((tmp_path / "inner.zip").read_bytes())
    path = write_tar(tmp_path / "a.tar", {"dog/b.jpg": PICTURES[1], "z.zip": packed.getvalue()})
    assert [id for id, *_ in read(path)] == ["dog/b.jpg"]
