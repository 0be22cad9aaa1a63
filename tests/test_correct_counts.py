from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import zero_one_loss

from dissent.correct_counts import MEASURES, agreement, histogram

correct = arrays(bool, st.tuples(st.integers(2, 6), st.integers(1, 20)))


@given(correct)
def test_counts_say_as_much_as_the_predictions(correct_MN):
    n_models = len(correct_MN)
    right_N = correct_MN.sum(axis=0)
    expected = {
        "mean_accuracy": correct_MN.mean(),
        "error_inconsistency": np.mean([zero_one_loss(*p) for p in combinations(correct_MN, 2)]),
        "all_right": correct_MN.all(axis=0).mean(),
        "all_wrong": 1 - correct_MN.any(axis=0).mean(),
        "majority_vote": (np.median(correct_MN, axis=0) >= 0.5).mean(),
        "strict_majority_vote": (np.median(correct_MN, axis=0) > 0.5).mean(),
    }
    found = agreement(histogram(right_N, n_models))
    assert list(expected) == list(MEASURES)
    np.testing.assert_allclose(found, list(expected.values()), atol=1e-12)


@given(arrays(np.int64, (7, 5), elements=st.integers(0, 2)), st.integers(0, 2))
def test_a_plurality_vote_is_right_where_more_than_half_are(predicted_MN, label):
    counts_N = (predicted_MN == label).sum(axis=0)
    votes_NC = np.stack([(predicted_MN == c).sum(axis=0) for c in range(3)], axis=1)
    others_N = np.delete(votes_NC, label, axis=1).max(axis=1)
    measures = dict(zip(MEASURES, agreement(histogram(counts_N, 7)), strict=True))
    assert measures["strict_majority_vote"] <= (votes_NC[:, label] > others_N).mean()
