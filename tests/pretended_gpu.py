"""A device that is not the CPU, where there is no GPU: tensors on it are computed by the CPU.

They say that they are on the device "meta", and an operation on tensors of both kinds fails, as it
does on a real GPU. So code that forgets to move a tensor is found without one.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
aten = torch.ops.aten


class OnGpu(torch.Tensor):
    """A tensor on the pretended GPU; `there` is the tensor of the CPU that has its numbers."""

    @staticmethod
    def __new__(cls, there: torch.Tensor) -> "OnGpu":
        return torch.Tensor._make_wrapper_subclass(
            cls,
            there.size(),
            strides=there.stride(),
            storage_offset=there.storage_offset(),
            dtype=there.dtype,
            device=DEVICE,
            requires_grad=there.requires_grad,
        )

    def __init__(self, there: torch.Tensor) -> None:
        self.there = there

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.__getitem__:
            # Torch would put a list's numbers on the device, where there is no memory for them.
            args = (args[0], tree_map(listed, args[1], is_leaf=is_list))
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        raise RuntimeError(f"{operation} of a tensor of the pretended GPU, which is gone")


class PretendedGpu(TorchDispatchMode):
    """While this lasts, tensors can be moved to `DEVICE`, and be computed there."""

    def __init__(self) -> None:
        super().__init__()
        self.computed = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        named = [leaf for leaf in leaves if isinstance(leaf, torch.device)]
        to_gpu = DEVICE in (named or [tensor.device for tensor in tensors])
        if not to_gpu and not any(isinstance(tensor, OnGpu) for tensor in tensors):
            return operation(*args, **(kwargs or {}))
        if not named and to_gpu and not may_mix(operation, tensors):
            raise RuntimeError(f"{operation}: tensors on different devices")
        self.computed += not named
        with torch.inference_mode(False), torch.no_grad():
            made = operation(*tree_map(within, args), **tree_map(within, kwargs or {}))
            known = {id(within(tensor)): tensor for tensor in tensors}
            return tree_map(lambda leaf: outside(leaf, known, to_gpu), made)


def outside(leaf, known: dict[int, torch.Tensor], to_gpu: bool):
    """What an operation returns, where it belongs; what it was given and changed, itself."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    if (given := known.get(id(leaf))) is not None:
        if isinstance(given, OnGpu) == to_gpu:
            return given
        leaf = leaf.clone()
    return OnGpu(leaf) if to_gpu else leaf


def is_list(leaf) -> bool:
    return isinstance(leaf, list)


def listed(leaf):
    """A list of places as a tensor of them."""
    return torch.tensor(leaf) if is_list(leaf) else leaf


def within(leaf):
    """The tensor of the CPU that has a tensor's numbers, or the CPU for another device."""
    if isinstance(leaf, torch.device):
        return torch.device("cpu")
    return leaf.there if isinstance(leaf, OnGpu) else leaf


def may_mix(operation, tensors: list[torch.Tensor]) -> bool:
    """Whether CUDA would take these together: from the CPU numbers alone, and places."""
    if operation.overloadpacket in (aten.copy_, aten.index):
        return operation.overloadpacket is aten.copy_ or isinstance(tensors[0], OnGpu)
    if operation.overloadpacket in (aten.index_put, aten.index_put_):
        tensors = [tensors[0], tensors[-1]]
    return all(isinstance(tensor, OnGpu) or not tensor.ndim for tensor in tensors)
