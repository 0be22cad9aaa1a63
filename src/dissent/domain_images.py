"""Digits in four domains that look different, and letters in other looks to pre-train on."""

import string
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from dissent import datasets
from dissent.commandline import InputError
from dissent.datasets import DIGITS, SCAN_PIXELS, TEXT_FONTS, describe_font, enlarge, reduce
from dissent.domains import in_turns
from dissent.examples import Examples
from dissent.label_sets import proportional_splits

_FONTS, _SCANS = datasets.SOURCES["glyphs"], datasets.SOURCES["handwritten"]
# As `datasets.SOURCES`.
SOURCES = {
    "domains": (*_SCANS, *_FONTS),
    "characters": _FONTS,
    "plain_characters": _FONTS,
}
LETTERS = tuple(string.ascii_letters)
# No font is in two domains.
SLANTED = tuple(font for font in TEXT_FONTS if "slanted" in describe_font(font))
SERIF = tuple(font for font in TEXT_FONTS if describe_font(font).endswith("upright serif"))
SANS = tuple(font for font in TEXT_FONTS if font not in SLANTED + SERIF)
# Half of the scans, less what makes the number round.
MOST_OF_A_DOMAIN = 890
HALVES = {"even": 898, "odd": 899}

# What makes an image, floats [size, size] in 0..1, of a white character on black.
Look = Callable[[Image.Image, int, np.random.Generator], np.ndarray]


