import argparse
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissent.commandline import InputError
from dissent.config_data import Format, Labels
from dissent.examples import Examples, read_examples, write_examples
from dissent.files import sha256
from dissent.logits import open_logits, open_predictions

SCRIPTS = Path("workflow/scripts")


def load(name):
    spec = importlib.util.spec_from_file_location(Path(name).stem, SCRIPTS / name)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


script = load("logits/import_predictions.py")

CLASSES = ("cat", "dog", "fish")
PROBABILITIES_NC = np.array([[0.7, 0.2, 0.1], [0, 1, 0], [0.3, 0.3, 0.4], [0.5, 0.5, 0]])
SAID = ["cat", "dog", "fish", "cat"]


def examples(name="toy", prefix="x"):
    return Examples(
        name=name,
        ids=tuple(f"{prefix}{i}" for i in range(4)),
        images_NHW=None,
        labels=np.array([0, 1, 1, 2]),
        splits_N=np.full(4, "report"),
        classes=CLASSES,
        row_order="by number",
    )


def row(model, data="toy", sha256="", **format):
    section = Format(**format).model_dump()
    return {"model": model, "data": data, "sha256": sha256, "format": section}


@pytest.fixture
def arguments(tmp_path):
    """Three models, one on two data sets, that hold more and more."""
    table = pd.DataFrame({"id": examples().ids, "predicted": SAID})
    table[::-1].to_csv(tmp_path / "classes.csv", index=False)
    table.assign(p=[0.7, 1, 0.4, 0.5]).to_csv(tmp_path / "confidences.tsv", index=False, sep="\t")
    np.savez(tmp_path / "scores.npz", p=PROBABILITIES_NC, truth=[0, 1, 1, 2])
    other = [{"key": f"y{i}", "predicted": said} for i, said in enumerate(SAID[::-1])]
    (tmp_path / "other.json").write_text(json.dumps(other))
    write_examples(tmp_path / "toy.safetensors", examples())
    write_examples(tmp_path / "new.safetensors", examples("new", "y"))
    digest = sha256(tmp_path / "scores.npz")
    return argparse.Namespace(
        data=[tmp_path / "toy.safetensors", tmp_path / "new.safetensors"],
        files=[
            tmp_path / name
            for name in ("classes.csv", "confidences.tsv", "scores.npz", "other.json")
        ],
        rows=[
            row("one"),
            row("two", confidence="p"),
            row("three", sha256=digest, array="p"),
            row("one", data="new", ids="key"),
        ],
        output=tmp_path / "logits",
    )


