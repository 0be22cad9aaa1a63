import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dissent.commandline import InputError
from dissent.image_files import image_files
from dissent.image_folder import deal, read_folder


def fill(folder, counts, size=(12, 8), seed=0):
    """Images of random pixels, some in each class."""
    rng = np.random.default_rng(seed)
    for name, n in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            pixels = rng.integers(256, size=(*size[::-1], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:03d}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "mine", {"dog": 30, "cat": 60, "eel": 10})


def test_classes_ids_and_pixels_are_those_of_the_folder(folder):
    made = read_folder(folder, 12, {"train": 40, "tune": 10}, 0, "mine")
    assert (made.name, made.classes) == ("mine", ("cat", "dog", "eel"))
    assert made.ids[:2] == ("cat/000.png", "cat/001.png")
    assert list(made.ids) == sorted(made.ids)
    assert [made.classes[label] for label in made.labels] == [i.split("/")[0] for i in made.ids]
    assert made.images_NHW.shape == (100, 12, 12, 3)
    # Without resizing, pixels are as stored.
    fill(folder, {"cat": 1}, size=(6, 6), seed=5)
    again = read_folder(folder, 6, {"train": 40, "tune": 10}, 0, "mine")
    np.testing.assert_array_equal(
        again.images_NHW[0], np.asarray(Image.open(folder / "cat/000.png"))
    )


def test_splits_have_the_classes_in_the_shares_of_the_whole(folder):
    made = read_folder(folder, 4, {"train": 40, "tune": 20, "report": 20}, 0, "mine")
    for split, n in {"train": 40, "tune": 20, "report": 20}.items():
        shares_C = np.bincount(made.labels[made.where(split)], minlength=3) / n
        np.testing.assert_allclose(shares_C, [0.6, 0.3, 0.1], atol=1.5 / n)
    same = read_folder(folder, 4, {"report": 20, "tune": 20, "train": 40}, 0, "mine")
    other = read_folder(folder, 4, {"train": 40, "tune": 20, "report": 20}, 1, "mine")
    np.testing.assert_array_equal(made.splits_N, same.splits_N)
    assert made.ids == same.ids != other.ids


def test_report_is_all_that_remains_where_it_has_no_size(folder):
    made = read_folder(folder, 4, {"train": 20, "tune": 10}, 0, "mine")
    assert [len(made.where(split)) for split in ("train", "tune", "report")] == [20, 10, 70]


@pytest.mark.parametrize("seed", range(5))
def test_rare_classes_are_twice_in_train_and_tune(tmp_path, seed):
    folder = fill(tmp_path, {"common": 60, "often": 30, "pair": 2, "rare": 3}, size=(2, 2))
    made = read_folder(folder, 2, {"train": 8, "tune": 2}, seed, "mine")
    chosen = np.isin(made.splits_N, ["train", "tune"])
    counts_C = np.bincount(made.labels[chosen], minlength=4)
    assert counts_C.min() == 2
    assert counts_C[0] >= 3
    assert [len(made.where(split)) for split in ("train", "tune", "report")] == [8, 2, 85]


def test_only_images_that_are_not_hidden_are_read(folder):
    expected = sorted(str(path) for path in folder.rglob("*.png"))
    Image.new("RGB", (4, 4)).save(folder / "cat/upper.JPG", format="jpeg")
    (folder / "cat/notes.txt").write_text("no image")
    (folder / "cat/.hidden.png").write_text("no image")
    (folder / ".git").mkdir()
    (folder / "readme.txt").write_text("no image")
    (folder / "cat/inner.png").mkdir()
    assert image_files(folder) == [*expected[:60], str(folder / "cat/upper.JPG"), *expected[60:]]
    made = read_folder(folder, 4, {"train": 20, "tune": 10}, 0, "mine")
    assert [str(folder / name) for name in made.ids] == image_files(folder)
    assert image_files(folder / "nowhere") == []


