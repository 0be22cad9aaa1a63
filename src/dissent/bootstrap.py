"""Intervals: percentile bootstrap over examples, and Student's t for a mean over models."""

from collections.abc import Callable

import numpy as np
from scipy import stats

RESAMPLED_ELEMENTS = 2**22  # resampled counts held at a time: 32 MB


def percentile_interval(resampled_R: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Lower and upper end of the central `level` of resampled values, [2, ...] from [R, ...].

    Resamples in which the statistic is undefined (NaN) are left out; NaN if it always is.
    """
    tail = (1 - level) / 2
    if not np.isnan(resampled_R).any():
        return np.quantile(resampled_R, [tail, 1 - tail], axis=0)
    undefined = np.isnan(resampled_R).all(axis=0)
    filled_R = np.where(undefined, 0.0, resampled_R)
    return np.where(undefined, np.nan, np.nanquantile(filled_R, [tail, 1 - tail], axis=0))


def multinomial_interval(
    counts: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    n_resamples: int,
    seed: int,
    level: float = 0.95,
) -> np.ndarray:
    """Bootstrap interval, [2, P], of a statistic of P pairs' joint counts, [P, ...cells].

    Resampling examples with replacement is drawing a pair's counts from a multinomial, so no
    example is looked at. `statistic` maps counts [R, P, ...cells] to [R, P]. Pairs are resampled
    independently: the intervals hold for each pair, not for differences between pairs.
    """
    rng = np.random.default_rng(seed)
    flat_PK = counts.reshape(len(counts), -1)
    total_P = flat_PK.sum(axis=1)
    probability_PK = flat_PK / np.maximum(total_P, 1)[:, None]
    interval_2P = np.empty((2, len(counts)))
    step = max(1, RESAMPLED_ELEMENTS // (n_resamples * flat_PK.shape[1]))
    for start in range(0, len(counts), step):
        part = slice(start, start + step)
        size = n_resamples, len(total_P[part])
        drawn = rng.multinomial(total_P[part], probability_PK[part], size=size)
        values_RP = statistic(drawn.reshape(*size, *counts.shape[1:]))
        interval_2P[:, part] = percentile_interval(values_RP, level)
    return interval_2P


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: np.ndarray,
    n_resamples: int,
    seed: int,
    level: float = 0.95,
) -> np.ndarray:
    """Bootstrap interval, [2, ...], of `statistic(*arrays)`, resampling their first axis together.

    The statistic may return one number or an array.
    """
    rng = np.random.default_rng(seed)
    n_examples = len(arrays[0])
    resamples = (rng.integers(n_examples, size=n_examples) for _ in range(n_resamples))
    values_R = [statistic(*(array[index_N] for array in arrays)) for index_N in resamples]
    return percentile_interval(np.array(values_R, dtype=np.float64), level)


def mean_interval(values_M: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Student's t interval, [2], of the mean over few models; NaN for fewer than two.

    With a handful of values a percentile bootstrap would be too narrow.
    """
    values_M = np.asarray(values_M, dtype=np.float64)
    if len(values_M) < 2:
        return np.full(2, np.nan)
    half = stats.t.ppf((1 + level) / 2, len(values_M) - 1) * stats.sem(values_M)
    return values_M.mean() + half * np.array([-1.0, 1.0])
