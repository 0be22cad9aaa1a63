"""Between networks: losses on straight lines and planes of their weights, and around one of them.

States are state dicts, of all weights of the module or of some (the others stay as they are).
Functions write into the module that they are given, and leave it with weights of no use.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from dissent.commandline import InputError
from dissent.devices import device_of, moved
from dissent.progress import progress

State = Mapping[str, torch.Tensor]
# The per-example losses [N] of a module, or its one mean loss in parts that add up to it.
Evaluate = Callable[[nn.Module], np.ndarray]
LossParts = Callable[[nn.Module], Iterable[torch.Tensor]]


# A network this near to a line, as a share of its distance, is on it but for rounding.
ON_ONE_LINE = 1e-4


class LossPlane(NamedTuple):
    """Mean loss at x_A and y_B of a plane, and where three networks are in it, in weight space."""

    x_A: np.ndarray
    y_B: np.ndarray
    points_32: np.ndarray
    loss_BA: np.ndarray


def load_(model: nn.Module, state: State) -> None:
    """Give a module the weights and buffers of a state, from wherever it is."""
    state = moved(state, device_of(model))
    mix_(model, state, state, 0.0)


@torch.no_grad()
def mix_(model: nn.Module, first: State, second: State, share: float) -> None:
    """Give a module (1 - share) of `first` and `share` of `second`, without a copy of either.

    Parameters and buffers alike are mixed; of buffers of whole numbers, the first's are taken. Both
    states are where the module is.
    """
    own = model.state_dict()
    for name, tensor in first.items():
        if tensor.is_floating_point():
            torch.lerp(tensor, second[name], share, out=own[name])
        else:
            own[name].copy_(tensor)


@torch.no_grad()
def combine_(model: nn.Module, states: Sequence[State], weights: Sequence[float]) -> None:
    """Give a module the sum of `weights` times `states`; weights add up to 1."""
    own = model.state_dict()
    for name, tensor in states[0].items():
        own[name].copy_(tensor)
        if tensor.is_floating_point():
            own[name].mul_(weights[0])
            for state, weight in zip(states[1:], weights[1:], strict=True):
                own[name].add_(state[name], alpha=weight)


def is_finite(state: State) -> bool:
    """Whether all weights are numbers."""
    return all(bool(tensor.isfinite().all()) for tensor in state.values())


def losses_along(
    model: nn.Module,
    states: Mapping[str, State],
    pairs: Sequence[tuple[str, str]],
    shares: Sequence[float],
    evaluate: Evaluate,
    after_mixing: Callable[[nn.Module], None] | None = None,
) -> np.ndarray:
    """Losses float32 [P, G, N] on the straight lines between the states of named pairs.

    `shares` rise from 0, a pair's first state, to 1, its second. End points are evaluated once for
    each state. `after_mixing` is called with every network between them before it is evaluated: to
    take statistics of batch normalisation anew, say. Raises InputError where a loss is not finite.
    """
    ends: dict[str, np.ndarray] = {}
    for pair in pairs:
        for name in pair:
            if name not in ends:
                load_(model, states[name])
                ends[name] = evaluate(model)
    rows = []
    # The states of the pair at hand, where the module is: of many, not all may fit there.
    near: dict[str, State] = {}
    for pair in progress(pairs, "paths"):
        near = {name: near.get(name) or moved(states[name], device_of(model)) for name in pair}
        first, second = pair
        inside = []
        for share in shares[1:-1]:
            mix_(model, near[first], near[second], share)
            if after_mixing:
                after_mixing(model)
            inside.append(evaluate(model))
        rows.append(np.stack([ends[first], *inside, ends[second]]))
        finite_G = np.isfinite(rows[-1]).all(axis=1)
        if not finite_G.all():
            raise InputError(
                f"the loss is not a number at share {shares[int(finite_G.argmin())]:.3g} of the "
                f"way between {first!r} and {second!r}: leave out the one that diverged"
            )
    return np.array(rows, np.float32)


def distance(first: State, second: State) -> float:
    """Euclidean distance of the floating-point weights of two states."""
    return float(np.sqrt(_inner(first, second, first, second)))


def _inner(origin: State, first: State, other_origin: State, second: State) -> float:
    """Inner product of (first - origin) and (second - other_origin), summed in double precision."""
    total = 0.0
    for name, tensor in origin.items():
        if tensor.is_floating_point():
            one = (first[name] - tensor).flatten().double()
            other = (second[name] - other_origin[name]).flatten().double()
            total += float(one @ other)
    return total


def plane(
    model: nn.Module, states: Mapping[str, State], evaluate: Evaluate, n_points: int
) -> LossPlane:
    """Mean loss on the plane through three named states, at n_points x n_points of a grid.

    The first state is the origin, the second lies on the axis x (Gram-Schmidt), and the unit is the
    distance of weights. The networks' smallest and largest coordinates are on lines of the grid,
    which goes on for an eighth of its lines, at least one, on every side. Raises InputError if the
    three are on one line, or where the loss is not finite.
    """
    three = [moved(state, device_of(model)) for state in states.values()]
    origin, second, third = three
    length = distance(origin, second)
    length_3 = distance(origin, third)
    x_3 = _inner(origin, second, origin, third) / length if length else 0.0
    y_3 = float(np.sqrt(max(length_3**2 - x_3**2, 0.0)))
    if y_3 <= ON_ONE_LINE * length_3 or not length:
        raise InputError(
            f"{', '.join(map(repr, states))} are on one line of weights, through which there are "
            f"many planes: leave out `planes`, or models that are the same"
        )
    points_32 = np.array([[0.0, 0.0], [length, 0.0], [x_3, y_3]])
    x_A, y_B = (_grid(coordinate, n_points) for coordinate in points_32.T)
    loss_BA = np.empty((n_points, n_points))
    for row, y in progress(list(enumerate(y_B)), "plane"):
        for column, x in enumerate(x_A):
            combine_(model, three, weights_at(x, y, points_32))
            loss_BA[row, column] = np.mean(evaluate(model))
    if not np.isfinite(loss_BA).all():
        raise InputError(
            f"the loss is not a number on the plane through {', '.join(map(repr, states))}: leave "
            f"out `planes`"
        )
    return LossPlane(x_A, y_B, points_32, loss_BA)


def _grid(coordinates: np.ndarray, n_points: int) -> np.ndarray:
    """Evenly spaced points that reach beyond all coordinates, two of which are the extremes."""
    beyond = max(1, (n_points - 1) // 8)
    low, high = coordinates.min(), coordinates.max()
    step = (high - low) / (n_points - 1 - 2 * beyond)
    return low + step * (np.arange(n_points) - beyond)


def weights_at(x: float, y: float, points_32: np.ndarray) -> tuple[float, float, float]:
    """How much of each of the three states of a plane the network at (x, y) is made of."""
    of_third = y / points_32[2, 1]
    of_second = (x - of_third * points_32[2, 0]) / points_32[1, 0]
    return 1 - of_second - of_third, of_second, of_third


def sharpness(
    model: nn.Module,
    state: State,
    loss_parts: LossParts,
    epsilon: float,
    steps: int,
    learning_rate: float,
) -> float:
    """Epsilon-sharpness: by how much the loss rises close to a network, in per cent of 1 + loss.

    100 (L_max - L) / (1 + L), with the largest loss L_max that `steps` of gradient ascent meet in
    the box of +-epsilon (|w| + 1) around each weight w (arXiv 1609.04836, metric 2.1).
    """
    load_(model, state)
    parameters = [weight for weight in model.parameters() if weight.requires_grad]
    centre = [weight.detach().clone() for weight in parameters]
    reach = [epsilon * (weight.abs() + 1) for weight in centre]
    first = largest = _loss_and_gradients(model, loss_parts)
    for _ in range(steps):
        with torch.no_grad():
            for weight, middle, most in zip(parameters, centre, reach, strict=True):
                # A network of fewer layers may have weights that nothing depends on.
                if weight.grad is not None:
                    weight += learning_rate * weight.grad
                    weight.clamp_(middle - most, middle + most)
        largest = max(largest, _loss_and_gradients(model, loss_parts))
    model.zero_grad(set_to_none=True)
    return 100 * (largest - first) / (1 + first)


def _loss_and_gradients(model: nn.Module, loss_parts: LossParts) -> float:
    """The loss, with new gradients of it; part by part, to hold but one part's activations."""
    model.zero_grad(set_to_none=True)
    total = 0.0
    for part in loss_parts(model):
        part.backward()
        total += float(part.detach())
    return total
