"""Pairs of sentences on which heuristics of overlap succeed or fail, in the manner of HANS."""

from dissent.commandline import InputError
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
from dissent.sentence_pairs import BREAKERS

CONJUNCTION, SWAP, OR = BREAKERS
# By group. The words of a hypothesis are in the premise (lexical overlap), follow one another there
# (subsequence), and are a clause of it (constituent); none is also of the group that asks for more.
FRAMES = {
    "lexical overlap, entailment": (
        Frame("passive", ("the {a} was {v} by the {b}", "the {b} {v} the {a}")),
        Frame("second_object", ("the {a} {v} the {b} and the {c}", "the {a} {v} the {c}")),
        Frame("around_phrase", ("the {a} {p} the {b} {v} the {c}", "the {a} {v} the {c}")),
        Frame("around_clause", ("the {a} who {v} the {b} {w} the {c}", "the {a} {w} the {c}")),
        Frame("in_clause", ("the {a} that the {b} {v} {w} the {c}", "the {b} {v} the {a}")),
    ),
    "lexical overlap, non-entailment": (
        SWAP,
        CONJUNCTION,
        Frame("passive_swap", ("the {a} was {v} by the {b}", "the {a} {v} the {b}")),
        Frame("phrase_swap", ("the {a} {p} the {b} {v} the {c}", "the {c} {v} the {a}")),
        Frame("clause_swap", ("the {a} that the {b} {v} {w} the {c}", "the {c} {w} the {b}")),
    ),
    "subsequence, entailment": (
        Frame("second_subject", ("the {a} and the {b} {v} the {c}", "the {b} {v} the {c}")),
        Frame("first_object", ("the {a} {v} the {b} and the {c}", "the {a} {v} the {b}")),
        Frame("before_phrase", ("the {a} {v} the {b} {p} the {c}", "the {a} {v} the {b}")),
        Frame("before_clause", ("the {a} {v} the {b} who {i}", "the {a} {v} the {b}")),
        Frame("first_verb", ("the {a} {i} and {v} the {b}", "the {a} {i}")),
    ),
    "subsequence, non-entailment": (
        Frame("from_phrase", ("the {a} {p} the {b} {i}", "the {b} {i}")),
        Frame("from_phrase_object", ("the {a} {p} the {b} {v} the {c}", "the {b} {v} the {c}")),
        Frame("from_clause", ("the {a} who {v} the {b} {i}", "the {b} {i}")),
        Frame("from_clause_object", ("the {a} who {v} the {b} {w} the {c}", "the {b} {w} the {c}")),
        Frame("from_both", ("the {a} who {i} {p} the {b} {v} the {c}", "the {b} {v} the {c}")),
    ),
    "constituent, entailment": (
        Frame("because", ("because the {a} {i}, the {b} {v} the {c}", "the {a} {i}")),
        Frame("since", ("since the {a} {v} the {b}, the {c} {i}", "the {a} {v} the {b}")),
        Frame("after", ("after the {a} {v} the {b}, the {c} {i}", "the {c} {i}")),
        Frame("although", ("although the {a} {i}, the {b} {v} the {c}", "the {a} {i}")),
        Frame("and", ("the {a} {i} and the {b} {v} the {c}", "the {b} {v} the {c}")),
    ),
    "constituent, non-entailment": (
        Frame("if", ("if the {a} {i}, the {b} {v} the {c}", "the {a} {i}")),
        Frame("after_if", ("if the {a} {v} the {b}, the {c} {i}", "the {c} {i}")),
        Frame("unless", ("unless the {a} {v} the {b}, the {c} {i}", "the {a} {v} the {b}")),
        OR,
        Frame("thought", ("the {a} thought that the {b} {v} the {c}", "the {b} {v} the {c}")),
    ),
}


def overlap_heuristics(seed: int, size: int | None, splits: dict[str, int]) -> Examples:
    """Pairs whose hypotheses have no word of their own, all in the split "report".

    The six `groups` have the names of those of `dissent.hans` and equal shares, but for rounding,
    and so have the five frames of each. The frames "swap", "conjunction" and "or" are those of the
    breakers of `dissent.sentence_pairs`; the others that are not entailed it never has. There are
    no images, so `size` changes nothing. After McCoy, Pavlick and Linzen (2019, arXiv 1902.01007,
    section 3). Raises InputError for other splits, and for more pairs than the grammar has.
    """
    if list(splits) != ["report"]:
        raise InputError(
            f"all examples of kind overlap_heuristics are reported on: give `report` alone under "
            f"`splits`, not {splits}"
        )
    rng = generator("overlap_heuristics", seed)
    plan = []
    for place, (group, frames) in enumerate(FRAMES.items()):
        n, more = divmod(splits["report"], len(FRAMES))
        plan += [(group, frame) for frame in in_turn(frames, n + (place < more))]
    filled = fill([frame for _, frame in plan], rng)
    rows = [
        Row("report", frame.name, group, ENTAILMENT.index(group.split(", ")[1]), pair)
        for (group, frame), pair in zip(plan, filled, strict=True)
    ]
    return as_examples("heuristics", seed, ENTAILMENT, shuffled(rows, rng))