def test_images_of_any_kind_become_upright_rgb(folder):
    # Left half dark, right half light; the EXIF orientation 6 turns it clockwise: dark on top.
    pixels = np.repeat(np.repeat([[20, 220]], 8, 0), 8, 1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = Image.fromarray(pixels)
    grey.save(folder / "eel/a.jpg", exif=exif, quality=100)
    grey.convert("P").save(folder / "eel/b.bmp")
    grey.convert("RGBA").save(folder / "eel/c.webp", lossless=True)
    grey.convert("1", dither=Image.Dither.NONE).save(folder / "eel/d.tif")
    made = read_folder(folder, 4, {"train": 20, "tune": 10}, 0, "mine")
    images = {name: made.images_NHW[i] for i, name in enumerate(made.ids)}
    turned = images["eel/a.jpg"]
    assert turned.shape == (4, 4, 3)
    assert (turned[0] < 40).all()
    assert (turned[3] > 200).all()
    for name in ("eel/b.bmp", "eel/c.webp", "eel/d.tif"):
        assert (images[name][:, 0] < 40).all()
        assert (images[name][:, 3] > 200).all()


def test_wide_images_are_squeezed_and_averaged_over(tmp_path):
    folder = fill(tmp_path, {"a": 2, "b": 2})
    # Columns that alternate become even grey; the upper half stays darker.
    stripes = np.tile(np.array([0, 100], np.uint8), (60, 60))
    stripes[30:] += 100
    Image.fromarray(stripes).save(folder / "a/wide.png")
    made = read_folder(folder, 6, {"train": 2, "tune": 2}, 0, "mine")
    wide = made.images_NHW[made.ids.index("a/wide.png")]
    np.testing.assert_allclose(wide[[0, 5], 1:5].mean(axis=(1, 2)), [50, 150], atol=3)


def test_images_that_are_in_report_and_train_are_counted(folder, caplog):
    splits = {"train": 40, "tune": 10}
    with caplog.at_level(logging.WARNING):
        made = read_folder(folder, 4, splits, 0, "mine")
    assert not caplog.messages
    inside, outside = (
        [folder / made.ids[i] for i in made.where(split)] for split in ("train", "report")
    )
    for original, copy in zip(inside[:3], outside[:3], strict=True):
        Image.open(original).save(copy, optimize=True)
    # A duplicate within report is none of these.
    outside[4].write_bytes(outside[5].read_bytes())
    with caplog.at_level(logging.WARNING):
        read_folder(folder, 4, splits, 0, "mine")
    (message,) = caplog.messages
    assert "of the images in report, 3 are in train or tune as well" in message


def _remove_all_but(folder, *kept):
    for path in folder.rglob("*.png"):
        if path.parent.name not in kept:
            path.unlink()
    for path in folder.iterdir():
        if path.name not in kept:
            path.rmdir()


def _shorten(path):
    path.write_bytes(path.read_bytes()[:60])


SIXTEEN_BITS = Image.fromarray(np.zeros((2, 2), np.uint16))


@pytest.mark.parametrize(
    ("damage", "splits", "message"),
    [
        (lambda f: f.rename(f.parent / "x"), {"train": 9}, "there is no folder .*mine"),
        (_remove_all_but, {"train": 9}, "mine has no sub-folders: give"),
        (lambda f: (f / "ant").mkdir(), {"train": 9}, r"mine/ant holds no images \(\.jpg, "),
        (lambda f: _remove_all_but(f, "cat"), {"train": 9}, "has one sub-folder, 'cat', alone"),
        (lambda f: fill(f, {"ant": 1}), {"train": 9}, "mine/ant holds 1 image, and at least 2"),
        (
            lambda f: (f / "cat/000.png").rename(f / "loose.png"),
            {"train": 9},
            "images outside of sub-folders, such as loose.png: move",
        ),
        (
            lambda f: None,
            {"train": 60, "tune": 20, "report": 21},
            "splits ask for 101 images, there are 100: lower",
        ),
        (
            lambda f: None,
            {"train": 80, "tune": 20},
            "splits ask for 100 images besides those of report, there are 100",
        ),
        (lambda f: None, {"train": 3, "tune": 2}, "5 images together, and 2 are needed of each of"),
        (lambda f: None, {"report": 9}, "train and tune have 0 images together"),
        (lambda f: _shorten(f / "dog/004.png"), {"train": 9}, r"dog/004\.png cannot be read as"),
        (lambda f: (f / "dog/x.gif.jpg").write_text("x"), {"train": 9}, r"x\.gif\.jpg cannot be"),
        (lambda f: SIXTEEN_BITS.save(f / "dog/x.png"), {"train": 9}, r"dog/x\.png has more than 8"),
    ],
)
def test_what_is_wrong_is_said(folder, damage, splits, message):
    damage(folder)
    with pytest.raises(InputError, match=message) as error:
        read_folder(folder, 4, splits, 0, "mine")
    assert ": " in str(error.value)


def test_images_of_no_split_are_left_out(folder):
    made = read_folder(folder, 12, {"train": 40, "tune": 10, "report": 20}, 0, "mine")
    assert len(made.ids) == len(made.images_NHW) == len(made.labels) == 70
    assert set(made.splits_N) == {"train", "tune", "report"}
    for name, image in zip(made.ids, made.images_NHW, strict=True):
        np.testing.assert_array_equal(image.shape, (12, 12, 3))
        assert made.classes[made.labels[made.ids.index(name)]] == name.split("/")[0]


def test_rare_classes_are_in_train_before_they_are_in_tune(tmp_path):
    folder = fill(tmp_path / "rare", {"common": 100, "often": 60, "rare": 3})
    made = read_folder(folder, 12, {"train": 10, "tune": 40}, 0, "mine")
    assert set(made.labels[made.splits_N == "train"]) == {0, 1, 2}
    assert (made.splits_N == "train").sum() == 10 and (made.splits_N == "tune").sum() == 40


@pytest.mark.parametrize("seed", range(3))
def test_each_of_many_classes_is_in_train_where_two_are_drawn_of_the_rarest(seed):
    """As of SUN397: 397 classes, the largest with twenty times the images of the smallest."""
    sizes = np.linspace(80, 1600, 397).astype(int)
    labels_N = np.repeat(np.arange(397), sizes)
    classes, splits = [str(i) for i in range(397)], {"train": 800, "tune": 200}
    splits_N = deal(Path("sun"), labels_N, classes, splits, seed)
    counts = dict(zip(*np.unique(splits_N, return_counts=True), strict=True))
    assert (counts["train"], counts["tune"]) == (800, 200)
    assert np.bincount(labels_N[splits_N == "train"], minlength=397).min() >= 1
    chosen_N = np.isin(splits_N, ["train", "tune"])
    assert np.bincount(labels_N[chosen_N], minlength=397).min() >= 2


def test_a_class_without_training_images_is_refused_and_one_without_others_told_of(
    tmp_path, caplog
):
    folder = fill(tmp_path / "rare", {"common": 100, "often": 60, "rare": 3})
    with pytest.raises(InputError, match="no image of class 'rare' is in train: add images of it"):
        read_folder(folder, 12, {"train": 2, "tune": 40}, 0, "mine")
    read_folder(folder, 12, {"train": 160, "tune": 2}, 0, "mine")
    assert "is in report" in caplog.text
