from collections import Counter
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from dissent import selection
from dissent.commandline import InputError
from dissent.selection import Selection
from dissent.votes import Votes


def votes_of(seed, n_models=4, n_examples=90, n_classes=6, n_coarse=0):
    """Models of which each knows some classes better; the first `n_coarse` have coarse scores."""
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, n_classes, n_examples)
    sure_MC = rng.uniform(0, 2.5, (n_models, n_classes))
    logits_MNC = rng.normal(size=(n_models, n_examples, n_classes))
    logits_MNC += sure_MC[:, None] * np.eye(n_classes)[labels_N]
    predicted_MN = logits_MNC.argmax(axis=2)
    logits_MNC[:n_coarse] = logits_MNC[:n_coarse].round()
    temperatures_M = rng.uniform(0.5, 2, n_models)
    return Votes(list(logits_MNC.astype(np.float32)), predicted_MN, labels_N, temperatures_M)


def loop(votes, order):
    """Classes that an ensemble predicts and its loss, one example after the other, in float64."""
    predicted, losses = [], []
    for n, label in enumerate(votes.labels_N):
        said = {int(votes.predicted_MN[m, n]) for m in order}
        probability_C = np.mean(
            [softmax(votes.logits[m][n].astype(float) / votes.temperatures_M[m]) for m in order],
            axis=0,
        )
        first = int(votes.predicted_MN[order[0], n])
        tied = probability_C[first] >= probability_C.max() - selection.TIE / len(order)
        predicted.append(
            said.pop() if len(said) == 1 else first if tied else probability_C.argmax()
        )
        losses.append(-np.log(probability_C[label]))
    return np.array(predicted), np.mean(losses)


