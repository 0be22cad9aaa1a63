"""What one prediction costs: multiply-adds and parameters of a classifier."""

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dissent.classifiers import Card


class Cost(NamedTuple):
    """Multiply-adds of one image at the model's own input size, and parameters, head and all."""

    multiply_adds: int
    parameters: int


@torch.inference_mode()
def cost(model: nn.Module, card: Card) -> Cost:
    """Count what the model does to one image.

    Convolutions and matrix products (attention's too) are counted, as in the tables that papers
    print; sums over channels, normalisation and activation functions are not.
    """
    preprocessing = card["preprocessing"]
    size = preprocessing["size"]
    image = torch.zeros(1, len(preprocessing["mean"]), size, size)
    with FlopCounterMode(display=False) as counter:
        model.eval()(image)
    return Cost(
        multiply_adds=counter.get_total_flops() // 2,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )
