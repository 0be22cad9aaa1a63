from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from dissent.choice_metrics import (
    Labels,
    Scores,
    evaluate_choices,
    is_full,
    method_scores,
    mixture,
    paired_interval,
    quality,
    read_scores,
    score_contributions,
    verdict,
    write_scores,
)
from dissent.choices import CHOICE
from dissent.commandline import InputError
from dissent.finetuned import FineTuning, FineTunings

N_TUNE, N_REPORT, N_CLASSES = 30, 50, 3


def fine_tunings_of(rng, model, n_runs):
    probability_RNC = rng.dirichlet(np.ones(N_CLASSES), (n_runs, N_TUNE + N_REPORT))
    runs = tuple(FineTuning(0.1, 10, 0, seed) for seed in range(n_runs))
    positions_N = np.arange(N_TUNE + N_REPORT)
    return FineTunings(model, model, runs, positions_N, np.log(probability_RNC).astype("f4"))


@pytest.fixture
def task():
    rng = np.random.default_rng(0)
    labels = Labels(rng.integers(N_CLASSES, size=N_TUNE), rng.integers(N_CLASSES, size=N_REPORT))
    fine_tunings = {f"all-{k}": fine_tunings_of(rng, f"m{k}", 2) for k in (1, 2)}
    costs = pd.DataFrame(
        {"multiply_adds": [10, 300], "parameters": [7, 5]}, index=pd.Index(["m1", "m2"])
    )
    return labels, fine_tunings, costs


def choice(method, members, seed=0, draw=0, models=2, size=4, budget=np.nan):
    """Rows of one choice, of (k, run, weight)."""
    about = dict(zip(CHOICE, (method, seed, draw, models, size, budget), strict=True))
    return [
        about | {"file": f"all-{k}", "model": f"m{k}", "run": run, "weight": weight}
        for k, run, weight in members
    ]


CHOSEN = pd.DataFrame(
    [
        *choice("greedy", [(1, 0, 0.25), (2, 1, 0.5), (1, 1, 0.25)]),
        *choice("greedy", [(1, 0, 1.0)], size=1),
        *choice("greedy", [(1, 0, 0.5), (1, 1, 0.5)], models=1),
        *choice("greedy", [(1, 0, 1.0)], budget=1.0),
        *choice("single", [(2, 0, 1.0)], size=1),
        *choice("random", [(1, 0, 0.5), (1, 1, 0.5)], draw=0, size=2),
        *choice("random", [(1, 0, 0.5), (2, 1, 0.5)], draw=1, size=2),
    ]
)


@pytest.mark.parametrize("metric", ["accuracy", "mean_class_accuracy"])
def test_choices_are_measured_as_scikit_learn_does(task, metric):
    labels, fine_tunings, costs = task
    table, correct_AN = evaluate_choices(CHOSEN, fine_tunings, labels, costs, metric, n_bins=15)
    assert table[CHOICE].equals(CHOSEN[CHOICE].drop_duplicates().reset_index(drop=True))
    groups = CHOSEN.groupby(CHOICE, sort=False, dropna=False)
    for (_, members), row, correct_N in zip(groups, table.itertuples(), correct_AN, strict=True):
        probability_NC = np.zeros((N_TUNE + N_REPORT, N_CLASSES))
        for m in members.itertuples():
            log_probability_NC = fine_tunings[m.file].log_probabilities_RNC[m.run]
            probability_NC += m.weight * np.exp(log_probability_NC.astype(float))
        probability_NC /= probability_NC.sum(axis=1, keepdims=True)
        tune_NC, report_NC = probability_NC[:N_TUNE], probability_NC[N_TUNE:]
        predicted_N, classes = report_NC.argmax(axis=1), range(N_CLASSES)
        assert row.accuracy == accuracy_score(labels.report_N, predicted_N)
        assert row.nll == pytest.approx(log_loss(labels.report_N, report_NC, labels=classes))
        assert row.tune_nll == pytest.approx(log_loss(labels.tune_N, tune_NC, labels=classes))
        one_hot_NC = np.eye(N_CLASSES)[labels.report_N]
        assert row.brier == pytest.approx(((report_NC - one_hot_NC) ** 2).sum(axis=1).mean())
        oracle = accuracy_score if metric == "accuracy" else balanced_accuracy_score
        assert row.score == pytest.approx(oracle(labels.report_N, predicted_N))
        np.testing.assert_array_equal(correct_N, predicted_N == labels.report_N)
        assert row.n == N_REPORT


