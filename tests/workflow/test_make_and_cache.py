import argparse
import importlib.util
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dissent import datasets
from dissent.classifiers import build, predict
from dissent.commandline import InputError
from dissent.examples import read_examples, write_examples
from dissent.logits import open_logits

SCRIPTS = Path("workflow/scripts")
SPLITS = '{"train": 12, "tune": 6, "report": 6}'


def load(name):
    spec = importlib.util.spec_from_file_location(Path(name).stem, SCRIPTS / name)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def make(kind, output, *options):
    """A data set by command line, with the options that a rule gives."""
    command = ["--name", "mine", "--kind", kind, "--seed", "0", "--size", "16", "--splits", SPLITS]
    command = [sys.executable, SCRIPTS / "data/make_dataset.py", *command, *options]
    return subprocess.run([*command, "--output", output], capture_output=True, text=True)


def test_data_sets_are_made_apart_from_others_and_of_folders(tmp_path):
    handwritten, digits = tmp_path / "handwritten", tmp_path / "digits"
    write_examples(handwritten, datasets.handwritten(0, 16, {"train": 12}))
    assert make("digits", digits, "--apart-from", handwritten, "--location").returncode == 0
    train = {read_examples(handwritten).ids[i] for i in read_examples(handwritten).where("train")}
    made = read_examples(digits)
    assert (made.name, len(made.ids)) == ("mine", 1797 - 12)
    assert not {name.replace("digits", "handwritten") for name in made.ids} & train
    for name in ("b/0", "b/1", "a/0", "a/1"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), "red").save(tmp_path / "own" / f"{name}.png")
    said = make("folder", tmp_path / "own.st", "--apart-from", "--location", tmp_path / "own")
    assert said.returncode == 1
    assert "error: " in said.stderr
    assert "splits ask for 24 images, there are 4" in said.stderr


def test_data_sets_of_domains_are_made_and_read_from_folders(tmp_path):
    for domain, label, i in product(("sea", "air"), ("cat", "dog"), range(3)):
        path = tmp_path / "own" / domain / label / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), "red").save(path)
    own, drawn = tmp_path / "own.st", tmp_path / "drawn.st"
    assert (
        make("domain_folder", own, "--apart-from", "--location", tmp_path / "own").returncode == 0
    )
    assert set(read_examples(own).groups) == {"sea", "air"}
    assert len(read_examples(own).ids) == 12
    assert make("domains", drawn, "--apart-from", "--location").returncode == 0
    assert len(read_examples(drawn).ids) == len(read_examples(drawn).groups) == 4 * 24


def test_data_sets_of_sentences_are_made(tmp_path):
    pairs, swaps = tmp_path / "pairs", tmp_path / "swaps"
    others = ("--apart-from", "--location")
    assert make("sentence_pairs", pairs, *others, "--breakers", "0.5").returncode == 0
    made = read_examples(pairs)
    assert (made.name, made.groups.count("overlap misleads")) == ("mine", 12)
    assert make("word_swaps", swaps, *others, "--breakers").returncode == 0
    assert set(map(len, read_examples(swaps).sentences)) == {2}


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("digits", "apart-from"),
        ("folder", "location"),
        ("domain_folder", "location"),
        ("sentence_pairs", "breakers"),
    ],
)
def test_kinds_that_need_another_file_say_so(kind, option):
    given = argparse.Namespace(
        kind=kind,
        seed=0,
        size=16,
        splits={},
        name="mine",
        apart_from=None,
        location=None,
        breakers=None,
        files=[],
        classes=None,
        domains=[],
    )
    with pytest.raises(InputError, match=f"kind {kind} needs --{option}: give it"):
        load("data/make_dataset.py").make(given)


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(0)
    card = {
        "architecture": "test_resnet",
        "options": {},
        "classes": list(datasets.DIGITS),
        "preprocessing": {"size": 32, "mean": [0.5], "std": [0.5]},
        "zero_shot": {},
    }
    return build(card), card


def cache(tmp_path, checkpoint, *splits):
    """The logits file that the script writes of a data set whose classes are the model's."""
    examples, path = datasets.glyphs(0, 32, {"train": 9, "tune": 5, "report": 7}), tmp_path / "made"
    load("logits/cache_logits.py").cache(path, *checkpoint, "0" * 64, examples, splits)
    return examples, open_logits(path)


def test_rows_of_splits_that_are_not_asked_for_are_not_a_number(tmp_path, checkpoint):
    examples, logits = cache(tmp_path, checkpoint, "tune", "train")
    assert (logits.key.output, set(logits.tensors)) == ("features", {"features"})
    asked = np.isin(examples.splits_N, ["train", "tune"])
    assert np.isnan(logits["features"][~asked]).all()
    model, card = checkpoint
    ((features, _),) = predict(model, examples.images_NHW, card["preprocessing"])
    np.testing.assert_allclose(
        logits["features"][asked], features.numpy()[asked], rtol=2e-3, atol=1e-3
    )


def test_all_rows_are_looked_at_without_the_option(tmp_path, checkpoint):
    examples, logits = cache(tmp_path, checkpoint)
    assert logits.key.output == "logits"
    assert all(np.isfinite(values).all() for values in logits.tensors.values())
    assert len(logits["predicted"]) == len(examples.ids) == 21


def test_splits_that_a_data_set_has_not_are_named(tmp_path, checkpoint):
    with pytest.raises(InputError, match="has no split 'test'; it has: report, train, tune"):
        cache(tmp_path, checkpoint, "train", "test")
