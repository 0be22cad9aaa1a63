import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dissent.classifiers import Preprocessing, load_checkpoint, prepare
from dissent.commandline import InputError
from dissent.domains import leave_out
from dissent.dropout_runs import Run
from dissent.dropout_training import (
    augmented,
    domain_batches,
    drop,
    from_scratch,
    logits_of,
    optimise,
    start_of,
    training_batches,
    with_images,
)
from dissent.training.optimise import checkpoint_steps
from small_domains import CLASSES, small_checkpoint, small_examples

SETTINGS = {
    "steps": 4,
    "batch_size": 3,
    "images": None,
    "checkpoints": 2,
    "momentum": 0.9,
    "masks": 1,
    "decays": [0.5],
    "augmentation": "light",
}
RUN = Run(rate=0.5, learning_rate=0.05, weight_decay=0.01, head_factor=10.0, seed=0)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def examples():
    return small_examples()


@pytest.fixture(scope="module")
def held(examples):
    return leave_out(examples, "sketch")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return small_checkpoint(tmp_path_factory.mktemp("start") / "model.safetensors")


@pytest.fixture
def start(checkpoint):
    return start_of(checkpoint, "sketch", CLASSES)


def learn(start, examples, held, run=RUN, live=False, **settings):
    """Train the start's model in place; the batches that it saw."""
    model, card = start
    settings = SETTINGS | settings
    batches = training_batches(examples, held, card["preprocessing"], settings, generator())
    seen = list(itertools.islice(batches, settings["steps"]))
    steps = list(optimise(model, run, settings, seen, generator(1), live=live))
    assert steps == checkpoint_steps(settings["steps"], settings["checkpoints"])
    return seen


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("rate", [0.3, 0.9, 0.95])
def test_dropout_keeps_the_mean_and_has_the_variance_of_its_rate(rate):
    n = 200_000
    dropped = drop(torch.full((n // 100, 100), 2.0), rate, 1, generator())
    values, counts = dropped.unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0.0, 2 / (1 - rate)]))
    # Five standard errors of a share; the rest follows from it.
    assert abs(counts[0] / n - rate) < 5 * (rate * (1 - rate) / n) ** 0.5
    assert dropped.mean().item() == pytest.approx(2, rel=0.05)
    assert dropped.var().item() == pytest.approx(4 * rate / (1 - rate), rel=0.05)


def test_without_a_rate_nothing_is_dropped_nor_drawn():
    features_ND, draws = torch.rand(3, 4), generator()
    assert drop(features_ND, 0, 2, draws) is features_ND
    assert torch.equal(draws.get_state(), generator().get_state())


def test_what_a_rate_drops_higher_rates_drop_too():
    ones_ND = torch.ones(50, 40)
    kept = [drop(ones_ND, rate, 1, generator()) > 0 for rate in (0.5, 0.9, 0.95)]
    assert all((more | ~fewer).all() for more, fewer in itertools.pairwise(kept))
    assert kept[0].sum() > kept[1].sum() > kept[2].sum()


def test_each_mask_is_of_the_whole_batch():
    features_ND = torch.rand(3, 40, requires_grad=True)
    dropped = drop(features_ND, 0.75, 4, generator())
    masks = generator()
    each = [features_ND * (torch.rand(3, 40, generator=masks) >= 0.75) / 0.25 for _ in range(4)]
    torch.testing.assert_close(dropped, torch.cat(each))
    weights = torch.rand(12, 40)
    ours, theirs = (
        torch.autograd.grad((weights * made).sum(), features_ND)
        for made in (dropped, torch.cat(each))
    )
    torch.testing.assert_close(ours, theirs)


def test_only_what_the_head_sees_is_dropped(start, examples, held):
    model, _ = start
    pooled, seen = [], []
    model.global_pool.register_forward_hook(lambda *given: pooled.append(given[2].clone()))
    model.fc.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    learn(start, examples, held, steps=3, checkpoints=1)
    masks = generator(1)
    assert len(seen) == 3
    for features_ND, head_ND in zip(pooled, seen, strict=True):
        mask_ND = torch.rand(features_ND.shape, generator=masks) >= RUN.rate
        assert 0 < mask_ND.float().mean() < 1
        torch.testing.assert_close(head_ND, features_ND * mask_ND / (1 - RUN.rate))
        assert torch.equal(head_ND == 0, ~mask_ND | (features_ND == 0))
        assert features_ND[~mask_ND].abs().sum() > 0


def test_nothing_is_dropped_at_test(start, examples, held):
    model, card = start
    learn(start, examples, held)
    positions = np.array([5, 2, 40])
    logits_NC = logits_of(model, examples.images_NHW, positions, card["preprocessing"])
    inputs = prepare(examples.images_NHW[positions], card["preprocessing"])
    with torch.no_grad():
        features_ND = model.eval().forward_features(inputs).mean(dim=(2, 3))
        expected_NC = features_ND @ model.fc.weight.T + model.fc.bias
    np.testing.assert_allclose(logits_NC, expected_NC.numpy(), rtol=1e-4, atol=1e-5)


