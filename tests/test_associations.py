import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from dissent import associations
from dissent.associations import pearson, relabellings

values = st.integers(3, 4).flatmap(
    lambda n: st.tuples(*[arrays(float, n, elements=st.integers(0, 6))] * 3)
)


def correlation(first, second):
    return float(np.corrcoef(first, second)[0, 1])


@given(values)
def test_p_values_of_few_members_are_those_of_all_permutations(values):
    first_M, second_M, _ = values
    assume(np.ptp(first_M) and np.ptp(second_M))
    index_RM = relabellings(len(first_M), 1000, 0)
    assert len(index_RM) == math.factorial(len(first_M))
    seen = abs(correlation(first_M, second_M))
    dealt = [abs(correlation(first_M, order)) for order in itertools.permutations(second_M)]
    expected = np.mean(np.array(dealt) >= seen - 1e-9)
    assert associations.pearson_p(first_M, second_M, index_RM) == pytest.approx(expected)


@given(values, st.randoms())
def test_mantel_permutes_members_and_is_of_a_positive_correlation(values, random):
    values_M, _, _ = values
    pairs = list(itertools.combinations(range(len(values_M)), 2))
    distance_P = np.array([random.randrange(5) for _ in pairs], float)

    def of(order):
        apart = [abs(order[i] - order[j]) for i, j in pairs]
        return correlation(distance_P, apart)

    apart_P = [abs(values_M[i] - values_M[j]) for i, j in pairs]
    assume(np.ptp(distance_P) and np.ptp(apart_P))
    dealt = [of(order) for order in itertools.permutations(values_M)]
    found = associations.mantel(distance_P, values_M, relabellings(len(values_M), 1000, 0))
    assert found[0] == pytest.approx(of(values_M))
    assert found[1] == pytest.approx(np.mean(np.array(dealt) >= of(values_M) - 1e-9))


def test_of_many_members_p_is_students_nearly_and_never_nought(monkeypatch):
    rng = np.random.default_rng(0)
    first_M = rng.normal(size=30)
    near_M = 0.3 * first_M + rng.normal(size=30)
    index_RM = relabellings(30, 4999, 0)
    assert (np.sort(index_RM, axis=1) == np.arange(30)).all()
    expected = stats.pearsonr(first_M, near_M).pvalue
    assert associations.pearson_p(first_M, near_M, index_RM) == pytest.approx(expected, abs=0.02)
    assert associations.pearson_p(first_M, first_M, index_RM) == 1 / 5000
    upper = np.triu_indices(30, 1)
    distance_P = np.abs(first_M[upper[0]] - first_M[upper[1]])
    whole = associations.mantel(distance_P, near_M, index_RM)
    monkeypatch.setattr(associations, "PERMUTED_ELEMENTS", 10_000)
    assert associations.mantel(distance_P, near_M, index_RM) == pytest.approx(whole)
    assert associations.mantel(distance_P, first_M, index_RM) == (pytest.approx(1), 1 / 5000)


def test_a_permutation_test_is_wrong_as_rarely_as_it_says():
    rng = np.random.default_rng(0)
    index_RM = relabellings(6, 720, 0)
    p_values = [associations.pearson_p(*rng.exponential(size=(2, 6)), index_RM) for _ in range(600)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=0.05)


@pytest.mark.parametrize(
    "values_M", [np.ones(5), np.array([1, np.nan, 3, 2, 5]), np.full(5, 0.1 + 0.2)]
)
def test_no_correlation_with_what_does_not_vary_or_is_unknown(values_M):
    other_M = np.arange(5.0)
    index_RM = relabellings(5, 10, 0)
    assert np.isnan(pearson(values_M, other_M))
    assert np.isnan(associations.pearson_p(values_M, other_M, index_RM))
    assert np.isnan(associations.mantel(np.arange(10.0), values_M, index_RM)).all()
    assert np.isnan(associations.stronger(other_M, values_M, other_M[::-1], 0.95)).all()


@given(st.floats(-0.99, 0.99), st.integers(4, 40))
def test_the_interval_of_a_correlation_is_scipys(r, n):
    rng = np.random.default_rng(0)
    first, rest = np.linalg.qr(np.column_stack([np.ones(n), rng.normal(size=(n, 2))]))[0][:, 1:].T
    second = r * first + np.sqrt(1 - r**2) * rest
    expected = stats.pearsonr(first, second).confidence_interval(0.9)
    found = associations.pearson_interval(pearson(first, second), n, 0.9)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_three_members_have_no_interval():
    assert np.isnan(associations.pearson_interval(0.5, 3, 0.95)).all()


def test_the_interval_of_a_difference_in_correlation_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)

    def drawn(n):
        """Two strategies, a good and a poor predictor of which."""
        strategy = (rng.random(n) < 0.4) + 0.15 * rng.normal(size=n)
        first = -strategy + 0.2 * rng.normal(size=n)
        return strategy, first, strategy + 0.9 * rng.normal(size=n)

    strategy, first, second = drawn(200_000)
    true = abs(correlation(strategy, first)) - abs(correlation(strategy, second))
    held = sum(
        low <= true <= high
        for _, low, high in (associations.stronger(*drawn(8), 0.9) for _ in range(1000))
    )
    assert held / 1000 == pytest.approx(0.9, abs=0.06)


@given(values)
def test_of_two_predictors_the_other_has_the_opposite_difference(values):
    value, low, high = associations.stronger(*values, 0.95)
    turned = associations.stronger(values[0], values[2], values[1], 0.95)
    np.testing.assert_allclose(turned, (-value, -high, -low), atol=1e-9)
    flipped = associations.stronger(values[0], -values[1], values[2], 0.95)
    np.testing.assert_allclose(flipped, (value, low, high), atol=1e-9)


@pytest.mark.parametrize("n_large", [6, 8])
def test_clusters_differ_by_means_with_an_interval_over_networks_and_examples(n_large):
    rng = np.random.default_rng(0)
    large_M = np.arange(9) < n_large
    true, held = 0.4, 0
    for _ in range(400):
        ease_N = rng.normal(0, 0.1, 60)
        skill_M = np.where(large_M, 0.7, 0.3) + rng.normal(0, 0.05, 9)
        right_MN = rng.random((9, 60)) < skill_M[:, None] + ease_N
        value, low, high = associations.difference(right_MN, large_M, ~large_M, 0.9)
        of_each = right_MN.mean(axis=1)
        assert value == pytest.approx(of_each[large_M].mean() - of_each[~large_M].mean())
        held += low <= true <= high
    assert 0.87 * 400 < held < 400  # on the wide side: noise of examples is in both variances


def test_two_networks_have_no_interval():
    right_MN = np.random.default_rng(0).random((2, 30)) < 0.5
    large_M = np.array([True, False])
    value, *ends = associations.difference(right_MN, large_M, ~large_M, 0.95)
    assert np.isfinite(value)
    assert np.isnan(ends).all()


def test_orientation_turns_the_whole_interval():
    assert associations.oriented(-2, -3, 1) == (2, -1, 3)
    assert associations.oriented(2, -1, 3) == (2, -1, 3)
