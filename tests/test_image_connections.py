"""Families of small image classifiers against plain loops over networks mixed by hand."""

import copy
import itertools
import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dissent.classifiers import build, load_checkpoint, save_checkpoint
from dissent.commandline import InputError
from dissent.connections import check_data, write_connections
from dissent.examples import write_examples
from dissent.files import sha256
from dissent.image_connections import connect
from small_domains import CARD, CLASSES, small_examples

SCRIPT = Path(__file__).parents[1] / "workflow/scripts/finetuned/connect_images.py"
# Other than the data set's order, and with one that it has not.
MODEL_CLASSES = ["high", "other", "low", "middle"]
NAMES = ["one", "two", "three"]
ORDER = ["separate", "aligned", "one-run"]
PAIRS = [*itertools.combinations(NAMES, 2)]
EXAMPLES = replace(small_examples(), groups=())
SETTINGS = {
    "examples": 8,
    "points": 4,
    "statistics_images": 10,
    "align": True,
    "branches": {"count": 2, "steps": 6, "learning_rate": 0.01, "batch_size": 4},
}


def checkpoint(path, seed, **card):
    torch.manual_seed(seed)
    card = CARD | {"classes": MODEL_CLASSES} | card
    model = build(card)
    model(torch.randn(8, len(card["preprocessing"]["mean"]), 16, 16))
    save_checkpoint(path, model, card)
    return path


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: checkpoint(folder / name, seed) for seed, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def families(checkpoints):
    return connect(checkpoints, EXAMPLES, SETTINGS)


def inputs(positions):
    images = torch.from_numpy(EXAMPLES.images_NHW[positions])[:, None] / 255
    return (images - 0.5) / 0.5


