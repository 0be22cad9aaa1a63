"""Four common corruptions at five severities, after ImageNet-C (arXiv 1903.12261, section 3).

Of its noise, blur and contrast, with strengths for small images; and rotation, which it has not.
"""

import numpy as np
from scipy import ndimage

from dissent.commandline import InputError

CORRUPTIONS = ("noise", "blur", "contrast", "rotation")
SEVERITIES = (1, 2, 3, 4, 5)
# By severity: standard deviation of the noise in shares of white; of the blur in widths of the
# image; share of the contrast that is taken away; degrees to either side.
STRENGTHS = {
    "noise": (0.06, 0.1, 0.15, 0.22, 0.3),
    "blur": (0.0125, 0.02, 0.03, 0.04, 0.055),
    "contrast": (0.25, 0.5, 0.6, 0.7, 0.85),
    "rotation": (5.0, 10.0, 15.0, 20.0, 30.0),
}


def corrupt(images: np.ndarray, corruption: str, severity: int, seed: int) -> np.ndarray:
    """Damaged copies of images: uint8 [N, H, W] or [N, H, W, 3], of the same shape.

    What is random, the noise and the side to which each image is turned, depends on the seed alone:
    severities differ in strength only, and the first images get the same however many follow. A
    task that asks for angles has other labels after a rotation. Raises InputError for an unknown
    corruption or severity.
    """
    if corruption not in STRENGTHS or severity not in SEVERITIES:
        raise InputError(
            f"there is no corruption {corruption!r} of severity {severity}: name one of "
            f"{', '.join(CORRUPTIONS)}, from {SEVERITIES[0]} to {SEVERITIES[-1]}"
        )
    strength = STRENGTHS[corruption][severity - 1]
    rng = np.random.default_rng([seed, CORRUPTIONS.index(corruption)])
    pixels = images.astype(np.float32)
    if corruption == "noise":
        damaged = pixels + 255 * strength * rng.standard_normal(images.shape, np.float32)
    elif corruption == "blur":
        sigma = strength * images.shape[2]
        damaged = ndimage.gaussian_filter(pixels, sigma, axes=(1, 2), mode="nearest")
    elif corruption == "contrast":
        mean = pixels.mean(axis=(1, 2), keepdims=True)
        damaged = mean + (1 - strength) * (pixels - mean)
    else:
        sides = rng.choice([-1, 1], len(images))
        damaged = [
            ndimage.rotate(image, side * strength, reshape=False, order=1, mode="nearest")
            for image, side in zip(pixels, sides, strict=True)
        ]
    return np.clip(np.round(damaged), 0, 255).astype(np.uint8)
