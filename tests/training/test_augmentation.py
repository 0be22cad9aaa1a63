import pytest
import torch

from dissent.training import augmentation


@pytest.fixture
def images():
    return torch.rand(16, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_none_changes_nothing(images):
    assert augmentation.augment(images, "none", generator()) is images


@pytest.mark.parametrize("strength", ["light", "strong"])
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
