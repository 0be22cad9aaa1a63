import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from dissent import pairwise, shift


def correct(seed, n_models=4, n=200, easy=0.0):
    """Models that share a part of their errors."""
    rng = np.random.default_rng(seed)
    return rng.random((n_models, n)) + rng.random(n) < 1.2 + easy


def test_means_match_loops_over_pairs_and_scikit_learn():
    first_MN, second_MN = correct(0, easy=0.4), correct(1, n=150)
    found = shift.mean_measures([pairwise.pair_counts(first_MN), pairwise.pair_counts(second_MN)])
    kept = []
    pairs = [(i, j) for i in range(4) for j in range(i)]
    for row, correct_MN in zip(found, (first_MN, second_MN), strict=True):
        accuracy_M = correct_MN.mean(axis=1)
        inconsistent = [(correct_MN[i] != correct_MN[j]).mean() for i, j in pairs]
        chance = [
            accuracy_M[i] * (1 - accuracy_M[j]) + accuracy_M[j] * (1 - accuracy_M[i])
            for i, j in pairs
        ]
        kappa = [cohen_kappa_score(correct_MN[i], correct_MN[j]) for i, j in pairs]
        kept = kept or kappa
        at_kept = [c * (1 - k) for c, k in zip(chance, kept, strict=True)]
        expected = [np.mean(x) for x in (accuracy_M, inconsistent, chance, kappa, at_kept)]
        np.testing.assert_allclose(row, expected)


@given(st.integers(0, 30))
def test_at_its_own_kappa_error_inconsistency_is_what_it_is(seed):
    counts = [pairwise.pair_counts(correct(seed, n=50)) for _ in range(2)]
    names = ("error_inconsistency", "error_inconsistency_at_original_kappa")
    own, at_original = (shift.mean_measures(counts)[:, shift.MEASURES.index(n)] for n in names)
    np.testing.assert_allclose(own, at_original, atol=1e-12)


def test_resamples_spread_as_means_over_examples_do():
    """Copies of a pair share its examples, so they do not narrow the spread."""
    pair_2N = correct(2, n_models=2, n=400)
    other_2N = correct(3, n_models=2, n=100)
    correct_MN, other_MN = np.repeat(pair_2N, 3, axis=0), np.repeat(other_2N, 3, axis=0)
    values = shift.resampled_means([correct_MN, other_MN], 1500, np.random.default_rng(0))
    assert values.shape == (1501, 2, len(shift.MEASURES))
    np.testing.assert_allclose(
        values[0],
        shift.mean_measures([pairwise.pair_counts(correct_MN), pairwise.pair_counts(other_MN)]),
    )
    # 9 of the 15 pairs are of different models.
    for at, (first, second) in enumerate((pair_2N, other_2N)):
        inconsistent_N = 0.6 * (first != second)
        spread = inconsistent_N.std() / np.sqrt(len(inconsistent_N))
        assert values[1:, at, 1].std() == pytest.approx(spread, rel=0.08)
        assert values[1:, at, 1].mean() == pytest.approx(inconsistent_N.mean(), abs=spread / 8)
    # Data sets are resampled on their own.
    assert abs(np.corrcoef(values[1:, 0, 1], values[1:, 1, 1])[0, 1]) < 0.1
