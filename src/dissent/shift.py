"""Error inconsistency of the same models on several data sets, and what accuracy explains of it.

Models that are wrong more often disagree more even if their errors are independent. Cohen's kappa
of errors takes that out: error inconsistency = chance level * (1 - kappa) holds for every pair
(`dissent.pairwise`). So what inconsistency would be at one data set's accuracies and another one's
kappa says how much of a difference between the two lower accuracy explains.
"""

from collections.abc import Sequence

import numpy as np

from dissent import pairwise
from dissent.progress import progress

# Each is a mean over pairs; that of accuracy is the mean over models too. The last one is of each
# pair's chance level on a data set with its kappa on the first.
MEASURES = (
    "accuracy",
    "error_inconsistency",
    "expected_error_inconsistency",
    "error_consistency",
    "error_inconsistency_at_original_kappa",
)


def mean_measures(counts: Sequence[np.ndarray]) -> np.ndarray:
    """Each of MEASURES on each of D data sets, float64 [D, 5].

    `counts` holds the joint counts [P, 2, 2] of the same pairs on each data set, the original one
    first.
    """
    original_kappa_P = pairwise.error_consistency(counts[0])
    rows = []
    for counts_P22 in counts:
        chance_P = pairwise.expected_error_inconsistency(counts_P22)
        measures = (
            np.stack(pairwise.accuracies(counts_P22)),
            pairwise.error_inconsistency(counts_P22),
            chance_P,
            pairwise.error_consistency(counts_P22),
            chance_P * (1 - original_kappa_P),
        )
        rows.append([values.mean() for values in measures])
    return np.array(rows)


def resampled_means(
    correct: Sequence[np.ndarray], n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """`mean_measures` of all pairs, [1 + R, D, 5]: of the sample itself, then of its resamples.

    `correct` holds bool [M, N] of the same M models for each data set. A resample draws examples,
    for each data set on its own and the same for all pairs, which share them.
    """
    values = [mean_measures([pairwise.pair_counts(correct_MN) for correct_MN in correct])]
    for _ in progress(range(n_resamples), "resampling examples"):
        drawn = [c_MN[:, rng.integers(c_MN.shape[1], size=c_MN.shape[1])] for c_MN in correct]
        values.append(mean_measures([pairwise.pair_counts(correct_MN) for correct_MN in drawn]))
    return np.stack(values)
