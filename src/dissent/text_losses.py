"""What a network of a family of text classifiers says of a data set, and its losses there."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dissent.examples import Examples
from dissent.frozen_layers import hidden_batches
from dissent.label_names import to_classes
from dissent.text_networks import Networks
from dissent.tokens import batches, logits_of, predict, tokenise


class Sentences(NamedTuple):
    """Examples of a data set, as the layers that are not frozen take them."""

    examples: Examples
    positions_N: np.ndarray
    labels_N: torch.Tensor
    batches: list[tuple[np.ndarray, dict[str, torch.Tensor]]]
    model_classes: tuple[str, ...]


def sentences(
    networks: Networks,
    batch_size: int,
    examples: Examples,
    positions_N: np.ndarray,
) -> Sentences:
    """The examples at these positions, in their order."""
    tokens = tokenise(networks.card, [examples.sentences[position] for position in positions_N])
    whole = batches(tokens, batch_size)
    return Sentences(
        examples,
        positions_N,
        torch.from_numpy(examples.labels[positions_N]),
        hidden_batches(networks.model, whole, networks.frozen),
        networks.classes,
    )


def as_classes(logits_nK: torch.Tensor, of: Sentences) -> torch.Tensor:
    """Logits [n, C] of the data set's classes."""
    return to_classes(logits_nK, of.model_classes, of.examples.classes, of.examples.name)


def predictions(of: Sentences, model: nn.Module) -> torch.Tensor:
    """Logits [N, C] of all examples."""
    return as_classes(predict(model, of.batches, len(of.positions_N)), of)


def losses(of: Sentences, model: nn.Module) -> np.ndarray:
    """Cross-entropy [N] of all examples, in nats."""
    return F.cross_entropy(predictions(of, model), of.labels_N, reduction="none").numpy()


def loss_parts(of: Sentences, model: nn.Module) -> Iterator[torch.Tensor]:
    """The mean cross-entropy in one part for each batch, with gradients."""
    for rows_n, batch in of.batches:
        logits_nC = as_classes(logits_of(model, batch), of)
        labels_n = of.labels_N[rows_n].to(logits_nC.device)
        loss = F.cross_entropy(logits_nC, labels_n, reduction="sum")
        yield loss / len(of.positions_N)
