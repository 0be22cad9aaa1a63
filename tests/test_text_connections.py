"""Families of small text classifiers against plain loops with the full model, padded throughout."""

import copy
import dataclasses
import importlib.util
import itertools
import logging
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dissent import text_connections
from dissent.commandline import InputError
from dissent.connections import Connections, check_data, drawn, read_connections
from dissent.examples import Examples, write_examples
from dissent.files import sha256
from dissent.frozen_layers import top_of
from dissent.text_checkpoints import classifier, load_text
from dissent.text_connections import connect, planes_of
from dissent.text_families import Family, write_family
from dissent.text_networks import Networks, fine_tuned_networks, own_networks
from dissent.tokens import collate, tokenise
from small_text import WORDS, small_text_checkpoint

CLASSES = ("entailment", "non-entailment")
GROUPS = ("subsequence", "constituent")
MEMBERS = [f"head-0-order-{order}" for order in range(4)]
STEPS = (5, 10)
LONGEST = 30
SETTINGS = {
    "examples": 6,
    "points": 4,
    "path_examples": 3,
    "strategy": {"data": "heuristics", "group": "subsequence"},
    "planes": {"points": 4, "examples": 5},
    "sharpness": {"epsilon": 1e-3, "steps": 2, "learning_rate": 1e-3, "examples": 4},
    "batch_size": 3,
}


def data_set(name: str, seed: int, n: int = 24, classes: tuple[str, ...] = CLASSES) -> Examples:
    """Pairs of sentences of many lengths."""
    rng = np.random.default_rng(seed)

    def sentence() -> str:
        return " ".join(rng.choice(WORDS, rng.integers(2, 12)))

    return Examples(
        name=name,
        ids=tuple(f"{name}-{i}" for i in range(n)),
        images_NHW=None,
        labels=rng.integers(0, len(classes), n),
        splits_N=np.resize(["report", "tune", "train", "report"], n),
        classes=classes,
        groups=tuple(np.resize(GROUPS, n)),
        sentences=tuple((sentence(), sentence()) for _ in range(n)),
    )


PAIRS, MIXED, HEURISTICS = (
    data_set(name, seed) for seed, name in enumerate(("pairs", "mixed", "heuristics"))
)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return small_text_checkpoint(tmp_path_factory.mktemp("start") / "start.safetensors")


def family_file(start, folder, layers=2, frozen=1):
    """A family of random networks that share the first layers of the start."""
    weights, card = load_text(start)
    states = {}
    for i, key in enumerate(itertools.product(MEMBERS, STEPS)):
        torch.manual_seed(i)
        model = classifier(card, len(CLASSES), layers)
        top = top_of(model, frozen)
        for name, weight in top.named_parameters():
            at_start = weights.get(name, torch.zeros_like(weight))
            weight.data = at_start + 0.3 * torch.randn_like(weight)
        states[key] = {name: weight.detach() for name, weight in top.named_parameters()}
    family = Family(
        name="orders",
        start_sha256=sha256(start),
        layers=layers,
        frozen_layers=frozen,
        classes=CLASSES,
        ids_sha256="",
        content_sha256="",
        members=tuple({"model": name, "head": 0, "order": i} for i, name in enumerate(MEMBERS)),
        steps=STEPS,
        states=states,
    )
    write_family(folder / "orders.safetensors", family)
    return folder / "orders.safetensors"


@pytest.fixture(scope="module")
def networks(start, tmp_path_factory) -> Networks:
    return fine_tuned_networks(start, family_file(start, tmp_path_factory.mktemp("family")))


@pytest.fixture(scope="module")
def found(networks) -> Connections:
    return connect("orders", networks, PAIRS, MIXED, [HEURISTICS], SETTINGS)


def test_on_a_gpu_it_is_the_same(found, start, tmp_path, pretended_gpu):
    networks = fine_tuned_networks(start, family_file(start, tmp_path))
    there = connect("orders", networks, PAIRS, MIXED, [HEURISTICS], SETTINGS)
    close = {"rtol": 1e-3, "atol": 1e-4}
    np.testing.assert_allclose(there.sharpness_M, found.sharpness_M, **close)
    for name in ("loss_PGN", "distance_P", "path_losses_PGN"):
        one, other = getattr(there, name), getattr(found, name)
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_allclose(one[key], other[key], **close)


