"""Calibration of ensembles, whose members are tempered before they are averaged, after, or never.

Averaging makes predictions less confident, so members that are calibrated alone make an ensemble
that is not confident enough; a temperature of the average itself repairs that (Rahaman and Thiery
2021, arXiv 2007.08792; Wu and Gales 2021, arXiv 2101.05397).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from dissent.calibration import log_probabilities
from dissent.confidence_bins import confidence_bin, confidence_calibration_error

VARIANTS = ("raw", "members_scaled", "ensemble_scaled")
MEASURES = ("accuracy", "nll", "brier", "overconfidence", "ece")
RESAMPLES_AT_A_TIME = 200


def mean_log_probabilities(
    logits: Sequence[np.ndarray], temperatures: Sequence[float]
) -> np.ndarray:
    """Logarithm of the mean of the members' tempered probabilities, float64 [N, C]."""
    members = zip(logits, temperatures, strict=True)
    logarithms = [log_probabilities(logits_NC, temperature) for logits_NC, temperature in members]
    return np.logaddexp.reduce(logarithms, axis=0) - np.log(len(logarithms))


def ensemble_prediction(log_probability_NC: np.ndarray, predicted_MN: np.ndarray) -> np.ndarray:
    """Class [N] of an ensemble: the one its members agree on, elsewhere its most probable.

    What members predict is given, since the stored float16 logits may say otherwise.
    """
    agree_N = (predicted_MN == predicted_MN[0]).all(axis=0)
    return np.where(agree_N, predicted_MN[0], log_probability_NC.argmax(axis=1))


def score_columns(
    log_probability_NC: np.ndarray, correct_N: np.ndarray, labels_N: np.ndarray, n_bins: int
) -> np.ndarray:
    """What the MEASURES are means of, float64 [N, 4 + B].

    Correctness, negative log-likelihood (nats), Brier score (summed over classes), confidence less
    correctness, and the same again in the column of the example's bin of confidence.
    """
    row_N = np.arange(len(labels_N))
    probability_NC = np.exp(log_probability_NC)
    confidence_N = probability_NC.max(axis=1)
    gap_NB = np.zeros((len(labels_N), n_bins))
    gap_NB[row_N, confidence_bin(confidence_N, n_bins) - 1] = confidence_N - correct_N
    brier_N = (probability_NC**2).sum(axis=1) - 2 * probability_NC[row_N, labels_N] + 1
    scores = correct_N, -log_probability_NC[row_N, labels_N], brier_N, confidence_N - correct_N
    return np.column_stack([*scores, gap_NB])


def resampled_scores(columns_NK: np.ndarray, counts_NR: np.ndarray) -> np.ndarray:
    """Each of MEASURES, float64 [R, 5], from `score_columns` and how often examples are drawn.

    The first column of `counts_NR` is the sample itself. Resamples repeat examples, which adds to
    their calibration error; so those are shifted to have the sample's value as their mean. They
    show the spread of that estimate, which is too high for small samples itself; their percentiles
    are no interval of the true calibration error.
    """
    starts = range(0, counts_NR.shape[1], RESAMPLES_AT_A_TIME)
    parts = [counts_NR[:, at : at + RESAMPLES_AT_A_TIME].T.astype(np.float64) for at in starts]
    means_RK = np.concatenate([part_RN @ columns_NK for part_RN in parts]) / len(columns_NK)
    error_R = np.abs(means_RK[:, 4:]).sum(axis=1)
    error_R[1:] += error_R[0] - error_R[1:].mean()
    return np.column_stack([means_RK[:, :4], error_R])


def calibrated_errors(
    confidence_N: np.ndarray, n_bins: int, n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Calibration errors, [R], of a calibrated model with these confidences (Broecker, Smith 2007).

    Whether it is right is drawn anew each time, with the confidence as the probability. This is how
    far from 0 the calibration error lies for want of examples alone.
    """
    drawn = (rng.random(len(confidence_N)) < confidence_N for _ in range(n_resamples))
    return np.array([confidence_calibration_error(confidence_N, c_N, n_bins) for c_N in drawn])


def reliability_bins(
    confidence_N: np.ndarray, correct_N: np.ndarray, n_bins: int, level: float
) -> pd.DataFrame:
    """One row a bin of confidence that has examples: its ends, means, and n.

    `low` and `high` are the Wilson interval of the accuracy.
    """
    table = pd.DataFrame({"confidence": confidence_N, "accuracy": correct_N})
    bins = table.groupby(confidence_bin(confidence_N, n_bins))
    means = bins.mean().assign(n=bins.size())
    edges = np.linspace(0, 1, n_bins + 1)
    intervals = [
        binomtest(round(row.accuracy * row.n), row.n).proportion_ci(level, "wilson")
        for row in means.itertuples()
    ]
    ends = pd.DataFrame(intervals, index=means.index)
    means = means.assign(bin_from=edges[means.index - 1], bin_to=edges[means.index], **ends)
    return means.reset_index(drop=True)
