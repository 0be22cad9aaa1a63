"""Where networks are: on the CPU, or on the GPU that a job has."""

from collections.abc import Mapping

import torch
from torch import nn


def own_device() -> torch.device:
    """The GPU that this process asked for (`determinism.use`), or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(model: nn.Module) -> torch.device:
    """Where a network is."""
    return next((weight.device for weight in model.parameters()), torch.device("cpu"))


def moved(tensors: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Named tensors where they are needed; those that are there already are not copied."""
    return {name: tensor.to(device) for name, tensor in tensors.items()}
