"""What models say of a data set of encoded images: decoded once for all, on a CPU or a GPU."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dissent.commandline import InputError
from dissent.encoded_images import check_whole, images_beside
from dissent.examples import Examples
from dissent.image_views import View, Views, batches
from dissent.logit_parts import Parts
from dissent.logits import Key, stored
from dissent.progress import progress

BATCHES_PER_PART = 16
AUTOCAST = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass
class Member:
    """One of the models that look at the same images.

    `columns_C` are those of its classes that are the data set's, in the data set's order; `limit`
    is how many images the device holds at once, as far as is known.
    """

    name: str
    model: nn.Module
    view: View
    mean: list[float]
    std: list[float]
    columns_C: list[int]
    key: Key
    limit: int


def cache_together(
    members: Sequence[Member],
    examples: Examples,
    data: Path,
    outputs: Sequence[Path],
    device: torch.device,
    batch_size: int,
    workers: int,
    keep_features: bool,
) -> Path:
    """Write the logits files of some models on one data set of encoded images.

    Returns the folder of its parts, for the caller to remove when the files are safe. Raises
    InputError for an image that cannot be decoded, and for logits that are no numbers.
    """
    views = list({json.dumps(member.view): member.view for member in members}.values())
    check_whole(images_beside(data), examples)
    images = Views(images_beside(data), examples.spans_N2, examples.ids, views)
    keys = [member.key for member in members]
    step = BATCHES_PER_PART * batch_size
    parts = Parts(keys, outputs, len(images), step, batch_size, keep_features, device.type)
    start = end = parts.examples_done()
    held: list[dict[str, list]] = [{} for _ in members]
    loader = batches(images, start, batch_size, workers, device.type == "cuda")
    for seen in progress(loader, f"{examples.name} from example {start}"):
        if isinstance(seen, InputError):
            raise seen
        labels_n = examples.labels[end : end + len(seen[0])]
        for member, columns in zip(members, held, strict=True):
            pixels = seen[views.index(member.view)]
            for name, tensor in _said(member, pixels, labels_n, device, keep_features).items():
                columns.setdefault(name, []).append(tensor)
        end += len(labels_n)
        if end - start == step or end == len(images):
            parts.keep(start, held)
            start, held = end, [{} for _ in members]
    parts.assemble()
    return parts.folder


def _said(
    member: Member,
    pixels_nKHW: torch.Tensor,
    labels_n: np.ndarray,
    device: torch.device,
    keep_features: bool,
) -> dict[str, np.ndarray]:
    """The rows of a logits file for some images."""
    found, member.limit = halving(
        lambda piece: forward(member, piece.to(device, non_blocking=True), keep_features),
        pixels_nKHW,
        member.limit,
        member.name,
    )
    logits_nC = found[0].numpy()[:, member.columns_C]
    if not np.isfinite(logits_nC).all():
        raise InputError(
            f"{member.name} gives logits that are no finite numbers, at precision "
            f"{member.key.precision}: set another `precision` under `logits` in the run file, or "
            "leave the model out"
        )
    return stored(found[1].numpy() if keep_features else None, logits_nC, labels_n)


@torch.inference_mode()
def forward(
    member: Member, pixels_nKHW: torch.Tensor, keep_features: bool = False
) -> tuple[torch.Tensor, ...]:
    """Logits [n, C] and, if they are kept, features [n, D] of uint8 images on any device.

    Both are float32 on the CPU. With autocast, what comes before the head is less precise; the head
    is not, as rounded logits tie.
    """
    device, model = pixels_nKHW.device, member.model
    mean, std = (
        torch.tensor(values, device=device)[:, None, None] for values in (member.mean, member.std)
    )
    inputs = (pixels_nKHW.float() / 255 - mean) / std
    precision = member.key.precision
    with torch.autocast(device.type, AUTOCAST.get(precision), precision in AUTOCAST):
        maps = model.forward_features(inputs)
    maps = in_float32(maps)
    # A head may be a convolution of unpooled maps, or several: timm knows its way through it.
    found = [model.forward_head(maps)]
    if keep_features:
        found.append(model.forward_head(maps, pre_logits=True))
    return tuple(tensor.cpu() for tensor in found)


def in_float32(maps: Any) -> Any:
    """Tensors, or lists and tuples of such, in float32."""
    if isinstance(maps, torch.Tensor):
        return maps.float()
    return type(maps)(map(in_float32, maps))


def halving(
    forward: Callable[[torch.Tensor], tuple[torch.Tensor, ...]],
    batch: torch.Tensor,
    limit: int,
    name: str,
) -> tuple[tuple[torch.Tensor, ...], int]:
    """What `forward` makes of a batch, in pieces of half the size as often as memory runs out.

    Returns that, and the size that was not too large. Raises InputError where one image is.
    """
    while True:
        try:
            pieces = [forward(piece) for piece in batch.split(limit)]
            return tuple(map(torch.cat, zip(*pieces, strict=True))), limit
        except torch.OutOfMemoryError:
            if limit == 1:
                raise InputError(
                    f"{name} does not fit into the device's memory with one image: run its job "
                    "alone (a batch of its own in the model table), or on a larger device"
                ) from None
        # Outside of the handler, whose traceback holds on to the tensors of the attempt.
        limit = max(1, min(limit, len(batch)) // 2)
        torch.cuda.empty_cache()
