"""Random changes on whole batches of images in [0, 1], float32, grey or RGB [N, 1 or 3, H, W]."""

import math

import torch
from torch.nn import functional as F


def augment(images_NKHW: torch.Tensor, strength: str, generator: torch.Generator) -> torch.Tensor:
    """Change every image at random; `strength` is none, light, strong or crops.

    Light: affine (rotation, shear, scale, shift). Strong: wider affine, then contrast, noise and
    an erased rectangle. Crops: what suits photos, a crop, maybe mirrored, then light.
    """
    if strength == "none":
        return images_NKHW
    if strength == "light":
        return affine(images_NKHW, generator, degrees=12, shear=0.15, scale=0.12, shift=0.10)
    if strength == "crops":
        return change_light(crop(images_NKHW, generator), generator)
    moved = affine(images_NKHW, generator, degrees=25, shear=0.30, scale=0.25, shift=0.15)
    return erase(add_noise(change_contrast(moved, generator), generator), generator)


def affine(
    images_NKHW: torch.Tensor,
    generator: torch.Generator,
    *,
    degrees: float,
    shear: float,
    scale: float,
    shift: float,
) -> torch.Tensor:
    """Rotate, shear, scale and shift; ranges are symmetric, shift is a share of the width."""
    n = len(images_NKHW)
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
    grid = F.affine_grid(theta_N23, list(images_NKHW.shape), align_corners=False)
    return F.grid_sample(images_NKHW, grid, align_corners=False)


def crop(images_NKHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Crop 70 to 100 % of the area, anywhere, to the same size; mirror half the images."""
    area, right, down, mirrored = torch.rand(4, len(images_NKHW), generator=generator)
    side = (0.7 + 0.3 * area).sqrt()
    sign = torch.where(mirrored < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(side)
    theta_N23 = torch.stack(
        [
            torch.stack([sign * side, zero, (1 - side) * (2 * right - 1)], dim=1),
            torch.stack([zero, side, (1 - side) * (2 * down - 1)], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta_N23, list(images_NKHW.shape), align_corners=False)
    return F.grid_sample(images_NKHW, grid, padding_mode="border", align_corners=False)


def change_light(images_NKHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Change brightness, then contrast about the image's mean, by up to 30 % each."""
    n = len(images_NKHW)
    brightness, contrast = torch.empty(2, n, 1, 1, 1).uniform_(0.7, 1.3, generator=generator)
    lit = (images_NKHW * brightness).clamp(0, 1)
    mean = lit.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + contrast * (lit - mean)).clamp(0, 1)


def change_contrast(images_NKHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Raise every image to a power between 0.5 and 2 and dim it by up to 40 %."""
    power, dim = torch.empty(2, len(images_NKHW), 1, 1, 1).uniform_(-1, 1, generator=generator)
    return images_NKHW.clamp(0, 1) ** (2**power) * (0.8 + 0.2 * dim)


def add_noise(images_NKHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add Gaussian noise of standard deviation up to 0.15, chosen for each image."""
    deviation = 0.15 * torch.rand(len(images_NKHW), 1, 1, 1, generator=generator)
    noise = torch.randn(images_NKHW.shape, generator=generator)
    return (images_NKHW + deviation * noise).clamp(0, 1)


def erase(images_NKHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Blacken one rectangle of every image, up to 40 % of the width and of the height."""
    n, _, height, width = images_NKHW.shape
    top, left, tall, wide = torch.rand(4, n, 1, generator=generator)
    rows = torch.arange(height) / height
    columns = torch.arange(width) / width
    in_rows = (rows >= top) & (rows < top + 0.4 * tall)
    in_columns = (columns >= left) & (columns < left + 0.4 * wide)
    erased_NHW = in_rows[:, :, None] & in_columns[:, None, :]
    return images_NKHW.masked_fill(erased_NHW[:, None], 0.0)
