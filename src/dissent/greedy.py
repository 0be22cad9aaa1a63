"""Greedy ensemble selection: add whichever model helps most (No One Representation, figure 5)."""

from collections.abc import Sequence

import numpy as np

from dissent.ensembles import scaled_logits, softmax
from dissent.progress import progress


def greedy_addition(
    logits: Sequence,
    labels_N: np.ndarray,
    temperatures_M: Sequence[float],
    start: int,
    candidates: Sequence[int],
    n_additions: int,
) -> tuple[list[int], np.ndarray]:
    """Choose models to add to model `start`, each at most once: their order, and accuracies.

    Each step adds the candidate that makes the mean of the tempered probabilities most accurate;
    ties go to the lower negative log-likelihood, then to the lower index. The order begins with
    `start`; accuracy_K[k] is that of the first k + 1 members. The examples are used to choose, so
    report the order's accuracies on others (`prefix_correct`).

    `logits` holds M arrays [N, C], which may be memory-mapped. Raises ValueError if there are fewer
    candidates than additions or `start` is among them.
    """
    remaining = sorted(set(candidates))
    if start in remaining or n_additions > len(remaining):
        raise ValueError(f"cannot add {n_additions} of {remaining} to {start}")
    order = [start]
    sum_NC = _probabilities(logits, temperatures_M, start)
    accuracy_K = [_accuracy(sum_NC, labels_N)]
    for step in range(n_additions):
        ranked = []
        for model in progress(remaining, f"addition {step + 1} of {n_additions}"):
            trial_NC = sum_NC + _probabilities(logits, temperatures_M, model)
            loss = _negative_log_likelihood(trial_NC, labels_N)
            ranked.append((-_accuracy(trial_NC, labels_N), loss, model))
        best_accuracy, _, best = min(ranked)
        order.append(best)
        remaining.remove(best)
        sum_NC += _probabilities(logits, temperatures_M, best)
        accuracy_K.append(-best_accuracy)
    return order, np.array(accuracy_K)


def prefix_correct(
    logits: Sequence, labels_N: np.ndarray, temperatures_M: Sequence[float], order: Sequence[int]
) -> np.ndarray:
    """Whether the mean probability of the first k + 1 models of `order` is right, bool [K, N].

    Its mean over examples is the trajectory of figure 5; intervals need the examples.
    """
    correct_KN = np.empty((len(order), len(labels_N)), bool)
    sum_NC = np.float32(0)
    for k, model in enumerate(order):
        sum_NC = sum_NC + _probabilities(logits, temperatures_M, model)
        correct_KN[k] = sum_NC.argmax(axis=1) == labels_N
    return correct_KN


def _probabilities(logits, temperatures_M, model: int) -> np.ndarray:
    scaled_NC = scaled_logits(logits[model], temperatures_M[model])
    return softmax(scaled_NC, out=scaled_NC)


def _accuracy(sum_NC: np.ndarray, labels_N: np.ndarray) -> float:
    return float((sum_NC.argmax(axis=1) == labels_N).mean())


def _negative_log_likelihood(sum_NC: np.ndarray, labels_N: np.ndarray) -> float:
    """Of the mean probability, but for a constant that all ensembles of one size share."""
    with np.errstate(divide="ignore"):
        return float(-np.log(sum_NC[np.arange(len(labels_N)), labels_N], dtype=np.float64).mean())
