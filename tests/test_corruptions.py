from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dissent import datasets
from dissent.commandline import InputError
from dissent.corruptions import CORRUPTIONS, SEVERITIES, STRENGTHS, corrupt


@pytest.fixture(scope="module")
def grey():
    return datasets.glyphs(0, 32, {"train": 40}).images_NHW


@pytest.fixture(scope="module")
def rgb():
    return np.random.default_rng(0).integers(256, size=(6, 20, 24, 3), dtype=np.uint8)


def test_every_strength_grows():
    assert tuple(STRENGTHS) == CORRUPTIONS
    for strengths in STRENGTHS.values():
        assert len(strengths) == len(SEVERITIES)
        assert all(weaker < stronger for weaker, stronger in pairwise((0, *strengths)))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_damage_grows_with_severity(grey, corruption):
    damaged = [corrupt(grey, corruption, severity, 0) for severity in SEVERITIES]
    assert all(images.shape == grey.shape and images.dtype == np.uint8 for images in damaged)
    errors = [np.square(images.astype(float) - grey).mean(axis=(1, 2)) for images in damaged]
    assert errors[0].min() > 0
    for weaker, stronger in pairwise(errors):
        assert weaker.mean() < stronger.mean()
        if corruption in ("blur", "contrast"):
            assert (weaker < stronger).all()


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_what_is_random_depends_on_the_seed_alone(rgb, corruption):
    before = rgb.copy()
    first = corrupt(rgb, corruption, 3, 0)
    np.testing.assert_array_equal(first, corrupt(rgb, corruption, 3, 0))
    np.testing.assert_array_equal(first[:2], corrupt(rgb[:2], corruption, 3, 0))
    np.testing.assert_array_equal(rgb, before)
    differs = (first != corrupt(rgb, corruption, 3, 1)).any()
    assert differs == (corruption in ("noise", "rotation"))


@pytest.mark.parametrize("corruption", ["blur", "contrast", "rotation"])
def test_channels_are_treated_alike(rgb, corruption):
    together = corrupt(rgb, corruption, 4, 0)
    apart = [corrupt(rgb[..., channel], corruption, 4, 0) for channel in range(3)]
    np.testing.assert_array_equal(together, np.stack(apart, axis=-1))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_its_standard_deviation_in_every_channel(severity):
    # Mid-grey, which two deviations of the strongest noise do not clip.
    images = np.full((30, 32, 32, 3), 128, np.uint8)
    noise = corrupt(images, "noise", severity, 0).astype(float) - 128
    expected = 255 * STRENGTHS["noise"][severity - 1]
    clipped = np.clip(np.random.default_rng(9).normal(0, expected, 10**6), -128, 127)
    assert noise.std() == pytest.approx(clipped.std(), rel=0.02)
    assert abs(noise.mean()) < 1
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03


def test_contrast_keeps_its_share_of_the_distance_from_the_mean():
    image = np.array([[[0, 40], [80, 120]]], np.uint8)
    # The mean is 60, and of severity 2 half of the distance from it is left.
    assert corrupt(image, "contrast", 2, 0).tolist() == [[[30, 50], [70, 90]]]


@pytest.mark.parametrize("width", [32, 64])
def test_blur_is_gaussian_and_in_widths_of_the_image(width):
    point = np.zeros((1, width, width), np.uint8)
    point[0, width // 2, width // 2] = 255
    blurred = corrupt(point, "blur", 5, 0)[0].astype(float)
    offsets = np.arange(width) - width // 2
    sigma = 0.055 * width
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    expected = 255 * np.outer(kernel, kernel) / kernel.sum() ** 2
    np.testing.assert_allclose(blurred, expected, atol=0.6)


def test_blur_is_near_pillows(grey):
    pillows = Image.fromarray(grey[0]).filter(ImageFilter.GaussianBlur(0.04 * 32))
    np.testing.assert_allclose(corrupt(grey[:1], "blur", 4, 0)[0], pillows, atol=12)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_rotation_turns_to_either_side_by_its_degrees(severity):
    images = np.zeros((40, 65, 65), np.uint8)
    # A dot to the right of the centre.
    images[:, 31:34, 55:58] = 255
    rows, columns = np.mgrid[-32:33, -32:33]
    turned = corrupt(images, "rotation", severity, 0).astype(float)
    angles = np.rad2deg(np.arctan2((turned * rows).sum((1, 2)), (turned * columns).sum((1, 2))))
    degrees = STRENGTHS["rotation"][severity - 1]
    np.testing.assert_allclose(np.abs(angles), degrees, atol=0.5)
    assert 10 < (angles > 0).sum() < 30


@pytest.mark.parametrize(("corruption", "severity"), [("fog", 1), ("noise", 0), ("noise", 6)])
def test_unknown_ones_are_refused(grey, corruption, severity):
    with pytest.raises(InputError, match=f"no corruption '{corruption}' of severity {severity}"):
        corrupt(grey, corruption, severity, 0)
