"""Averages of the weights of networks, taken one network at a time."""

from collections.abc import Mapping

import torch

from dissent.commandline import InputError

State = dict[str, torch.Tensor]


def copy_of(state: Mapping[str, torch.Tensor]) -> State:
    """Weights and buffers that stay as they are while the network learns on."""
    return {name: tensor.clone() for name, tensor in state.items()}


def add_to_mean(mean: State | None, state: Mapping[str, torch.Tensor], count: int) -> State:
    """The mean of `count` state dicts: of the `count` - 1 whose mean is `mean`, and of `state`.

    Changes `mean` in place. Buffers are averaged like weights, but for whole numbers, which count
    something: of them the last is kept. Raises InputError if names or shapes differ.
    """
    if mean is None:
        return copy_of(state)
    check_fits(mean, state)
    for name, tensor in state.items():
        if tensor.is_floating_point():
            mean[name].lerp_(tensor, 1 / count)
        else:
            mean[name].copy_(tensor)
    return mean


def check_fits(mean: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> None:
    """Raise InputError if the weights of two networks differ in name or shape."""
    shapes, others = (
        {name: tuple(tensor.shape) for name, tensor in weights.items()} for weights in (mean, state)
    )
    for name in sorted(shapes.keys() | others.keys()):
        one, other = (each.get(name, "missing") for each in (shapes, others))
        if one != other:
            raise InputError(
                f"weights of different networks cannot be averaged: {name!r} is {one} in one and "
                f"{other} in another; average networks of one architecture and the same classes"
            )
