"""Linear probes: what frozen features of one model, or of two together, say of the labels.

No One Representation, figures 6 and 7. The features of several models are joined by standardising
every dimension on the training examples, so that no model dominates by its scale.
"""

import os
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.logits import of_examples, open_logits

# Strengths of the L2 penalty that are tried, strongest first, beside a mean loss. scikit-learn's C
# is 1 / (penalty * number of training examples).
PENALTIES = (1.0, 0.1, 0.01, 0.001)
GRADIENT_TOLERANCE = 1e-4
MAX_ITERATIONS = 1000

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
Quality = Callable[[np.ndarray, np.ndarray], float]


def read_features(path: str | os.PathLike, examples: Examples, train_split: str) -> np.ndarray:
    """The features of a logits file, float64 [N, D], standardised on the training split.

    Raises InputError if the file is of other examples, has no features, or not all are numbers.
    """
    tensors = open_logits(path, **of_examples(examples)).tensors
    if "features" not in tensors:
        raise InputError(f"{path} has no features to probe: choose a model whose file has them")
    if not np.isfinite(tensors["features"]).all():
        raise InputError(f"{path} has features that are no finite numbers: leave this model out")
    return standardise(tensors["features"], examples.where(train_split))


def standardise(features_ND: np.ndarray, train_n: np.ndarray) -> np.ndarray:
    """Shift and scale each dimension to mean 0 and variance 1 on the examples `train_n`, float64.

    A dimension that is constant there becomes 0 everywhere: it can teach a probe nothing.
    """
    train_nD = features_ND[train_n].astype(np.float64)
    constant_D = (train_nD == train_nD[0]).all(axis=0)
    scale_D = np.where(constant_D, np.inf, train_nD.std(axis=0))
    return (features_ND - train_nD.mean(axis=0)) / scale_D


