"""Intervals of means whose parts vary by themselves: tasks or domains, seeds and images.

The tasks are what they are; what is drawn anew is the seed of every fine-tuning, and the images.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

ROUNDING = 1e-12  # a standard error that rounding alone may give: there is no spread


def t_interval(values: Sequence[float], level: float) -> tuple[float, float]:
    """Student's t interval of the mean of values; NaN if they are fewer than two or all equal."""
    return seeds_interval([np.asarray(values, dtype=float)], level)


def seeds_interval(values: Sequence[np.ndarray], level: float) -> tuple[float, float]:
    """Interval of the mean over tasks of means over seeds, from one array [S] a task.

    Fine-tunings of different tasks have nothing in common but the number of their seed, so that
    each task tells for itself how much seeds differ: the variances of the tasks' means add up
    (Welch), and Student's t has the degrees of freedom of Satterthwaite (1946). NaN if there is one
    seed or no spread.
    """
    mean = np.mean([of_task.mean() for of_task in values])
    variances = [variance_of_mean(of_task) / len(values) ** 2 for of_task in values]
    return welch_interval(mean, variances, [len(of_task) - 1 for of_task in values], level)


def difference_interval(
    differences: Sequence[np.ndarray], level: float
) -> tuple[float, float, float]:
    """Mean over tasks of mean differences, from one array [S, N] a task, with its interval.

    Of each of the T tasks, the variance over seeds and that over images (of an image's difference
    averaged over seeds) add up as in `seeds_interval`. How seed and image act together is in both,
    so that the interval is on the wide side. With one seed, images alone: for new images and these
    fine-tunings. NaN if there is no spread, or one image in a task.
    """
    n_seeds, n_tasks = len(differences[0]), len(differences)
    parts = [of_task.mean(axis=0) for of_task in differences]
    if n_seeds > 1:
        parts += [of_task.mean(axis=1) for of_task in differences]
    value = float(np.mean([of_task.mean() for of_task in differences]))
    variances = [variance_of_mean(part) / n_tasks**2 for part in parts]
    return value, *welch_interval(value, variances, [len(part) - 1 for part in parts], level)


def variance_of_mean(values: np.ndarray) -> float:
    """Variance of the mean of independent values [n]; NaN if there is one."""
    return values.var(ddof=1) / len(values) if len(values) > 1 else np.nan


def welch_interval(
    mean: float, variances: Sequence[float], freedoms: Sequence[int], level: float
) -> tuple[float, float]:
    """Student's t interval; variances of the parts of the mean add up (Satterthwaite 1946).

    NaN if a variance is, or there is no spread.
    """
    variances = np.asarray(variances)
    if not np.sqrt(variances.sum()) > ROUNDING:
        return np.nan, np.nan
    freedom = variances.sum() ** 2 / (variances**2 / np.asarray(freedoms)).sum()
    reach = stdtrit(freedom, (1 + level) / 2) * np.sqrt(variances.sum())
    return float(mean - reach), float(mean + reach)