def test_members_are_paid_for_once_and_models_counted_once(task):
    labels, fine_tunings, costs = task
    table, _ = evaluate_choices(CHOSEN, fine_tunings, labels, costs, "accuracy", 15)
    counted = ["n_members", "n_models", "multiply_adds", "parameters"]
    assert table[counted].iloc[0].tolist() == [3, 2, 320, 19]
    assert table[counted].iloc[2].tolist() == [2, 1, 20, 14]


def test_a_member_or_a_cost_that_is_missing_is_named(task):
    labels, fine_tunings, costs = task
    with pytest.raises(InputError, match=r"fine-tuning 1 of all-2 is not"):
        evaluate_choices(
            CHOSEN, {"all-1": fine_tunings["all-1"]}, labels, costs, "accuracy", n_bins=15
        )
    with pytest.raises(InputError, match="no model 'm2'"):
        evaluate_choices(CHOSEN, fine_tunings, labels, costs.loc[["m1"]], "accuracy", 15)


def test_a_choice_without_limits_has_most_models_and_size_of_its_method_and_seed():
    choices = CHOSEN[CHOICE].drop_duplicates()
    # Random ensembles are as large as the greedy one of their seed.
    later = pd.DataFrame(choice("random", [(1, 0, 1.0)], seed=1, size=1))[CHOICE]
    choices = pd.concat([choices, later], ignore_index=True)
    assert is_full(choices).tolist() == [True, False, False, False, True, True, True, True]


def test_a_mixture_is_the_log_of_the_mean_of_probabilities_even_where_these_vanish():
    members = np.array([[[-2000.0, 0.0]], [[-1000.0, 0.0]]], dtype=np.float32)
    found = mixture(members, [0.25, 0.75])
    np.testing.assert_allclose(found, [[np.log(0.75) - 1000, 0]], atol=1e-12)
    np.testing.assert_array_equal(mixture(members[:1], [1.0]), members[0])


def test_calibration_error_of_one_bin_is_the_gap_of_means():
    log_probability_NC = np.log([[0.9, 0.1], [0.95, 0.05], [0.92, 0.08]])
    found = quality(log_probability_NC, np.array([0, 0, 1]), n_bins=5)
    assert found["ece"] == pytest.approx((0.9 + 0.95 + 0.92) / 3 - 2 / 3)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=40))
def test_contributions_have_the_score_as_their_mean(examples):
    labels_N, correct_N = map(np.array, zip(*examples, strict=True))
    predicted_N = np.where(correct_N, labels_N, (labels_N + 1) % 4)
    plain = score_contributions(correct_N, labels_N, "accuracy")
    np.testing.assert_array_equal(plain, correct_N)
    recall = [correct_N[labels_N == c].mean() for c in np.unique(labels_N)]
    balanced = score_contributions(correct_N, labels_N, "mean_class_accuracy").mean()
    assert balanced == pytest.approx(np.mean(recall))
    if len(set(labels_N)) > 1 and set(predicted_N) <= set(labels_N):
        assert balanced == pytest.approx(balanced_accuracy_score(labels_N, predicted_N))


def test_contributions_vary_as_the_mean_class_accuracy_of_other_examples_does():
    rng = np.random.default_rng(1)
    n_C, accuracy_C = np.array([15, 9, 6]), np.array([0.95, 0.7, 0.4])
    labels_N = np.repeat(range(3), n_C)
    drawn = rng.random((4000, 30)) < accuracy_C[labels_N]
    rows = [score_contributions(row, labels_N, "mean_class_accuracy") for row in drawn]
    binomial = (accuracy_C * (1 - accuracy_C) / n_C).sum() / 3**2
    assert np.var(np.mean(rows, axis=1)) == pytest.approx(binomial, rel=0.06)
    assert np.var(rows, axis=1).mean() / 30 == pytest.approx(binomial, rel=0.03)


