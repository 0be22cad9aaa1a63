"""How the errors of two models relate: counts and measures for all pairs at once.

Counts of a pair have the shape [..., 2, 2], indexed [first model right, second model right], so
`counts[..., 1, 0]` is where only the first is right. Every measure takes such counts, leading axes
are free, and is NaN where it is undefined.
"""

import numpy as np
import pandas as pd

# Sums of this many zeros and ones are exact in float32 (limit 2**24) and the float32 copy is small.
EXAMPLES_PER_PRODUCT = 2**16


def is_right(predicted_N: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each prediction is the label ([N]) or among the accepted ones ([N, C]), bool [N]."""
    if labels.ndim == 1:
        return predicted_N == labels
    return np.take_along_axis(labels, predicted_N[:, None], axis=1)[:, 0].astype(bool)


def all_pairs(n_models: int) -> np.ndarray:
    """Every pair of models once, first < second, in lexicographic order: int [P, 2]."""
    return np.stack(np.triu_indices(n_models, k=1), axis=1)


def pair_counts(correct_MN: np.ndarray, pairs_P2: np.ndarray | None = None) -> np.ndarray:
    """Exact joint counts of right and wrong answers, int64 [P, 2, 2], of all (or the given) pairs.

    Raises ValueError if `correct_MN` is not boolean.
    """
    if correct_MN.dtype != bool:
        raise ValueError(f"correct_MN must be boolean, not {correct_MN.dtype}")
    n_models, n_examples = correct_MN.shape
    first_P, second_P = (all_pairs(n_models) if pairs_P2 is None else np.asarray(pairs_P2)).T
    both_MM = np.zeros((n_models, n_models), dtype=np.int64)
    for start in range(0, n_examples, EXAMPLES_PER_PRODUCT):
        part_MN = correct_MN[:, start : start + EXAMPLES_PER_PRODUCT].astype(np.float32)
        both_MM += (part_MN @ part_MN.T).astype(np.int64)
    right_M = both_MM.diagonal()
    return joint_counts(both_MM[first_P, second_P], right_M[first_P], right_M[second_P], n_examples)


def joint_counts(both_P, first_P, second_P, total_P) -> np.ndarray:
    """Counts, int64 [P, 2, 2], from how often both, the first, the second and any happen."""
    counts_P22 = np.empty((len(both_P), 2, 2), dtype=np.int64)
    counts_P22[:, 1, 1] = both_P
    counts_P22[:, 1, 0] = first_P - both_P
    counts_P22[:, 0, 1] = second_P - both_P
    counts_P22[:, 0, 0] = total_P - first_P - second_P + both_P
    return counts_P22


def accuracies(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of the first and of the second model."""
    total = counts.sum(axis=(-2, -1))
    return _ratio(counts[..., 1, :].sum(axis=-1), total), _ratio(counts[..., 1].sum(axis=-1), total)


def error_inconsistency(counts: np.ndarray) -> np.ndarray:
    """Fraction of examples on which exactly one model is right (No One Representation, fig. 1)."""
    return _ratio(counts[..., 1, 0] + counts[..., 0, 1], counts.sum(axis=(-2, -1)))


def expected_error_inconsistency(counts: np.ndarray) -> np.ndarray:
    """Error inconsistency of two independent models of these accuracies: its chance level."""
    accuracy1, accuracy2 = accuracies(counts)
    return accuracy1 * (1 - accuracy2) + accuracy2 * (1 - accuracy1)


def observed_consistency(counts: np.ndarray) -> np.ndarray:
    """Fraction of examples on which both are right or both are wrong (Geirhos et al. 2020)."""
    return _ratio(counts[..., 1, 1] + counts[..., 0, 0], counts.sum(axis=(-2, -1)))


def expected_consistency(counts: np.ndarray) -> np.ndarray:
    """Observed consistency of two independent models of these accuracies (Geirhos et al. 2020)."""
    accuracy1, accuracy2 = accuracies(counts)
    return accuracy1 * accuracy2 + (1 - accuracy1) * (1 - accuracy2)


def error_consistency(counts: np.ndarray) -> np.ndarray:
    """Cohen's kappa of the two models' errors, 1 if they err on the same examples.

    (observed - expected consistency) / (1 - expected consistency), Geirhos et al. 2020.
    """
    expected = expected_consistency(counts)
    observed = observed_consistency(counts)
    return np.where(observed == 1, 1.0, _ratio(observed - expected, 1 - expected))


def q_statistic(counts: np.ndarray) -> np.ndarray:
    """Yule's Q, (n11 n00 - n10 n01) / (n11 n00 + n10 n01); NaN if both products are 0."""
    same, opposite = _products(counts)
    return _ratio(same - opposite, same + opposite)


def phi(counts: np.ndarray) -> np.ndarray:
    """Correlation of the two models' correctness; NaN if one is always right or always wrong."""
    same, opposite = _products(counts)
    counts = counts.astype(np.float64)
    margins = counts.sum(axis=-1).prod(axis=-1) * counts.sum(axis=-2).prod(axis=-1)
    return _ratio(same - opposite, np.sqrt(margins))


def double_fault(counts: np.ndarray) -> np.ndarray:
    """Fraction of examples on which both models are wrong."""
    return _ratio(counts[..., 0, 0], counts.sum(axis=(-2, -1)))


def disagreement(predicted_MN: np.ndarray, pairs_P2: np.ndarray | None = None) -> np.ndarray:
    """Fraction of examples on which two models predict different classes, of all or given pairs."""
    pairs_P2 = all_pairs(len(predicted_MN)) if pairs_P2 is None else pairs_P2
    different_P = [np.count_nonzero(predicted_MN[i] != predicted_MN[j]) for i, j in pairs_P2]
    return _ratio(np.array(different_P, dtype=np.int64), predicted_MN.shape[1])


MEASURES = (
    error_inconsistency,
    expected_error_inconsistency,
    observed_consistency,
    expected_consistency,
    error_consistency,
    q_statistic,
    phi,
    double_fault,
)


def pair_table(
    models: list[str],
    correct_MN: np.ndarray,
    predicted_MN: np.ndarray,
    pairs_P2: np.ndarray | None = None,
) -> pd.DataFrame:
    """One row a pair: the models, n, their accuracies, counts, every measure and disagreement."""
    pairs_P2 = all_pairs(len(models)) if pairs_P2 is None else np.asarray(pairs_P2)
    counts_P22 = pair_counts(correct_MN, pairs_P2)
    accuracy1_P, accuracy2_P = accuracies(counts_P22)
    return pd.DataFrame(
        {
            "model1": [models[i] for i in pairs_P2[:, 0]],
            "model2": [models[j] for j in pairs_P2[:, 1]],
            "n": counts_P22.sum(axis=(1, 2)),
            "accuracy1": accuracy1_P,
            "accuracy2": accuracy2_P,
            "both_right": counts_P22[:, 1, 1],
            "only_1_right": counts_P22[:, 1, 0],
            "only_2_right": counts_P22[:, 0, 1],
            "both_wrong": counts_P22[:, 0, 0],
            **{measure.__name__: measure(counts_P22) for measure in MEASURES},
            "disagreement": disagreement(predicted_MN, pairs_P2),
        }
    )


def _products(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    counts = counts.astype(np.float64)
    return counts[..., 1, 1] * counts[..., 0, 0], counts[..., 1, 0] * counts[..., 0, 1]


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(numerator, denominator, dtype=np.float64)