def full_model(networks: Networks, start, states, shares) -> torch.nn.Module:
    """The whole network, with the sum of states times shares: the start's below them."""
    weights, card = load_text(start)
    model = classifier(card, len(CLASSES), 2)
    model.load_state_dict(weights, strict=False)
    own = dict(model.named_parameters())
    for name in states[0]:
        terms = [share * state[name] for share, state in zip(shares, states, strict=True)]
        own[name].data = sum(terms)
    return model.eval()


@torch.no_grad()
def plain_logits(model, card, examples: Examples, positions) -> torch.Tensor:
    """One example at a time, padded to one length."""
    rows = []
    for position in positions:
        batch = collate(tokenise(card, [examples.sentences[position]]))
        length = batch["input_ids"].shape[1]
        padded = {name: F.pad(tensor, (0, LONGEST - length)) for name, tensor in batch.items()}
        rows.append(model(**padded).logits[0])
    return torch.stack(rows)


def plain_losses(model, card, examples: Examples, positions) -> np.ndarray:
    logits = plain_logits(model, card, examples, positions)
    labels = torch.from_numpy(examples.labels[positions])
    return F.cross_entropy(logits, labels, reduction="none").numpy()


def test_losses_on_paths_are_those_of_full_models_mixed_by_hand(networks, found, start):
    pairs = [*itertools.combinations(MEMBERS, 2)]
    for step in STEPS:
        for p, g in itertools.product(range(6), range(4)):
            states = [networks.states[step][name] for name in pairs[p]]
            model = full_model(networks, start, states, (1 - g / 3, g / 3))
            positions = found.interpolation_positions_N
            expected_N = plain_losses(model, networks.card, MIXED, positions)
            np.testing.assert_allclose(found.loss_PGN[step][p, g], expected_N, rtol=1e-4, atol=1e-5)
    last = full_model(networks, start, [networks.states[10][MEMBERS[3]]], [1])
    positions = found.path_positions_N["heuristics"]
    expected_N = plain_losses(last, networks.card, HEURISTICS, positions)
    of_strategy = found.path_losses_PGN["heuristics"]
    np.testing.assert_allclose(of_strategy[-1, -1], expected_N, rtol=1e-4, atol=1e-5)


def test_logits_at_the_ends_are_those_of_full_models(networks, found, start):
    for m, name in enumerate(MEMBERS):
        model = full_model(networks, start, [networks.states[5][name]], [1])
        for examples in (PAIRS, HEURISTICS):
            expected_NC = plain_logits(
                model, networks.card, examples, found.positions_N[examples.name]
            )
            np.testing.assert_allclose(
                found.logits_MNC[examples.name][5][m], expected_NC, rtol=1e-4, atol=1e-5
            )


def test_examples_measured(found):
    splits = PAIRS.splits_N[found.positions_N["pairs"]]
    assert splits.tolist() == ["tune"] * 6 + ["report"] * 12
    assert found.positions_N["heuristics"].tolist() == HEURISTICS.where("report").tolist()
    assert len(found.interpolation_positions_N) == SETTINGS["examples"]
    assert set(MIXED.splits_N[found.interpolation_positions_N]) == {"report"}
    on_path = found.path_positions_N["heuristics"]
    assert len(on_path) == SETTINGS["path_examples"]
    assert {HEURISTICS.groups[position] for position in on_path} == {"subsequence"}
    assert set(HEURISTICS.splits_N[on_path]) == {"report"}
    for examples in (PAIRS, MIXED, HEURISTICS):
        check_data("x", found, examples)


def test_distances_are_those_of_all_weights(networks, found):
    for step in STEPS:
        rows = [
            np.concatenate([tensor.numpy().ravel() for tensor in state.values()])
            for state in networks.states[step].values()
        ]
        expected_P = [np.linalg.norm(a - b) for a, b in itertools.combinations(rows, 2)]
        np.testing.assert_allclose(found.distance_P[step], expected_P, rtol=1e-5)


