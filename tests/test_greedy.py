from itertools import permutations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss

from dissent import greedy
from dissent.ensembles import ensemble_accuracy, ensemble_counts


@pytest.fixture(scope="module")
def zoo():
    rng = np.random.default_rng(0)
    labels_N = rng.integers(0, 6, 300)
    truth_NC = 1.5 * np.eye(6)[labels_N]
    logits = [(truth_NC + rng.normal(0, 1.5, (300, 6))).astype(np.float16) for _ in range(6)]
    return logits, labels_N, rng.uniform(0.5, 2, 6)


def mean_probability(zoo, members):
    logits, _, temperatures_M = zoo
    scaled = [logits[m].astype(np.float64) / temperatures_M[m] for m in members]
    return np.mean([softmax(scaled_NC, axis=1) for scaled_NC in scaled], axis=0)


def test_each_step_takes_the_best_of_a_brute_force_search(zoo):
    order, accuracy_K = greedy.greedy_addition(
        *zoo, start=3, candidates=[0, 1, 2, 4, 5], n_additions=4
    )
    assert len(set(order)) == len(order) == 5
    for k in range(5):
        probability_NC = mean_probability(zoo, order[: k + 1])
        assert accuracy_K[k] == accuracy_score(zoo[1], probability_NC.argmax(axis=1))
    for k in range(1, 5):
        trials = {
            other: mean_probability(zoo, [*order[:k], other])
            for other in set(range(6)) - set(order[:k])
        }
        score = {
            other: (accuracy_score(zoo[1], trial_NC.argmax(axis=1)), -log_loss(zoo[1], trial_NC))
            for other, trial_NC in trials.items()
        }
        assert order[k] == max(score, key=score.get)


def test_the_first_addition_is_the_best_pair_of_the_pair_ensembles(zoo):
    pairs_P2 = np.array([[3, other] for other in (0, 1, 2, 4, 5)])
    logits, *others = zoo
    predicted_MN = np.argmax(logits, axis=2)
    counts = ensemble_counts(logits, predicted_MN, *others, "mean_probability", pairs_P2)
    accuracy_P = ensemble_accuracy(counts)
    _, accuracy_K = greedy.greedy_addition(*zoo, 3, [0, 1, 2, 4, 5], 1)
    assert accuracy_K[1] == accuracy_P.max()


def logits_of(*rows):
    return np.log(np.array(rows))


def test_ties_go_to_the_lower_loss_then_to_the_lower_index():
    labels_N = np.array([0, 1])
    start = logits_of([0.9, 0.1], [0.1, 0.9])
    unsure = logits_of([0.6, 0.4], [0.4, 0.6])
    sure = logits_of([0.8, 0.2], [0.2, 0.8])
    logits = [start, unsure, sure, sure]
    order, _ = greedy.greedy_addition(logits, labels_N, np.ones(4), 0, [3, 1, 2], 3)
    assert order == [0, 2, 3, 1]


def test_nothing_is_added_twice_or_from_outside_the_candidates(zoo):
    order, _ = greedy.greedy_addition(*zoo, 0, [4, 2, 2], 2)
    assert sorted(order) == [0, 2, 4]
    with pytest.raises(ValueError, match="cannot add"):
        greedy.greedy_addition(*zoo, 0, [4, 2, 2], 3)
    with pytest.raises(ValueError, match="cannot add"):
        greedy.greedy_addition(*zoo, 0, [0, 1], 1)


def test_correctness_of_every_prefix(zoo):
    order = next(permutations(range(6), 4))
    correct_KN = greedy.prefix_correct(*zoo, order)
    for k, correct_N in enumerate(correct_KN):
        predicted_N = mean_probability(zoo, order[: k + 1]).argmax(axis=1)
        np.testing.assert_array_equal(correct_N, predicted_N == zoo[1])
