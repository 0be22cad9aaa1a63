"""Ensembles of two models: exact counts for every pair at once, and what follows from them.

What a member predicts is given (the logits file's float32 column), since the stored float16 logits
put about 0.1 % of the largest classes elsewhere. Members that agree decide: the sum of two models
that both put a class first puts it first, so where float16 says otherwise it is rounding. Only
where they differ is an ensemble computed from logits.

Counts of a pair have the shape [..., 2, 2, 2], indexed [first right, second right, ensemble right]:
`counts[..., 1, 0, 1]` are conversions where the first is right, `counts[..., 0, 0, 1]` rescues.
Summed over the last axis they are the counts of `dissent.pairwise`.
"""

from collections import namedtuple
from collections.abc import Sequence

import numpy as np

from dissent.commandline import InputError
from dissent.pairwise import accuracies, all_pairs, error_inconsistency, joint_counts, pair_counts
from dissent.progress import progress

MEAN_RULES = ("mean_probability", "mean_logit")
RULES = (*MEAN_RULES, "most_confident")
TILE_ELEMENTS = 2**23  # models x examples x classes held at a time: 32 MB
PAIR_ELEMENTS = 2**18  # pairs x examples decided at a time: 1 MB an array, stays in the cache
BLOCKS = 32  # at most so many blocks of classes, each bounded by its largest value

# What a rule adds up, for all models on a few examples, with bounds that spare most of the adding.
_Tile = namedtuple(
    "_Tile",
    [
        "values_MTC",
        "label_T",
        "predicted_MT",
        "correct_MT",
        "top_MT",  # class of the largest value; not always the predicted one
        "at_label_MT",  # value of the true class
        "at_top_MT",
        "rest_MT",  # largest value of all other classes
        "rest_MTB",  # the same by block of classes
    ],
)


def scaled_logits(logits_NC: np.ndarray, temperature: float, out=None) -> np.ndarray:
    """Logits divided by the temperature, float32 [N, C]."""
    scaled_NC = np.empty(logits_NC.shape, np.float32) if out is None else out
    np.copyto(scaled_NC, logits_NC, casting="same_kind")
    scaled_NC *= np.float32(1 / temperature)
    return scaled_NC


def softmax(logits_NC: np.ndarray, out=None) -> np.ndarray:
    """Softmax over classes in the precision of the logits, [N, C]."""
    shifted_NC = np.subtract(logits_NC, logits_NC.max(axis=1, keepdims=True), out=out)
    exponential_NC = np.exp(shifted_NC, out=shifted_NC)
    scale_N1 = 1 / exponential_NC.sum(axis=1, keepdims=True)
    return np.multiply(exponential_NC, scale_N1, out=exponential_NC)


def pair_prediction(
    first_NC: np.ndarray, second_NC: np.ndarray, predicted_2N: np.ndarray, rule: str
) -> np.ndarray:
    """Class [N] that two models choose together under a mean rule, as `ensemble_counts` has it.

    From the members' tempered logits and the classes they predict. Other rules raise ValueError.
    """
    _check_mean(rule)
    first_N, second_N = predicted_2N
    if rule == "mean_probability":
        first_NC, second_NC = softmax(first_NC), softmax(second_NC)
    return np.where(first_N == second_N, first_N, (first_NC + second_NC).argmax(axis=1))