def test_planes_are_of_the_best_and_worst_by_strategy(networks, found, start):
    of_group = np.array([HEURISTICS.groups[i] == "subsequence" for i in range(24)])
    chosen = HEURISTICS.where("report")[of_group[HEURISTICS.where("report")]]
    accuracy = {}
    for name in MEMBERS:
        model = full_model(networks, start, [networks.states[10][name]], [1])
        predicted = plain_logits(model, networks.card, HEURISTICS, chosen).argmax(dim=1).numpy()
        accuracy[name] = (predicted == HEURISTICS.labels[chosen]).mean()
    assert {name: plane.members for name, plane in found.planes.items()} == planes_of(accuracy)
    worst, *_, best = sorted(accuracy.values())
    first, second, third = (accuracy[name] for name in found.planes["mixed"].members)
    assert (first, third) == (best, worst)
    assert worst <= second <= best
    assert min(accuracy[name] for name in found.planes["low"].members) == worst


def test_losses_on_a_plane_are_those_of_the_networks_in_it(networks, found, start):
    for plane in found.planes.values():
        states = [networks.states[10][name] for name in plane.members]
        model = full_model(networks, start, states[:1], [1])
        positions = drawn(MIXED.where("report"), SETTINGS["planes"]["examples"])
        expected = plain_losses(model, networks.card, MIXED, positions).mean()
        column, row = np.abs(plane.x_A).argmin(), np.abs(plane.y_B).argmin()
        # The first network is on the grid, as all three are on one side of it.
        assert max(abs(plane.x_A[column]), abs(plane.y_B[row])) < 1e-4
        np.testing.assert_allclose(plane.loss_BA[row, column], expected, rtol=1e-4)


def test_fewer_examples_are_among_more():
    positions_N = MIXED.where("report")
    several = [drawn(positions_N, size) for size in (2, 5, 12, 99)]
    for fewer, more in itertools.pairwise(several):
        assert set(fewer) <= set(more) <= set(positions_N)
        assert (np.diff(more) > 0).all()
    assert [len(chosen) for chosen in several] == [2, 5, 12, 12]


def test_every_end_is_evaluated_once(networks, monkeypatch):
    calls = []
    losses = text_connections.losses

    def counted(of, model):
        calls.append(of.examples.name)
        return losses(of, model)

    monkeypatch.setattr(text_connections, "losses", counted)
    settings = {**SETTINGS, "planes": None, "sharpness": None}
    connections = connect("orders", networks, PAIRS, MIXED, [HEURISTICS], settings)
    assert connections.planes == {}
    assert connections.sharpness_M is None
    of_one_step = len(MEMBERS) + 6 * (SETTINGS["points"] - 2)
    assert calls.count("mixed") == of_one_step * len(STEPS)
    assert calls.count("heuristics") == of_one_step


def test_sharpness_is_that_of_an_ascent_with_the_full_model(networks, found, start):
    positions = drawn(MIXED.where("report"), SETTINGS["sharpness"]["examples"])
    batch = collate(tokenise(networks.card, [MIXED.sentences[i] for i in positions]))
    labels = torch.from_numpy(MIXED.labels[positions])
    model = full_model(networks, start, [networks.states[10][MEMBERS[1]]], [1])
    own = dict(model.named_parameters())
    trained = [own[name] for name in networks.states[10][MEMBERS[1]]]
    centre = [weight.detach().clone() for weight in trained]
    losses = []
    for _ in range(3):
        loss = F.cross_entropy(model(**batch).logits, labels)
        losses.append(loss.item())
        slopes = torch.autograd.grad(loss, trained, allow_unused=True)
        for weight, slope, middle in zip(trained, slopes, centre, strict=True):
            if slope is not None:
                reach = 1e-3 * (middle.abs() + 1)
                weight.data = (weight.data + 1e-3 * slope).clamp(middle - reach, middle + reach)
    expected = 100 * (max(losses) - losses[0]) / (1 + losses[0])
    assert expected > 0
    np.testing.assert_allclose(found.sharpness_M[1], expected, rtol=0.01)


