import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import log_loss

from dissent import cross_entropy_selection as selection
from dissent.commandline import InputError
from dissent.cross_entropy_selection import Trajectory


def candidates_of(seed, n_candidates=7, n_examples=40, n_classes=4):
    """Probabilities [M, N, C] and labels: each candidate knows some classes better."""
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, n_classes, n_examples)
    labels_N[:n_classes] = range(n_classes)
    sure_MC = rng.uniform(0, 3, (n_candidates, n_classes))
    scores_MNC = rng.normal(size=(n_candidates, n_examples, n_classes))
    scores_MNC += sure_MC[:, None] * np.eye(n_classes)[labels_N]
    return softmax(scores_MNC, axis=2), labels_N


def true_of(probability_MNC, labels_N):
    return probability_MNC[:, np.arange(len(labels_N)), labels_N]


def dense_loss(probability_MNC, labels_N, order):
    return log_loss(labels_N, probability_MNC[list(order)].mean(axis=0))


def loop(probability_MNC, labels_N, max_members, replacement, costs=None, budget=np.inf):
    """Greedy selection with all classes, one ensemble after the other."""
    order, losses = [], []
    for _ in range(max_members):
        trials = []
        for candidate in range(len(probability_MNC)):
            if candidate in order and not replacement:
                continue
            if costs is not None and sum(costs[m] for m in {*order, candidate}) > budget:
                continue
            loss = dense_loss(probability_MNC, labels_N, [*order, candidate])
            trials.append((loss, candidate))
        if not trials:
            break
        loss, best = min(trials)
        order.append(best)
        losses.append(loss)
    return order, losses


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("replacement", [True, False])
def test_choices_and_losses_are_those_of_a_loop_over_all_classes(seed, replacement):
    probability_MNC, labels_N = candidates_of(seed)
    found = selection.greedy(true_of(probability_MNC, labels_N), 9, replacement)
    order, losses = loop(probability_MNC, labels_N, 9, replacement)
    assert found.order == order
    np.testing.assert_allclose(found.loss_R, losses, rtol=1e-12)
    assert len(order) == (9 if replacement else 7)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("budget", [2, 5, 9, 30])
def test_different_members_stay_within_the_budget(budget, replacement):
    probability_MNC, labels_N = candidates_of(0)
    costs = [4, 2, 7, 3, 2, 5, 4]
    found = selection.greedy(
        true_of(probability_MNC, labels_N), 9, replacement, np.array(costs), budget
    )
    assert found.order == loop(probability_MNC, labels_N, 9, replacement, costs, budget)[0]
    assert sum(costs[m] for m in set(found.order)) <= budget
    # A member that comes again is free.
    assert len(found.order) == 9 or not replacement


def test_nothing_is_chosen_below_the_least_cost():
    true_MN = true_of(*candidates_of(0))
    trajectory = selection.greedy(true_MN, 3, True, np.full(len(true_MN), 2.0), 1.9)
    assert trajectory.order == []
    assert selection.kept(trajectory, "best") == selection.kept(trajectory, "first_rise") == []


PROBABILITIES = st.sampled_from([0.0, 1e-300, 0.1, 0.5, 0.50001, 1.0])


@given(st.data())
def test_properties_of_the_greedy_choice(data):
    n_candidates, n_examples = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    row = st.lists(PROBABILITIES, min_size=n_examples, max_size=n_examples)
    true_MN = np.array(data.draw(st.lists(row, min_size=n_candidates, max_size=n_candidates)))
    with np.errstate(divide="ignore"):
        single_M = -np.log(true_MN).mean(axis=1)
    trajectory = selection.greedy(true_MN, 5)
    assert trajectory.order[0] == single_M.argmin()
    for r, loss in enumerate(trajectory.loss_R):
        mean_N = true_MN[trajectory.order[: r + 1]].mean(axis=0)
        with np.errstate(divide="ignore"):
            assert loss == pytest.approx(-np.log(mean_N).mean(), abs=1e-12)
    best = selection.kept(trajectory, "best")
    assert trajectory.loss_R[len(best) - 1] == trajectory.loss_R.min() <= single_M.min()
    weight_M = selection.weights(best, n_candidates)
    assert weight_M.sum() == pytest.approx(1)
    assert set(np.flatnonzero(weight_M)) == set(best)


