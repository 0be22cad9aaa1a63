"""How two clusters of models differ: in means, and at equal accuracy on another set.

Arrays have models on axis P; `large_P` is True for models of the large cluster. Differences are
large less small. Intervals resample models within their cluster (`relations.resample_models`); with
`index_RP` row 0 is the sample itself.
"""

import warnings

import numpy as np
from scipy import stats


def cluster_means(
    values_P: np.ndarray, large_P: np.ndarray, index_RP: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the small and of the large cluster in each resample, [R] each."""
    values_RP = values_P[index_RP]
    return values_RP[:, ~large_P].mean(axis=1), values_RP[:, large_P].mean(axis=1)


def permutation_p(
    values_P: np.ndarray, large_P: np.ndarray, n_permutations: int, seed: int
) -> float:
    """How often clusters dealt at random differ in mean at least as much, in either direction.

    (1 + count) / (1 + permutations), which is never too small (Phipson and Smyth 2010); of so few
    models that all deals can be listed, the exact share.
    """
    if min(large_P.sum(), (~large_P).sum()) == 1:
        # Which scipy refuses: each model in turn is the one that stands alone.
        others_P = (values_P.sum() - values_P) / (len(values_P) - 1)
        apart_P = np.abs(values_P - others_P).round(12)
        alone = large_P if large_P.sum() == 1 else ~large_P
        return float((apart_P >= apart_P[alone]).mean())

    def difference(large: np.ndarray, small: np.ndarray, axis: int) -> np.ndarray:
        # Rounded, so that deals of equal difference tie whatever the order of their sums.
        return np.abs(large.mean(axis) - small.mean(axis)).round(12)

    return stats.permutation_test(
        (values_P[large_P], values_P[~large_P]),
        difference,
        n_resamples=n_permutations,
        alternative="greater",
        rng=np.random.default_rng(seed),
    ).pvalue


def membership_correlation(values_P: np.ndarray, large_P: np.ndarray) -> float:
    """Point-biserial correlation with being in the large cluster; NaN if all values are equal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return stats.pointbiserialr(large_P, values_P).statistic


def matched_difference(
    values_P: np.ndarray,
    accuracy_P: np.ndarray,
    large_P: np.ndarray,
    caliper: float,
    index_RP: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Difference in mean at equal accuracy, [R], and how many small-cluster models it is of, [R].

    Each model of the small cluster is compared with the mean of all large-cluster models whose
    accuracy is within the caliper of its own; one that has none is left out. Matching, because the
    clusters' accuracies overlap only in part: a linear adjustment would say what large-cluster
    models do at accuracies that none has. All models in the caliper rather than the nearest one,
    because accuracies of a finite set tie, and because the bootstrap is not valid for a fixed
    number of nearest matches (Abadie and Imbens 2008). NaN where no model has a match.
    """
    small_RS, large_RL = index_RP[:, ~large_P], index_RP[:, large_P]
    near_PP = np.abs(accuracy_P[:, None] - accuracy_P) <= caliper
    near_RSL = near_PP[small_RS[:, :, None], large_RL[:, None, :]]
    matches_RS = near_RSL.sum(axis=2)
    sum_RS = np.einsum("rsl,rl->rs", near_RSL, values_P[large_RL])
    matched_RS = matches_RS > 0
    difference_RS = sum_RS / np.maximum(matches_RS, 1) - values_P[small_RS]
    n_R = matched_RS.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (difference_RS * matched_RS).sum(axis=1) / n_R, n_R
