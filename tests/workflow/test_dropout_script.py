"""The script that fine-tunes with dropout on all domains but one."""

import importlib.util
import itertools
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from dissent import dropout_versions, parts
from dissent.classifiers import load_checkpoint, save_checkpoint
from dissent.commandline import InputError
from dissent.domains import leave_out
from dissent.dropout_runs import read_runs
from dissent.dropout_versions import fine_tune_family
from dissent.examples import read_examples, write_examples
from small_domains import small_checkpoint, small_examples

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/finetuned/fine_tune_with_dropout.py"
SPEC = importlib.util.spec_from_file_location("fine_tune_with_dropout", SCRIPT)
FINE_TUNE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(FINE_TUNE)
SETTINGS = {
    "runs": [
        {"rate": rate, "learning_rate": 0.05, "weight_decay": 1e-4, "head_factor": 10.0}
        | {"seed": seed}
        for rate, seed in itertools.product((0.0, 0.9), (0, 1))
    ],
    "steps": 4,
    "batch_size": 2,
    "images": 6,
    "checkpoints": 2,
    "momentum": 0.9,
    "masks": 1,
    "decays": [0.5],
    "augmentation": "crops",
}


@pytest.fixture(autouse=True)
def restored(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "FOLDER", tmp_path / "parts")
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_examples(folder / "noise.safetensors", small_examples())
    return Namespace(
        data=folder / "noise.safetensors",
        held_out="photo",
        family=["higher-head-rate"],
        checkpoint=small_checkpoint(folder / "model.safetensors"),
        settings=[SETTINGS],
        threads=1,
        gpus=0,
        output=[folder / "photo" / "higher-head-rate.safetensors"],
    )


def changed(arguments, **changes):
    return Namespace(**vars(arguments) | changes)


def test_what_is_written_is_what_the_runs_say_and_nothing_else(arguments):
    (output,) = arguments.output
    FINE_TUNE.main(arguments)
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    examples = read_examples(arguments.data)
    written = read_runs(output, examples)
    expected = fine_tune_family(
        "higher-head-rate", arguments.checkpoint, examples, leave_out(examples, "photo"), SETTINGS
    )
    assert (written.family, written.held_out) == ("higher-head-rate", "photo")
    assert written.weights_sha256 == expected.weights_sha256
    assert written.entries == expected.entries
    assert written.curves == expected.curves
    for name in ("positions_N", "predicted_EN", "true_log_probability_EN", "confidence_EN"):
        np.testing.assert_array_equal(getattr(written, name), getattr(expected, name))


def test_runs_are_kept_while_their_job_lasts(arguments, tmp_path, monkeypatch):
    """Of a job that fails all files are deleted: what it goes on from lies elsewhere."""
    (output,) = arguments.output
    twice = {"family": ["higher-head-rate", "more-data"], "settings": [SETTINGS] * 2}
    twice |= {"output": [output, tmp_path / "not-a-folder" / "more-data.safetensors"]}
    (tmp_path / "not-a-folder").touch()
    with pytest.raises(OSError, match="not-a-folder"):
        FINE_TUNE.main(changed(arguments, **twice))
    runs = sorted((tmp_path / "parts").glob("*/*.safetensors"))
    assert len({run.parent for run in runs}) == 2
    assert len(runs) == 2 * len(SETTINGS["runs"])
    expected = output.read_bytes()
    output.unlink()
    monkeypatch.setattr(dropout_versions, "outcome_of", None)
    FINE_TUNE.main(arguments)
    assert output.read_bytes() == expected
    assert len({run.parent for run in runs if run.exists()}) == 1


def other_data(images, labels_N, groups_N):
    images[groups_N == "sketch"] = 0


@pytest.mark.parametrize("change", ["held_out", "settings", "data", "checkpoint", "version"])
def test_runs_of_other_settings_are_not_taken(arguments, tmp_path, monkeypatch, change):
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    of_one = changed(arguments, output=[tmp_path / "one.safetensors"])
    FINE_TUNE.main(of_one)
    if change == "held_out":
        of_one.held_out = "sketch"
    elif change == "settings":
        of_one.settings = [SETTINGS | {"masks": 2}]
    elif change == "data":
        of_one.data = tmp_path / "noise.safetensors"
        write_examples(of_one.data, small_examples(other_data))
    elif change == "checkpoint":
        model, card = load_checkpoint(of_one.checkpoint)
        torch.nn.init.zeros_(model.conv1[0].weight)
        of_one.checkpoint = tmp_path / "zero.safetensors"
        save_checkpoint(of_one.checkpoint, model, card)
    else:
        monkeypatch.setattr(FINE_TUNE, "version", lambda _: "0")
    FINE_TUNE.main(of_one)
    assert len(list((tmp_path / "parts").iterdir())) == 2


@pytest.mark.parametrize("family", ["fine-tuning", "scratch"])
def test_a_family_is_the_same_whatever_shares_its_job(arguments, tmp_path, family):
    alone, beside = (tmp_path / f"{name}.safetensors" for name in ("alone", "beside"))
    FINE_TUNE.main(changed(arguments, family=[family], output=[alone]))
    FINE_TUNE.main(
        changed(
            arguments,
            family=["higher-head-rate", family],
            settings=[SETTINGS] * 2,
            output=[tmp_path / "first.safetensors", beside],
        )
    )
    assert alone.read_bytes() == beside.read_bytes()


def test_a_domain_that_is_not_there_is_refused(arguments, tmp_path):
    output = tmp_path / "runs.safetensors"
    with pytest.raises(InputError, match="'noise' has no domain 'poster': name one of paper"):
        FINE_TUNE.main(changed(arguments, held_out="poster", output=[output]))
    settings = [SETTINGS | {"images": 13}]
    with pytest.raises(InputError, match="`images` asks for 13 training images of each domain"):
        FINE_TUNE.main(changed(arguments, settings=settings, output=[output]))
    assert not output.exists()
