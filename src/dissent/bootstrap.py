"""Percentile bootstrap intervals over examples."""

from collections.abc import Callable

import numpy as np

from dissent.progress import progress

RESAMPLED_ELEMENTS = 2**21  # resampled counts held at a time: 16 MB
DEFINED = 0.95  # least share of resamples with a value: of fewer, the spread is another


def percentile_interval(resampled_R: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Lower and upper end of the central `level` of resampled values, [2, ...] from [R, ...].

    Resamples in which the statistic is undefined (NaN) are left out; there is no interval (NaN) if
    they are more than 5 %.
    """
    tail = (1 - level) / 2
    missing_R = np.isnan(resampled_R)
    if not missing_R.any():
        return np.quantile(resampled_R, [tail, 1 - tail], axis=0)
    undefined = missing_R.mean(axis=0) > 1 - DEFINED
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
    example is looked at. `statistic` maps counts [R, P, ...cells] to [R, P], or to [R, P, S] for S
    intervals, [2, P, S], from the same draws. Pairs are resampled independently: the intervals hold
    for each pair, not for differences between pairs.
    """
    rng = np.random.default_rng(seed)
    flat_PK = counts.reshape(len(counts), -1)
    total_P = flat_PK.sum(axis=1)
    probability_PK = flat_PK / np.maximum(total_P, 1)[:, None]
    parts = []
    step = max(1, RESAMPLED_ELEMENTS // (n_resamples * flat_PK.shape[1]))
    for start in progress(range(0, len(counts), step), "resampling counts"):
        part = slice(start, start + step)
        size = n_resamples, len(total_P[part])
        drawn_RPK = rng.multinomial(total_P[part], probability_PK[part], size=size)
        # Statistics add cells of all draws, which is fast where a cell's draws lie side by side.
        drawn_RPK = np.moveaxis(np.ascontiguousarray(np.moveaxis(drawn_RPK, -1, 0)), 0, -1)
        values_R = statistic(drawn_RPK.reshape(*size, *counts.shape[1:]))
        parts.append(percentile_interval(values_R, level))
    return np.concatenate(parts, axis=1)


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
