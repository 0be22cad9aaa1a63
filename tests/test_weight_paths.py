import copy
import functools
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dissent.commandline import InputError
from dissent.weight_paths import (
    combine_,
    distance,
    is_finite,
    load_,
    losses_along,
    mix_,
    plane,
    sharpness,
    weights_at,
)

INPUTS = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
SHARES = [0, 0.25, 0.5, 1]


@functools.cache
def trained(seed: int) -> nn.Module:
    """With batch normalisation, hence with buffers of both kinds."""
    torch.manual_seed(seed)
    made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    for _ in range(seed + 1):
        made(torch.randn(5, 3))
    return made.eval()


def network(seed: int) -> nn.Module:
    return copy.deepcopy(trained(seed))


def state_of(seed: int) -> dict[str, torch.Tensor]:
    return network(seed).state_dict()


@torch.no_grad()
def losses(model: nn.Module) -> np.ndarray:
    return model(INPUTS).square().sum(dim=1).numpy()


def mixed_by_hand(first: nn.Module, second: nn.Module, share: float) -> nn.Module:
    made = copy.deepcopy(first)
    weights = itertools.chain(made.named_parameters(), made.named_buffers())
    ends = [dict(itertools.chain(m.named_parameters(), m.named_buffers())) for m in (first, second)]
    for name, weight in weights:
        if not name.endswith("num_batches_tracked"):
            one, other = (end[name].detach() for end in ends)
            weight.data = (1 - share) * one + share * other
    return made


@settings(max_examples=30)
@given(st.integers(0, 3), st.integers(0, 3), st.floats(0, 1))
def test_mixing_in_place_is_mixing_a_copy_by_hand(first, second, share):
    model = network(9)
    own = [*model.parameters(), *model.buffers()]
    mix_(model, state_of(first), state_of(second), share)
    expected = mixed_by_hand(network(first), network(second), share)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=1e-6, atol=1e-6)
    assert model[1].num_batches_tracked == first + 1
    assert all(a is b for a, b in zip(own, [*model.parameters(), *model.buffers()], strict=True))


def test_ends_of_a_path_are_the_networks_themselves():
    first, second = state_of(0), state_of(1)
    model = network(2)
    for share, end in ((0.0, first), (1.0, second)):
        mix_(model, first, second, share)
        floating = {name: tensor for name, tensor in end.items() if tensor.is_floating_point()}
        assert all(torch.equal(model.state_dict()[name], floating[name]) for name in floating)


def test_mixing_leaves_weights_that_are_not_in_the_states():
    model = network(2)
    before = model[0].weight.clone()
    head = {name: tensor for name, tensor in state_of(0).items() if name.startswith("3.")}
    mix_(model, head, head, 0.5)
    assert torch.equal(model[0].weight, before)
    assert torch.equal(model[3].weight, head["3.weight"])


def test_losses_are_those_of_networks_mixed_by_hand_and_ends_are_evaluated_once():
    states = {f"m{seed}": state_of(seed) for seed in range(4)}
    pairs = [*itertools.combinations(states, 2)]
    calls = []

    def counted(model):
        calls.append(1)
        return losses(model)

    found_PGN = losses_along(network(9), states, pairs, SHARES, counted)
    assert len(calls) == len(states) + len(pairs) * (len(SHARES) - 2)
    assert found_PGN.dtype == np.float32
    for p, (first, second) in enumerate(pairs):
        ends = [network(int(name[1:])) for name in (first, second)]
        for g, share in enumerate(SHARES):
            expected_N = losses(mixed_by_hand(*ends, share))
            np.testing.assert_allclose(found_PGN[p, g], expected_N, rtol=1e-4, atol=1e-5)


def test_what_follows_mixing_is_done_between_ends_alone():
    states = {"a": state_of(0), "b": state_of(1)}
    seen = []

    def zero_head(model):
        seen.append(float(model[3].bias[0].detach()))
        model[3].weight.data.zero_()
        model[3].bias.data.zero_()

    found_GN = losses_along(network(9), states, [("a", "b")], SHARES, losses, zero_head)[0]
    assert len(seen) == 2
    assert (found_GN[1:-1] == 0).all()
    assert (found_GN[[0, -1]] > 0).any(axis=1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_on_the_path_that_is_no_number(bad):
    def evaluate(model):
        at = float(model.state_dict()["w"][0])
        return np.array([1.0, bad if 0.2 < at < 0.3 else 1.0])

    model = nn.Module()
    model.w = nn.Parameter(torch.zeros(2))
    states = {"one": {"w": torch.zeros(2)}, "other": {"w": torch.ones(2)}}
    with pytest.raises(InputError, match=r"not a number at share 0.25 .*between 'one' and 'other'"):
        losses_along(model, states, [("one", "other")], SHARES, evaluate)


def test_distance_is_that_of_all_floating_point_weights_in_one_row():
    rows = []
    for seed in range(2):
        state = state_of(seed)
        rows.append(np.concatenate([t.numpy().ravel() for t in state.values() if t.ndim]))
    found = distance(state_of(0), state_of(1))
    np.testing.assert_allclose(found, np.linalg.norm(rows[0] - rows[1]), rtol=1e-6)


def test_combination_is_the_weighted_sum():
    model, states = network(9), [state_of(seed) for seed in range(3)]
    combine_(model, states, [0.5, 0.75, -0.25])
    for name, tensor in model.state_dict().items():
        one, two, three = (state[name] for state in states)
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, 0.5 * one + 0.75 * two - 0.25 * three)