def plain_logits(model, positions):
    """Of low, middle, high, one image at a time; statistics from all at once."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = 1.0
    train = EXAMPLES.where("train")
    few = np.sort(np.random.default_rng(0).permutation(train)[: SETTINGS["statistics_images"]])
    with torch.no_grad():
        model.train()(inputs(few))
        rows = [model.eval()(inputs(np.array([i])))[0] for i in positions]
    return torch.stack(rows)[:, [MODEL_CLASSES.index(name) for name in CLASSES]]


def mixed(first, second, share):
    model = copy.deepcopy(first)
    for weight, other in zip(model.parameters(), second.parameters(), strict=True):
        weight.data = (1 - share) * weight.data + share * other.data
    return model


def test_on_a_gpu_it_is_the_same(checkpoints, families, pretended_gpu):
    for there, here in zip(connect(checkpoints, EXAMPLES, SETTINGS), families, strict=True):
        for name in ("loss_PGN", "distance_P"):
            one, other = getattr(there, name), getattr(here, name)
            assert one.keys() == other.keys()
            for key in one:
                np.testing.assert_allclose(one[key], other[key], rtol=1e-3, atol=1e-4)


def test_losses_on_paths_and_logits_are_those_of_networks_mixed_by_hand(checkpoints, families):
    separate = families[0]
    positions = separate.interpolation_positions_N
    labels = torch.from_numpy(EXAMPLES.labels[positions])
    models = {name: load_checkpoint(path)[0] for name, path in checkpoints.items()}
    for p, pair in enumerate(PAIRS):
        first, second = (models[name] for name in pair)
        for g in range(4):
            logits = plain_logits(mixed(first, second, g / 3), positions)
            expected_N = F.cross_entropy(logits, labels, reduction="none")
            np.testing.assert_allclose(separate.loss_PGN[0][p, g], expected_N, rtol=1e-3, atol=1e-4)
        apart = [
            (a - b).detach().numpy().ravel()
            for a, b in zip(first.parameters(), second.parameters(), strict=True)
        ]
        np.testing.assert_allclose(
            separate.distance_P[0][p], np.linalg.norm(np.concatenate(apart)), rtol=1e-5
        )
    for m, name in enumerate(NAMES):
        np.testing.assert_allclose(
            separate.logits_MNC["noise"][0][m],
            plain_logits(models[name], separate.positions_N["noise"]),
            rtol=1e-3,
            atol=1e-4,
        )


def test_aligned_networks_have_the_ends_they_had_and_are_nearer(families):
    separate, aligned, _ = families
    np.testing.assert_allclose(
        aligned.loss_PGN[0][:, [0, -1]], separate.loss_PGN[0][:, [0, -1]], rtol=1e-3, atol=1e-4
    )
    assert (aligned.distance_P[0] < separate.distance_P[0]).all()
    assert not np.allclose(aligned.loss_PGN[0], separate.loss_PGN[0], rtol=0.01)


def test_branches_are_the_first_network_trained_on(checkpoints, families):
    by_hand = []
    for order in range(2):
        model = load_checkpoint(checkpoints["one"])[0].train()
        stepper = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0)
        train = EXAMPLES.where("train")
        generator = torch.Generator().manual_seed(order)
        # 6 steps of 4 of 36 images: no image is seen twice.
        for batch in train[torch.randperm(len(train), generator=generator)][:24].reshape(6, 4):
            logits = model(inputs(batch))[:, [MODEL_CLASSES.index(name) for name in CLASSES]]
            loss = F.cross_entropy(logits, torch.from_numpy(EXAMPLES.labels[batch]))
            stepper.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            stepper.step()
        by_hand.append(model)
    one_run = families[2]
    for m in range(2):
        np.testing.assert_allclose(
            one_run.logits_MNC["noise"][0][m],
            plain_logits(by_hand[m], one_run.positions_N["noise"]),
            rtol=0.01,
            atol=1e-3,
        )
    assert 0 < one_run.distance_P[0][0] < families[0].distance_P[0].min()


def test_what_is_measured(families):
    assert [family.family for family in families] == ORDER
    for family, names in zip(families, [NAMES, NAMES, ["branch-0", "branch-1"]], strict=True):
        assert [member.model for member in family.members] == names
        n_pairs = len(names) * (len(names) - 1) // 2
        assert family.loss_PGN[0].shape == (n_pairs, 4, SETTINGS["examples"])
        assert set(EXAMPLES.splits_N[family.interpolation_positions_N]) == {"report"}
        splits_N = EXAMPLES.splits_N[family.positions_N["noise"]]
        assert splits_N.tolist() == ["tune"] * 27 + ["report"] * 27
        check_data("x", family, EXAMPLES)
    assert [member.order for member in families[2].members] == [0, 1]


def test_families_that_nobody_asked_for_and_a_data_set_without_tune(checkpoints):
    splits_N = np.where(EXAMPLES.splits_N == "tune", "unused", EXAMPLES.splits_N)
    (found,) = connect(
        checkpoints,
        replace(EXAMPLES, splits_N=splits_N),
        SETTINGS | {"align": False, "branches": None},
    )
    assert found.family == "separate"
    assert set(splits_N[found.positions_N["noise"]]) == {"report"}


def run_script(monkeypatch, *options, outputs):
    words = ["--settings", json.dumps(SETTINGS), *options, "--output", *outputs]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    torch.use_deterministic_algorithms(False)


def test_script_writes_what_the_function_gives(checkpoints, families, tmp_path, monkeypatch):
    write_examples(tmp_path / "noise", EXAMPLES)
    options = ["--checkpoints", *checkpoints.values(), "--models", *NAMES]
    options += ["--data", tmp_path / "noise"]
    run_script(monkeypatch, *options, outputs=[tmp_path / name for name in ORDER])
    for name, family in zip(ORDER, families, strict=True):
        write_connections(tmp_path / "called", family)
        assert sha256(tmp_path / name) == sha256(tmp_path / "called")


@pytest.mark.parametrize(
    ("models", "outputs", "message"),
    [
        (NAMES, ORDER[:2], "--output names 2 files for 3 families"),
        (NAMES[:2], ORDER, "--models names 2 models for 3 --checkpoints"),
    ],
)
def test_command_lines_that_do_not_fit(models, outputs, message, monkeypatch, capsys):
    options = ["--checkpoints", *NAMES, "--models", *models, "--data", "noise"]
    with pytest.raises(SystemExit):
        run_script(monkeypatch, *options, outputs=outputs)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"options": CARD["options"] | {"stem_width": 8}}, "differ in options, and no path"),
        ({"classes": list("abcd")}, "differ in classes, and no path"),
    ],
)
def test_networks_that_no_path_joins(checkpoints, tmp_path, card, message):
    other = checkpoint(tmp_path / "other", 0, **card)
    with pytest.raises(InputError, match=message):
        connect({**checkpoints, "other": other}, EXAMPLES, SETTINGS)


def test_data_sets_that_do_not_fit(checkpoints):
    with pytest.raises(InputError, match="'noise' should have images with one class each"):
        connect(checkpoints, replace(EXAMPLES, images_NHW=None), SETTINGS)
    unknown = replace(EXAMPLES, classes=("low", "middle", "top"))
    with pytest.raises(InputError, match="'top' of data set 'noise'"):
        connect(checkpoints, unknown, SETTINGS)


def test_a_branch_that_diverges(checkpoints):
    branches = SETTINGS["branches"] | {"learning_rate": 1e30}
    with pytest.raises(InputError, match="branch 0 of 'one' diverged: lower"):
        connect(checkpoints, EXAMPLES, SETTINGS | {"align": False, "branches": branches})
