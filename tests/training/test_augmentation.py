import pytest
import torch
from torchvision.transforms import functional as TF

from dissent.training import augmentation


@pytest.fixture
def images():
    return torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_none_changes_nothing(images):
    assert augmentation.augment(images, "none", generator()) is images


@pytest.mark.parametrize("strength", ["light", "strong", "crops"])
def test_the_generator_alone_decides(images, strength):
    first = augmentation.augment(images, strength, generator())
    torch.testing.assert_close(first, augmentation.augment(images, strength, generator()))
    assert not torch.equal(first, augmentation.augment(images, strength, generator(1)))
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1


def test_affine_without_range_is_the_identity(images):
    moved = augmentation.affine(images, generator(), degrees=0, shear=0, scale=0, shift=0)
    torch.testing.assert_close(moved, images, atol=1e-5, rtol=0)


def test_affine_shift_moves_the_centre_of_mass_within_its_range():
    dot = torch.zeros(200, 1, 33, 33)
    dot[:, :, 16, 16] = 1.0
    moved = augmentation.affine(dot, generator(), degrees=0, shear=0, scale=0, shift=0.2)
    mass_NH = moved.sum(dim=(1, 3))
    centre_N = (mass_NH * torch.arange(33)).sum(dim=1) / mass_NH.sum(dim=1)
    offset_N = (centre_N - 16).abs()
    assert offset_N.max() <= 0.2 * 33 + 0.01
    assert offset_N.max() > 0.15 * 33


def test_erase_blackens_one_rectangle_of_bounded_size(images):
    erased = augmentation.erase(torch.ones_like(images), generator())
    for image in erased[:, 0] == 0:
        rows, columns = image.any(dim=1), image.any(dim=0)
        assert torch.equal(image, rows[:, None] & columns[None])
        assert rows.sum() <= 14
        assert columns.sum() <= 14


@pytest.mark.parametrize("strength", ["light", "strong", "crops"])
def test_images_of_three_channels_are_changed_alike_in_all(images, strength):
    """But for noise, which is drawn for each channel."""
    coloured = augmentation.augment(images.expand(-1, 3, -1, -1), strength, generator())
    assert coloured.shape == (16, 3, 32, 32)
    if strength != "strong":
        torch.testing.assert_close(coloured[:, :1].expand_as(coloured), coloured)


def test_crops_are_squares_of_70_to_100_percent_somewhere_and_half_are_mirrored():
    n, width = 400, 48
    centres = (torch.arange(width) + 0.5) / width
    # The colours say where a pixel was: red how far right, green how far down.
    where = torch.stack(
        [centres.expand(width, width), centres[:, None].expand(width, width), torch.ones(48, 48)]
    )
    cropped = augmentation.crop(where.expand(n, -1, -1, -1), generator())
    inner = slice(1, -1)
    across_NWW = cropped[:, 0, inner, inner].diff(dim=2) * width
    down_NWW = cropped[:, 1, inner, inner].diff(dim=1) * width
    side_N = down_NWW.mean(dim=(1, 2))
    sign_N = across_NWW.mean(dim=(1, 2)).sign()
    slope_N11 = (sign_N * side_N)[:, None, None]
    torch.testing.assert_close(across_NWW, slope_N11.expand_as(across_NWW), atol=1e-4, rtol=0)
    torch.testing.assert_close(down_NWW, slope_N11.abs().expand_as(down_NWW), atol=1e-4, rtol=0)
    torch.testing.assert_close(cropped[:, 2], torch.ones(n, width, width))
    area_N = side_N.square()
    assert area_N.min() == pytest.approx(0.7, abs=0.01)
    assert area_N.max() == pytest.approx(1.0, abs=0.01)
    assert area_N.mean() == pytest.approx(0.85, abs=0.02)
    assert abs((sign_N < 0).float().mean() - 0.5) < 5 * 0.5 / n**0.5
    # The crop stays inside, and gets to both ends of what it may reach.
    centre_N = cropped[:, :2].mean(dim=(2, 3))
    reach_N = ((centre_N - 0.5) / ((1 - side_N[:, None]) / 2)).abs()[side_N < 0.95]
    assert 0.95 < reach_N.max() < 1.05


def test_light_is_brightness_then_contrast_as_torchvision_has_them():
    pixels = 0.3 + 0.2 * torch.rand(300, 1, 8, 8, generator=generator(2))
    changed = augmentation.change_light(pixels, generator())
    brightness_N = changed.mean(dim=(1, 2, 3)) / pixels.mean(dim=(1, 2, 3))
    contrast_N = changed.std(dim=(1, 2, 3)) / pixels.std(dim=(1, 2, 3)) / brightness_N
    for factor_N in (brightness_N, contrast_N):
        assert factor_N.min() == pytest.approx(0.7, abs=0.01)
        assert factor_N.max() == pytest.approx(1.3, abs=0.01)
        assert factor_N.mean() == pytest.approx(1.0, abs=0.05)
    assert torch.corrcoef(torch.stack([brightness_N, contrast_N]))[0, 1].abs() < 0.2
    for image, brightness, contrast, made in zip(
        pixels, brightness_N, contrast_N, changed, strict=True
    ):
        expected = TF.adjust_contrast(TF.adjust_brightness(image, brightness), contrast)
        torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)
