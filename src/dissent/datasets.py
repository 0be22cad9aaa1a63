"""The demo's data sets, made from what ships with scikit-learn and matplotlib."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dissent.examples import Examples, stratified_splits

DIGITS = tuple("0123456789")
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = tuple("ABCDEFGHJKLMNPRSTVWX")
# The fonts in matplotlib that draw text; the others hold only mathematical pieces.
TEXT_FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmb10", "cmr10", "cmss10", "cmti10", "cmtt10"),
)
# Where each kind of data comes from: in the packages that the environment pins.
_FONTS = (
    {"name": "DejaVu fonts", "licence": "Bitstream Vera licence", "package": "matplotlib"},
    {"name": "STIX fonts", "licence": "STIX fonts licence", "package": "matplotlib"},
    {"name": "BaKoMa Computer Modern fonts", "licence": "BaKoMa licence", "package": "matplotlib"},
)
SOURCES = {
    "handwritten": (
        {
            "name": "UCI Optical Recognition of Handwritten Digits, test set (10.24432/C50P49)",
            "licence": "CC BY 4.0",
            "package": "scikit-learn",
        },
    ),
    "glyphs": _FONTS,
    "letters": _FONTS,
}
SCAN_PIXELS = 8
CANVAS_PIXELS = 64


def describe_font(name: str) -> str:
    """The looks of one of TEXT_FONTS in words, such as "bold slanted serif"."""
    typewriter = "Mono" in name or name == "cmtt10"
    serif = "Serif" in name or name.startswith(("STIX", "cmb", "cmr", "cmti"))
    words = [
        "bold" if "Bol" in name or name == "cmb10" else "",
        "slanted" if any(part in name for part in ("Oblique", "Ita", "cmti")) else "upright",
        "typewriter" if typewriter else "serif" if serif else "sans",
    ]
    return " ".join(word for word in words if word)


LOOKS = tuple(sorted(set(map(describe_font, TEXT_FONTS))))


def handwritten(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """scikit-learn's 1,797 scanned digits (8 x 8, 17 grey levels), enlarged to size x size."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    images_NHW = enlarge((scans.images * (255 / 16)).round().astype(np.uint8), size)
    labels_N = scans.target.astype(np.int64)
    return Examples(
        name="handwritten",
        ids=tuple(f"handwritten-{i:04d}" for i in range(len(labels_N))),
        images_NHW=images_NHW,
        labels=labels_N,
        splits_N=stratified_splits(labels_N, splits, np.random.default_rng(seed)),
        classes=DIGITS,
    )


def glyphs(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """Digits drawn in matplotlib's text fonts, then reduced to the scans' 8 x 8 and enlarged.

    Font, thickness, position, rotation, shear and scale vary from image to image; the captions
    name the digit and the looks of its font.
    """
    rng = np.random.default_rng(seed)
    n = sum(splits.values())
    labels_N = rng.permutation(np.arange(n) % len(DIGITS)).astype(np.int64)
    fonts = [TEXT_FONTS[i] for i in rng.integers(len(TEXT_FONTS), size=n)]
    drawn = [
        draw_character(DIGITS[label], font, rng)
        for label, font in zip(labels_N, fonts, strict=True)
    ]
    return Examples(
        name="glyphs",
        ids=tuple(f"glyphs-{seed}-{i:05d}" for i in range(n)),
        images_NHW=enlarge(np.stack([reduce(image, SCAN_PIXELS) for image in drawn]), size),
        labels=labels_N,
        splits_N=stratified_splits(labels_N, splits, rng),
        classes=DIGITS,
        captions=tuple(
            f"a {describe_font(font)} {NUMBER_WORDS[label]}"
            for label, font in zip(labels_N, fonts, strict=True)
        ),
        prompts=tuple(tuple(f"a {look} {word}" for look in LOOKS) for word in NUMBER_WORDS),
    )


def letters(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """Multi-label images: one to four of 20 capital letters, one in each quarter."""
    rng = np.random.default_rng(seed)
    n = sum(splits.values())
    images_NHW = np.zeros((n, size, size), np.uint8)
    labels_NC = np.zeros((n, len(LETTERS)), np.uint8)
    half = size // 2
    for i in range(n):
        quarters = rng.permutation(4)[: rng.integers(1, 5)]
        for quarter in quarters:
            label = rng.integers(len(LETTERS))
            labels_NC[i, label] = 1
            font = TEXT_FONTS[rng.integers(len(TEXT_FONTS))]
            row, column = divmod(int(quarter), 2)
            images_NHW[i, row * half : (row + 1) * half, column * half : (column + 1) * half] = (
                reduce(draw_character(LETTERS[label], font, rng), half)
            )
    return Examples(
        name="letters",
        ids=tuple(f"letters-{seed}-{i:05d}" for i in range(n)),
        images_NHW=images_NHW,
        labels=labels_NC,
        splits_N=np.repeat(sorted(splits), [splits[split] for split in sorted(splits)]),
        classes=LETTERS,
    )


def draw_character(character: str, font: str, rng: np.random.Generator) -> Image.Image:
    """One white character on black, 64 x 64, in a random thickness and affine position."""
    thickness = int(rng.integers(0, 4))
    image = Image.new("L", (CANVAS_PIXELS, CANVAS_PIXELS))
    ImageDraw.Draw(image).text(
        (CANVAS_PIXELS / 2, CANVAS_PIXELS / 2),
        character,
        fill=255,
        font=font_at(font),
        anchor="mm",
        stroke_width=thickness,
    )
    left, top, right, bottom = image.getbbox()
    centre = np.array([left + right, top + bottom]) / 2
    # The scans fill the height of their frame; so does the character, give or take.
    fill = np.array([rng.uniform(0.45, 0.75), rng.uniform(0.8, 1.0)]) * CANVAS_PIXELS
    stretch = fill / np.array([max(right - left, 0.45 * (bottom - top)), bottom - top])
    angle = np.deg2rad(rng.uniform(-12, 12))
    shear = rng.uniform(-0.25, 0.25)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = rotation @ np.array([[1, shear], [0, 1]]) @ np.diag(stretch)
    backward = np.linalg.inv(forward)
    middle = CANVAS_PIXELS / 2 + rng.uniform(-3, 3, 2)
    offset = centre - backward @ middle
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        (*backward[0], offset[0], *backward[1], offset[1]),
        Image.Resampling.BILINEAR,
    )


def reduce(image: Image.Image, size: int) -> np.ndarray:
    """Average blocks of pixels down to size x size, uint8."""
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def enlarge(images_NHW: np.ndarray, size: int) -> np.ndarray:
    """Bilinear enlargement of every image to size x size, uint8."""
    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
            for image in images_NHW
        ]
    )


@cache
def font_at(name: str, points: int = 48) -> ImageFont.FreeTypeFont:
    """One of TEXT_FONTS at a size in points, which are pixels here."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(path, size=points)