def test_users_models_of_three_classes_on_two(tmp_path):
    paths = {n: small_text_checkpoint(tmp_path / n, seed, 3) for seed, n in enumerate("ab")}
    three = data_set("pairs", 0, classes=("Contradiction", "Entailment", "Neutral"))
    networks = own_networks(paths)
    found = connect("models", networks, three, three, [HEURISTICS], {**SETTINGS, "points": 3})
    assert (found.steps, found.planes) == ((0,), {})
    assert found.loss_PGN[0].shape == (1, 3, 6)
    weights, card = load_text(paths["b"])
    model = classifier(card).eval()
    model.load_state_dict(weights)
    logits_NK = plain_logits(model, card, HEURISTICS, found.positions_N["heuristics"]).numpy()
    expected_NC = np.stack([logits_NK[:, 0], logits_NK[:, 1:].max(axis=1)], axis=1)
    np.testing.assert_allclose(
        found.logits_MNC["heuristics"][0][1], expected_NC, rtol=1e-4, atol=1e-5
    )
    logits_NK = plain_logits(model, card, three, found.positions_N["pairs"]).numpy()
    np.testing.assert_allclose(
        found.logits_MNC["pairs"][0][1], logits_NK[:, [2, 0, 1]], rtol=1e-4, atol=1e-5
    )
    mean = {name: (w + load_text(paths["a"])[0][name]) / 2 for name, w in weights.items()}
    model.load_state_dict(mean)
    logits_NK = plain_logits(model, card, three, found.interpolation_positions_N)[:, [2, 0, 1]]
    labels_N = torch.from_numpy(three.labels[found.interpolation_positions_N])
    expected_N = F.cross_entropy(logits_NK, labels_N, reduction="none")
    np.testing.assert_allclose(found.loss_PGN[0][0, 1], expected_N, rtol=1e-4, atol=1e-5)


def test_labels_that_users_models_do_not_know(tmp_path):
    path = small_text_checkpoint(tmp_path / "a", n_classes=5)
    with pytest.raises(InputError, match=r"'class 0', .* do not fit .* of data set 'heuristics'"):
        connect("models", own_networks({"a": path}), PAIRS, PAIRS, [HEURISTICS], SETTINGS)


def test_a_network_that_diverged_is_not_a_number_and_the_others_are_measured(
    networks, found, caplog
):
    diverged = copy.deepcopy(networks.states)
    name = next(iter(diverged[10][MEMBERS[2]]))
    diverged[10][MEMBERS[2]][name].fill_(torch.nan)
    of_one = dataclasses.replace(networks, states=diverged)
    with caplog.at_level(logging.WARNING):
        seen = connect("orders", of_one, PAIRS, MIXED, [HEURISTICS], SETTINGS)
    assert f"{MEMBERS[2]} diverged by step 10" in caplog.text
    with_it = [MEMBERS[2] in pair for pair in itertools.combinations(MEMBERS, 2)]
    for array, all_finite in (
        (seen.loss_PGN[10], found.loss_PGN[10]),
        (seen.path_losses_PGN["heuristics"], found.path_losses_PGN["heuristics"]),
        (seen.distance_P[10], found.distance_P[10]),
    ):
        assert np.isnan(array[with_it]).all()
        np.testing.assert_array_equal(array[~np.array(with_it)], all_finite[~np.array(with_it)])
    np.testing.assert_array_equal(seen.loss_PGN[5], found.loss_PGN[5])
    for array in (seen.logits_MNC["pairs"][10], seen.sharpness_M):
        assert np.isnan(array[2]).all()
        assert np.isfinite(np.delete(array, 2, axis=0)).all()
    assert all(MEMBERS[2] not in plane.members for plane in seen.planes.values())


