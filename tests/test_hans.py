import numpy as np
import pytest

from dissent.commandline import InputError
from dissent.hans import hans

ALL = {"report": 30000}


def test_hans_has_its_documented_structure():
    made = hans(0, None, ALL)
    assert made.ids == tuple(f"ex{i}" for i in range(30000))
    assert made.images_NHW is None
    assert made.labels.dtype == np.int64
    assert len(made.where("report")) == 30000
    # Ten blocks of 1,000 of each heuristic; in the first five, nothing is entailed.
    for heuristic, name in enumerate(("lexical overlap", "subsequence", "constituent")):
        for block in range(10):
            label = "non-entailment" if block < 5 else "entailment"
            for i in (0, 999):
                row = 10000 * heuristic + 1000 * block + i
                assert made.groups[row] == f"{name}, {label}"
                assert made.classes[made.labels[row]] == label
    assert len(set(made.groups)) == 6
    assert np.bincount(made.labels).tolist() == [15000, 15000]


def test_hans_depends_on_nothing_drawn():
    first, other = hans(0, None, ALL), hans(1, None, ALL)
    assert first.content_sha256 == other.content_sha256
    assert first.ids_sha256 == other.ids_sha256


@pytest.mark.parametrize(
    "splits", [{}, {"report": 100}, {"tune": 30000}, {"tune": 15000, "report": 15000}]
)
def test_other_splits_are_refused(splits):
    with pytest.raises(InputError, match=r"give `splits: \{report: 30000\}`, not") as refused:
        hans(0, None, splits)
    assert "\n" not in str(refused.value)
