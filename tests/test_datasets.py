import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from dissent import datasets

SPLITS = {"train": 60, "report": 40}


def test_handwritten_are_the_scans_enlarged():
    made = datasets.handwritten(0, 32, {"train": 300, "tune": 400, "report": 1097})
    scans = load_digits()
    np.testing.assert_array_equal(made.labels, scans.target)
    assert made.images_NHW.shape == (1797, 32, 32)
    # Averaged back to 8 x 8, the enlarged images are the scans up to the blur of the enlargement.
    back_NHW = made.images_NHW.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))
    correlation = np.corrcoef(back_NHW.ravel(), scans.images.ravel())[0, 1]
    assert correlation > 0.97


@pytest.mark.parametrize("make", [datasets.glyphs, datasets.letters])
def test_drawn_images_depend_on_the_seed_alone(make):
    first, again, other = make(0, 32, SPLITS), make(0, 32, SPLITS), make(1, 32, SPLITS)
    np.testing.assert_array_equal(first.images_NHW, again.images_NHW)
    assert (first.images_NHW != other.images_NHW).any()
    assert not set(first.ids) & set(other.ids)


def test_glyphs_are_balanced_and_captioned_by_their_label():
    made = datasets.glyphs(0, 32, SPLITS)
    np.testing.assert_array_equal(np.bincount(made.labels), np.full(10, 10))
    for label, caption in zip(made.labels, made.captions, strict=True):
        assert caption.split()[-1] == datasets.NUMBER_WORDS[label]


@pytest.mark.parametrize(
    ("font", "words"),
    [
        ("DejaVuSans", "upright sans"),
        ("DejaVuSansMono-BoldOblique", "bold slanted typewriter"),
        ("DejaVuSerif-Italic", "slanted serif"),
        ("STIXGeneralBolIta", "bold slanted serif"),
        ("cmtt10", "upright typewriter"),
        ("cmss10", "upright sans"),
        ("cmb10", "bold upright serif"),
    ],
)
def test_fonts_are_described(font, words):
    assert datasets.describe_font(font) == words


def test_letters_fill_as_many_quarters_as_they_have_labels_at_least():
    made = datasets.letters(0, 32, SPLITS)
    quarters = made.images_NHW.reshape(100, 2, 16, 2, 16).max(axis=(2, 4)) > 0
    filled = quarters.sum(axis=(1, 2))
    assert (made.labels.sum(axis=1) <= filled).all()
    assert set(filled) == {1, 2, 3, 4}


@pytest.mark.parametrize("font", datasets.TEXT_FONTS)
def test_every_font_draws_every_character(font):
    rng = np.random.default_rng(0)
    drawn = [datasets.draw_character(c, font, rng) for c in (*datasets.DIGITS, *datasets.LETTERS)]
    assert all(isinstance(image, Image.Image) and image.getbbox() for image in drawn)
    assert len({image.tobytes() for image in drawn}) == len(drawn)
