import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from dissent import clusters
from dissent.relations import resample_models

accuracies = st.integers(0, 12).map(lambda right: right / 12)


@st.composite
def models(draw):
    """Values, accuracies and clusters of some models, two or more in each cluster."""
    n = draw(st.integers(4, 9))
    large_P = draw(arrays(bool, n))
    assume(2 <= large_P.sum() <= n - 2)
    values_P, accuracy_P = (draw(arrays(float, n, elements=accuracies)) for _ in "ab")
    return values_P, accuracy_P, large_P


@given(models(), st.integers(0, 3))
def test_means_are_of_the_models_drawn(models, seed):
    values_P, _, large_P = models
    index_RP = resample_models(large_P, 5, np.random.default_rng(seed))
    small_R, large_R = clusters.cluster_means(values_P, large_P, index_RP)
    assert small_R[0] == pytest.approx(values_P[~large_P].mean())
    for row, index_P in enumerate(index_RP):
        drawn = [(large_P[i], values_P[i]) for i in index_P]
        for cluster, mean in ((False, small_R[row]), (True, large_R[row])):
            assert mean == pytest.approx(np.mean([value for of, value in drawn if of == cluster]))


# Equal means, but for rounding.
TIED = np.array([3, 6, 9, 7, 7, 11, 11]) / 12, np.zeros(7), np.array([0, 1, 0, 1, 1, 1, 0], bool)

# A cluster of one model, which scipy has no test for.
ALONE = np.array([3, 6, 1, 5]) / 12, np.zeros(4), np.array([1, 0, 0, 0], bool)


@given(models())
@example(TIED)
@example(ALONE)
def test_of_few_models_all_deals_are_counted(models):
    values_P, _, large_P = models

    def difference(chosen):
        others = [i for i in range(len(values_P)) if i not in chosen]
        return abs(values_P[list(chosen)].mean() - values_P[others].mean())

    seen = difference(np.flatnonzero(large_P))
    deals = list(combinations(range(len(values_P)), int(large_P.sum())))
    exact = np.mean([difference(deal) >= seen - 1e-12 for deal in deals])
    assert clusters.permutation_p(values_P, large_P, 1000, 0) == pytest.approx(exact)


def test_of_many_models_the_p_value_is_never_nought_and_is_that_of_students_test_nearly():
    rng = np.random.default_rng(0)
    large_P = np.arange(60) < 40
    apart_P = np.where(large_P, 1.0, 0.0) + rng.normal(0, 0.1, 60)
    assert clusters.permutation_p(apart_P, large_P, 999, 0) == pytest.approx(1 / 1000)
    near_P = 0.4 * large_P + rng.normal(0, 1, 60)
    expected = stats.ttest_ind(near_P[large_P], near_P[~large_P]).pvalue
    assert clusters.permutation_p(near_P, large_P, 9999, 0) == pytest.approx(expected, abs=0.02)


@given(models())
def test_the_correlation_is_the_point_biserial_formula(models):
    values_P, _, large_P = models
    assume(np.ptp(values_P) > 0)
    share = large_P.mean()
    difference = values_P[large_P].mean() - values_P[~large_P].mean()
    expected = difference / values_P.std() * np.sqrt(share * (1 - share))
    found = clusters.membership_correlation(values_P, large_P)
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_constant_has_no_correlation_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(clusters.membership_correlation(np.ones(4), np.arange(4) < 2))


def matched_by_loop(values_P, accuracy_P, large_P, caliper, index_P):
    small, large = index_P[~large_P], index_P[large_P]
    differences = []
    for i in small:
        near = [values_P[j] for j in large if abs(accuracy_P[i] - accuracy_P[j]) <= caliper]
        if near:
            differences.append(np.mean(near) - values_P[i])
    return (np.mean(differences) if differences else np.nan), len(differences)


@given(models(), st.floats(0, 0.5), st.integers(0, 3))
def test_matching_as_a_loop_does_it(models, caliper, seed):
    values_P, accuracy_P, large_P = models
    index_RP = resample_models(large_P, 5, np.random.default_rng(seed))
    given = values_P, accuracy_P, large_P, caliper
    difference_R, n_R = clusters.matched_difference(*given, index_RP)
    expected = [matched_by_loop(*given, index_P) for index_P in index_RP]
    np.testing.assert_allclose(difference_R, [difference for difference, _ in expected], atol=1e-12)
    np.testing.assert_array_equal(n_R, [n for _, n in expected])


def test_matching_takes_out_what_accuracy_explains():
    rng = np.random.default_rng(0)
    large_P = np.arange(400) < 300
    accuracy_P = 0.8 + 0.05 * rng.random(400) + 0.02 * large_P
    values_P = 10 * accuracy_P + 0.5 * large_P
    index_1P = np.arange(400)[None]
    (difference,), (n,) = clusters.matched_difference(
        values_P, accuracy_P, large_P, 0.002, index_1P
    )
    assert difference == pytest.approx(0.5, abs=0.01)
    assert 50 < n < 100
    small_R, large_R = clusters.cluster_means(values_P, large_P, index_1P)
    assert large_R - small_R == pytest.approx(0.7, abs=0.05)
