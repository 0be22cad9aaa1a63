"""Small tasks to transfer to: grey images from what ships with scikit-learn and matplotlib."""

import dataclasses
import string
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from dissent import datasets
from dissent.commandline import InputError
from dissent.datasets import DIGITS, TEXT_FONTS, enlarge, reduce
from dissent.examples import Examples, stratified_splits

_PHOTOS = {
    "china": {
        "name": "china.jpg by danielbuechele (flickr.com/photos/danielbuechele/6061409035)",
        "licence": "CC BY 2.0",
        "package": "scikit-learn",
    },
    "flower": {
        "name": "flower.jpg by vultilion (flickr.com/photos/vultilion/6056698931)",
        "licence": "CC BY 2.0",
        "package": "scikit-learn",
    },
    "hopper": {
        "name": "grace_hopper.jpg, portrait of Grace Hopper by the US Navy",
        "licence": "public domain",
        "package": "matplotlib",
    },
}
_FONTS, _SCANS = datasets.SOURCES["glyphs"], datasets.SOURCES["handwritten"]
# As `datasets.SOURCES`.
SOURCES = {
    "digits": _SCANS,
    "photos": tuple(_PHOTOS.values()),
    "fonts": _FONTS,
    "medium": (*_SCANS, *_FONTS),
    "count": _FONTS,
    "rotation": _FONTS,
}
FAMILIES = {
    "DejaVu Sans": tuple(f for f in TEXT_FONTS if f.startswith("DejaVuSans") and "Mono" not in f),
    "DejaVu Sans Mono": tuple(f for f in TEXT_FONTS if "Mono" in f),
    "DejaVu Serif": tuple(f for f in TEXT_FONTS if "Serif" in f),
    "STIX": tuple(f for f in TEXT_FONTS if f.startswith("STIX")),
    "Computer Modern": tuple(f for f in TEXT_FONTS if f.startswith("cm")),
}
CHARACTERS = string.digits + string.ascii_letters
# However they are turned, they look neither like themselves nor like another one of them.
TURNABLE = "FRG247"
BINS = 8
MOST_GLYPHS = 5
# So that three photographs yield 1,800 squares.
SQUARE_PIXELS = 21
# Glyphs are drawn at this width and height, then reduced.
CANVAS_PIXELS = 128


def digits(seed: int, size: int, splits: dict[str, int], apart_from: Examples) -> Examples:
    """The digits of scikit-learn's scans, of those that are not in the train split of another set.

    `apart_from` is a data set of kind handwritten. Raises InputError if it is not.
    """
    scans = _scans_apart_from(apart_from, size)
    labels_N = scans.labels
    return Examples(
        name="digits",
        ids=tuple(name.replace("handwritten", "digits") for name in scans.ids),
        images_NHW=scans.images_NHW,
        labels=labels_N,
        splits_N=stratified_splits(labels_N, splits, _generator("digits", seed)),
        classes=DIGITS,
    )


