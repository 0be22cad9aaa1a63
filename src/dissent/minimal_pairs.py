"""Acceptable sentences and their unacceptable twins, in the manner of BLiMP and CoLA."""

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.sentence_grammar import (
    PERSONS,
    SLOTS,
    Frame,
    Row,
    as_examples,
    fill,
    generator,
    in_turn,
    shuffled,
    words,
)

CLASSES = ("unacceptable", "acceptable")
MALE = words("king father brother son uncle boy")
FEMALE = words("queen mother sister daughter aunt girl")


def _plurals(nouns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{noun}s" for noun in nouns)


# As in `SLOTS`; of nouns, capitals are plural.
WORDS = {
    **SLOTS,
    "A": _plurals(PERSONS),
    "B": _plurals(PERSONS),
    "m": MALE,
    "M": _plurals(MALE),
    "f": FEMALE,
    "F": _plurals(FEMALE),
    "i": ("slept", "arrived", "laughed", "waited"),
}
# By phenomenon: an acceptable sentence, then its twin. Each word that makes one unacceptable is
# right in another, so that no word alone tells the label.
FRAMES = {
    "agreement": (
        Frame("singular_verb", ("the {a} has {v} the {b}", "the {a} have {v} the {b}")),
        Frame("plural_verb", ("the {A} have {v} the {b}", "the {A} has {v} the {b}")),
    ),
    "agreement across a phrase": (
        Frame(
            "singular_verb_across",
            ("the {a} {p} the {B} has {v} the {c}", "the {a} {p} the {B} have {v} the {c}"),
        ),
        Frame(
            "plural_verb_across",
            ("the {A} {p} the {b} have {v} the {c}", "the {A} {p} the {b} has {v} the {c}"),
        ),
    ),
    "reflexive gender": (
        Frame("himself", ("the {m} {p} the {a} {v} himself", "the {m} {p} the {a} {v} herself")),
        Frame("herself", ("the {f} {p} the {a} {v} herself", "the {f} {p} the {a} {v} himself")),
    ),
    "reflexive number": (
        Frame(
            "himself_not_themselves",
            ("the {m} {p} the {a} has {v} himself", "the {m} {p} the {a} has {v} themselves"),
        ),
        Frame(
            "themselves_not_himself",
            ("the {M} {p} the {a} have {v} themselves", "the {M} {p} the {a} have {v} himself"),
        ),
        Frame(
            "herself_not_themselves",
            ("the {f} {p} the {a} has {v} herself", "the {f} {p} the {a} has {v} themselves"),
        ),
        Frame(
            "themselves_not_herself",
            ("the {F} {p} the {a} have {v} themselves", "the {F} {p} the {a} have {v} herself"),
        ),
    ),
    "determiner": (
        Frame("this", ("the {a} {v} this {b}", "the {a} {v} these {b}")),
        Frame("these", ("the {a} {v} these {B}", "the {a} {v} this {B}")),
    ),
    "word order": (
        Frame("verb_last", ("the {a} {v} the {b}", "the {a} the {b} {v}")),
        Frame("preposition_last", ("the {a} {p} the {b} {i}", "the {a} the {b} {p} {i}")),
    ),
    "argument structure": (
        Frame("no_object", ("the {a} {i} near the {b}", "the {a} {i} the {b}")),
    ),
}


def minimal_pairs(seed: int, size: int | None, splits: dict[str, int]) -> Examples:
    """Single sentences, half of them acceptable, each before its twin that differs in one thing.

    The `groups` are the phenomena, in equal shares of each split, but for rounding. Both of a pair
    are in the same split, and no sentence comes twice. There are no images, so `size` changes
    nothing. After Warstadt et al. (2020, arXiv 1912.00582). Raises InputError for splits of an odd
    size, and for more pairs than the grammar has.
    """
    for split, n in splits.items():
        if n % 2:
            raise InputError(
                f"minimal pairs are of two sentences each: give an even number under `splits`, "
                f"not {split}: {n}"
            )
    rng = generator("minimal_pairs", seed)
    plan = []
    for split, n in sorted(splits.items()):
        for place, (group, frames) in enumerate(FRAMES.items()):
            of_group = (n // 2 + len(FRAMES) - 1 - place) // len(FRAMES)
            plan += [(split, group, frame) for frame in in_turn(frames, of_group)]
    filled = fill([frame for *_, frame in plan], rng, WORDS)
    twins = [
        [
            Row(split, frame.name, group, label, (sentence,))
            for label, sentence in zip((1, 0), pair, strict=True)
        ]
        for (split, group, frame), pair in zip(plan, filled, strict=True)
    ]
    rows = [row for pair in shuffled(twins, rng) for row in pair]
    return as_examples("minimal", seed, CLASSES, rows)
