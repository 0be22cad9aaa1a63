import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats.contingency import crosstab, odds_ratio
from sklearn.metrics import cohen_kappa_score

from dissent import pairwise, shift


def correct(seed, n_models=4, n=200, easy=0.0):
    """Models that share a part of their errors."""
    rng = np.random.default_rng(seed)
    return rng.random((n_models, n)) + rng.random(n) < 1.2 + easy


def both_right(odds, first, second):
    """Root of the odds ratio on the probability that both are right, found by bisection."""
    low, high = max(0, first + second - 1), min(first, second)

    def excess(both):
        same = both * (1 - first - second + both)
        return same - odds * (first - both) * (second - both)

    # Where one model is always or never right, they differ by rounding alone.
    return brentq(excess, low, high, xtol=1e-15) if high - low > 1e-12 else low


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
        tables = [crosstab(correct_MN[i], correct_MN[j]).count for i, j in pairs]
        ratios = [odds_ratio(table, kind="sample").statistic for table in tables]
        kept = kept or list(zip(kappa, ratios, strict=True))
        at_kappa = [c * (1 - k) for c, (k, _) in zip(chance, kept, strict=True)]
        at_odds = []
        for (i, j), (_, odds) in zip(pairs, kept, strict=True):
            first, second = accuracy_M[i], accuracy_M[j]
            at_odds.append(first + second - 2 * both_right(odds, first, second))
        measures = (accuracy_M, inconsistent, chance, kappa, at_kappa, at_odds)
        expected = [np.mean(x) for x in measures]
        np.testing.assert_allclose(row, expected)


@given(st.integers(0, 30))
def test_at_its_own_dependence_error_inconsistency_is_what_it_is(seed):
    counts = [pairwise.pair_counts(correct(seed, n=50)) for _ in range(2)]
    own, *at_original = shift.mean_measures(counts)[:, [1, 4, 5]].T
    for values in at_original:
        np.testing.assert_allclose(own, values, atol=1e-12)


CELLS = st.lists(st.integers(0, 60), min_size=4, max_size=4).filter(any)


@given(CELLS, CELLS)
def test_odds_ratio_is_kept_at_other_accuracies(original, shifted):
    """Also where models are always right or never, or the odds ratio is below 1."""
    original_122, shifted_122 = (np.array(c).reshape(1, 2, 2) for c in (original, shifted))
    (odds,) = shift.odds_ratio(original_122)
    n00, n01, n10, n11 = np.array(original) + (0 if all(original) else 0.5)
    assert odds == pytest.approx(n11 * n00 / (n10 * n01))
    (first,), (second,) = pairwise.accuracies(shifted_122)
    (found,) = shift.error_inconsistency_at(np.array([odds]), shifted_122)
    expected = first + second - 2 * both_right(odds, first, second)
    assert found == pytest.approx(expected, abs=1e-10)


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