def ensemble_counts(
    logits: Sequence,
    predicted_MN: np.ndarray,
    labels_N: np.ndarray,
    temperatures_M: Sequence[float],
    rule: str,
    pairs_P2: np.ndarray | None = None,
) -> np.ndarray:
    """Joint counts, int64 [P, 2, 2, 2], of all (or the given) pairs of models under a mean rule.

    `logits` holds M arrays [N, C], memory-mapped if need be: each is read once, a few examples at a
    time. `predicted_MN` holds the classes the members predict.

    Both rules predict the class that both members predict or, where they differ, the first largest
    class of the float32 sum of the members' tempered probabilities or logits.

    Raises InputError for logits that are not finite, ValueError for other rules or shapes that do
    not match.
    """
    _check_mean(rule)
    n_models, n_examples, n_classes = _shape(logits, predicted_MN, labels_N, temperatures_M)
    first_P, second_P = (all_pairs(n_models) if pairs_P2 is None else np.asarray(pairs_P2)).T
    length = max(1, min(n_examples, TILE_ELEMENTS // (n_models * n_classes)))
    buffer = np.empty(n_models * length * n_classes, np.float32)
    predicted_MN = predicted_MN.astype(np.int32)
    correct_MN = predicted_MN == labels_N
    right_P22 = np.zeros((len(first_P), 2, 2), np.int64)
    for start in progress(range(0, n_examples, length), f"pair ensembles, {rule}"):
        rows = slice(start, min(start + length, n_examples))
        parts = [array[rows] for array in logits]
        tile = _tile(parts, predicted_MN[:, rows], labels_N[rows], temperatures_M, rule, buffer)
        packed_M = np.packbits(tile.correct_MT, axis=1)
        step = max(1, PAIR_ELEMENTS // len(tile.label_T))
        for at in range(0, len(first_P), step):
            first, second = first_P[at : at + step], second_P[at : at + step]
            right = np.packbits(_right_by_sum(tile, first, second), axis=1)
            with_first, with_second = right & packed_M[first], right & packed_M[second]
            right_P22[at : at + step] += joint_counts(
                _ones(with_first & with_second), _ones(with_first), _ones(with_second), _ones(right)
            )
    total_P22 = pair_counts(correct_MN, np.stack([first_P, second_P], axis=1))
    return np.stack([total_P22 - right_P22, right_P22], axis=-1)


def most_confident_counts(
    confidence_MN: np.ndarray, correct_MN: np.ndarray, pairs_P2: np.ndarray | None = None
) -> np.ndarray:
    """Joint counts, int64 [P, 2, 2, 2], of all (or the given) pairs under most_confident.

    `confidence_MN` holds the members' largest probabilities, tempered where there are logits,
    `correct_MN` whether what they predict is right. See `first_decides`.

    Raises ValueError for shapes that do not match, or if `correct_MN` is not boolean.
    """
    if confidence_MN.shape != correct_MN.shape:
        raise ValueError(f"confidences {confidence_MN.shape}, answers {correct_MN.shape}")
    pairs_P2 = all_pairs(len(correct_MN)) if pairs_P2 is None else pairs_P2
    total_P22 = pair_counts(correct_MN, pairs_P2)
    right_P22 = total_P22 * [[0, 0], [0, 1]]
    wrong_MN = ~correct_MN
    for p, (i, j) in enumerate(pairs_P2):
        first_N = first_decides(confidence_MN[i], confidence_MN[j])
        right_P22[p, 1, 0] = np.count_nonzero(correct_MN[i] & wrong_MN[j] & first_N)
        right_P22[p, 0, 1] = np.count_nonzero(wrong_MN[i] & correct_MN[j] & ~first_N)
    return np.stack([total_P22 - right_P22, right_P22], axis=-1)


def first_decides(first_confidence: np.ndarray, second_confidence: np.ndarray) -> np.ndarray:
    """Whether the first of two models decides under most_confident, bool: on a tie it does.

    Confidences are compared as they are. Ties are common among published ones, and rounding would
    break them if probabilities of all classes were made up first.
    """
    return first_confidence >= second_confidence


def _check_mean(rule: str) -> None:
    if rule not in MEAN_RULES:
        raise ValueError(f"rule {rule!r} is none of {MEAN_RULES}")


def _shape(logits, predicted_MN, labels_N, temperatures_M) -> tuple[int, int, int]:
    n_models, n_examples, n_classes = len(logits), *logits[0].shape
    if {tuple(array.shape) for array in logits} != {(len(labels_N), n_classes)}:
        raise ValueError(f"{len(labels_N)} labels, logits {[array.shape for array in logits]}")
    if predicted_MN.shape != (n_models, len(labels_N)):
        raise ValueError(f"predictions {predicted_MN.shape}, not {(n_models, len(labels_N))}")
    if labels_N.min() < 0 or labels_N.max() >= n_classes:
        raise ValueError(f"labels {labels_N.min()} to {labels_N.max()}, {n_classes} classes")
    if len(temperatures_M) != n_models:
        raise ValueError(f"{len(temperatures_M)} temperatures, {n_models} models")
    return n_models, n_examples, n_classes


def _tile(parts, predicted_MT, label_T, temperatures_M, rule, buffer) -> _Tile:
    shape_MTC = len(parts), *parts[0].shape
    values_MTC = buffer[: np.prod(shape_MTC)].reshape(shape_MTC)
    row_T = np.arange(len(label_T))
    top_MT = np.empty(shape_MTC[:2], np.intp)
    at_label_MT, at_top_MT = np.empty((2, *shape_MTC[:2]), np.float32)
    rest = []
    for m, (part_TC, temperature) in enumerate(zip(parts, temperatures_M, strict=True)):
        values_TC = scaled_logits(part_TC, temperature, out=values_MTC[m])
        top_T = top_MT[m] = values_TC.argmax(axis=1)
        if not np.isfinite(values_TC[row_T, top_T]).all():
            raise InputError(f"logits of model {m + 1} of {len(parts)} are not finite numbers")
        if rule == "mean_probability":
            softmax(values_TC, out=values_TC)
        at_label_MT[m] = values_TC[row_T, label_T]
        at_top_MT[m] = values_TC[row_T, top_T]
        values_TC[row_T, label_T] = values_TC[row_T, top_T] = -np.inf
        rest.append(_block_maxima(values_TC))
        values_TC[row_T, label_T] = at_label_MT[m]
        values_TC[row_T, top_T] = at_top_MT[m]
    rest_MTB = np.stack(rest)
    return _Tile(
        values_MTC,
        label_T,
        predicted_MT,
        predicted_MT == label_T,
        top_MT,
        at_label_MT,
        at_top_MT,
        rest_MTB.max(axis=2),
        rest_MTB,
    )


def _block_maxima(values_TC: np.ndarray) -> np.ndarray:
    """Largest value in each of at most BLOCKS (overlapping) sets that together hold all classes."""
    while values_TC.shape[1] > BLOCKS:
        half = (values_TC.shape[1] + 1) // 2
        values_TC = np.maximum(values_TC[:, :half], values_TC[:, -half:])
    return values_TC.copy()


def _right_by_sum(tile: _Tile, first_P, second_P) -> np.ndarray:
    """Whether each pair's sum, or the class both members predict, is right: bool [P, T].

    Rounding is monotonic, so the sum of two bounds bounds the rounded sums. Comparing the true
    class with both largest ones and with the bound of all others decides nearly every case;
    bounds by block of classes decide most of the rest, and full sums what is left, ties included.
    """
    agree_PT = tile.predicted_MT[first_P] == tile.predicted_MT[second_P]
    score_PT = tile.at_label_MT[first_P] + tile.at_label_MT[second_P]
    rival_MT = np.where(tile.top_MT == tile.label_T, np.float32(-np.inf), tile.at_top_MT)
    rival_PT = np.maximum(
        rival_MT[first_P] + _value_at(tile, second_P, tile.top_MT[first_P]),
        rival_MT[second_P] + _value_at(tile, first_P, tile.top_MT[second_P]),
    )
    bound_PT = np.maximum(rival_PT, tile.rest_MT[first_P] + tile.rest_MT[second_P])
    right_PT = score_PT > bound_PT
    open_U = np.flatnonzero((score_PT >= rival_PT) & ~(right_PT | agree_PT))
    step = max(1, PAIR_ELEMENTS // tile.values_MTC.shape[2])
    for at in range(0, len(open_U), step):
        pair_U, row_U = np.unravel_index(open_U[at : at + step], right_PT.shape)
        i_U, j_U = first_P[pair_U], second_P[pair_U]
        bound_U = (tile.rest_MTB[i_U, row_U] + tile.rest_MTB[j_U, row_U]).max(axis=1)
        right_U = score_PT[pair_U, row_U] > np.maximum(bound_U, rival_PT[pair_U, row_U])
        i, j, row = i_U[~right_U], j_U[~right_U], row_U[~right_U]
        sum_UC = tile.values_MTC[i, row] + tile.values_MTC[j, row]
        right_U[~right_U] = sum_UC.argmax(axis=1) == tile.label_T[row]
        right_PT[pair_U, row_U] = right_U
    return np.where(agree_PT, tile.correct_MT[first_P], right_PT)


def _value_at(tile: _Tile, model_P, class_PT) -> np.ndarray:
    n_models, length, n_classes = tile.values_MTC.shape
    start_MT = np.arange(0, tile.values_MTC.size, n_classes).reshape(n_models, length)
    return tile.values_MTC.ravel().take(start_MT[model_P] + class_PT)


def _ones(packed: np.ndarray) -> np.ndarray:
    return np.bitwise_count(packed).sum(axis=1, dtype=np.int64)


def member_accuracies(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of the first and of the second model."""
    return accuracies(counts.sum(axis=-1))


def ensemble_accuracy(counts: np.ndarray) -> np.ndarray:
    """Accuracy of the ensemble (No One Representation, fig. 2 centre)."""
    return _ratio(counts[..., 1].sum(axis=(-2, -1)), counts.sum(axis=(-3, -2, -1)))


def ensemble_gain(counts: np.ndarray) -> np.ndarray:
    """Accuracy of the ensemble less the mean of its members' (fig. 2 left)."""
    accuracy1, accuracy2 = member_accuracies(counts)
    return ensemble_accuracy(counts) - (accuracy1 + accuracy2) / 2


def conversion_rate(counts: np.ndarray) -> np.ndarray:
    """Fraction the ensemble gets right of those exactly one member does (fig. 2 right).

    NaN if there are none.
    """
    inconsistent = counts[..., 1, 0, :] + counts[..., 0, 1, :]
    return _ratio(inconsistent[..., 1], inconsistent.sum(axis=-1))


def rescue_fraction(counts: np.ndarray) -> np.ndarray:
    """Fraction the ensemble gets right of those neither member does; NaN if there are none."""
    return _ratio(counts[..., 0, 0, 1], counts[..., 0, 0, :].sum(axis=-1))


def identity_residual(counts: np.ndarray) -> np.ndarray:
    """Gain less EI (CR - 1/2) + R q, with q = 1 - (a1 + a2 + EI) / 2: zero but for rounding.

    EI is error inconsistency, CR the conversion rate, R the rescue fraction, a1 and a2 the
    members' accuracies. A rate of no examples counts as 0. Otherwise the residual is minus the
    fraction of examples that both members get right and the ensemble does not: none, as members
    that agree decide.
    """
    accuracy1, accuracy2 = member_accuracies(counts)
    inconsistency = error_inconsistency(counts.sum(axis=-1))
    both_wrong = 1 - (accuracy1 + accuracy2 + inconsistency) / 2
    conversion = inconsistency * (np.nan_to_num(conversion_rate(counts)) - 0.5)
    rescue = np.nan_to_num(rescue_fraction(counts)) * both_wrong
    return ensemble_gain(counts) - conversion - rescue


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(numerator, denominator, dtype=np.float64)
