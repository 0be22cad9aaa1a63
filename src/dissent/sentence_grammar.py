"""A small grammar of English: frames of sentences, the words in them, data sets made of both."""

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from dissent.commandline import InputError
from dissent.examples import Examples


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


# No word means what another implies: a writer would be an author, and who calls makes contact.
PERSONS = words(
    "doctor lawyer actor author banker painter student priest judge senator tourist manager "
    "scientist sailor professor athlete president soldier driver farmer nurse singer pilot guard"
)
# Their past tense is also their participle.
TRANSITIVE = words(
    "helped called thanked followed visited avoided admired believed remembered recognized stopped "
    "mentioned advised encouraged invited greeted"
)
INTRANSITIVE = words("slept danced ran arrived laughed waited shouted escaped")
PREPOSITIONS = words("near behind beside by")
# What the letters of a frame stand for; a word stands in a frame once.
SLOTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys("abc", PERSONS),
    **dict.fromkeys("vw", TRANSITIVE),
    "i": INTRANSITIVE,
    "p": PREPOSITIONS,
    "t": ("yesterday", "today", "recently", "sometimes"),
}
ENTAILMENT = ("entailment", "non-entailment")


class Frame(NamedTuple):
    """Sentences that belong together, with slots such as {a} for words; see `SLOTS`."""

    name: str
    sentences: tuple[str, ...]


class Row(NamedTuple):
    """An example to be."""

    split: str
    frame: str
    group: str
    label: int
    sentences: tuple[str, ...]


def fill(
    frames: Sequence[Frame],
    rng: np.random.Generator,
    slots: Mapping[str, tuple[str, ...]] = SLOTS,
) -> list[tuple[str, ...]]:
    """The sentences of each frame in the list, with words; a frame that comes again gets others.

    Raises InputError where a frame comes more often than the grammar has words for.
    """
    fillings = {
        frame: iter(_fillings(frame, n, rng, slots)) for frame, n in Counter(frames).items()
    }
    return [
        tuple(sentence.format(**word_of) for sentence in frame.sentences)
        for frame, word_of in ((frame, next(fillings[frame])) for frame in frames)
    ]


def _fillings(
    frame: Frame, n: int, rng: np.random.Generator, slots: Mapping[str, tuple[str, ...]]
) -> list[dict[str, str]]:
    """Words by slot, n times, no two of which are the same, all equally likely."""
    letters = sorted(_letters(frame))
    # A pool has one word less for each slot that it has filled.
    sizes = [
        len(slots[letter]) - sum(slots[earlier] == slots[letter] for earlier in letters[:i])
        for i, letter in enumerate(letters)
    ]
    if n > prod(sizes):
        raise InputError(
            f"splits ask for {n} examples of the frame {frame.name!r}, and the grammar has "
            f"{prod(sizes)}: lower the sizes under `splits`"
        )
    fillings = []
    for number in rng.choice(prod(sizes), n, replace=False).tolist():
        word_of: dict[str, str] = {}
        for letter, size in zip(letters, sizes, strict=True):
            number, place = divmod(number, size)
            left = [word for word in slots[letter] if word not in word_of.values()]
            word_of[letter] = left[place]
        fillings.append(word_of)
    return fillings


def _letters(frame: Frame) -> set[str]:
    parts = (part for sentence in frame.sentences for part in string.Formatter().parse(sentence))
    return {letter for _, letter, _, _ in parts if letter}


def in_turn(frames: Sequence[Frame], n: int) -> list[Frame]:
    """n frames, each as often as the others, or once more if it is among the first."""
    return [frames[i % len(frames)] for i in range(n)]


def generator(kind: str, seed: int) -> np.random.Generator:
    """A stream of its own for each kind."""
    return np.random.default_rng([seed, *kind.encode()])


def shuffled(items: list, rng: np.random.Generator) -> list:
    """The items in random order."""
    return [items[i] for i in rng.permutation(len(items))]


def as_examples(prefix: str, seed: int, classes: tuple[str, ...], rows: list[Row]) -> Examples:
    """Examples in the order of the rows; ids are such as "pairs-0-swap-00012"."""
    return Examples(
        name=prefix,
        ids=tuple(f"{prefix}-{seed}-{row.frame}-{i:05d}" for i, row in enumerate(rows)),
        images_NHW=None,
        labels=np.array([row.label for row in rows], np.int64),
        splits_N=np.array([row.split for row in rows], str),
        classes=classes,
        groups=tuple(row.group for row in rows),
        sentences=tuple(row.sentences for row in rows),
    )