def test_planes_of_few_networks():
    accuracy = {"a": 0.2, "b": 0.9, "c": 0.9, "d": 0.5, "e": 0.1}
    assert planes_of(accuracy) == {
        "high": ("b", "c", "d"),
        "low": ("e", "a", "d"),
        "mixed": ("b", "c", "e"),
    }
    assert planes_of({name: accuracy[name] for name in "abe"}) == {"mixed": ("b", "a", "e")}
    assert planes_of({"a": 1.0, "b": 0.5}) == {}


@pytest.mark.parametrize(
    ("settings", "diagnostics", "message"),
    [
        (
            {"data": "swaps", "group": "x"},
            [HEURISTICS],
            "'swaps', which is not among `diagnostics`",
        ),
        ({"data": "heuristics", "group": "x"}, [HEURISTICS], "no group 'x' .*'constituent', 'subs"),
        (
            {"data": "bare", "group": "x"},
            [dataclasses.replace(HEURISTICS, name="bare", groups=())],
            "'bare' has no group 'x' in split report: name one of another data set",
        ),
        (
            SETTINGS["strategy"],
            [dataclasses.replace(HEURISTICS, sentences=())],
            "data set 'heuristics' has no sentences",
        ),
        (
            SETTINGS["strategy"],
            [dataclasses.replace(HEURISTICS, labels=np.ones((24, 2), np.uint8))],
            "'heuristics' has several labels",
        ),
        (
            SETTINGS["strategy"],
            [dataclasses.replace(HEURISTICS, classes=("acceptable", "unacceptable"))],
            "'entailment', 'non-entailment' do not fit 'acceptable', .*data set 'heuristics'",
        ),
    ],
)
def test_data_that_does_not_fit(networks, settings, diagnostics, message):
    with pytest.raises(InputError, match=message):
        connect("orders", networks, PAIRS, MIXED, diagnostics, {**SETTINGS, "strategy": settings})


def test_weights_of_another_start(start, tmp_path):
    weights = family_file(start, tmp_path)
    other = small_text_checkpoint(tmp_path / "other.safetensors", seed=7)
    with pytest.raises(InputError, match=r"orders.safetensors was fine-tuned from another .*other"):
        fine_tuned_networks(other, weights)


def script():
    path = Path(__file__).parents[1] / "workflow/scripts/finetuned/connect_text.py"
    specification = importlib.util.spec_from_file_location("script", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def arguments_of(folder: Path, checkpoints: list[Path], **others) -> Namespace:
    """Command line of the script, with data set files in the folder."""
    for examples in (PAIRS, MIXED, HEURISTICS):
        write_examples(folder / f"{examples.name}.safetensors", examples)
    return Namespace(
        family="orders",
        checkpoints=checkpoints,
        in_domain=folder / "pairs.safetensors",
        interpolation=folder / "mixed.safetensors",
        diagnostics=[folder / "heuristics.safetensors"],
        threads=1,
        gpus=0,
        output=folder / "orders_paths.safetensors",
        **{"weights": None, "models": [], "settings": SETTINGS, **others},
    )


def test_script_writes_what_is_measured_and_the_same_again(start, found, tmp_path):
    arguments = arguments_of(tmp_path, [start], weights=family_file(start, tmp_path))
    script().main(arguments)
    read = read_connections(arguments.output)
    assert (read.members, read.planes.keys()) == (found.members, found.planes.keys())
    for step in STEPS:
        np.testing.assert_allclose(read.loss_PGN[step], found.loss_PGN[step], rtol=1e-5, atol=1e-6)
    first = arguments.output.read_bytes()
    script().main(arguments)
    assert arguments.output.read_bytes() == first


def test_script_takes_users_models_by_name(tmp_path):
    paths = [small_text_checkpoint(tmp_path / f"{n}.safetensors", n, 2) for n in range(2)]
    settings = {**SETTINGS, "points": 3, "planes": None, "sharpness": None}
    arguments = arguments_of(tmp_path, paths, models=["one", "other"], settings=settings)
    script().main(arguments)
    read = read_connections(arguments.output)
    assert [member.model for member in read.members] == ["one", "other"]
    with pytest.raises(InputError, match="names 1 models for 2 --checkpoints"):
        script().main(Namespace(**{**vars(arguments), "models": ["one"]}))
