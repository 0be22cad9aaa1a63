import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from dissent.classifiers import prepare, to_pixels

COLOURED = {"size": 16, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
GREY = {"size": 16, "mean": [0.4], "std": [0.2]}


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(256, size=(5, 24, 24, 3), dtype=np.uint8)


def test_channels_come_before_height_and_width(rgb):
    pixels = to_pixels(rgb)
    assert pixels.shape == (5, 3, 24, 24)
    assert pixels[2, 1, 3, 7] == np.float32(rgb[2, 3, 7, 1]) / np.float32(255)
    assert to_pixels(rgb[..., 0]).shape == (5, 1, 24, 24)


def test_rgb_images_are_resized_and_normalised_channel_by_channel(rgb):
    inputs = prepare(rgb, COLOURED)
    assert inputs.shape == (5, 3, 16, 16)
    for channel in range(3):
        resized = F.interpolate(
            torch.tensor(rgb[:, None, :, :, channel] / 255, dtype=torch.float64),
            (16, 16),
            mode="bilinear",
            antialias=True,
        )
        expected = (resized[:, 0] - COLOURED["mean"][channel]) / COLOURED["std"][channel]
        torch.testing.assert_close(inputs[:, channel].double(), expected, atol=1e-5, rtol=0)


def test_a_model_with_one_channel_sees_pillows_luminance_of_rgb_images(rgb):
    grey = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in rgb])
    inputs = prepare(rgb, GREY | {"size": 24})
    assert inputs.shape == (5, 1, 24, 24)
    # Pillow rounds to whole levels.
    expected = (torch.tensor(grey / 255).float() - 0.4) / 0.2
    torch.testing.assert_close(inputs[:, 0], expected, atol=0.51 / 255 / 0.2, rtol=0)


def test_grey_images_fill_all_channels_bit_by_bit(rgb):
    grey = rgb[..., 0].copy()
    pixels = torch.from_numpy(grey)[:, None].float() / 255
    resized = F.interpolate(pixels, (16, 16), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(COLOURED[key])[:, None, None] for key in ("mean", "std"))
    assert torch.equal(prepare(grey, COLOURED), (resized - mean) / std)
    assert torch.equal(prepare(grey, GREY), (resized - torch.tensor(0.4)) / torch.tensor(0.2))


def test_grey_and_rgb_versions_of_an_image_look_the_same_to_a_model(rgb):
    grey = rgb[..., 0].copy()
    threefold = np.stack([grey] * 3, axis=-1)
    for preprocessing in (COLOURED, GREY):
        torch.testing.assert_close(prepare(grey, preprocessing), prepare(threefold, preprocessing))
