"""What models see of an encoded image: resized and cropped as each was made for, still uint8."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from timm.data import create_transform, resolve_data_config
from timm.models import PretrainedCfg
from torch.utils.data import DataLoader, Dataset

from dissent.commandline import InputError
from dissent.encoded_images import decode


class View(TypedDict):
    """How an image is resized and cropped, in timm's terms (`timm.data.create_transform`).

    The shorter side becomes `size / crop_pct` pixels (both do if `crop_mode` is "squash", the
    longer one if it is "border"), of which the centre is taken. `fill` is what a border is filled
    with, in [0, 1], and matters to no other.
    """

    size: list[int]
    interpolation: str
    crop_pct: float
    crop_mode: str
    fill: list[float]


def view_of(pretrained: PretrainedCfg) -> View:
    """How timm evaluates published weights, at the size that it reports their accuracy for."""
    known = resolve_data_config(pretrained_cfg=pretrained.to_dict(), use_test_size=True)
    border = known["crop_mode"] == "border"
    return View(
        size=list(known["input_size"][1:]),
        interpolation=known["interpolation"],
        crop_pct=known["crop_pct"],
        crop_mode=known["crop_mode"],
        fill=list(known["mean"]) if border else [],
    )


class Views(Dataset):
    """Every example of a data set, decoded once and seen in each of some ways.

    Its items are lists of uint8 [3, H, W], one a view, or why there are none.
    """

    def __init__(self, path: Path, spans_N2: np.ndarray, ids: Sequence[str], views: Sequence[View]):
        self.path, self.spans_N2, self.ids = path, spans_N2, ids
        self.transforms = [
            create_transform(
                tuple(view["size"]),
                interpolation=view["interpolation"],
                crop_pct=view["crop_pct"],
                crop_mode=view["crop_mode"],
                normalize=False,
                **({"mean": tuple(view["fill"])} if view["fill"] else {}),
            )
            for view in views
        ]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> list[torch.Tensor] | InputError:
        try:
            image = decode(self.path, self.spans_N2[i], self.ids[i])
        except InputError as error:
            # From another process it would arrive as a traceback.
            return error
        return [transform(image) for transform in self.transforms]


def batches(views: Views, start: int, batch_size: int, workers: int, pinned: bool) -> DataLoader:
    """Batches of the examples from `start` on, in order; decoded by so many other processes.

    With no workers they are decoded in this one. `pinned` memory is copied to a GPU faster. A batch
    with an image that cannot be decoded is the error alone.
    """
    return DataLoader(
        views,
        batch_size,
        sampler=range(start, len(views)),
        num_workers=workers,
        pin_memory=pinned,
        collate_fn=_collated,
        # Each takes shared memory, of which containers have little.
        prefetch_factor=1 if workers else None,
    )


def _collated(items: list[list[torch.Tensor] | InputError]) -> list[torch.Tensor] | InputError:
    """Views [n, 3, H, W] of all images, or the first error."""
    wrong = next((item for item in items if isinstance(item, InputError)), None)
    return wrong or [torch.stack(view) for view in zip(*items, strict=True)]
