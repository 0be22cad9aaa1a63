"""Calibration of one model: temperature scaling, and how good its probabilities are.

Everything is computed in float64 from logits [N, C] divided by a temperature.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from dissent.commandline import InputError
from dissent.confidence_bins import confidence_calibration_error

TEMPERATURES = 0.01, 100.0


def fit_temperature(logits_NC: np.ndarray, labels_N: np.ndarray) -> float:
    """Temperature of least negative log-likelihood (Guo et al. 2017), between 0.01 and 100.

    The end of that range if the likelihood grows towards it, as for a model that is never wrong.
    Raises InputError for logits that are not finite.
    """
    logits_NC = np.asarray(logits_NC, dtype=np.float64)
    if not np.isfinite(logits_NC).all():
        raise InputError("cannot fit a temperature: some logits are not finite numbers")
    above_label_NC = logits_NC - np.take_along_axis(logits_NC, labels_N[:, None], axis=1)

    def loss(log_temperature: float) -> float:
        return logsumexp(above_label_NC / np.exp(log_temperature), axis=1).mean()

    bounds = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(min([found.x, *bounds], key=loss)))


def log_probabilities(logits_NC: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Log-softmax of logits / temperature, float64 [N, C]."""
    return log_softmax(np.asarray(logits_NC, dtype=np.float64) / temperature, axis=1)


def negative_log_likelihood(
    logits_NC: np.ndarray, labels_N: np.ndarray, temperature: float = 1.0
) -> float:
    """Mean negative log-probability of the true class, in nats."""
    log_probability_NC = log_probabilities(logits_NC, temperature)
    return float(-np.take_along_axis(log_probability_NC, labels_N[:, None], axis=1).mean())


def brier_score(logits_NC: np.ndarray, labels_N: np.ndarray, temperature: float = 1.0) -> float:
    """Mean squared distance of the probabilities to the one-hot truth, summed over classes."""
    error_NC = np.exp(log_probabilities(logits_NC, temperature))
    error_NC[np.arange(len(labels_N)), labels_N] -= 1
    return float((error_NC**2).sum(axis=1).mean())


def expected_calibration_error(
    logits_NC: np.ndarray, labels_N: np.ndarray, temperature: float = 1.0, n_bins: int = 15
) -> float:
    """Expected calibration error of the tempered probabilities (`confidence_calibration_error`)."""
    log_probability_NC = log_probabilities(logits_NC, temperature)
    correct_N = log_probability_NC.argmax(axis=1) == labels_N
    return confidence_calibration_error(np.exp(log_probability_NC.max(axis=1)), correct_N, n_bins)
