"""The trained layers of a BERT-like classifier, fed with what its frozen layers put out.

That is the same at every step of a fine-tuning and everywhere on a path between two of them, so it
is computed once. Of the last layer, the first token alone is computed: the head reads no other.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dissent.commandline import InputError
from dissent.devices import moved

# Their layers take hidden states and a mask, nothing else, and their heads read the first token.
BERT_LIKE = ("bert", "camembert", "roberta", "xlm-roberta")
Batches = list[tuple[np.ndarray, dict[str, torch.Tensor]]]


class Top(nn.Module):
    """The layers from `frozen` on, pooler and head, under the names that the full model has.

    Weights are shared with the full model. It takes the states `hidden` [n, T, D] that reach the
    first of these layers, and `mask` [n, T], true at tokens; it returns logits [n, C].
    """

    def __init__(self, model: nn.Module, frozen: int) -> None:
        super().__init__()
        base = model.base_model
        encoder, body = nn.Module(), nn.Module()
        kept = {str(i): layer for i, layer in enumerate(base.encoder.layer) if i >= frozen}
        encoder.layer = nn.ModuleDict(kept)
        body.encoder, body.pooler = encoder, base.pooler
        for name, child in model.named_children():
            self.add_module(name, body if child is base else child)
        self.body_name = model.base_model_prefix

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        body = getattr(self, self.body_name)
        layers = list(body.encoder.layer.values())
        added = additive(mask, hidden.dtype)
        for layer in layers[:-1]:
            hidden = layer(hidden, added)
        first = first_token(layers[-1], hidden, added) if layers else hidden[:, :1]
        if body.pooler is None:
            return self.classifier(first)
        return self.classifier(self.dropout(body.pooler(first)))


def top_of(model: nn.Module, frozen: int) -> nn.Module:
    """The part of a classifier that is trained where its first `frozen` layers are not.

    Embeddings are frozen with the first layer; 0 gives the model itself. Raises InputError if the
    model is not BERT-like or has fewer layers.
    """
    check_frozen(model, frozen)
    return Top(model, frozen) if frozen else model


def check_frozen(model: nn.Module, frozen: int) -> None:
    """Raise InputError unless so many layers of the model can be frozen."""
    kind = model.config.model_type
    if frozen and kind not in BERT_LIKE:
        raise InputError(
            f"layers of a model of type {kind!r} cannot be frozen, only those of "
            f"{', '.join(BERT_LIKE)}: set `frozen_layers: 0`"
        )
    if frozen and frozen > (n_layers := len(model.base_model.encoder.layer)):
        raise InputError(
            f"`frozen_layers` is {frozen}, but the model has {n_layers} layers: lower it"
        )


@torch.inference_mode()
def states_after(model: nn.Module, frozen: int, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Hidden states [n, T, D] after embeddings and `frozen` layers."""
    base = model.base_model
    batch = moved(batch, base.device)
    inputs = {name: value for name, value in batch.items() if name != "attention_mask"}
    hidden = base.embeddings(**inputs)
    added = additive(batch["attention_mask"], hidden.dtype)
    for layer in base.encoder.layer[:frozen]:
        hidden = layer(hidden, added)
    return hidden


def hidden_batches(model: nn.Module, batches: Iterable, frozen: int) -> Batches:
    """Batches for `top_of(model, frozen)`, from batches for the model; without dropout.

    They are in main memory, as those of many examples are more than a GPU holds. Raises InputError
    as `top_of` does.
    """
    check_frozen(model, frozen)
    if not frozen:
        return list(batches)
    model.eval()
    return [
        (
            positions_n,
            # Cloned, as no gradient can be taken of what is made from tensors of inference mode.
            {
                "hidden": states_after(model, frozen, batch).cpu().clone(),
                "mask": batch["attention_mask"],
            },
        )
        for positions_n, batch in batches
    ]


def first_token(layer: nn.Module, hidden: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
    """What a BERT layer makes of the first token, [n, 1, D], reading all tokens."""
    attention = layer.attention.self
    first = hidden[:, :1]

    def heads(states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)

    read = F.scaled_dot_product_attention(
        heads(attention.query(first)),
        heads(attention.key(hidden)),
        heads(attention.value(hidden)),
        attn_mask=added,
        dropout_p=attention.dropout.p if attention.training else 0.0,
    )
    attended = layer.attention.output(read.transpose(1, 2).flatten(2), first)
    return layer.feed_forward_chunk(attended)


def additive(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask [n, 1, 1, T] to be added to attention scores: 0 at tokens, about -inf at padding."""
    return (1 - mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min
