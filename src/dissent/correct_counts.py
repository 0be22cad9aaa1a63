"""How models agree, from how many of them are right on each example.

Of M models, such counts are enough for the mean over all pairs of any measure that is linear in
the pair's joint counts, without anyone's predictions.
"""

import numpy as np

MEASURES = (
    "mean_accuracy",
    "error_inconsistency",
    "all_right",
    "all_wrong",
    "majority_vote",
    "strict_majority_vote",
)


def histogram(counts_N: np.ndarray, n_models: int) -> np.ndarray:
    """How many examples 0, 1, ... M models are right on, int64 [M + 1]."""
    return np.bincount(counts_N, minlength=n_models + 1)


def agreement(histogram_C: np.ndarray) -> np.ndarray:
    """The MEASURES, [..., 6], from a histogram [..., M + 1] of at least two models.

    `mean_accuracy` is the models' mean; `error_inconsistency` the mean over all pairs of models of
    the share of examples on which exactly one is right: of c right models, 2 c (M - c) / (M (M -
    1)) of the pairs. `majority_vote` is right where at least half of the models are,
    `strict_majority_vote` where more than half are. With more than two classes the right one may
    win with fewer votes, so that a plurality vote is right on no fewer examples than the latter,
    nor than the former if it gives ties to the right class.
    """
    n_models = histogram_C.shape[-1] - 1
    right_C = np.arange(n_models + 1)
    shares_KC = np.stack(
        [
            right_C / n_models,
            2 * right_C * (n_models - right_C) / (n_models * (n_models - 1)),
            right_C == n_models,
            right_C == 0,
            2 * right_C >= n_models,
            2 * right_C > n_models,
        ]
    )
    return histogram_C @ shares_KC.T / histogram_C.sum(axis=-1, keepdims=True)
