"""HANS (McCoy, Pavlick and Linzen 2019, arXiv 1902.01007), by its structure: ids, labels, groups.

The evaluation set has 30,000 pairs of sentences, ex0 to ex29999. Each of three heuristics has
10,000 in a row: first those in which the premise does not entail the hypothesis, then those in
which it does, 1,000 of each of five sub-cases.
"""

import numpy as np

from dissent.commandline import InputError
from dissent.examples import Examples

CLASSES = ("entailment", "non-entailment")
HEURISTICS = ("lexical overlap", "subsequence", "constituent")
# Of each heuristic and class: five sub-cases of 1,000 pairs.
PAIRS_OF_SUBSET = 5_000


def hans(seed: int, size: int | None, splits: dict[str, int]) -> Examples:
    """The examples of HANS without their sentences, all in the split "report".

    `groups` are the six subsets, such as "lexical overlap, non-entailment". Nothing is drawn and
    there are no images, so `seed` and `size` change nothing. Raises InputError for other splits.
    """
    subsets = [(heuristic, label) for heuristic in HEURISTICS for label in reversed(CLASSES)]
    n = len(subsets) * PAIRS_OF_SUBSET
    if splits != {"report": n}:
        raise InputError(
            f"all examples of HANS are reported on: give `splits: {{report: {n}}}`, not {splits}"
        )
    labels_N = np.repeat([CLASSES.index(label) for _, label in subsets], PAIRS_OF_SUBSET)
    return Examples(
        name="hans",
        ids=tuple(f"ex{i}" for i in range(n)),
        images_NHW=None,
        labels=labels_N.astype(np.int64),
        splits_N=np.full(n, "report"),
        classes=CLASSES,
        groups=tuple(
            np.repeat([", ".join(subset) for subset in subsets], PAIRS_OF_SUBSET).tolist()
        ),
    )
