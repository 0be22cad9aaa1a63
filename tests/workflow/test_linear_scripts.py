"""The script of very large dropout, where it fits frozen networks or measures between networks."""

import importlib.util
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from dissent import domain_images
from dissent.classifiers import Card, Preprocessing, build, save_checkpoint
from dissent.commandline import InputError
from dissent.dropout_runs import Run, read_runs
from dissent.examples import read_examples, write_examples
from dissent.files import sha256
from dissent.tables import read_table

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/finetuned/fine_tune_with_dropout.py"
SHARED = {
    "batch_size": 2,
    "images": None,
    "momentum": 0.9,
    "decays": [0.5],
    "augmentation": "none",
}
RUNS = [
    {"rate": rate, "learning_rate": 0.1, "weight_decay": 0.0, "head_factor": 1.0, "seed": 0}
    | {"kind": kind, "width": width}
    for kind, width in [("linear", None), ("probe", None), ("probe", 7)]
    for rate in (0.0, 0.1 + 0.2)
]
WAY = {"learning_rate": 0.001, "steps": 1}


spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
FINE_TUNE = importlib.util.module_from_spec(spec)
spec.loader.exec_module(FINE_TUNE)


@pytest.fixture(autouse=True)
def restored():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_examples(
        folder / "digits.safetensors",
        domain_images.domains(0, 32, {"train": 20, "tune": 10, "report": 10}),
    )
    checkpoints = []
    for architecture in ("test_resnet", "test_efficientnet_gn"):
        torch.manual_seed(0)
        card = Card(
            architecture=architecture,
            options={},
            classes=["a", "b"],
            preprocessing=Preprocessing(size=32, mean=[0.5], std=[0.5]),
            zero_shot={},
        )
        checkpoints.append(folder / f"{architecture}.safetensors")
        save_checkpoint(checkpoints[-1], build(card), card)
    return {
        "data": folder / "digits.safetensors",
        "held_out": "textured",
        "checkpoint": checkpoints[0],
        "threads": 1,
        "gpus": 0,
    }


def linear(arguments, output, **changes):
    settings = {"runs": RUNS, "blocks": 3, "steps": 4, "checkpoints": 2, **SHARED}
    run("linear", settings, output, arguments | changes)


def interpolate(arguments, output, **changes):
    settings = {"mild": WAY, "long": WAY | {"steps": 2}, "points": 4, "weight_decay": 0, **SHARED}
    run("interpolation", settings, output, arguments | changes)


def run(family, settings, output, arguments):
    of_family = {"family": family, "settings": settings, "output": output}
    lists = {name: [value] for name, value in of_family.items()}
    FINE_TUNE.main(Namespace(**{**arguments, **lists}))


def test_linear_runs_are_written_and_read(arguments, tmp_path):
    for name in ("linear.safetensors", "again.safetensors"):
        linear(arguments, tmp_path / name)
    output = tmp_path / "linear.safetensors"
    assert output.read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    runs = read_runs(output, read_examples(arguments["data"]))
    assert (runs.family, runs.held_out) == ("linear", "textured")
    assert runs.weights_sha256 == sha256(arguments["checkpoint"])
    assert [curve.run for curve in runs.curves] == [Run(**run) for run in RUNS]
    assert {(entry.kind, entry.width, entry.version) for entry in runs.entries} == {
        (kind, width, version)
        for kind, width in [("linear", None), ("probe", None), ("probe", 7)]
        for version in ("selected", "last")
    }


def test_interpolation_is_written_as_a_table(arguments, tmp_path):
    for name in ("interpolation.csv", "again.csv"):
        interpolate(arguments, tmp_path / name)
    table = read_table(tmp_path / "interpolation.csv")
    assert (tmp_path / "interpolation.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    assert table.shape == (2 * 2 * 4, 8)
    assert table.share.unique().tolist() == [0, 1 / 3, 2 / 3, 1]
    assert table[["iid", "ood"]].stack().between(0, 1).all()
    assert set(table.held_out) == {"textured"}


@pytest.mark.parametrize("script", [linear, interpolate])
def test_an_unknown_domain_is_refused(arguments, tmp_path, script):
    with pytest.raises(InputError, match="has no domain 'painted'"):
        script(arguments, tmp_path / "output", held_out="painted")
    assert not list(tmp_path.iterdir())


def test_a_network_without_residual_blocks_is_refused(arguments, tmp_path):
    other = arguments["checkpoint"].with_name("test_efficientnet_gn.safetensors")
    with pytest.raises(InputError, match="has no residual blocks that we can find"):
        linear(arguments, tmp_path / "output", checkpoint=other)