def test_every_file_becomes_a_logits_file_that_holds_as_much(arguments):
    script.main(arguments)
    found = {str(p.relative_to(arguments.output)) for p in arguments.output.rglob("*.safetensors")}
    toy = [f"toy/{model}.safetensors" for model in ("one", "two", "three")]
    assert found == {*toy, "new/one.safetensors"}
    opened = open_predictions([arguments.output / name for name in toy], examples())
    held = [logits.key.output for logits in opened.values()]
    assert held == ["classes", "confidences", "logits"]
    for logits in opened.values():
        assert [CLASSES[i] for i in logits["predicted"]] == SAID
    for model in ("two", "three"):
        largest = np.exp(opened[model]["max_log_probability"])
        np.testing.assert_allclose(largest, PROBABILITIES_NC.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(
        np.exp(opened["three"]["logits"]), PROBABILITIES_NC, rtol=1e-6, atol=1e-37
    )
    (other,) = open_predictions(
        [arguments.output / "new/one.safetensors"], examples("new", "y")
    ).values()
    assert [CLASSES[i] for i in other["predicted"]] == SAID[::-1]


def test_the_key_says_what_was_read_and_how(arguments):
    script.main(arguments)
    key = open_logits(arguments.output / "toy/two.safetensors").key
    assert key.weights_sha256 == sha256(arguments.files[1])
    assert key.preprocessing == {"format": Format(confidence="p").model_dump()}
    assert key.label_map == list(CLASSES)
    assert key.dtype == "float32"
    assert key.libraries == {"numpy": np.__version__, "pandas": pd.__version__}


def test_equal_files_make_equal_bytes(arguments, tmp_path):
    script.main(arguments)
    again = argparse.Namespace(**vars(arguments) | {"output": tmp_path / "again"})
    script.main(again)
    for path in arguments.output.rglob("*.safetensors"):
        name = path.relative_to(arguments.output)
        assert path.read_bytes() == (again.output / name).read_bytes()


def one(arguments, **format):
    arguments.files, arguments.rows = arguments.files[:1], [row("one", **format)]
    return arguments


def archived(arguments, tmp_path, content=None):
    """The first file, within an archive."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("run/classes.csv", content or arguments.files[0].read_text())
    arguments = one(arguments, member="run/classes.csv")
    arguments.files = [tmp_path / "all.zip"]
    return arguments


def test_a_file_in_an_archive_is_read(arguments, tmp_path):
    script.main(archived(arguments, tmp_path))
    path = arguments.output / "toy/one.safetensors"
    (logits,) = open_predictions([path], examples()).values()
    assert [CLASSES[i] for i in logits["predicted"]] == SAID
    assert logits.key.weights_sha256 == sha256(tmp_path / "all.zip")


def test_a_mistake_in_an_archive_is_named_by_archive_and_file(arguments, tmp_path):
    archived(arguments, tmp_path, "id,predicted\nx0,cat\n")
    with pytest.raises(InputError) as refused:
        script.main(arguments)
    named = f"{tmp_path / 'all.zip'} (run/classes.csv): has no row for 3 of the 4 examples"
    assert str(refused.value).startswith(named)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"files": [Path("nowhere.csv")]}, r"no file nowhere\.csv: mend `location` in the model"),
        ({"rows": [row("one", sha256="0" * 64)]}, "the model table expects 0000.*: mend the model"),
        ({"rows": []}, "--rows describes 0 of 1 files"),
        ({"rows": [row("one", data="tyo")]}, r"no data set 'tyo', which .*classes\.csv needs"),
        ({"rows": [row("one", ids="key")]}, r"classes\.csv: has no column 'key'"),
        ({"rows": [row("one", member="a.csv")]}, r"classes\.csv"),
        ({"data": [Path("nowhere.safetensors")]}, r"no data set file nowhere\.safetensors"),
    ],
)
def test_what_is_not_as_the_table_says_is_refused_in_one_line(arguments, change, sentence):
    vars(one(arguments)).update(change)
    with pytest.raises(InputError, match=sentence) as refused:
        script.main(arguments)
    assert "\n" not in str(refused.value)
    assert not arguments.output.exists()


def run(name, *options):
    subprocess.run([sys.executable, SCRIPTS / name, *options], check=True)


def test_labels_and_predictions_go_from_their_files_to_logits_by_command_line(tmp_path):
    (tmp_path / "labels.csv").write_text("id,truth\na,1\nb,0\nc,1\n")
    (tmp_path / "said.json").write_text("[1, 1, 1]")
    layout = Labels(location="labels.csv", ids="id", label="truth").model_dump()
    data, made = tmp_path / "mine.safetensors", tmp_path / "logits"
    labels = ["--name", "mine", "--labels", tmp_path / "labels.csv", "--layout", json.dumps(layout)]
    labels += ["--classes", "2", "--seed", "0", "--splits", '{"report": 3}']
    labels += ["--row-order", "by letter", "--relabels", "--output", data]
    run("data/read_labels.py", *labels)
    rows = json.dumps([row("m", data="mine")])
    predictions = ["--data", data, "--files", tmp_path / "said.json", "--rows", rows]
    run("logits/import_predictions.py", *predictions, "--output", made)
    examples = read_examples(data)
    (logits,) = open_predictions([made / "mine/m.safetensors"], examples).values()
    assert (logits["predicted"] == examples.labels).tolist() == [True, False, True]


def test_a_data_set_without_images_is_made_without_a_size_and_shown_to_no_model(tmp_path):
    data = tmp_path / "hans.safetensors"
    options = ["--name", "hans", "--kind", "hans", "--seed", "0", "--size"]
    run("data/make_dataset.py", *options, "--splits", '{"report": 30000}', "--output", data)
    assert len(read_examples(data).where("report")) == 30000
    # No checkpoint is read before.
    arguments = argparse.Namespace(data=[data], checkpoints=[], threads=1, output=tmp_path / "x")
    with pytest.raises(InputError, match="data set 'hans' has labels and no images"):
        load("logits/cache_logits.py").main(arguments)
