"""Permuting the channels of a convolutional network so that its weights are near another's.

A network whose channels are in another order, throughout, computes the same function. Weight
matching (Git Re-Basin, arXiv 2209.04836, section 3.2) looks for the order in which its weights are
nearest to those of a network of the same architecture that was trained apart.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from scipy.cluster.hierarchy import DisjointSet
from scipy.optimize import linear_sum_assignment
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from dissent.commandline import InputError
from dissent.weight_averages import State

Axes = list[tuple[str, int]]

# What treats all channels alike, and hence keeps their order.
ALIKE = (
    *(nn.Identity, nn.Dropout, nn.Flatten, nn.AvgPool2d, nn.MaxPool2d),
    *(nn.AdaptiveAvgPool2d, nn.ReLU, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Hardswish, nn.Hardsigmoid),
)
# By name, in operators, torch and tensors' methods; of two tensors, channel by channel.
ALIKE_CALLS = {"add", "iadd", "mul", "imul", "mean", "flatten", "relu", "sigmoid", "silu"}
# Relative, below which a rise in similarity is rounding.
ROUNDING = 1e-9
SEED = 0


class Channels(NamedTuple):
    """Axes (tensor's name, axis) of weights and of statistics that have one order of channels."""

    weights: Axes
    statistics: Axes


class _Tracer(fx.Tracer):
    """Looks into all modules but torch's own and batch normalisation, which may do more in one."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


@torch.no_grad()
def channels_of(model: nn.Module, inputs: torch.Tensor) -> list[Channels]:
    """The channels of a network that can be permuted; those of its input and its output cannot.

    `inputs` are a few that it takes. They are found by following these through the network, which
    may be of convolutions (whole or depthwise), BatchNorm, linear layers and what treats all
    channels alike. Raises InputError, with what is in the way, for other networks.
    """
    try:
        graph = _Tracer().trace(model)
    except (fx.proxy.TraceError, TypeError) as error:
        raise InputError(_refusal(f"its modules cannot be followed ({error})")) from None
    modules = dict(model.named_modules())
    ShapeProp(fx.GraphModule(model, graph)).propagate(inputs)
    # Nodes of the graph and axes of tensors; FIXED is the one set that is not permuted.
    same, fixed = DisjointSet([*graph.nodes]), "input and output"
    same.add(fixed)
    for node in graph.nodes:
        if node.op == "placeholder":
            same.merge(node, fixed)
        elif node.op == "output":
            same.merge(node.all_input_nodes[0], fixed)
        elif node.op == "call_module":
            _follow(same, node, modules[node.target])
        elif node.op in ("call_function", "call_method"):
            called = getattr(node.target, "__name__", node.target)
            _keep(same, node, called in ALIKE_CALLS, called)
        else:
            raise InputError(_refusal(f"it uses {node.target!r} outside a layer"))
    weights = dict(model.named_parameters())
    found = []
    for vertices in same.subsets():
        axes = sorted(vertex for vertex in vertices if isinstance(vertex, tuple))
        if axes and fixed not in vertices:
            of_weights = [axis for axis in axes if axis[0] in weights]
            found.append(Channels(of_weights, [axis for axis in axes if axis[0] not in weights]))
    return sorted(found)


def _follow(same: DisjointSet, node: fx.Node, module: nn.Module) -> None:
    """Join what has one order of channels in a layer."""
    (before,) = node.all_input_nodes
    own = {name for name, tensor in module.state_dict().items() if tensor.ndim}

    def join(vertex: fx.Node, axis: int, *names: str) -> None:
        for name in own.intersection(names):
            same.add((f"{node.target}.{name}", axis))
            same.merge(vertex, (f"{node.target}.{name}", axis))

    if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1):
        join(node, 0, "weight", "bias")
        join(before, 1, "weight")
    elif isinstance(module, nn.BatchNorm2d) or _is_depthwise(module):
        join(node, 0, *own)
        same.merge(node, before)
    else:
        _keep(same, node, isinstance(module, ALIKE), type(module).__name__)


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and (
        module.groups == module.in_channels == module.out_channels
    )


def _keep(same: DisjointSet, node: fx.Node, known: bool, what: str) -> None:
    """Join what goes into a node and what comes out, if it is known to treat all channels alike."""
    shape = node.meta["tensor_meta"].shape
    for before in node.all_input_nodes:
        # Flattening a map of several pixels makes other channels of it, say.
        known = known and before.meta["tensor_meta"].shape[:2] == shape[:2]
        same.merge(node, before)
    if not known:
        raise InputError(_refusal(f"{what} ({node.name}) may mix or split channels"))


def _refusal(what: str) -> str:
    return (
        f"this architecture cannot be aligned, as {what}: set `align: false`, or name models whose "
        f"layers are convolutions, BatchNorm and linear layers"
    )


def permuted(state: State, channels: Channels, order: torch.Tensor) -> State:
    """The state with these channels in another order, which changes nothing of what it computes."""
    state = dict(state)
    for name, axis in (*channels.weights, *channels.statistics):
        state[name] = state[name].index_select(axis, order)
    return state


def align(all_channels: list[Channels], first: State, second: State) -> State:
    """The second network with its channels in an order that brings its weights near the first's.

    Of one set of channels after another, in random order, the best order is found while those of
    the others stay, until none brings the weights nearer (algorithm 1). Statistics of batch
    normalisation have no say in it and are permuted along.
    """
    rng = np.random.default_rng(SEED)
    moved, changed = second, True
    while changed:
        changed = False
        for i in rng.permutation(len(all_channels)):
            channels = all_channels[i]
            similarity_CC = sum(
                _rows(first[name], axis) @ _rows(moved[name], axis).T
                for name, axis in channels.weights
            )
            order = torch.from_numpy(linear_sum_assignment(similarity_CC, maximize=True)[1])
            candidate = permuted(moved, channels, order)
            before, after = (_similarity(first, state, channels) for state in (moved, candidate))
            # Also ends the search where a tensor has these channels along both of its axes.
            if after > before + ROUNDING * abs(before):
                moved, changed = candidate, True
    return moved


def _rows(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    """[C, rest] with the channels of one axis."""
    return tensor.movedim(axis, 0).reshape(tensor.shape[axis], -1).double()


def _similarity(first: Mapping, second: Mapping, channels: Channels) -> float:
    """Inner product of the weights that have these channels."""
    names = {name for name, _ in channels.weights}
    return sum(float((first[name].double() * second[name].double()).sum()) for name in names)
