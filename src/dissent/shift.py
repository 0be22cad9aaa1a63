"""Error inconsistency of the same models on several data sets, and what accuracy alone would bring.

Models that are wrong more often disagree more even if their errors are independent. What a pair's
inconsistency would be at one data set's accuracies and another one's dependence is about what lower
accuracy alone would bring; a little less or more depends on the measure of dependence that is kept.
So there are two: Cohen's kappa, for which error inconsistency = chance level * (1 - kappa) holds
for every pair (`dissent.pairwise`), and the odds ratio, which margins leave free.
"""

from collections.abc import Sequence

import numpy as np

from dissent import pairwise
from dissent.progress import progress

# Each is a mean over pairs; that of accuracy is the mean over models too. The last two are of each
# pair at its accuracies on a data set and its kappa or odds ratio on the first.
MEASURES = (
    "accuracy",
    "error_inconsistency",
    "expected_error_inconsistency",
    "error_consistency",
    "error_inconsistency_at_original_kappa",
    "error_inconsistency_at_original_odds_ratio",
)


def mean_measures(counts: Sequence[np.ndarray]) -> np.ndarray:
    """Each of MEASURES on each of D data sets, float64 [D, 6].

    `counts` holds the joint counts [P, 2, 2] of the same pairs on each data set, the original one
    first.
    """
    original_kappa_P = pairwise.error_consistency(counts[0])
    original_odds_P = odds_ratio(counts[0])
    rows = []
    for counts_P22 in counts:
        chance_P = pairwise.expected_error_inconsistency(counts_P22)
        measures = (
            np.stack(pairwise.accuracies(counts_P22)),
            pairwise.error_inconsistency(counts_P22),
            chance_P,
            pairwise.error_consistency(counts_P22),
            chance_P * (1 - original_kappa_P),
            error_inconsistency_at(original_odds_P, counts_P22),
        )
        rows.append([values.mean() for values in measures])
    return np.array(rows)


def odds_ratio(counts: np.ndarray) -> np.ndarray:
    """Odds ratio n11 n00 / (n10 n01) of each table of joint counts [P, 2, 2], float64 [P].

    Only where a count is 0 is 0.5 added to all four (Haldane 1956), which keeps the ratio finite;
    at such a ratio a pair's error inconsistency is not exactly its own.
    """
    cells_P22 = counts + 0.5 * (counts == 0).any(axis=(1, 2), keepdims=True)
    same_P = cells_P22[:, 1, 1] * cells_P22[:, 0, 0]
    return same_P / (cells_P22[:, 1, 0] * cells_P22[:, 0, 1])


def error_inconsistency_at(odds_P: np.ndarray, counts_P22: np.ndarray) -> np.ndarray:
    """Error inconsistency of pairs with the accuracies of these counts and other odds ratios, [P].

    Odds ratios are positive and finite. That both are right has the one probability that solves
    Plackett's quadratic equation (1965, A class of bivariate distributions); the root is written
    so that it holds at an odds ratio of 1 too.
    """
    first_P, second_P = pairwise.accuracies(counts_P22)
    linear_P = 1 + (first_P + second_P) * (odds_P - 1)
    product_P = odds_P * first_P * second_P
    root_P = np.sqrt(np.maximum(linear_P**2 - 4 * (odds_P - 1) * product_P, 0))
    both_right_P = 2 * product_P / (linear_P + root_P)
    return first_P + second_P - 2 * both_right_P


def resampled_means(
    correct: Sequence[np.ndarray], n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """`mean_measures` of all pairs, [1 + R, D, 6]: of the sample itself, then of its resamples.

    `correct` holds bool [M, N] of the same M models for each data set. A resample draws examples,
    for each data set on its own and the same for all pairs, which share them.
    """
    values = [mean_measures([pairwise.pair_counts(correct_MN) for correct_MN in correct])]
    for _ in progress(range(n_resamples), "resampling examples"):
        drawn = [c_MN[:, rng.integers(c_MN.shape[1], size=c_MN.shape[1])] for c_MN in correct]
        values.append(mean_measures([pairwise.pair_counts(correct_MN) for correct_MN in drawn]))
    return np.stack(values)
