import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scipy.stats import binom
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from dissent import calibration, reliability

N_BINS = 15


def sample(seed=0, n=300, n_members=3, n_classes=6):
    rng = np.random.default_rng(seed)
    logits_MNC = rng.normal(0, 2, (n_members, n, n_classes))
    return logits_MNC, rng.integers(n_classes, size=n)


def scores(log_probability_NC, labels_N, counts_NR=None):
    """Of the sample itself, and of its resamples: of itself once more, unless others are given."""
    counts_NR = np.ones((len(labels_N), 2), int) if counts_NR is None else counts_NR
    correct_N = log_probability_NC.argmax(axis=1) == labels_N
    columns_NK = reliability.score_columns(log_probability_NC, correct_N, labels_N, N_BINS)
    return reliability.resampled_scores(columns_NK, counts_NR)


def test_probabilities_are_averaged_not_their_logarithms():
    logits_MNC, _ = sample()
    temperatures = [0.5, 1, 3]
    found = reliability.mean_log_probabilities(logits_MNC, temperatures)
    members = [softmax(x / t, axis=1) for x, t in zip(logits_MNC, temperatures, strict=True)]
    np.testing.assert_allclose(np.exp(found), np.mean(members, axis=0))


def test_probabilities_too_small_for_a_float_keep_their_logarithms():
    logits_NC = np.array([[0, -5000.0]])
    found = reliability.mean_log_probabilities([logits_NC, logits_NC], [1, 2])
    np.testing.assert_allclose(found, [[0, np.log(0.5) - 2500]])


@given(st.integers(0, 50))
def test_an_average_is_no_worse_than_its_members_are_on_average(seed):
    """Both losses are convex in the probabilities (Jensen's inequality)."""
    logits_MNC, labels_N = sample(seed, n=20)
    together = scores(reliability.mean_log_probabilities(logits_MNC, [1] * 3), labels_N)
    members = [scores(log_softmax(x, axis=1), labels_N) for x in logits_MNC]
    for measure in ("nll", "brier"):
        at = reliability.MEASURES.index(measure)
        assert together[0, at] <= np.mean(members, axis=0)[0, at] + 1e-12


def test_members_that_agree_decide():
    log_probability_NC = np.log([[0.6, 0.4], [0.3, 0.7]])
    predicted_MN = np.array([[1, 0], [1, 1]])
    found = reliability.ensemble_prediction(log_probability_NC, predicted_MN)
    assert found.tolist() == [1, 1]


def test_scores_match_scikit_learn():
    logits_MNC, labels_N = sample()
    probability_NC = softmax(logits_MNC[0], axis=1)
    found = scores(log_softmax(logits_MNC[0], axis=1), labels_N)[0]
    accuracy = accuracy_score(labels_N, probability_NC.argmax(axis=1))
    expected = {
        "accuracy": accuracy,
        "nll": log_loss(labels_N, probability_NC, labels=range(6)),
        "brier": brier_score_loss(labels_N, probability_NC, labels=range(6), scale_by_half=False),
        "overconfidence": probability_NC.max(axis=1).mean() - accuracy,
        "ece": calibration.expected_calibration_error(logits_MNC[0], labels_N),
    }
    np.testing.assert_allclose(found, [expected[name] for name in reliability.MEASURES])


def test_resamples_are_scores_of_repeated_examples():
    logits_MNC, labels_N = sample(n=40)
    log_NC = log_softmax(logits_MNC[0], axis=1)
    counts_NR = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=9).T
    counts_NR = np.column_stack([np.ones(40, int), counts_NR])
    found = scores(log_NC, labels_N, counts_NR)
    for count_N, row in zip(counts_NR.T, found, strict=True):
        drawn_N = np.repeat(np.arange(40), count_N)
        once = scores(log_NC[drawn_N], labels_N[drawn_N])[0]
        np.testing.assert_allclose(row[:4], once[:4])
    assert found[1:, 4].mean() == pytest.approx(found[0, 4])


def test_calibration_error_of_a_calibrated_model_in_one_bin_is_binomial():
    n, confidence = 50, 0.7
    found = reliability.calibrated_errors(
        np.full(n, confidence), N_BINS, 4000, np.random.default_rng(0)
    )
    right = np.arange(n + 1)
    expected = (binom.pmf(right, n, confidence) * np.abs(right / n - confidence)).sum()
    assert found.mean() == pytest.approx(expected, rel=0.04)


def test_bins_match_a_loop_and_have_wilson_intervals():
    rng = np.random.default_rng(1)
    confidence_N = rng.uniform(0.2, 1, 500)
    confidence_N[:2] = 0.4, 1  # on edges, which belong to the bin below
    correct_N = rng.random(500) < confidence_N
    found = reliability.reliability_bins(confidence_N, correct_N, 5, 0.95)
    assert found["n"].sum() == 500
    rows = iter(found.itertuples())
    for low in (0.2, 0.4, 0.6, 0.8):
        inside_N = (confidence_N > low) & (confidence_N <= low + 0.2 + 1e-12)
        row, n = next(rows), inside_N.sum()
        assert (row.bin_from, row.bin_to) == pytest.approx((low, low + 0.2))
        accuracy = correct_N[inside_N].mean()
        assert (row.n, row.accuracy) == (n, pytest.approx(accuracy))
        assert row.confidence == pytest.approx(confidence_N[inside_N].mean())
        z = 1.959963984540054
        centre = (accuracy + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(accuracy * (1 - accuracy) / n + z**2 / (4 * n**2))
        assert (row.low, row.high) == pytest.approx((centre - half, centre + half))
    assert next(rows, None) is None
