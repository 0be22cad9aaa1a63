"""Whether what is known of networks goes with how accurate they are, on few networks.

Networks (M) are the draws: permutations deal them anew, intervals are for new ones. Values of few
networks are far from normal, yet intervals by Fisher's transformation hold their level better than
the bootstrap, which is far too narrow for eight of them.
"""

import itertools
import math

import numpy as np
from scipy import stats

from dissent.welch_intervals import variance_of_mean, welch_interval

ROUNDING = 1e-12  # so that permutations of equal value tie whatever the order of their sums
LEAST_FOR_INTERVAL = 4  # Fisher's standard error is 1 / sqrt(n - 3)
PERMUTED_ELEMENTS = 2**22  # differences held at a time: 32 MB


def relabellings(n_members: int, n_permutations: int, seed: int) -> np.ndarray:
    """Permutations of members, int [R, M]: all if they are no more than asked for, else drawn.

    The first leaves all as it is, so that the share of rows at least as extreme as it is the exact
    p value, or (1 + count) / (1 + permutations), which is never too small (Phipson and Smyth 2010).
    """
    if math.factorial(n_members) <= n_permutations:
        return np.array(list(itertools.permutations(range(n_members))))
    rng = np.random.default_rng(seed)
    drawn_RM = rng.permuted(np.tile(np.arange(n_members), (n_permutations, 1)), axis=1)
    return np.vstack([np.arange(n_members), drawn_RM])


def pearson(first_M: np.ndarray, second_M: np.ndarray) -> float:
    """Pearson's r; NaN if a side is constant or not finite, or there are fewer than three."""
    if len(first_M) < 3 or not _varies(first_M) or not _varies(second_M):
        return np.nan
    return float(np.clip(np.corrcoef(first_M, second_M)[0, 1], -1, 1))


def pearson_p(first_M: np.ndarray, second_M: np.ndarray, index_RM: np.ndarray) -> float:
    """How often members dealt anew (`relabellings`) correlate as much, in either direction."""
    if np.isnan(pearson(first_M, second_M)):
        return np.nan
    size_R = np.abs(second_M[index_RM] @ (first_M - first_M.mean()))
    return _share_as_extreme(size_R / (first_M.std() * second_M.std() * len(first_M)))


def mantel(distance_P: np.ndarray, values_M: np.ndarray, index_RM: np.ndarray):
    """Pearson's r of distances with the pairs' absolute differences in value, and its p value.

    The p value is of a positive r, by permuting members (Mantel 1967), since pairs that share one
    are not independent. `distance_P` in the order of `itertools.combinations`. NaN as of `pearson`.
    """
    first_P, second_P = np.triu_indices(len(values_M), 1)
    r = pearson(distance_P, np.abs(values_M[first_P] - values_M[second_P]))
    if np.isnan(r):
        return np.nan, np.nan
    centred_P = (distance_P - distance_P.mean()) / (distance_P.std() * len(distance_P))
    at_a_time = max(1, PERMUTED_ELEMENTS // len(first_P))
    parts = []
    for start in range(0, len(index_RM), at_a_time):
        values_RM = values_M[index_RM[start : start + at_a_time]]
        parts.append(np.abs(values_RM[:, first_P] - values_RM[:, second_P]) @ centred_P)
    scale = np.abs(values_M[first_P] - values_M[second_P]).std()
    return r, _share_as_extreme(np.concatenate(parts) / scale)


def _share_as_extreme(values_R: np.ndarray) -> float:
    return float(np.mean(values_R >= values_R[0] - ROUNDING))


def _varies(values_M: np.ndarray) -> bool:
    spread = np.ptp(values_M)
    return bool(np.isfinite(spread) and spread > ROUNDING * np.abs(values_M).max())


def pearson_interval(r: float, n_members: int, level: float) -> tuple[float, float]:
    """Interval of Pearson's r by Fisher's transformation; NaN of fewer than four members."""
    if n_members < LEAST_FOR_INTERVAL or np.isnan(r):
        return np.nan, np.nan
    with np.errstate(divide="ignore"):
        middle = np.arctanh(r)
    reach = stats.norm.ppf((1 + level) / 2) / np.sqrt(n_members - 3)
    return float(np.tanh(middle - reach)), float(np.tanh(middle + reach))


def stronger(
    values_M: np.ndarray, first_M: np.ndarray, second_M: np.ndarray, level: float
) -> tuple[float, float, float]:
    """|r| of values with the first predictor less |r| with the second, and its interval.

    Zou 2007 (Psychological Methods 12), section on overlapping correlations: it joins the intervals
    of the two r, and minds that they are of the same members. NaN where an r is.
    """
    r1, r2 = pearson(values_M, first_M), pearson(values_M, second_M)
    r12 = pearson(first_M, second_M) * np.sign(r1) * np.sign(r2)
    r1, r2 = abs(r1), abs(r2)
    low1, high1 = pearson_interval(r1, len(values_M), level)
    low2, high2 = pearson_interval(r2, len(values_M), level)
    together = _correlation_of_correlations(r1, r2, r12)

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 + other**2 - 2 * together * one * other))

    if np.isnan([low1, low2, together]).any():
        return r1 - r2, np.nan, np.nan
    below, above = reach(r1 - low1, high2 - r2), reach(high1 - r1, r2 - low2)
    return r1 - r2, r1 - r2 - below, r1 - r2 + above


def _correlation_of_correlations(r1: float, r2: float, r12: float) -> float:
    """Of two estimated correlations of one variable with two that correlate by r12."""
    rest = 1 - r1**2 - r2**2 - r12**2
    product = (1 - r1**2) * (1 - r2**2)
    return ((r12 - r1 * r2 / 2) * rest + r12**3) / product if product > ROUNDING else np.nan


def difference(
    right_MN: np.ndarray, large_M: np.ndarray, small_M: np.ndarray, level: float
) -> tuple[float, float, float]:
    """Mean accuracy of the large less that of the small cluster, with its interval.

    Variances over the networks of each cluster and over examples add up, with Student's t
    (`welch_intervals.welch_interval`). Others like a network that is a cluster by itself are
    taken to differ as much as those of the other cluster (Crawford and Howell 1998, The Clinical
    Neuropsychologist 12). NaN if both clusters are of one network.
    """
    by_example_N = right_MN[large_M].mean(axis=0) - right_MN[small_M].mean(axis=0)
    accuracy_M = right_MN.mean(axis=1)
    value = float(by_example_N.mean())
    clusters = [part for part in (accuracy_M[large_M], accuracy_M[small_M]) if len(part) > 1]
    if not clusters:
        return value, np.nan, np.nan
    parts = [*clusters, by_example_N]
    variances = [variance_of_mean(part) for part in parts]
    if len(clusters) == 1:
        variances[0] *= 1 + len(clusters[0])
    return value, *welch_interval(value, variances, [len(part) - 1 for part in parts], level)


def oriented(value: float, low: float, high: float) -> tuple[float, float, float]:
    """The same with the sign that makes the value positive, which a cluster's name leaves open.

    A two-sided interval that so lies above 0 is as rare by chance as one that leaves out 0.
    """
    return (-value, -high, -low) if value < 0 else (value, low, high)
