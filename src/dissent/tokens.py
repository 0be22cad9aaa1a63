"""Sentences as the tokens that a text classifier takes, and what it says of them."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from dissent.devices import device_of, moved
from dissent.text_checkpoints import TextCard

# They number positions from the padding token's id on, and so have fewer than they embed.
POSITIONS_AFTER_PADDING = ("camembert", "roberta", "xlm-roberta")

log = logging.getLogger("dissent")


class Tokens(NamedTuple):
    """One example as its token ids; `types` tell its sentences apart, `pad` fills a row."""

    ids: list[int]
    types: list[int] | None
    pad: int


def tokenise(card: TextCard, sentences: Sequence[tuple[str, ...]]) -> list[Tokens]:
    """The tokens of examples of one or two sentences each, with the special ones of the model.

    What is longer than the model's positions is cut, at the longer sentence first, with a warning.
    """
    tokenizer, config = Tokenizer.from_str(card["tokenizer"]), card["config"]
    # Published files may cut and pad to lengths of their own.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if longest := _positions(config):
        tokenizer.enable_truncation(longest)
    examples = [parts[0] if len(parts) == 1 else parts for parts in sentences]
    encodings = tokenizer.encode_batch(examples)
    if n_cut := sum(bool(encoding.overflowing) for encoding in encodings):
        log.warning("%d of %d examples are cut to %d tokens", n_cut, len(encodings), longest)
    has_types = (config.get("type_vocab_size") or 0) > 1
    pad = config.get("pad_token_id") or 0
    return [
        Tokens(encoding.ids, encoding.type_ids if has_types else None, pad)
        for encoding in encodings
    ]


def _positions(config: dict) -> int | None:
    """How many tokens an example may have."""
    embedded = config.get("max_position_embeddings")
    if embedded and config["model_type"] in POSITIONS_AFTER_PADDING:
        return embedded - config["pad_token_id"] - 1
    return embedded


def collate(rows: Sequence[Tokens]) -> dict[str, torch.Tensor]:
    """Examples as a model's keyword arguments, int64 [N, T], padded to the longest of them."""
    longest = max(len(row.ids) for row in rows)
    blanks = [longest - len(row.ids) for row in rows]
    batch = {
        "input_ids": [row.ids + [row.pad] * n for row, n in zip(rows, blanks, strict=True)],
        "attention_mask": [[1] * (longest - n) + [0] * n for n in blanks],
    }
    if rows[0].types is not None:
        batch["token_type_ids"] = [row.types + [0] * n for row, n in zip(rows, blanks, strict=True)]
    return {name: torch.tensor(values) for name, values in batch.items()}


def batches(
    tokens: Sequence[Tokens], size: int
) -> list[tuple[np.ndarray, dict[str, torch.Tensor]]]:
    """Positions [n] and keyword arguments of each batch, of examples of about the same length."""
    order = np.argsort([len(row.ids) for row in tokens], kind="stable")
    chosen = [order[start : start + size] for start in range(0, len(order), size)]
    return [(positions, collate([tokens[at] for at in positions])) for positions in chosen]


def logits_of(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Logits [n, K] of one batch, from a model that returns them, or an object that has them.

    They are where the model is, wherever the batch is.
    """
    returned = model(**moved(batch, device_of(model)))
    return returned if isinstance(returned, torch.Tensor) else returned.logits


@torch.inference_mode()
def predict(
    model: nn.Module, batches: Sequence[tuple[np.ndarray, dict[str, torch.Tensor]]], n: int
) -> torch.Tensor:
    """Logits float32 [N, K] of all `n` examples, in their order, with nothing dropped out.

    They are on the CPU.
    """
    model.eval()
    logits = [logits_of(model, batch).float().cpu() for _, batch in batches]
    logits_NK = torch.empty(n, logits[0].shape[1])
    for (positions, _), part in zip(batches, logits, strict=True):
        logits_NK[torch.from_numpy(positions)] = part
    return logits_NK
