import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from dissent import calibration
from dissent.commandline import InputError
from dissent.confidence_bins import confidence_calibration_error


def sample(seed=0, n=400, n_classes=7, temperature=1.0):
    """Logits times `temperature`, with labels drawn from the softmax of the logits themselves."""
    rng = np.random.default_rng(seed)
    logits_NC = rng.normal(0, 2, (n, n_classes))
    cumulative_NC = softmax(logits_NC, axis=1).cumsum(axis=1)
    labels_N = (cumulative_NC < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)
    return (logits_NC * temperature).astype(np.float16), labels_N


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_likelihood_and_brier_match_scikit_learn(temperature):
    logits_NC, labels_N = sample()
    probability_NC = softmax(logits_NC.astype(np.float64) / temperature, axis=1)
    assert calibration.negative_log_likelihood(logits_NC, labels_N, temperature) == pytest.approx(
        log_loss(labels_N, probability_NC, labels=range(7))
    )
    assert calibration.brier_score(logits_NC, labels_N, temperature) == pytest.approx(
        brier_score_loss(labels_N, probability_NC, labels=range(7), scale_by_half=False)
    )


@pytest.mark.parametrize("n_bins", [4, 15])
def test_calibration_error_matches_a_loop_over_bins(n_bins):
    logits_NC, labels_N = sample()
    probability_NC = softmax(logits_NC.astype(np.float64) / 0.5, axis=1)
    confidence_N, predicted_N = probability_NC.max(axis=1), probability_NC.argmax(axis=1)
    expected = 0.0
    for index in range(n_bins):
        inside_N = (confidence_N > index / n_bins) & (confidence_N <= (index + 1) / n_bins)
        if inside_N.any():
            accuracy = (predicted_N[inside_N] == labels_N[inside_N]).mean()
            expected += inside_N.mean() * abs(accuracy - confidence_N[inside_N].mean())
    found = calibration.expected_calibration_error(logits_NC, labels_N, 0.5, n_bins)
    assert expected > 0.01
    assert found == pytest.approx(expected, abs=1e-12)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 20),
)
def test_calibration_error_of_confidences_matches_a_loop_over_bins(answers, n_bins):
    # Bins are (low, high], and 0 is in the first.
    edges = np.linspace(0, 1, n_bins + 1)
    gaps = [0.0] * n_bins
    for confidence, correct in answers:
        place = next(b for b in range(n_bins) if confidence <= edges[b + 1])
        gaps[place] += confidence - correct
    confidence_N, correct_N = map(np.array, zip(*answers, strict=True))
    found = confidence_calibration_error(confidence_N, correct_N, n_bins)
    assert found == pytest.approx(sum(map(abs, gaps)) / len(answers), abs=1e-12)


def test_calibration_error_of_confidences_is_that_of_the_scores():
    logits_NC, labels_N = sample()
    probability_NC = softmax(logits_NC.astype(np.float64), axis=1)
    found = confidence_calibration_error(
        probability_NC.max(axis=1), probability_NC.argmax(axis=1) == labels_N
    )
    expected = calibration.expected_calibration_error(logits_NC, labels_N)
    assert found > 0.01
    assert found == pytest.approx(expected, rel=1e-9)


def test_calibration_error_of_a_certain_model_is_its_error_rate():
    logits_NC = np.array([[1e4, 0], [1e4, 0], [1e4, 0], [0, 1e4]])
    assert calibration.expected_calibration_error(logits_NC, np.array([0, 0, 1, 1])) == 0.25


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    """Two wrong answers of confidence 1/2 and two right ones of 0.6 share no bin of (1/2, 3/4]."""
    logits_NC = np.log([[0.5, 0.5], [0.5, 0.5], [0.6, 0.4], [0.6, 0.4]])
    found = calibration.expected_calibration_error(logits_NC, np.array([1, 1, 0, 0]), n_bins=4)
    assert found == pytest.approx((2 * 0.5 + 2 * 0.4) / 4)


@pytest.mark.parametrize("true", [0.2, 1.0, 6.0])
def test_temperature_beats_a_grid_and_finds_the_one_the_labels_were_drawn_with(true):
    logits_NC, labels_N = sample(seed=1, n=4000, temperature=true)
    fitted = calibration.fit_temperature(logits_NC, labels_N)
    grid = np.geomspace(0.05, 20, 400)
    loss = [calibration.negative_log_likelihood(logits_NC, labels_N, t) for t in grid]
    assert calibration.negative_log_likelihood(logits_NC, labels_N, fitted) <= min(loss) + 1e-12
    assert fitted == pytest.approx(grid[np.argmin(loss)], rel=0.02)
    assert fitted == pytest.approx(true, rel=0.1)


def test_temperature_of_a_model_that_is_never_wrong_is_the_lower_bound():
    logits_NC = np.eye(5)[np.arange(20) % 5]
    assert calibration.fit_temperature(logits_NC, np.arange(20) % 5) == pytest.approx(0.01)


def test_temperature_refuses_logits_that_are_not_finite():
    with pytest.raises(InputError, match="not finite"):
        calibration.fit_temperature(np.array([[0.0, np.inf]]), np.array([0]))


@given(st.floats(0.05, 20), st.integers(0, 50))
def test_scores_stay_in_range_and_confidence_falls_with_temperature(temperature, seed):
    logits_NC, labels_N = sample(seed, n=30)
    assert 0 <= calibration.brier_score(logits_NC, labels_N, temperature) <= 2
    assert 0 <= calibration.expected_calibration_error(logits_NC, labels_N, temperature) <= 1
    colder = calibration.log_probabilities(logits_NC, temperature).max(axis=1)
    warmer = calibration.log_probabilities(logits_NC, temperature * 1.5).max(axis=1)
    assert (warmer <= colder).all()