@pytest.mark.parametrize("metric", ["accuracy", "mean_class_accuracy"])
def test_scores_of_methods_are_means_over_draws_and_of_unlimited_choices(task, metric, tmp_path):
    labels, fine_tunings, costs = task
    both = pd.concat([CHOSEN, CHOSEN.assign(seed=1, run=1 - CHOSEN["run"])])
    table, correct_AN = evaluate_choices(both, fine_tunings, labels, costs, metric, 15)
    methods, contributions_ASN = method_scores(table, correct_AN, labels.report_N, metric)
    assert methods == ("greedy", "single", "random")
    full = table[is_full(table)]
    expected = full.groupby(["method", "seed"])["score"].mean()
    for (m, method), seed in product(enumerate(methods), (0, 1)):
        found = contributions_ASN[m, seed].astype(float).mean()
        assert found == pytest.approx(expected[method, seed], abs=1e-6)
    write_scores(tmp_path / "scores.safetensors", Scores("t", "g", methods, contributions_ASN))
    task_name, group, read, read_ASN = read_scores(tmp_path / "scores.safetensors")
    assert (task_name, group, read) == ("t", "g", methods)
    np.testing.assert_array_equal(read_ASN, contributions_ASN)


def answers(n, gained, lost, both=0):
    """What the single model and the ensemble are right on, of n examples."""
    single_N, ensemble_N = np.zeros((2, n), dtype=bool)
    ensemble_N[:gained] = single_N[gained : gained + lost] = True
    single_N[gained + lost :][:both] = ensemble_N[gained + lost :][:both] = True
    return single_N, ensemble_N


@pytest.mark.parametrize(
    ("gained", "lost", "judged"),
    [
        (
            20,
            5,
            "+3.0 points [1.0, 5.0], which is more than the luck of the test images (p = 0.002",
        ),
        (
            8,
            4,
            "+0.8 points [-0.6, 2.2], which is no more than the luck of the test images (p = 0.19",
        ),
        (
            5,
            0,
            "+1.0 points [0.0, 1.9], which is no more than the luck of the test images (p = 0.031",
        ),
        (4, 8, "-0.8 points [-2.2, 0.6], which is no gain (p = 0.93"),
        (0, 0, "+0.0 points [-0.4, 0.4], which is no gain (p = 1"),
    ],
)
def test_the_verdict_says_what_the_exact_test_says(gained, lost, judged):
    sentence = verdict("digits", 3, *answers(500, gained, lost, both=400), level=0.95)
    assert judged in sentence
    assert sentence.startswith("On digits the chosen ensemble of 3 fine-tuned models is right on ")
    low, high = binomtest(400 + gained, 500).proportion_ci(0.95, "wilson")
    right = f"{(400 + gained) / 5:.1f} % of 500 test images [{100 * low:.1f}, {100 * high:.1f}]"
    assert right in sentence


def test_the_verdict_where_a_single_model_is_chosen():
    sentence = verdict("digits", 1, *answers(2000, 0, 0, both=1999), level=0.95)
    assert "no ensemble is chosen" in sentence
    assert "99.95 % of 2,000 test images" in sentence


def counts(gained, lost, n):
    return np.array([[n - gained - lost, gained], [lost, 0]])


def test_the_interval_of_a_gain_never_contradicts_the_exact_test():
    for gained, lost in product(range(0, 40, 1), range(0, 40, 3)):
        low, high = paired_interval(counts(gained, lost, 200), 0.95)
        p = binomtest(gained, gained + lost, alternative="greater").pvalue if gained + lost else 1
        assert (low > 0) == (p < 0.025)
        assert low <= (gained - lost) / 200 <= high


def test_the_interval_of_a_gain_covers_it():
    rng = np.random.default_rng(2)
    drawn = rng.multinomial(300, [0.06, 0.03, 0.91], size=1000)
    ends = [paired_interval(counts(gained, lost, 300), 0.95) for gained, lost, _ in drawn]
    assert np.mean([low <= 0.03 <= high for low, high in ends]) > 0.93