def domains(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """Digits in four domains: handwritten, printed, sketched, textured; `splits` are of each.

    Even and odd seeds have different halves of the 1,797 scans, so that what is chosen on one draw
    can be reported on scans it was not chosen on. In each domain, every stretch from the beginning
    of a split has the classes in equal shares. Raises InputError if the splits ask for more than
    890.
    """
    n = sum(splits.values())
    if n > MOST_OF_A_DOMAIN:
        raise InputError(
            f"splits ask for {n} images of each domain, and handwritten has {MOST_OF_A_DOMAIN}: "
            "lower the sizes under `splits`"
        )
    scans = datasets.handwritten(0, size, {})
    chosen = _half_of_scans(seed, scans.labels)[:n]
    numbers = {"handwritten": chosen}
    images = [scans.images_NHW[chosen]]
    labels = [scans.labels[chosen]]
    for domain, (fonts, look) in _DRAWN.items():
        numbers[domain] = np.arange(n)
        labels.append(_labels(n, DIGITS))
        glyphs = _glyphs(DIGITS, labels[-1], fonts, _generator(f"{domain} glyphs", seed))
        images.append(_pictures(glyphs, size, look, _generator(f"{domain} looks", seed)))
    return Examples(
        name="domains",
        ids=tuple(
            f"domains-{seed}-{domain}-{i:04d}" for domain in numbers for i in numbers[domain]
        ),
        images_NHW=np.concatenate(images),
        labels=np.concatenate(labels),
        splits_N=np.tile(_splits(splits), len(numbers)),
        classes=DIGITS,
        groups=tuple(domain for domain in numbers for _ in range(n)),
    )


def characters(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """The 52 letters a-z and A-Z in many looks, from clean to outlined, coarse or on a texture."""
    return _letters("characters", seed, size, splits, _varied)


def plain_characters(seed: int, size: int, splits: dict[str, int]) -> Examples:
    """The very letters of `characters`, white on black, all clean."""
    return _letters("plain_characters", seed, size, splits, _plain)


def _letters(kind: str, seed: int, size: int, splits: dict[str, int], look: Look) -> Examples:
    labels_N = _labels(sum(splits.values()), LETTERS)
    glyphs = _glyphs(LETTERS, labels_N, TEXT_FONTS, _generator("letters", seed))
    return Examples(
        name=kind,
        ids=tuple(f"{kind}-{seed}-{i:05d}" for i in range(len(labels_N))),
        images_NHW=_pictures(glyphs, size, look, _generator("looks of letters", seed)),
        labels=labels_N,
        splits_N=_splits(splits),
        classes=LETTERS,
    )


def _half_of_scans(seed: int, labels_N: np.ndarray) -> np.ndarray:
    """Which scans even, or odd, seeds have; the seed decides on their order."""
    halves_N = proportional_splits(labels_N, HALVES, _generator("halves", 0))
    half = np.flatnonzero(halves_N == ("odd" if seed % 2 else "even"))
    return half[in_turns(labels_N[half], _generator("scans", seed))]


def _labels(n: int, classes: tuple[str, ...]) -> np.ndarray:
    return np.arange(n) % len(classes)


def _splits(splits: dict[str, int]) -> np.ndarray:
    names = sorted(splits)
    return np.repeat(names, [splits[name] for name in names])


def _glyphs(
    classes: tuple[str, ...], labels_N: np.ndarray, fonts: tuple[str, ...], rng: np.random.Generator
) -> list[Image.Image]:
    return [
        datasets.draw_character(classes[label], fonts[rng.integers(len(fonts))], rng)
        for label in labels_N.tolist()
    ]


def _pictures(
    glyphs: list[Image.Image], size: int, look: Look, rng: np.random.Generator
) -> np.ndarray:
    """The images, uint8 [N, size, size]."""
    images = (look(glyph, size, rng).clip(0, 1) for glyph in glyphs)
    return np.stack([np.round(255 * image).astype(np.uint8) for image in images])


def _generator(purpose: str, seed: int) -> np.random.Generator:
    """A stream of its own for each purpose, so that glyphs are the same whatever they look like."""
    return np.random.default_rng([seed, *f"domains {purpose}".encode()])


def _plain(glyph: Image.Image, size: int, _: np.random.Generator) -> np.ndarray:
    return reduce(glyph, size) / 255


def _printed(glyph: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """Dark on light paper that is shaded a little."""
    paper = rng.uniform(0.75, 0.9) + 0.2 * (_clouds(size, 3, rng) - 0.5)
    return _over(paper, rng.uniform(0, 0.25), glyph)


def _sketched(glyph: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """Its outline, broken into dashes."""
    return _broken(_outline(glyph), size, rng)


def _textured(glyph: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """Light on a ground of blotches about as large as its strokes."""
    return _over(0.65 * _clouds(size, 9, rng), rng.uniform(0.75, 1), glyph)


def _textured_or_negative(glyph: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    image = _textured(glyph, size, rng)
    return 1 - image if rng.random() < 0.5 else image


def _coarse(glyph: Image.Image, size: int, _: np.random.Generator) -> np.ndarray:
    """As few pixels as a scan has."""
    return enlarge(reduce(glyph, SCAN_PIXELS)[None], size)[0] / 255


def _faint(glyph: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    return _over(0.3 * _clouds(size, 3, rng), rng.uniform(0.5, 1), glyph)


def _broken(glyph: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """Without 35 % of the area, in blotches."""
    clouds = _clouds(glyph.width, 12, rng)
    kept = np.asarray(glyph) * (clouds > np.quantile(clouds, 0.35))
    return _plain(Image.fromarray(kept), size, rng)


def _varied(glyph: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """One of _LETTER_LOOKS in its share of images; of a third, the outline alone."""
    if rng.random() < 1 / 3:
        glyph = _outline(glyph)
    look = rng.choice(len(_LETTER_LOOKS), p=list(_LETTER_LOOKS.values()))
    return list(_LETTER_LOOKS)[look](glyph, size, rng)


def _outline(glyph: Image.Image) -> Image.Image:
    """What lies at most two pixels within its edge."""
    pixels = np.asarray(glyph)
    return Image.fromarray(pixels - ndimage.minimum_filter(pixels, size=5))


def _clouds(size: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise in 0..1, [size, size], with so many blotches in a row."""
    coarse = Image.fromarray(rng.uniform(0, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)).clip(0, 1)


def _over(ground: np.ndarray, ink: float, glyph: Image.Image) -> np.ndarray:
    share = reduce(glyph, len(ground)) / 255
    return ground * (1 - share) + ink * share


_DRAWN: dict[str, tuple[tuple[str, ...], Look]] = {
    "printed": (SANS, _printed),
    "sketched": (SERIF, _sketched),
    "textured": (SLANTED, _textured),
}
_LETTER_LOOKS: dict[Look, float] = {
    _textured_or_negative: 0.25,
    _coarse: 0.2,
    _faint: 0.2,
    _broken: 0.15,
    _plain: 0.2,
}
