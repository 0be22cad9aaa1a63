"""How pairs with one base model change as training diverges, with joint intervals.

Pairs share examples and the base model, so resampling pairs alone would claim too much. Every
resample draws examples, the same for all pairs, and models within their category. Arrays have a
leading axis R: row 0 is the sample itself, the others are resamples.

Examples and models need streams of random numbers of their own: `Generator.spawn`.
"""

import warnings

import numpy as np
from scipy import stats

RESAMPLES_AT_A_TIME = 200
LEAST_POINTS = 3  # any two are in order or in reverse


def base_pair_measures(
    base_correct_N: np.ndarray,
    correct_PN: np.ndarray,
    ensemble_correct_PN: np.ndarray,
    angle_PN: np.ndarray,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Measures of each pair (base, other), [1 + n_resamples, P], by name; NaN where undefined.

    `error_inconsistency`, `error_consistency` (Cohen's kappa of errors), `ensemble_gain` over the
    members' mean accuracy, `conversion_rate`, and `specialisation`: mean angle where only the base
    is right less mean angle where only the other is, in degrees. It is 0 where being alone in the
    right does not show in the confidences, up to 90 where each model is sure exactly there; a
    difference of means rather than a rank measure (AUC), because it grows with how far the
    confidences part, as the histograms of figure 3 do.
    """
    n_examples = len(base_correct_N)
    inconsistent_PN = correct_PN != base_correct_N
    only_base_PN = base_correct_N & ~correct_PN
    only_other_PN = correct_PN & ~base_correct_N
    columns = [
        base_correct_N[None],
        correct_PN,
        inconsistent_PN,
        ensemble_correct_PN,
        ensemble_correct_PN & inconsistent_PN,
        only_base_PN,
        only_other_PN,
        angle_PN * only_base_PN,
        angle_PN * only_other_PN,
    ]
    stacked_NK = np.concatenate(columns).T.astype(np.float64)
    sums_RK = _resampled_sums(stacked_NK, n_resamples, rng)
    ends = np.cumsum([len(column) for column in columns])[:-1]
    sums = np.split(sums_RK, ends, axis=1)
    base, other, inconsistent, ensemble, converted = sums[:5]
    only_base, only_other, angle_base, angle_other = sums[5:]
    base, other = base / n_examples, other / n_examples
    inconsistency = inconsistent / n_examples
    chance = base * (1 - other) + other * (1 - base)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "error_inconsistency": inconsistency,
            "error_consistency": np.where(inconsistency == 0, 1.0, 1 - inconsistency / chance),
            "ensemble_gain": ensemble / n_examples - (base + other) / 2,
            "conversion_rate": converted / inconsistent,
            "specialisation": angle_base / only_base - angle_other / only_other,
        }


def _resampled_sums(
    values_NK: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Sums over examples, [1 + R, K], of the sample and of bootstrap resamples of it."""
    n_examples = len(values_NK)
    sums = [values_NK.sum(axis=0, keepdims=True)]
    for start in range(0, n_resamples, RESAMPLES_AT_A_TIME):
        size = min(RESAMPLES_AT_A_TIME, n_resamples - start)
        counts_RN = rng.multinomial(n_examples, np.full(n_examples, 1 / n_examples), size=size)
        sums.append(counts_RN.astype(np.float64) @ values_NK)
    return np.concatenate(sums)


def resample_models(
    category_P: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Positions of models, int [1 + n_resamples, P], drawn with replacement in each category.

    Means of m models drawn so vary (m - 1) / m as much as they should (their variance), and a
    category of one model never does: with few models a category, intervals are somewhat narrow.
    """
    index_RP = np.tile(np.arange(len(category_P)), (1 + n_resamples, 1))
    for category in np.unique(category_P):
        members = np.flatnonzero(category_P == category)
        index_RP[1:, members] = rng.choice(members, size=(n_resamples, len(members)))
    return index_RP


def spearman_rows(first_RP: np.ndarray, second_RP: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each row, [R].

    A pair without a value (NaN) on either side is left out of its row. NaN where a side is
    constant, or where fewer than 3 different pairs of values are left: a pair drawn again adds
    nothing to a trend.
    """
    correlation_R = np.full(len(first_RP), np.nan)
    for row, (first_P, second_P) in enumerate(zip(first_RP, second_RP, strict=True)):
        defined_P = ~(np.isnan(first_P) | np.isnan(second_P))
        first_P, second_P = first_P[defined_P], second_P[defined_P]
        if len(set(zip(first_P, second_P, strict=True))) >= LEAST_POINTS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", stats.ConstantInputWarning)
                correlation_R[row] = stats.spearmanr(first_P, second_P).statistic
    return correlation_R
