"""Pairs of sentences, entailed or not, whose overlap tells which except in a set share of them."""

import numpy as np

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.sentence_grammar import (
    ENTAILMENT,
    INTRANSITIVE,
    PERSONS,
    TRANSITIVE,
    Frame,
    Row,
    as_examples,
    fill,
    generator,
    in_turn,
    shuffled,
)

# A premise and what it entails; every word of the second is in the first.
ENTAILED = (
    Frame("passive", ("the {a} was {v} by the {b}", "the {b} {v} the {a}")),
    Frame("first_subject", ("the {a} and the {b} {i}", "the {a} {i}")),
    Frame("second_subject", ("the {a} and the {b} {v} the {c}", "the {b} {v} the {c}")),
    Frame("second_object", ("the {a} {v} the {b} and the {c}", "the {a} {v} the {c}")),
    Frame("of_who_subject", ("the {a} who {i} {v} the {b}", "the {a} {i}")),
    Frame("of_who_object", ("the {a} who {v} the {b} {i}", "the {a} {v} the {b}")),
    Frame("of_that_object", ("the {a} that the {b} {v} {i}", "the {b} {v} the {a}")),
    Frame("around_preposition", ("the {a} {p} the {b} {i}", "the {a} {i}")),
    Frame("because", ("because the {a} {i}, the {b} {v} the {c}", "the {a} {i}")),
    Frame("since", ("since the {a} {v} the {b}, the {c} {i}", "the {a} {v} the {b}")),
    Frame("and", ("the {a} {i} and the {b} {v} the {c}", "the {b} {v} the {c}")),
)
# A premise and what it does not entail, though every word of the second is in the first.
BREAKERS = (
    Frame("conjunction", ("the {a} and the {b} {v} the {c}", "the {a} {v} the {b}")),
    Frame("swap", ("the {a} {v} the {b}", "the {b} {v} the {a}")),
    Frame("or", ("the {a} {i} or the {b} {v} the {c}", "the {b} {v} the {c}")),
)
MOST_REPLACED = 3


def sentence_pairs(
    seed: int, size: int | None, splits: dict[str, int], breakers: float
) -> Examples:
    """Pairs of a premise and a hypothesis of which overlap misleads in the share `breakers`.

    The others are half entailed, with every word of the hypothesis in the premise, and half not,
    with one to three words of the hypothesis absent from the premise; half of these have the
    premises of entailed pairs and half those of breakers, so that the premise alone tells little.
    These shares, the `groups`, are exact in each split, but for rounding. No pair comes twice.
    There are no images, so `size` changes nothing. In the manner of the training sets of McCoy,
    Pavlick and Linzen (2019, arXiv 1902.01007). Raises InputError for a share outside [0, 1], and
    for more pairs than the grammar has.
    """
    if not 0 <= breakers <= 1:
        raise InputError(f"`breakers` is a share of the pairs, from 0 to 1, not {breakers}")
    rng = generator("sentence_pairs", seed)
    plan = [
        (split, group, frame)
        for split, n in sorted(splits.items())
        for group, frame in _plan(n, breakers)
    ]
    rows, seen = [], set()
    filled = fill([frame for _, _, frame in plan], rng)
    for (split, group, frame), pair in zip(plan, filled, strict=True):
        name = frame.name
        if group == "new words":
            name = f"new_words_{name}"
            # Two frames may share a premise, and then two of their pairs may become the same.
            while (replaced := _with_new_words(*pair, rng)) in seen:
                pass
            pair = replaced
            seen.add(pair)
        rows.append(Row(split, name, group, int(group != "entailed"), pair))
    return as_examples("pairs", seed, ENTAILMENT, shuffled(rows, rng))


def _plan(n: int, breakers: float) -> list[tuple[str, Frame]]:
    """The group and the frame of each of n pairs."""
    n_breakers = round(breakers * n)
    n_entailed = (n - n_breakers + 1) // 2
    n_new = n - n_breakers - n_entailed
    new = in_turn(ENTAILED, (n_new + 1) // 2) + in_turn(BREAKERS, n_new // 2)
    return [
        *(("entailed", frame) for frame in in_turn(ENTAILED, n_entailed)),
        *(("new words", frame) for frame in new),
        *(("overlap misleads", frame) for frame in in_turn(BREAKERS, n_breakers)),
    ]


def _with_new_words(premise: str, hypothesis: str, rng: np.random.Generator) -> tuple[str, str]:
    """The pair with one to three words of the hypothesis replaced by others of their kind."""
    words = hypothesis.split()
    kinds = {
        at: kind
        for at, word in enumerate(words)
        for kind in (PERSONS, TRANSITIVE, INTRANSITIVE)
        if word in kind
    }
    taken = {*premise.replace(",", "").split(), *words}
    n = rng.integers(1, min(MOST_REPLACED, len(kinds)) + 1)
    for at in rng.choice(list(kinds), n, replace=False):
        words[at] = str(rng.choice([word for word in kinds[at] if word not in taken]))
        taken.add(words[at])
    return premise, " ".join(words)
