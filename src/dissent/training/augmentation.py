"""Random image changes on whole batches of grey images in [0, 1], float32 [N, 1, H, W]."""

import math

import torch
from torch.nn import functional as F


def augment(images_N1HW: torch.Tensor, strength: str, generator: torch.Generator) -> torch.Tensor:
    """Change every image at random; `strength` is none, light or strong.

    Light: affine (rotation, shear, scale, shift). Strong: wider affine, then contrast, noise and
    an erased rectangle.
    """
    if strength == "none":
        return images_N1HW
    if strength == "light":
        return affine(images_N1HW, generator, degrees=12, shear=0.15, scale=0.12, shift=0.10)
    moved = affine(images_N1HW, generator, degrees=25, shear=0.30, scale=0.25, shift=0.15)
    return erase(add_noise(change_contrast(moved, generator), generator), generator)


def affine(
    images_N1HW: torch.Tensor,
    generator: torch.Generator,
    *,
    degrees: float,
    shear: float,
    scale: float,
    shift: float,
) -> torch.Tensor:
    """Rotate, shear, scale and shift; ranges are symmetric, shift is a share of the width."""
    n = len(images_N1HW)
    angle, sheared, wide, high, right, down = torch.empty(6, n).uniform_(-1, 1, generator=generator)
    angle = angle * math.radians(degrees)
    cos, sin = angle.cos(), angle.sin()
    wide, high = (1 + scale * wide), (1 + scale * high)
    sheared = shear * sheared
    theta_N23 = torch.stack(
        [
            torch.stack([cos * wide, (cos * sheared - sin) * high, 2 * shift * right], dim=1),
            torch.stack([sin * wide, (sin * sheared + cos) * high, 2 * shift * down], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta_N23, list(images_N1HW.shape), align_corners=False)
    return F.grid_sample(images_N1HW, grid, align_corners=False)


def change_contrast(images_N1HW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Raise every image to a power between 0.5 and 2 and dim it by up to 40 %."""
    power, dim = torch.empty(2, len(images_N1HW), 1, 1, 1).uniform_(-1, 1, generator=generator)
    return images_N1HW.clamp(0, 1) ** (2**power) * (0.8 + 0.2 * dim)


def add_noise(images_N1HW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add Gaussian noise of standard deviation up to 0.15, chosen for each image."""
    deviation = 0.15 * torch.rand(len(images_N1HW), 1, 1, 1, generator=generator)
    noise = torch.randn(images_N1HW.shape, generator=generator)
    return (images_N1HW + deviation * noise).clamp(0, 1)


def erase(images_N1HW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Blacken one rectangle of every image, up to 40 % of the width and of the height."""
    n, _, height, width = images_N1HW.shape
    top, left, tall, wide = torch.rand(4, n, 1, generator=generator)
    rows = torch.arange(height) / height
    columns = torch.arange(width) / width
    in_rows = (rows >= top) & (rows < top + 0.4 * tall)
    in_columns = (columns >= left) & (columns < left + 0.4 * wide)
    erased_NHW = in_rows[:, :, None] & in_columns[:, None, :]
    return images_N1HW.masked_fill(erased_NHW[:, None], 0.0)