def photos(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """Which photograph a grey square of 21 pixels is of.

    Squares do not overlap, so that no pixel is in two examples. Raises InputError if more are asked
    for than can be cut.
    """
    order = _generator("squares", seed)
    squares = [_squares(_photo(name), order) for name in _PHOTOS]
    n, most = sum(splits.values()), len(squares) * min(map(len, squares))
    if n > most:
        raise InputError(
            f"splits ask for {n} squares of photographs, and {most} can be cut: lower the sizes "
            "under `splits`"
        )

    def draw(label: int, _: np.random.Generator) -> Image.Image:
        return squares[label].pop()

    return _drawn("photos", seed, size, splits, tuple(_PHOTOS), draw)


def _squares(photo: Image.Image, rng: np.random.Generator) -> list[Image.Image]:
    """All squares that a photograph can be cut into, in random order."""
    columns, rows = (pixels // SQUARE_PIXELS for pixels in photo.size)
    corners = [
        (SQUARE_PIXELS * (at % columns), SQUARE_PIXELS * (at // columns))
        for at in rng.permutation(columns * rows).tolist()
    ]
    return [
        photo.crop((left, top, left + SQUARE_PIXELS, top + SQUARE_PIXELS)) for left, top in corners
    ]


def fonts(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """The typeface family of a letter or digit, of five; weight and slant vary."""

    def draw(label: int, rng: np.random.Generator) -> Image.Image:
        family = list(FAMILIES.values())[label]
        return _glyph(
            CHARACTERS[rng.integers(len(CHARACTERS))],
            family[rng.integers(len(family))],
            points=rng.uniform(0.9, 1.0),
            turn=rng.uniform(-5, 5),
            centre=rng.uniform(0.47, 0.53, 2),
        )

    return _drawn("fonts", seed, size, splits, tuple(FAMILIES), draw)


def medium(seed: int, size: int, splits: dict[str, int], apart_from: Examples) -> Examples:
    """Handwritten or drawn: a scan as in `digits`, or a digit drawn in a font.

    Drawn ones have the scans' 8 x 8 pixels and 17 grey levels before they are enlarged.
    """
    rng = _generator("medium scans", seed)
    scans = _scans_apart_from(apart_from, size)
    n = sum(splits.values())
    half = (n + 1) // 2
    if half > len(scans.ids):
        raise InputError(
            f"splits ask for {n} examples, half of them scans, and apart from the train split of "
            f"{apart_from.name!r} there are {len(scans.ids)}: lower the sizes under `splits`"
        )
    chosen = np.flatnonzero(stratified_splits(scans.labels, {"scans": half}, rng) == "scans")
    left = iter(rng.permutation(chosen))

    def draw(label: int, rng: np.random.Generator) -> Image.Image:
        if label == 0:
            return Image.fromarray(scans.images_NHW[next(left)])
        font = TEXT_FONTS[rng.integers(len(TEXT_FONTS))]
        drawn = datasets.draw_character(DIGITS[rng.integers(len(DIGITS))], font, rng)
        small = reduce(drawn, datasets.SCAN_PIXELS)
        levels = np.round(small * (16 / small.max()))
        return Image.fromarray(enlarge((levels * 255 / 16).round().astype(np.uint8)[None], size)[0])

    return _drawn("medium", seed, size, splits, ("handwritten", "drawn"), draw)


def count(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """How many letters and digits there are, one to five, which may touch."""

    def draw(label: int, rng: np.random.Generator) -> Image.Image:
        image = Image.new("L", (CANVAS_PIXELS, CANVAS_PIXELS))
        for place in rng.permutation(9)[: label + 1]:
            glyph = _glyph(
                CHARACTERS[rng.integers(len(CHARACTERS))],
                TEXT_FONTS[rng.integers(len(TEXT_FONTS))],
                points=rng.uniform(0.32, 0.48),
                turn=rng.uniform(-20, 20),
                centre=(np.array(divmod(int(place), 3)) + rng.uniform(0.3, 0.7, 2)) / 3,
                grey=int(rng.integers(180, 256)),
            )
            image = ImageChops.lighter(image, glyph)
        return image

    classes = tuple(str(n) for n in range(1, MOST_GLYPHS + 1))
    return _drawn("count", seed, size, splits, classes, draw)


def rotation(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """By what angle a letter or digit is turned: eight bins of 45 degrees, named by their middle.

    Counter-clockwise.
    """

    def draw(label: int, rng: np.random.Generator) -> Image.Image:
        return _glyph(
            TURNABLE[rng.integers(len(TURNABLE))],
            TEXT_FONTS[rng.integers(len(TEXT_FONTS))],
            points=rng.uniform(0.8, 1.0),
            turn=(label + rng.uniform(-0.5, 0.5)) * 360 / BINS,
            centre=rng.uniform(0.45, 0.55, 2),
        )

    classes = tuple(str(i * 360 // BINS) for i in range(BINS))
    return _drawn("rotation", seed, size, splits, classes, draw)


def _drawn(
    kind: str,
    seed: int,
    size: int,
    splits: dict[str, int],
    classes: tuple[str, ...],
    draw: Callable[[int, np.random.Generator], Image.Image],
) -> Examples:
    """As many examples as the splits ask for, balanced by class; `draw` takes the label."""
    rng = _generator(kind, seed)
    n = sum(splits.values())
    labels_N = rng.permutation(np.arange(n) % len(classes)).astype(np.int64)
    splits_N = stratified_splits(labels_N, splits, rng)
    images = [
        draw(label, rng).resize((size, size), Image.Resampling.BILINEAR)
        for label in labels_N.tolist()
    ]
    return Examples(
        name=kind,
        ids=tuple(f"{kind}-{seed}-{i:05d}" for i in range(n)),
        images_NHW=np.stack([np.asarray(image) for image in images]),
        labels=labels_N,
        splits_N=splits_N,
        classes=classes,
    )


def _generator(kind: str, seed: int) -> np.random.Generator:
    """A stream of its own for each kind, so that none draws what `datasets.glyphs` drew."""
    return np.random.default_rng([seed, *kind.encode()])


def _scans_apart_from(other: Examples, size: int) -> Examples:
    """The handwritten digits that are not in the train split of `other`, a set of all of them."""
    scans = datasets.handwritten(0, size, {})
    if other.ids != scans.ids:
        raise InputError(
            f"`apart_from` is {other.name!r}, whose examples are not the handwritten digits: name "
            "a data set of kind handwritten"
        )
    kept = np.flatnonzero(other.splits_N != "train")
    return dataclasses.replace(
        scans,
        ids=tuple(scans.ids[i] for i in kept),
        images_NHW=scans.images_NHW[kept],
        labels=scans.labels[kept],
        splits_N=scans.splits_N[kept],
    )


def _glyph(
    character: str, font: str, points: float, turn: float, centre: np.ndarray, grey: int = 255
) -> Image.Image:
    """A character on black: `points` and `centre` (x, y) are in widths of the canvas."""
    image = Image.new("L", (CANVAS_PIXELS, CANVAS_PIXELS))
    middle = (centre * CANVAS_PIXELS).tolist()
    face = datasets.font_at(font, round(points * CANVAS_PIXELS))
    ImageDraw.Draw(image).text(middle, character, fill=grey, font=face, anchor="mm")
    return image.rotate(turn, Image.Resampling.BILINEAR, center=middle)


@cache
def _photo(name: str) -> Image.Image:
    """One of the photographs, grey."""
    if name == "hopper":
        import matplotlib

        path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
        return Image.open(path).convert("L")
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image(f"{name}.jpg")).convert("L")
