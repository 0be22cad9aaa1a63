"""Pairs of sentences of the same words that mean the same or not, in the manner of PAWS."""

from dissent.examples import Examples
from dissent.sentence_grammar import (
    ENTAILMENT,
    Frame,
    Row,
    as_examples,
    fill,
    generator,
    in_turn,
    shuffled,
)

# By kind: a sentence and a paraphrase of it, and one with two persons or verbs swapped.
FRAMES = {
    "voice": (
        (
            Frame("to_passive", ("the {a} {v} the {b}", "the {b} was {v} by the {a}")),
            Frame("to_active", ("the {a} was {v} by the {b}", "the {b} {v} the {a}")),
        ),
        (
            Frame("to_passive_swapped", ("the {a} {v} the {b}", "the {a} was {v} by the {b}")),
            Frame("to_active_swapped", ("the {a} was {v} by the {b}", "the {a} {v} the {b}")),
        ),
    ),
    "conjunction": (
        (
            Frame(
                "subjects",
                ("the {a} and the {b} {v} the {c}", "the {b} and the {a} {v} the {c}"),
            ),
            Frame("verbs", ("the {a} {i} and {v} the {b}", "the {a} {v} the {b} and {i}")),
        ),
        (
            Frame(
                "subjects_swapped",
                ("the {a} and the {b} {v} the {c}", "the {a} and the {c} {v} the {b}"),
            ),
            Frame("verbs_swapped", ("the {a} {i} and {v} the {b}", "the {b} {v} the {a} and {i}")),
        ),
    ),
    "adverb": (
        (Frame("adverb", ("{t}, the {a} {v} the {b}", "the {a} {v} the {b} {t}")),),
        (Frame("adverb_swapped", ("{t}, the {a} {v} the {b}", "the {b} {v} the {a} {t}")),),
    ),
    "preposition": (
        (Frame("preposition", ("the {a} {i} {p} the {b}", "{p} the {b}, the {a} {i}")),),
        (Frame("preposition_swapped", ("the {a} {i} {p} the {b}", "{p} the {a}, the {b} {i}")),),
    ),
}


def word_swaps(seed: int, size: int | None, splits: dict[str, int]) -> Examples:
    """Pairs of sentences with the same words, or with "was" and "by" added or left out.

    Half of each split are paraphrases, labelled "entailment"; in the others two persons have
    changed places. The `groups`, such as "voice, entailment", have equal shares; all but for
    rounding. No pair comes twice. There are no images, so `size` changes nothing. After Zhang,
    Baldridge and He (2019, arXiv 1904.01130). Raises InputError for more pairs than the grammar
    has.
    """
    rng = generator("word_swaps", seed)
    plan = []
    for split, n in sorted(splits.items()):
        for label, name in enumerate(ENTAILMENT):
            of_class = (n + 1 - label) // 2
            for place, (kind, frames) in enumerate(FRAMES.items()):
                of_kind = (of_class + len(FRAMES) - 1 - place) // len(FRAMES)
                plan += [
                    (split, f"{kind}, {name}", label, frame)
                    for frame in in_turn(frames[label], of_kind)
                ]
    filled = fill([frame for *_, frame in plan], rng)
    rows = [
        Row(split, frame.name, group, label, pair)
        for (split, group, label, frame), pair in zip(plan, filled, strict=True)
    ]
    return as_examples("swaps", seed, ENTAILMENT, shuffled(rows, rng))