@pytest.mark.parametrize("replacement", [True, False])
def test_the_order_of_candidates_does_not_matter(replacement):
    true_MN = true_of(*candidates_of(3))
    shuffled = np.random.default_rng(0).permutation(len(true_MN))
    found = selection.greedy(true_MN[shuffled], 6, replacement)
    assert shuffled[found.order].tolist() == selection.greedy(true_MN, 6, replacement).order


def test_of_equal_candidates_the_first_is_chosen():
    once_MN = true_of(*candidates_of(1))
    found = selection.greedy(np.concatenate([once_MN, once_MN]), 6)
    assert found.order == selection.greedy(once_MN, 6).order


def test_examples_nobody_gets_right_leave_the_first_candidates():
    true_MN = np.array([[0, 0.5], [0, 0.9], [0, 0.7]])
    trajectory = selection.greedy(true_MN, 3, replacement=False)
    assert trajectory.order == [0, 1, 2]
    assert np.isposinf(trajectory.loss_R).all()
    assert selection.kept(trajectory, "best") == [0]


def test_a_budget_counts_where_all_losses_are_infinite():
    true_MN = np.zeros((3, 2))
    assert selection.greedy(true_MN, 2, False, np.array([9, 1, 1]), 2).order == [1, 2]


def test_a_candidate_mends_what_another_holds_impossible():
    true_MN = np.array([[0, 0.99, 0.99], [0.9, 0.01, 0], [0.9, 0, 0.01]])
    trajectory = selection.greedy(true_MN, 2)
    assert trajectory.order == [0, 1]
    assert np.isfinite(trajectory.loss_R).tolist() == [False, True]


@pytest.mark.parametrize(
    ("losses", "best", "first_rise"),
    [
        ([3, 2, 1], 3, 3),
        ([3, 2, 2.5, 1], 4, 2),
        ([3, 3, 3], 1, 3),
        ([1, 2, 0.5, 0.5], 3, 1),
        ([np.inf, np.inf, 1, 2], 3, 3),
    ],
)
def test_how_many_additions_are_kept(losses, best, first_rise):
    trajectory = Trajectory(list(range(len(losses))), np.array(losses))
    assert selection.kept(trajectory, "best") == list(range(best))
    assert selection.kept(trajectory, "first_rise") == list(range(first_rise))


def test_weights_count_how_often_a_member_comes():
    np.testing.assert_array_equal(selection.weights([2, 0, 2, 2], 4), [0.25, 0, 0.75, 0])


def test_bagged_weights_are_the_mean_over_bags():
    true_MN = true_of(*candidates_of(2))
    found_M = selection.bagged(true_MN, 4, 6, 0.5, np.random.default_rng(9))
    rng, total_M = np.random.default_rng(9), np.zeros(7)
    for _ in range(6):
        bag = sorted(rng.choice(7, 4, replace=False))
        trajectory = selection.greedy(true_MN[bag], 4)
        order = trajectory.order[: int(trajectory.loss_R.argmin()) + 1]
        for k in order:
            total_M[bag[k]] += 1 / len(order) / 6
    np.testing.assert_allclose(found_M, total_M, atol=1e-15)
    assert found_M.sum() == pytest.approx(1)
    again_M = selection.bagged(true_MN, 4, 6, 0.5, np.random.default_rng(9))
    np.testing.assert_array_equal(found_M, again_M)


def test_one_bag_of_everything_is_the_greedy_choice():
    true_MN = true_of(*candidates_of(2))
    options = {"replacement": False, "stop": "first_rise"}
    found_M = selection.bagged(true_MN, 5, 1, 1.0, np.random.default_rng(0), **options)
    order = selection.kept(selection.greedy(true_MN, 5, replacement=False), "first_rise")
    np.testing.assert_array_equal(found_M, selection.weights(order, 7))


def test_a_bag_holds_one_candidate_at_least():
    true_MN = true_of(*candidates_of(2))
    found_M = selection.bagged(true_MN, 5, 1, 0.01, np.random.default_rng(0))
    assert sorted(found_M) == [0] * 6 + [1]


def test_nan_is_refused():
    true_MN = np.full((4, 3), 0.5)
    true_MN[1, 0] = true_MN[2, 2] = np.nan
    with pytest.raises(InputError, match="2 of 4 candidates"):
        selection.greedy(true_MN, 2)
    with pytest.raises(InputError, match="NaN"):
        selection.bagged(true_MN, 2, 1, 1, np.random.default_rng(0))
