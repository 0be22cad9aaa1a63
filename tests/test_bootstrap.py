import numpy as np
import pytest
from scipy import stats

from dissent import bootstrap, pairwise


def joint_sample(seed, n=400):
    rng = np.random.default_rng(seed)
    difficulty_N = rng.random(n)
    return rng.random((2, n)) < difficulty_N


def test_counts_resampled_agree_with_scipy_resampling_examples():
    correct_2N = joint_sample(0)

    def kappa(first_N, second_N):
        return pairwise.error_consistency(pairwise.pair_counts(np.stack([first_N, second_N])))[0]

    found = bootstrap.multinomial_interval(
        pairwise.pair_counts(correct_2N), pairwise.error_consistency, 4000, seed=0
    )
    expected = stats.bootstrap(
        tuple(correct_2N),
        kappa,
        paired=True,
        vectorized=False,
        n_resamples=4000,
        method="percentile",
        rng=1,
    ).confidence_interval
    width = expected.high - expected.low
    np.testing.assert_allclose(found[:, 0], expected, atol=0.06 * width)


def test_intervals_of_counts_cover_the_truth_about_as_often_as_they_say():
    truth_22 = np.array([[0.15, 0.1], [0.15, 0.6]])
    drawn = np.random.default_rng(0).multinomial(500, truth_22.ravel(), size=600)
    low_P, high_P = bootstrap.multinomial_interval(
        drawn.reshape(-1, 2, 2), pairwise.error_inconsistency, 500, seed=1, level=0.9
    )
    covered = ((low_P <= 0.25) & (high_P >= 0.25)).mean()
    assert covered == pytest.approx(0.9, abs=0.04)


def test_a_pair_with_no_examples_has_no_interval_and_harms_no_other():
    counts_P22 = np.array([[[0, 0], [0, 0]], [[20, 10], [10, 60]]])
    interval_2P = bootstrap.multinomial_interval(
        counts_P22, pairwise.error_inconsistency, 200, seed=0
    )
    assert np.isnan(interval_2P[:, 0]).all()
    assert interval_2P[0, 1] < 0.2 < interval_2P[1, 1]


def test_many_pairs_are_resampled_in_parts(monkeypatch):
    counts_P22 = np.tile([[20, 10], [10, 60]], (9, 1, 1))
    monkeypatch.setattr(bootstrap, "RESAMPLED_ELEMENTS", 2 * 4 * 300)
    low_P, high_P = bootstrap.multinomial_interval(
        counts_P22, pairwise.error_inconsistency, 300, seed=0
    )
    expected = stats.binom(100, 0.2).ppf([0.025, 0.975]) / 100
    np.testing.assert_allclose(low_P, expected[0], atol=0.03)
    np.testing.assert_allclose(high_P, expected[1], atol=0.03)


def test_resampling_examples_agrees_with_scipy():
    values_N = np.random.default_rng(0).exponential(size=150)
    found = bootstrap.bootstrap_interval(np.std, values_N, n_resamples=3000, seed=0)
    expected = stats.bootstrap(
        (values_N,), np.std, n_resamples=3000, method="percentile", rng=1
    ).confidence_interval
    np.testing.assert_allclose(found, expected, atol=0.06 * (expected.high - expected.low))


def test_arrays_are_resampled_together_and_the_seed_decides():
    first_N = np.arange(50.0)

    def gap(a_N, b_N):
        return np.array([(b_N - a_N).mean(), a_N.mean()])

    one = bootstrap.bootstrap_interval(gap, first_N, first_N + 3, n_resamples=50, seed=4)
    again = bootstrap.bootstrap_interval(gap, first_N, first_N + 3, n_resamples=50, seed=4)
    other = bootstrap.bootstrap_interval(gap, first_N, first_N + 3, n_resamples=50, seed=5)
    np.testing.assert_array_equal(one[:, 0], [3, 3])
    np.testing.assert_array_equal(one, again)
    assert (one[:, 1] != other[:, 1]).any()


@pytest.mark.parametrize(("n_undefined", "has_interval"), [(0, True), (5, True), (6, False)])
def test_undefined_resamples_are_left_out_if_they_are_few(n_undefined, has_interval):
    resampled_RP = np.random.default_rng(0).normal(size=(100, 3))
    resampled_RP[:n_undefined, 1] = np.nan
    resampled_RP[:, 2] = np.nan
    found_2P = bootstrap.percentile_interval(resampled_RP, level=0.9)
    np.testing.assert_allclose(found_2P[:, 0], np.quantile(resampled_RP[:, 0], [0.05, 0.95]))
    expected = np.quantile(resampled_RP[n_undefined:, 1], [0.05, 0.95])
    np.testing.assert_allclose(found_2P[:, 1], expected if has_interval else [np.nan, np.nan])
    assert np.isnan(found_2P[:, 2]).all()


def test_several_statistics_are_taken_of_the_same_draws(monkeypatch):
    counts_P22 = np.random.default_rng(0).integers(5, 50, (7, 2, 2))
    monkeypatch.setattr(bootstrap, "RESAMPLED_ELEMENTS", 3 * 4 * 200)
    measures = pairwise.error_inconsistency, pairwise.error_consistency
    together_2PS = bootstrap.multinomial_interval(
        counts_P22, lambda c: np.stack([m(c) for m in measures], axis=-1), 200, seed=3
    )
    for s, measure in enumerate(measures):
        alone_2P = bootstrap.multinomial_interval(counts_P22, measure, 200, seed=3)
        np.testing.assert_array_equal(together_2PS[..., s], alone_2P)
