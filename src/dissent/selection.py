"""Greedy ensemble selection with replacement (Caruana et al. 2004).

An ensemble is an order of models in which a model may come again: the mean of its members'
tempered probabilities, each time a model comes counting once. As in `dissent.ensembles`, the class
that all members predict is the ensemble's, so an ensemble of one model predicts what the model
does; where they differ it is the largest class of the float32 sum. Ties are common among votes of
classes alone: they go to what the first member predicts, the most accurate one, if that is among
the tied, lest the numbers of the classes decide.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dissent.commandline import InputError
from dissent.ensembles import scaled_logits, softmax
from dissent.progress import progress
from dissent.votes import Votes

TILE_ELEMENTS = 2**18  # examples x classes held at a time: 1 MB an array, stays in the cache
TIE = 1e-5  # of the summed probabilities: what rounding can make of equal ones
NOBODY, SPLIT = -2, -1  # in place of the class that all members predict


class Selection(NamedTuple):
    """The order of R additions, and accuracy and loss of the ensemble after each."""

    order: list[int]
    accuracy_R: np.ndarray
    loss_R: np.ndarray


def greedy_selection(votes: Votes, max_members: int, n_rounds: int) -> Selection:
    """Add, in each round, the model (also again) that makes the ensemble most accurate.

    Starts from the most accurate model. Ties go to the lower negative log-likelihood, in nats an
    example, then to the lower index; there are at most `max_members` different ones. The examples
    are used to choose, so report on others. Raises InputError for logits that are not numbers.
    """
    n_models, n_examples = votes.predicted_MN.shape
    sum_NC = np.zeros((n_examples, votes.logits[0].shape[1]), np.float32)
    common_N = np.full(n_examples, NOBODY, np.int32)
    order, accuracies, losses = [], [], []
    for n_members in progress(range(1, n_rounds + 1), "greedy selection"):
        full = len(set(order)) == max_members
        candidates = sorted(set(order)) if full else range(n_models)
        first_N = votes.predicted_MN[order[0]] if order else None
        right_K, loss_K = _trials(votes, candidates, sum_NC, common_N, first_N)
        best = np.lexsort([loss_K, -right_K])[0]
        order.append(candidates[best])
        accuracies.append(right_K[best] / n_examples)
        losses.append(loss_K[best] / n_examples + np.log(n_members))
        for rows in _tiles(votes):
            sum_NC[rows] += _probabilities(votes, order[-1], rows)
        common_N = _common(common_N, votes.predicted_MN[order[-1]])
    return Selection(order, np.array(accuracies), np.array(losses))


def best_prefixes(selection: Selection) -> list[int]:
    """How many additions make the best ensemble of 1, of 2, ... different members.

    The most accurate one; ties go to the lower loss, then to the fewer additions.
    """
    size_R = np.array([len(set(selection.order[: r + 1])) for r in range(len(selection.order))])
    quality = [selection.loss_R, -selection.accuracy_R]
    by_quality_R = np.lexsort(quality)
    return [int(by_quality_R[size_R[by_quality_R] == k][0]) + 1 for k in range(1, size_R[-1] + 1)]


def prefix_correct(votes: Votes, order: Sequence[int]) -> np.ndarray:
    """Whether the ensemble of the first k + 1 models of `order` is right, bool [K, N]."""
    correct_KN = np.empty((len(order), len(votes.labels_N)), bool)
    for rows in _tiles(votes):
        probabilities = {model: _probabilities(votes, model, rows) for model in set(order)}
        sum_TC = np.zeros_like(probabilities[order[0]])
        common_T = np.full(len(sum_TC), NOBODY, np.int32)
        for k, model in enumerate(order):
            sum_TC += probabilities[model]
            common_T = _common(common_T, votes.predicted_MN[model, rows])
            first_T = votes.predicted_MN[order[0], rows]
            correct_KN[k, rows] = _predicted(sum_TC, common_T, first_T) == votes.labels_N[rows]
    return correct_KN


def _trials(votes: Votes, candidates, sum_NC, common_N, first_N) -> tuple[np.ndarray, np.ndarray]:
    """How often the ensemble with each candidate is right, and its summed loss but for log n.

    `first_N` is what the first member predicts; None if the candidate is it.
    """
    right_K, loss_K = np.zeros(len(candidates), int), np.zeros(len(candidates))
    for rows in _tiles(votes):
        label_T = votes.labels_N[rows]
        for k, model in enumerate(candidates):
            trial_TC = _probabilities(votes, model, rows)
            trial_TC += sum_NC[rows]
            common_T = _common(common_N[rows], votes.predicted_MN[model, rows])
            first_T = (votes.predicted_MN[model] if first_N is None else first_N)[rows]
            right_K[k] += np.count_nonzero(_predicted(trial_TC, common_T, first_T) == label_T)
            with np.errstate(divide="ignore"):
                at_label_T = trial_TC[np.arange(len(label_T)), label_T]
                loss_K[k] -= np.log(at_label_T, dtype=np.float64).sum()
    return right_K, loss_K


def _tiles(votes: Votes) -> Iterator[slice]:
    n_examples, n_classes = votes.logits[0].shape
    step = max(1, TILE_ELEMENTS // n_classes)
    return (slice(at, min(at + step, n_examples)) for at in range(0, n_examples, step))


def _probabilities(votes: Votes, model: int, rows: slice) -> np.ndarray:
    scaled_TC = scaled_logits(votes.logits[model][rows], votes.temperatures_M[model])
    probability_TC = softmax(scaled_TC, out=scaled_TC)
    # One score that is no number makes all probabilities of its example so.
    if np.isnan(probability_TC[:, 0]).any():
        raise InputError(f"scores of model {model + 1} of {len(votes.logits)} are not numbers")
    return probability_TC


def _common(common_N: np.ndarray, predicted_N: np.ndarray) -> np.ndarray:
    """The class that all members predict once a model joins that predicts these; else SPLIT."""
    agrees_N = (common_N == predicted_N) | (common_N == NOBODY)
    return np.where(agrees_N, predicted_N, SPLIT)


def _predicted(sum_NC: np.ndarray, common_N: np.ndarray, first_N: np.ndarray) -> np.ndarray:
    row_N = np.arange(len(sum_NC))
    top_N = sum_NC.argmax(axis=1)
    tied_N = sum_NC[row_N, first_N] >= sum_NC[row_N, top_N] - TIE
    return np.where(common_N == SPLIT, np.where(tied_N, first_N, top_N), common_N)
