import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from sklearn.datasets import load_digits

from dissent import datasets, task_images
from dissent.commandline import InputError

SPLITS = {"train": 40, "tune": 16, "report": 24}
APART = ("digits", "medium")


@pytest.fixture(scope="module")
def handwritten():
    return datasets.handwritten(0, 32, {"train": 300, "tune": 400, "report": 1097})


@pytest.fixture
def make(handwritten):
    def made(kind, seed=0, splits=SPLITS, size=32):
        others = (handwritten,) if kind in APART else ()
        return getattr(task_images, kind)(seed, size, splits, *others)

    return made


@pytest.mark.parametrize("kind", task_images.SOURCES)
def test_tasks_depend_on_the_seed_alone_and_have_balanced_splits(make, kind):
    first, again, other = make(kind), make(kind), make(kind, seed=1)
    for field in ("images_NHW", "labels", "splits_N"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert (first.splits_N != other.splits_N).any()
    assert first.images_NHW.dtype == np.uint8
    assert first.images_NHW.shape[1:] == (32, 32)
    assert len(set(first.ids)) == len(first.ids) == len(first.labels)
    for split, n in SPLITS.items():
        counts_C = np.bincount(first.labels[first.where(split)], minlength=len(first.classes))
        assert counts_C.sum() == n
        # One more or one fewer than their share, at both ends of a split.
        assert np.ptp(counts_C) <= 2


@pytest.mark.parametrize("kind", sorted({*task_images.SOURCES} - {*APART}))
def test_drawn_tasks_have_other_images_by_seed_and_no_blank_ones(make, kind):
    drawn, other = make(kind), make(kind, seed=1)
    assert drawn.ids[12] == f"{kind}-0-00012"
    assert (drawn.images_NHW != other.images_NHW).any(axis=(1, 2)).all()
    assert make(kind, size=20).images_NHW.shape == (80, 20, 20)
    if kind != "photos":
        assert (drawn.images_NHW.max(axis=(1, 2)) > 100).all()


def test_digits_are_the_scans_that_were_not_in_the_other_train_split(make, handwritten):
    made = make("digits", splits={"train": 800, "tune": 200, "report": 497})
    scans = [int(name.removeprefix("digits-")) for name in made.ids]
    assert len(scans) == 1497
    assert not set(scans) & set(handwritten.where("train"))
    np.testing.assert_array_equal(made.labels, load_digits().target[scans])
    np.testing.assert_array_equal(made.images_NHW, handwritten.images_NHW[scans])
    with pytest.raises(InputError, match="splits ask for 1498 examples, there are 1497"):
        make("digits", splits={"train": 1498})


@pytest.mark.parametrize("kind", APART)
def test_scans_are_set_apart_only_from_scans(kind):
    other = datasets.glyphs(0, 32, SPLITS)
    with pytest.raises(InputError, match="'glyphs', whose examples are not the handwritten digits"):
        getattr(task_images, kind)(0, 32, SPLITS, other)


def test_half_of_medium_are_scans_that_are_left_each_once(make, handwritten):
    made = make("medium", splits={"train": 201})
    left = [image.tobytes() for image in handwritten.images_NHW[handwritten.splits_N != "train"]]
    scans = [image.tobytes() for image in made.images_NHW[made.labels == 0]]
    assert len(set(scans)) == len(scans) == 101
    assert set(scans) <= set(left)
    digit_of = dict(zip(left, handwritten.labels[handwritten.splits_N != "train"], strict=True))
    assert set(np.bincount([digit_of[scan] for scan in scans])) == {10, 11}
    assert not {image.tobytes() for image in made.images_NHW[made.labels == 1]} & set(left)


def test_drawn_media_have_the_grey_levels_of_scans(make):
    made = make("medium", size=8)
    levels = [set(np.unique(made.images_NHW[made.labels == label])) for label in (0, 1)]
    assert levels[0] | levels[1] <= set((np.arange(17) * 255 / 16).round())
    assert max(levels[0]) == max(levels[1]) == 255


def test_medium_needs_enough_scans(make):
    with pytest.raises(InputError, match=r"3000 examples, half of them.*'handwritten' there are"):
        make("medium", splits={"train": 3000})


def test_no_pixel_of_a_photograph_is_in_two_examples(make, monkeypatch):
    # A picture whose squares are told apart by the greys of their left and right sides.
    numbered = np.arange(20 * 30).reshape(20, 30)
    high, low = np.divmod(numbered, 25)
    cells = np.stack([8 * high, 8 * low], axis=-1).astype(np.uint8)
    picture = np.repeat(np.repeat(cells, 21, axis=0), 21, axis=1)
    left_half = (np.arange(30 * 21) % 21 < 10)[None]
    grey = np.where(left_half, picture[..., 0], picture[..., 1])
    monkeypatch.setattr(task_images, "_photo", lambda name: Image.fromarray(grey))
    made = make("photos", splits={"train": 1000, "tune": 300, "report": 500}, size=21)
    for label in range(3):
        images = made.images_NHW[made.labels == label]
        found = 25 * (images[:, 0, 0] // 8).astype(int) + images[:, 0, -1] // 8
        assert sorted(found) == list(range(600))
        assert (np.ptp(images[:, :, :10], axis=(1, 2)) == 0).all()


def test_photographs_yield_so_many_squares_and_no_more(make):
    with pytest.raises(InputError, match="1801 squares of photographs, and 1800 can be cut"):
        make("photos", splits={"train": 1801})


def test_photographs_are_the_named_ones():
    assert [task_images._photo(name).size for name in ("china", "flower", "hopper")] == [
        (640, 427),
        (640, 427),
        (512, 600),
    ]


def test_every_text_font_is_in_the_family_it_names():
    of_families = [font for family in task_images.FAMILIES.values() for font in family]
    assert sorted(of_families) == sorted(datasets.TEXT_FONTS)
    own = {"STIXGeneral": "STIX"} | {f"cm{x}10": "Computer Modern" for x in ("b", "r", "ss", "ti")}
    own["cmtt10"] = "Computer Modern"
    for family, fonts in task_images.FAMILIES.items():
        for font in fonts:
            name = datasets.font_at(font).getname()[0]
            assert own.get(name, name) == family


def test_fonts_are_drawn_in_their_family(make, monkeypatch):
    seen = []
    blank = Image.new("L", (128, 128))
    monkeypatch.setattr(task_images, "_glyph", lambda _, font, **place: seen.append(font) or blank)
    made = make("fonts", splits={"train": 300})
    families = [task_images.FAMILIES[made.classes[label]] for label in made.labels]
    assert all(font in family for font, family in zip(seen, families, strict=True))
    assert set(seen) == set(datasets.TEXT_FONTS)


def test_as_many_glyphs_are_drawn_as_counted(make, monkeypatch):
    # Bars that are upright and small cannot touch, and lie within the image.
    monkeypatch.setattr(task_images, "CHARACTERS", "l")
    monkeypatch.setattr(task_images, "TEXT_FONTS", ("DejaVuSans",))
    glyph = task_images._glyph

    def smaller(character, font, points, turn, centre, grey):
        return glyph(character, font, points / 3, 0, centre, grey)

    monkeypatch.setattr(task_images, "_glyph", smaller)
    made = make("count", splits={"train": 100}, size=128)
    counted = [ndimage.label(image, np.ones((3, 3)))[1] for image in made.images_NHW]
    assert counted == [int(made.classes[label]) for label in made.labels]


def test_glyphs_are_turned_by_the_angle_nearest_to_their_class(make, monkeypatch):
    monkeypatch.setattr(task_images, "TURNABLE", "F")
    monkeypatch.setattr(task_images, "TEXT_FONTS", ("DejaVuSans",))
    made = make("rotation", splits={"train": 160}, size=128)
    upright = Image.new("L", (128, 128))
    font = ImageFont.truetype(datasets.font_at("DejaVuSans").path, 115)
    ImageDraw.Draw(upright).text((64, 64), "F", fill=255, font=font, anchor="mm")
    # Fine enough that the best angle lies on the right side of the bins' edges.
    angles = np.arange(0, 360, 5)
    turned = [ndimage.rotate(_centred(upright), angle, reshape=False, order=1) for angle in angles]
    turned_AX = np.stack(turned).reshape(len(angles), -1).astype(float)
    turned_AX /= np.linalg.norm(turned_AX, axis=1, keepdims=True)
    found = np.array(
        [angles[(turned_AX @ _centred(image).ravel()).argmax()] for image in made.images_NHW]
    )
    named = np.array([int(made.classes[label]) for label in made.labels])
    error = (found - named + 180) % 360 - 180
    assert np.abs(error).max() <= 22.5 + 5
    assert np.ptp(error) > 35


def _centred(image):
    pixels = np.asarray(image).astype(float)
    return ndimage.shift(pixels, 63.5 - np.array(ndimage.center_of_mass(pixels)), order=1)


def test_every_photograph_names_its_author_and_licence():
    for source in task_images.SOURCES["photos"]:
        assert " by " in source["name"]
        assert source["licence"] in ("CC BY 2.0", "public domain")