def flat(model: nn.Module) -> np.ndarray:
    return np.concatenate([weight.detach().numpy().ravel() for weight in model.parameters()])


def test_networks_lie_on_their_coordinates_of_the_plane():
    # Without buffers, to see every weight as a coordinate.
    made = {name: nn.Linear(3, 2) for name in "abc"}
    states = {name: copy.deepcopy(model.state_dict()) for name, model in made.items()}
    found = plane(nn.Linear(3, 2), states, losses, 9)
    assert found.loss_BA.shape == (9, 9)
    model = nn.Linear(3, 2)
    for name, point in zip("abc", found.points_32, strict=True):
        combine_(model, [*states.values()], weights_at(*point, found.points_32))
        np.testing.assert_allclose(flat(model), flat(made[name]), atol=1e-5)
    # Distances on paper are distances of weights.
    for i, j in itertools.combinations(range(3), 2):
        apart = np.linalg.norm(found.points_32[i] - found.points_32[j])
        expected = np.linalg.norm(flat(made["abc"[i]]) - flat(made["abc"[j]]))
        np.testing.assert_allclose(apart, expected, rtol=1e-5)


def test_loss_of_a_plane_is_that_of_an_orthonormal_basis():
    made = {name: nn.Linear(3, 2) for name in "abc"}
    states = {name: copy.deepcopy(model.state_dict()) for name, model in made.items()}
    found = plane(nn.Linear(3, 2), states, losses, 6)
    a, b, c = (flat(model).astype(float) for model in made.values())
    basis, _ = np.linalg.qr(np.stack([b - a, c - a], axis=1))
    basis *= np.sign((basis * np.stack([b - a, c - a], axis=1)).sum(axis=0))
    for row, column in itertools.product(range(6), repeat=2):
        w = a + basis @ [found.x_A[column], found.y_B[row]]
        outputs_N2 = INPUTS.numpy() @ w[:6].reshape(2, 3).T + w[6:]
        expected = (outputs_N2**2).sum(axis=1).mean()
        np.testing.assert_allclose(found.loss_BA[row, column], expected, rtol=1e-4)


@pytest.mark.parametrize("n_points", [4, 9, 20])
def test_grid_covers_the_networks_with_a_margin_and_meets_their_extremes(n_points):
    states = {name: nn.Linear(3, 2).state_dict() for name in "abc"}
    found = plane(nn.Linear(3, 2), states, losses, n_points)
    for grid, coordinates in zip((found.x_A, found.y_B), found.points_32.T, strict=True):
        np.testing.assert_allclose(np.diff(grid), grid[1] - grid[0], rtol=1e-6)
        for extreme in (coordinates.min(), coordinates.max()):
            assert np.abs(grid - extreme).min() < 1e-5
            assert grid[0] < extreme < grid[-1]


def test_networks_on_one_line_have_no_plane():
    a, b = (nn.Linear(3, 2).state_dict() for _ in range(2))
    between = {name: 0.3 * a[name] + 0.7 * b[name] for name in a}
    for three in ((a, b, between), (a, b, b), (a, a, b)):
        states = dict(zip(("one", "two", "three"), three, strict=True))
        with pytest.raises(InputError, match="'one', 'two', 'three' are on one line"):
            plane(nn.Linear(3, 2), states, losses, 4)


def test_loss_on_a_plane_that_is_no_number():
    states = {name: nn.Linear(3, 2).state_dict() for name in "abc"}
    with pytest.raises(InputError, match="not a number on the plane through 'a', 'b', 'c'"):
        plane(nn.Linear(3, 2), states, lambda model: np.full(2, np.nan), 4)


@pytest.mark.parametrize("learning_rate", [1e-3, 0.3])  # inside the box, and soon at its walls
def test_sharpness_of_a_quadratic_is_that_of_an_ascent_by_hand(learning_rate):
    curvature = np.array([1.0, 4.0, 0.5])
    start = np.array([0.3, -0.2, 0.1])
    epsilon, steps = 0.05, 6

    def loss_parts(model):
        # Two parts, of which the loss is the sum.
        for half in (0, 1):
            yield 0.25 * (torch.tensor(curvature) * model.w**2).sum() + 0.0 * half

    def by_hand(w):
        return 0.5 * (curvature * w**2).sum()

    w, reach, largest = start.copy(), epsilon * (np.abs(start) + 1), by_hand(start)
    for _ in range(steps):
        w = w + learning_rate * curvature * w
        w = np.minimum(np.maximum(w, start - reach), start + reach)
        largest = max(largest, by_hand(w))
    expected = 100 * (largest - by_hand(start)) / (1 + by_hand(start))
    model = nn.Module()
    model.w = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    state = {"w": torch.tensor(start)}
    found = sharpness(model, state, loss_parts, epsilon, steps, learning_rate)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found > 0
    assert torch.equal(state["w"], torch.tensor(start))
    if learning_rate == 0.3:
        np.testing.assert_allclose(largest, by_hand(start + np.sign(start) * reach))


def test_weights_that_are_no_numbers_are_found():
    state = state_of(0)
    assert is_finite(state)
    state["3.bias"][1] = torch.nan
    assert not is_finite(state)


def test_loading_gives_a_module_a_state():
    model = network(5)
    load_(model, state_of(1))
    for name, tensor in state_of(1).items():
        assert torch.equal(model.state_dict()[name], tensor)