def softmax_loss(scores_NC: np.ndarray, targets_NC: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of one class an example, and its gradient [N, C] in the scores."""
    highest_N1 = scores_NC.max(axis=1, keepdims=True)
    exponentials_NC = np.exp(scores_NC - highest_N1)
    sum_N1 = exponentials_NC.sum(axis=1, keepdims=True)
    loss = (np.log(sum_N1) + highest_N1).sum() - (targets_NC * scores_NC).sum()
    return loss / len(scores_NC), (exponentials_NC / sum_N1 - targets_NC) / len(scores_NC)


def one_vs_rest_loss(scores_NC: np.ndarray, targets_NC: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean over examples of the sum of C logistic losses, and its gradient [N, C] in the scores."""
    loss = np.logaddexp(0, scores_NC).sum() - (targets_NC * scores_NC).sum()
    return loss / len(scores_NC), (expit(scores_NC) - targets_NC) / len(scores_NC)


def fit_probe(
    features_ND: np.ndarray,
    targets_NC: np.ndarray,
    loss: Loss,
    penalty: float,
    start_EC: np.ndarray | None = None,
) -> np.ndarray:
    """Minimise loss + penalty / 2 * |weights|^2 by L-BFGS: weights [E, C], E = D + 1.

    Row 0 is the intercept, which is not penalised. The C problems of `one_vs_rest_loss` share one
    run, as nothing couples them. `start_EC` only saves time.
    """
    shape_EC = features_ND.shape[1] + 1, targets_NC.shape[1]

    def objective(flat):
        weights_EC = flat.reshape(shape_EC)
        value, gradient_NC = loss(probe_scores(features_ND, weights_EC), targets_NC)
        gradient_EC = np.empty(shape_EC)
        gradient_EC[0] = gradient_NC.sum(axis=0)
        gradient_EC[1:] = features_ND.T @ gradient_NC + penalty * weights_EC[1:]
        return value + penalty / 2 * np.square(weights_EC[1:]).sum(), gradient_EC.ravel()

    start_EC = np.zeros(shape_EC) if start_EC is None else start_EC
    options = {"gtol": GRADIENT_TOLERANCE, "ftol": 0.0, "maxiter": MAX_ITERATIONS}
    found = minimize(objective, start_EC.ravel(), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(shape_EC)


def tuned_probe(
    train_ND: np.ndarray,
    train_NC: np.ndarray,
    tune_ND: np.ndarray,
    tune_NC: np.ndarray,
    loss: Loss,
    quality: Quality,
) -> tuple[float, np.ndarray]:
    """The penalty of PENALTIES with the highest quality on tune examples, and the probe it gives.

    `quality` maps scores and targets [N, C] to a number; ties go to the stronger penalty.
    """
    best_quality, best, weights_EC = -np.inf, None, None
    for penalty in PENALTIES:
        # Starting from the last probe saves time.
        weights_EC = fit_probe(train_ND, train_NC, loss, penalty, weights_EC)
        found = quality(probe_scores(tune_ND, weights_EC), tune_NC)
        if found > best_quality:
            best_quality, best = found, (penalty, weights_EC)
    return best


def probe_scores(features_ND: np.ndarray, weights_EC: np.ndarray) -> np.ndarray:
    """Scores [N, C] of a probe's weights [E, C]."""
    return features_ND @ weights_EC[1:] + weights_EC[0]


def mixed_dimensions(n_base: int, n_other: int, share: int, rng: np.random.Generator) -> np.ndarray:
    """Random dimensions of [base, other] of which `share` percent come from the other (figure 6).

    Takes (100 - share) % of the base's dimensions and share % of the other's, rounded down; of an
    other that is wider than the base, share % of the base's number, so that the mix is never wider
    than the base. Equal generators give nested choices as the share changes. Sorted indices into
    the concatenation.
    """
    from_base = n_base * (100 - share) // 100
    from_other = min(n_base, n_other) * share // 100
    base_K = rng.permutation(n_base)[:from_base]
    other_K = rng.permutation(n_other)[:from_other]
    return np.sort(np.concatenate([base_K, n_base + other_K]))


def rank_by_diversity(base_ND: np.ndarray, other_ND: np.ndarray) -> np.ndarray:
    """Order of the dimensions of [base, other], most diverse first (figure 6 right).

    A dimension is the more diverse the lower its mean absolute covariance with the dimensions of
    the other embedding. The paper ranks "by covariance" and leaves open how the many covariances of
    a dimension become one number; this is our choice. Both are standardised features, so that
    covariance is correlation; constant dimensions (0 everywhere) come last.
    """
    covariance_BO = np.abs(base_ND.T @ other_ND) / len(base_ND)
    covariance_D = np.concatenate([covariance_BO.mean(axis=1), covariance_BO.mean(axis=0)])
    varies_D = np.concatenate([base_ND.any(axis=0), other_ND.any(axis=0)])
    return np.argsort(np.where(varies_D, covariance_D, np.inf), kind="stable")


def mean_average_precision(
    labels_NC: np.ndarray, scores_NC: np.ndarray, counts_NR: np.ndarray
) -> np.ndarray:
    """Mean over classes of the 11-point average precision, [R], of R resamples of the examples.

    `counts_NR` says how often each example is in each resample (all 1: the examples themselves).
    Classes without a positive example are left out of the mean.
    """
    per_class_CR = [
        eleven_point_average_precision(labels_NC[:, c], scores_NC[:, c], counts_NR)
        for c in range(labels_NC.shape[1])
    ]
    return np.nanmean(per_class_CR, axis=0)


def eleven_point_average_precision(
    labels_N: np.ndarray, scores_N: np.ndarray, counts_NR: np.ndarray
) -> np.ndarray:
    """Average precision of PASCAL VOC 2007, [R], of R resamples; NaN without a positive example.

    The mean over recalls r = 0, 0.1, ..., 1 of the highest precision at a recall of at least r
    (Everingham et al. 2010). Examples with equal scores enter together.
    """
    order_N = np.argsort(-scores_N, kind="stable")
    scores_N, positive_N = scores_N[order_N], labels_N[order_N] != 0
    n_resamples = counts_NR.shape[1]
    if not positive_N.any():
        return np.full(n_resamples, np.nan)
    counts_NR = counts_NR[order_N]
    # Only where a positive example enters can precision peak.
    ends = np.searchsorted(-scores_N, -np.unique(scores_N[positive_N])[::-1], side="right") - 1
    starts = np.append(0, ends[:-1] + 1)
    between_ER = np.add.reduceat(counts_NR[: ends[-1] + 1], starts, axis=0, dtype=np.int32)
    taken_ER = np.cumsum(between_ER, axis=0, dtype=np.int32)
    found_ER = np.cumsum(counts_NR[positive_N], axis=0, dtype=np.int32)
    found_ER = found_ER[np.cumsum(positive_N)[ends] - 1]
    precision_ER = found_ER / np.maximum(taken_ER, 1)
    highest_ER = np.maximum.accumulate(precision_ER[::-1])[::-1]
    # In whole numbers, since 3 / 10 and 3 * 0.1 differ.
    tenths_ER, sum_R = 10 * found_ER, np.zeros(n_resamples)
    for tenth in range(11):
        first_R = np.count_nonzero(tenths_ER < tenth * found_ER[-1], axis=0)
        sum_R += highest_ER[first_R, np.arange(n_resamples)]
    return np.where(found_ER[-1] > 0, sum_R / 11, np.nan)


def resampled_counts(n_examples: int, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each example is in the sample itself (once) and in resamples, int16 [N, 1 + R]."""
    uniform_N = np.full(n_examples, 1 / n_examples)
    drawn_RN = rng.multinomial(n_examples, uniform_N, size=n_resamples)
    return np.vstack([np.ones((1, n_examples)), drawn_RN]).T.astype(np.int16, order="C")