def quality(votes, order):
    predicted_N, loss = loop(votes, order)
    return (predicted_N == votes.labels_N).mean(), -loss


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(selection, "TILE_ELEMENTS", 7 * 6 + 1)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_members", [2, 4])
def test_each_round_adds_the_best_of_all_that_may_be_added(seed, max_members):
    votes = votes_of(seed, n_coarse=seed)
    found = selection.greedy_selection(votes, max_members, 7)
    assert len(found.order) == 7
    assert len(set(found.order)) <= max_members
    for r, model in enumerate(found.order):
        before = found.order[:r]
        full = len(set(before)) == max_members
        trials = {
            other: quality(votes, [*before, other]) for other in (set(before) if full else range(4))
        }
        assert trials[model] == max(trials.values())
        assert found.accuracy_R[r] == trials[model][0]
        assert found.loss_R[r] == pytest.approx(-trials[model][1], rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_of_all_ensembles_of_as_many_additions_greedy_finds_a_good_one(seed):
    votes = votes_of(seed, n_models=3)
    found = selection.greedy_selection(votes, 3, 4)
    for r in range(4):
        every = [quality(votes, m)[0] for m in combinations_with_replacement(range(3), r + 1)]
        assert np.quantile(every, 0.6) <= found.accuracy_R[r] <= max(every)
    assert found.accuracy_R[0] == max(quality(votes, [m])[0] for m in range(3))


@pytest.mark.parametrize("seed", range(4))
def test_the_best_prefix_of_each_size_is_found_by_trying_all(seed):
    votes = votes_of(seed)
    found = selection.greedy_selection(votes, 3, 9)
    lengths = selection.best_prefixes(found)
    sizes = [len(set(found.order[:length])) for length in range(1, 10)]
    assert [len(set(found.order[:length])) for length in lengths] == sorted(set(sizes))
    for length in lengths:
        size = len(set(found.order[:length]))
        same = [n for n in range(1, 10) if len(set(found.order[:n])) == size]
        qualities = {n: quality(votes, found.order[:n]) for n in same}
        best = max(qualities.values())
        assert qualities[length][0] == best[0]
        assert qualities[length][1] == pytest.approx(best[1], rel=1e-6)


def test_equal_prefixes_are_told_apart_by_loss_then_by_length():
    accuracy_R = np.array([0.5, 0.7, 0.7, 0.7, 0.6])
    loss_R = np.array([1.0, 0.9, 0.8, 0.8, 0.1])
    assert selection.best_prefixes(Selection([0, 1, 1, 0, 0], accuracy_R, loss_R)) == [1, 3]
    assert selection.best_prefixes(Selection([2, 2], np.ones(2), np.ones(2))) == [1]


def test_ties_go_to_the_lower_loss_then_to_the_lower_index():
    labels_N = np.array([0, 1])
    sure, unsure = np.log([[0.8, 0.2], [0.2, 0.8]]), np.log([[0.6, 0.4], [0.4, 0.6]])
    logits = [unsure, sure, sure]
    votes = Votes(logits, np.array([labels_N] * 3), labels_N, np.ones(3))
    assert selection.greedy_selection(votes, 3, 3).order == [1, 1, 1]


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_every_prefix_is_right_where_a_loop_says_so(seed, order):
    votes = votes_of(seed, n_examples=15, n_coarse=2)
    found_KN = selection.prefix_correct(votes, order)
    for k, correct_N in enumerate(found_KN):
        expected_N, _ = loop(votes, order[: k + 1])
        np.testing.assert_array_equal(correct_N, expected_N == votes.labels_N)


@pytest.mark.usefixtures("small_tiles")
def test_an_ensemble_of_one_model_predicts_what_it_does_even_where_its_scores_do_not():
    votes = votes_of(0, n_examples=300, n_coarse=2)
    assert (votes.predicted_MN[0] != votes.logits[0].argmax(axis=1)).any()
    for model in range(4):
        correct_N = votes.predicted_MN[model] == votes.labels_N
        for order in ([model], [model] * 3):
            np.testing.assert_array_equal(selection.prefix_correct(votes, order)[-1], correct_N)


def test_what_an_ensemble_adds_up_does_not_depend_on_its_tiles(monkeypatch):
    votes, order = votes_of(5), [3, 0, 3, 1]
    whole_KN = selection.prefix_correct(votes, order)
    chosen = selection.greedy_selection(votes, 4, 6)
    monkeypatch.setattr(selection, "TILE_ELEMENTS", 50)
    np.testing.assert_array_equal(selection.prefix_correct(votes, order), whole_KN)
    assert selection.greedy_selection(votes, 4, 6).order == chosen.order


def test_a_useful_model_comes_again_instead_of_a_useless_one():
    votes = votes_of(1, n_models=2, n_examples=400)
    useless_NC = np.random.default_rng(0).normal(0, 8, (400, 6)).astype(np.float32)
    votes = votes._replace(
        logits=[votes.logits[0], useless_NC],
        predicted_MN=np.stack([votes.predicted_MN[0], useless_NC.argmax(axis=1)]),
        temperatures_M=np.ones(2),
    )
    weight = Counter(selection.greedy_selection(votes, 2, 6).order)
    assert weight[0] > weight[1]


def test_scores_that_are_no_numbers_are_refused():
    votes = votes_of(0)
    votes.logits[2][5, 4] = np.nan
    for use in (
        lambda: selection.greedy_selection(votes, 2, 2),
        lambda: selection.prefix_correct(votes, [2]),
    ):
        with pytest.raises(InputError, match="scores of model 3 of 4 are not numbers"):
            use()


@given(st.integers(0, 2**32 - 1))
def test_tied_votes_do_not_depend_on_the_numbers_of_the_classes(seed):
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, 3, 40)
    predicted_MN = rng.integers(0, 3, (4, 40))
    renumbered = rng.permutation(3)
    found = []
    for number in (np.arange(3), renumbered):
        predicted = number[predicted_MN]
        # Votes of classes alone, all of one weight.
        logits = [np.log(np.where(row[:, None] == np.arange(3), 0.7, 0.15)) for row in predicted]
        votes = Votes(logits, predicted, number[labels_N], np.ones(4))
        found.append(selection.prefix_correct(votes, [2, 0, 1, 2, 2]))
    np.testing.assert_array_equal(*found)
