"""What models say of a data set of encoded images: decoded once for all, in parts that are kept.

A job that is killed goes on where it was: every so many batches, what the models said of them is
written to a folder of parts, whose name is of the keys of the files that they will become.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn

from dissent.classifiers import features, head
from dissent.commandline import InputError
from dissent.encoded_images import check_whole, images_beside
from dissent.examples import Examples
from dissent.files import atomic
from dissent.image_views import View, Views, batches
from dissent.logits import Key, stored, write_tensors
from dissent.progress import progress

# Not beside the output: Snakemake deletes the outputs of a job that fails.
FOLDER = Path(".parts")
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
) -> None:
    """Write the logits files of some models on one data set of encoded images."""
    parts = FOLDER / _name([member.key for member in members], batch_size, keep_features)
    views = list({json.dumps(member.view): member.view for member in members}.values())
    check_whole(images_beside(data), examples)
    images = Views(images_beside(data), examples.spans_N2, examples.ids, views)
    done = _done(parts, len(images), batch_size)
    held = [{} for _ in members]
    start = sum(done)
    loader = batches(images, start, batch_size, workers, device.type == "cuda")
    held_n, first = 0, start
    for seen in progress(
        loader, f"{examples.name}, from example {start}" if start else examples.name
    ):
        n = len(seen[0])
        labels_n = examples.labels[first + held_n : first + held_n + n]
        for member, columns in zip(members, held, strict=True):
            pixels = seen[views.index(member.view)]
            for name, tensor in _said(member, pixels, labels_n, device, keep_features).items():
                columns.setdefault(name, []).append(tensor)
        held_n += n
        if held_n >= BATCHES_PER_PART * batch_size:
            _keep(parts, first, members, held)
            first, held_n, held = first + held_n, 0, [{} for _ in members]
    if held_n:
        _keep(parts, first, members, held)
    _assemble(parts, members, outputs)


def _said(
    member: Member,
    pixels_nKHW: torch.Tensor,
    labels_n: np.ndarray,
    device: torch.device,
    keep_features: bool,
) -> dict[str, np.ndarray]:
    """The rows of a logits file for some images."""
    (logits_nC, features_nD), member.limit = halving(
        lambda piece: forward(member, piece.to(device, non_blocking=True)),
        pixels_nKHW,
        member.limit,
        member.name,
    )
    kept = features_nD.numpy() if keep_features else None
    return stored(kept, logits_nC.numpy()[:, member.columns_C], labels_n)


@torch.inference_mode()
def forward(member: Member, pixels_nKHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [n, C] and features [n, D], float32 on the CPU, of uint8 images on any device."""
    device = pixels_nKHW.device
    mean, std = (
        torch.tensor(values, device=device)[:, None, None] for values in (member.mean, member.std)
    )
    precision = member.key.precision
    with torch.autocast(device.type, AUTOCAST.get(precision), precision in AUTOCAST):
        seen_nD = features(member.model, (pixels_nKHW.float() / 255 - mean) / std)
        logits_nC = head(member.model)(seen_nD)
    return logits_nC.float().cpu(), seen_nD.float().cpu()


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


def _name(keys: Sequence[Key], *settings: object) -> str:
    text = json.dumps([*map(asdict, keys), *settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _part(parts: Path, first: int) -> Path:
    return parts / f"{first:09d}.safetensors"


def _done(parts: Path, n_examples: int, batch_size: int) -> list[int]:
    """How many examples each part has that is there, up to the first that is not."""
    step, found = BATCHES_PER_PART * batch_size, []
    while (path := _part(parts, sum(found))).exists() and sum(found) < n_examples:
        try:
            load_file(path)
        except SafetensorError:
            path.unlink()
            break
        found.append(min(step, n_examples - sum(found)))
    return found


def _keep(
    parts: Path, first: int, members: Sequence[Member], held: Sequence[dict[str, list[np.ndarray]]]
) -> None:
    with atomic(_part(parts, first)) as temporary:
        tensors = {
            # Whatever its strides, safetensors takes an array's memory as it lies.
            f"{i}.{name}": np.ascontiguousarray(np.concatenate(columns))
            for i, _ in enumerate(members)
            for name, columns in held[i].items()
        }
        save_file(tensors, temporary)


def _assemble(parts: Path, members: Sequence[Member], outputs: Sequence[Path]) -> None:
    """Write the files of all members from their parts, one member in memory at a time."""
    for i, (member, output) in enumerate(zip(members, outputs, strict=True)):
        rows = [dict(_of_member(path, i)) for path in sorted(parts.glob("*.safetensors"))]
        whole = {name: np.concatenate([part[name] for part in rows]) for name in rows[0]}
        write_tensors(output, member.key, whole)
    shutil.rmtree(parts)


def _of_member(path: Path, i: int) -> Iterator[tuple[str, np.ndarray]]:
    for name, tensor in load_file(path).items():
        member, _, column = name.partition(".")
        if member == str(i):
            yield column, tensor