def test_many_images_are_predicted_in_order(start, examples):
    model, card = start
    positions = np.arange(700) * 7 % len(examples.ids)
    logits_NC = logits_of(model, examples.images_NHW, positions, card["preprocessing"])
    each = logits_of(
        model, examples.images_NHW, np.arange(len(examples.ids)), card["preprocessing"]
    )
    np.testing.assert_allclose(logits_NC, each[positions], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("live", [False, True])
def test_statistics_are_frozen_unless_live_and_all_weights_learn(start, examples, held, live):
    model, _ = start
    before = state_of(model)
    learn(start, examples, held, live=live)
    weights = dict(model.named_parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) == (name not in weights and not live), name
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) > 10


@pytest.mark.parametrize(("rate", "factor"), [(0, 1.0), (0.5, 1.0), (0.5, 10.0)])
def test_steps_are_those_of_sgd_by_hand(checkpoint, start, examples, held, rate, factor):
    """Momentum without Nesterov, decay of all weights, a tenth of the rate from half-way on."""
    run = Run(rate, 0.05, 0.01, factor, seed=0)
    seen = learn(start, examples, held, run)
    model, _ = start_of(checkpoint, "sketch", CLASSES)
    model.eval()
    masks = generator(1)
    weights = dict(model.named_parameters())
    velocity = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for step, (inputs, labels_N) in enumerate(seen):
        features_ND = model.forward_features(inputs).mean(dim=(2, 3))
        if rate:
            kept_ND = torch.rand(features_ND.shape, generator=masks) >= rate
            features_ND = features_ND * kept_ND / (1 - rate)
        log_NC = (features_ND @ model.fc.weight.T + model.fc.bias).log_softmax(dim=1)
        loss = -log_NC[torch.arange(len(labels_N)), labels_N].mean()
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            velocity[name] = 0.9 * velocity[name] + gradient + 0.01 * weight.detach()
            of_head = factor if name.startswith("fc.") else 1
            weight.data -= (0.05 if step < 2 else 0.005) * of_head * velocity[name]
    for name, weight in start[0].named_parameters():
        torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=1e-5)


@given(checkpoints=st.integers(1, 30), more=st.integers(0, 500))
def test_checkpoints_are_evenly_spaced_and_the_last_is_at_the_end(checkpoints, more):
    steps = checkpoints + more
    at = checkpoint_steps(steps, checkpoints)
    assert at[-1] == steps
    assert len(set(at)) == checkpoints
    gaps = np.diff([0, *at])
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_a_step_has_as_many_images_of_each_domain_and_sees_all_before_any_again():
    train = {"paper": np.arange(100, 112), "photo": np.arange(7)}
    batches = domain_batches(train, 4, generator())
    steps = np.array([next(batches) for _ in range(21)])
    assert np.isin(steps[:, :4], train["paper"]).all()
    assert np.isin(steps[:, 4:], train["photo"]).all()
    for epoch in steps[:, :4].reshape(7, 12):
        np.testing.assert_array_equal(np.sort(epoch), train["paper"])
    for epoch in steps[:, 4:].reshape(12, 7):
        np.testing.assert_array_equal(np.sort(epoch), train["photo"])
    assert len(np.unique(steps, axis=0)) == 21


def test_batches_hold_images_and_their_labels(examples, held, start):
    _, card = start
    settings = SETTINGS | {"augmentation": "none"}
    batches = training_batches(examples, held, card["preprocessing"], settings, generator())
    inputs, labels_N = next(batches)
    images = prepare(examples.images_NHW, card["preprocessing"])
    train = np.flatnonzero((examples.splits_N == "train") & (np.array(examples.groups) != "sketch"))
    for one, label in zip(inputs, labels_N, strict=True):
        (found,) = [i for i in train if torch.equal(images[i], one)]
        assert examples.labels[found] == label


@pytest.mark.parametrize("shape", [(5, 16, 16), (5, 24, 20, 3)])
def test_without_augmentation_images_are_prepared_as_for_prediction(shape):
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    preprocessing = Preprocessing(size=16, mean=[0.4, 0.5, 0.6], std=[0.2, 0.3, 0.4])
    made = augmented(images, preprocessing, "none", generator())
    torch.testing.assert_close(made, prepare(images, preprocessing))


def test_the_first_images_of_each_domain_are_taken(held):
    assert with_images(held, None) is held
    taken = with_images(held, 5)
    assert list(taken.train["paper"]) == [0, 1, 2, 3, 4]
    assert taken.train.keys() == held.train.keys()
    assert all(len(positions) == 5 for positions in taken.train.values())
    assert taken.tune is held.tune
    sentence = r"`images` asks for 13 training images of each domain, but 'paper' has 12: lower it"
    with pytest.raises(InputError, match=sentence):
        with_images(held, 13)


def test_all_runs_without_a_domain_start_with_one_head_on_the_same_network(checkpoint, start):
    model, card = start
    assert card["classes"] == list(CLASSES)
    again, _ = start_of(checkpoint, "sketch", CLASSES)
    other, _ = start_of(checkpoint, "photo", CLASSES)
    before = load_checkpoint(checkpoint)[0].state_dict()
    assert torch.equal(model.fc.weight, again.fc.weight)
    assert not torch.equal(model.fc.weight, other.fc.weight)
    for name, tensor in model.state_dict().items():
        assert name.startswith("fc.") or torch.equal(tensor, before[name])


def test_networks_from_scratch_come_from_their_seed(start):
    model, card = start
    made = [from_scratch(card, "sketch", seed) for seed in (0, 0, 1)]
    one, again, other = [each.conv1[0].weight for each in made]
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one, model.conv1[0].weight)
    assert made[0].fc.out_features == len(CLASSES)
