from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, log_loss

from dissent.choice_metrics import Labels
from dissent.fine_tuning_metrics import (
    diversity_members,
    diversity_table,
    fine_tuned_table,
    run_table,
)
from dissent.finetuned import FineTuning, FineTunings

N_TUNE, N_REPORT, N_CLASSES, K = 25, 40, 3, 2
RATES, SEEDS = (0.1, 0.01), (0, 1)
MODELS = {"x-1": "b", "x-2": "a", "y-1": "c", "y-2": "d"}  # ranks: b, c, a, d, then e


def tuned(rng, model, rates=RATES, heads=(0,), towards_NC=0):
    runs = tuple(FineTuning(rate, 10, h, seed) for seed in SEEDS for h in heads for rate in rates)
    shape = len(runs), N_TUNE + N_REPORT, N_CLASSES
    log_probability_RNC = log_softmax(rng.normal(size=shape) + towards_NC, axis=2).astype("f4")
    return FineTunings(model, model, runs, np.arange(shape[1]), log_probability_RNC)


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(1)
    return Labels(rng.integers(N_CLASSES, size=N_TUNE), rng.integers(N_CLASSES, size=N_REPORT))


@pytest.fixture(scope="module")
def fine_tunings(labels):
    rng = np.random.default_rng(0)
    truth_NC = np.eye(N_CLASSES)[np.concatenate(labels)]
    places = {file: tuned(rng, model) for file, model in MODELS.items()}
    # So good that one source would take the other's.
    return places | {
        "more-settings": tuned(rng, "b", rates=(0.3, 0.03), towards_NC=truth_NC),
        "more-heads": tuned(rng, "b", heads=(1,), towards_NC=3 * truth_NC),
    }


RANKING = pd.DataFrame(
    {
        "rank": [1, 2, 3, 4, 5],
        "model": ["b", "c", "a", "d", "e"],
        "category": ["x", "y", "x", "y", "x"],
        "place": [1, 1, 2, 2, 3],
        "accuracy": [0.9, 0.8, 0.7, 0.6, 0.5],
    }
)


def loss(fine_tunings, labels, file, run):
    probability_NC = np.exp(fine_tunings[file].log_probabilities_RNC[run, :N_TUNE].astype(float))
    probability_NC /= probability_NC.sum(axis=1, keepdims=True)
    return log_loss(labels.tune_N, probability_NC, labels=range(N_CLASSES))


def best(fine_tunings, labels, candidates, k=1):
    """The k candidates (file, run) of least loss on the tune examples."""
    return sorted(candidates, key=lambda run: loss(fine_tunings, labels, *run))[:k]


def runs_of(fine_tunings, file, seed, head=None):
    runs = enumerate(fine_tunings[file].runs)
    return [(file, i) for i, r in runs if r.seed == seed and head in (None, r.head)]


def expected_members(fine_tunings, labels, source, seed):
    def at_best(file, head=None):
        return best(fine_tunings, labels, runs_of(fine_tunings, file, seed, head))

    sources = {
        "x": [*at_best("x-1"), *at_best("x-2")],
        "y": [*at_best("y-1"), *at_best("y-2")],
        "all": [*at_best("x-1"), *at_best("y-1")],
        "heads": [*at_best("x-1"), *at_best("more-heads", 1)],
        "settings": best(
            fine_tunings,
            labels,
            runs_of(fine_tunings, "x-1", seed) + runs_of(fine_tunings, "more-settings", seed),
            K,
        ),
    }
    return set(sources[source])


def members_of(fine_tunings, labels, pools):
    return diversity_members(run_table(fine_tunings, labels.tune_N), RANKING, K, pools)


def test_each_source_has_its_best_members_of_each_seed(fine_tunings, labels):
    members = members_of(fine_tunings, labels, ["x", "y"])
    assert list(members) == ["x", "y", "settings", "heads", "all"]
    for source, table in members.items():
        for seed in SEEDS:
            of_seed = table[table["seed"] == seed]
            found = set(zip(of_seed["file"], of_seed["run"], strict=True))
            assert found == expected_members(fine_tunings, labels, source, seed)
            assert len(of_seed) == K


def test_diversity_is_that_of_all_pairs(fine_tunings, labels):
    table = diversity_table(members_of(fine_tunings, labels, ["x", "y"]), fine_tunings, labels)
    assert len(table) == 5 * len(SEEDS)
    for row in table.itertuples():
        members = expected_members(fine_tunings, labels, row.source, row.seed)
        probability_MNC = [
            np.exp(fine_tunings[file].log_probabilities_RNC[run, N_TUNE:].astype(float))
            for file, run in members
        ]
        predicted = [probability_NC.argmax(axis=1) for probability_NC in probability_MNC]
        right = [predicted_N == labels.report_N for predicted_N in predicted]
        together_N = np.mean(probability_MNC, axis=0).argmax(axis=1) == labels.report_N
        pairs = list(combinations(range(K), 2))
        assert row.member_accuracy == pytest.approx(np.mean(right))
        assert row.accuracy == together_N.mean()
        assert row.gain == pytest.approx(together_N.mean() - np.mean(right))
        assert row.error_inconsistency == pytest.approx(
            np.mean([(right[i] != right[j]).mean() for i, j in pairs])
        )
        assert row.error_consistency == pytest.approx(
            np.mean([cohen_kappa_score(right[i], right[j]) for i, j in pairs])
        )
        assert row.disagreement == pytest.approx(
            np.mean([(predicted[i] != predicted[j]).mean() for i, j in pairs])
        )


def test_sources_that_nothing_was_fine_tuned_for_are_left_out(fine_tunings, labels):
    swept = {file: f for file, f in fine_tunings.items() if not file.startswith("more")}
    assert list(members_of(swept, labels, ["x"])) == ["x", "all"]
    assert list(members_of(swept, labels, [])) == ["all"]


def test_a_single_member_has_no_pairs(fine_tunings, labels):
    one = diversity_members(run_table(fine_tunings, labels.tune_N), RANKING, 1, [])
    table = diversity_table({"all": one["all"]}, fine_tunings, labels)
    assert (table["gain"] == 0).all()
    assert table[["error_inconsistency", "error_consistency", "disagreement"]].isna().all(axis=None)


@pytest.mark.parametrize("metric", ["accuracy", "mean_class_accuracy"])
def test_every_place_is_measured_at_its_best_setting(fine_tunings, labels, metric):
    runs = run_table(fine_tunings, labels.tune_N)
    table = fine_tuned_table(runs, fine_tunings, RANKING, labels, metric)
    assert table["file"].tolist() == ["x-1", "y-1", "x-2", "y-2"] * 2
    assert table["rank"].tolist() == [1, 2, 3, 4] * 2
    for row in table.itertuples():
        [(_, run)] = best(fine_tunings, labels, runs_of(fine_tunings, row.file, row.seed))
        predicted_N = fine_tunings[row.file].log_probabilities_RNC[run, N_TUNE:].argmax(axis=1)
        accuracy = (predicted_N == labels.report_N).mean()
        assert row.accuracy == accuracy
        balanced = balanced_accuracy_score(labels.report_N, predicted_N)
        assert row.score == pytest.approx(accuracy if metric == "accuracy" else balanced)
        assert row.tune_nll == pytest.approx(loss(fine_tunings, labels, row.file, run))
        assert row.learning_rate == fine_tunings[row.file].runs[run].learning_rate
        ranked = RANKING[RANKING["model"] == row.model].iloc[0]
        assert (row.model, row.category) == (MODELS[row.file], ranked["category"])
        assert (row.ranking_accuracy, row.place, row.n) == (
            *(ranked["accuracy"], ranked["place"]),
            N_REPORT,
        )


def test_of_equal_losses_the_first_setting_is_best(labels):
    rng = np.random.default_rng(0)
    one = tuned(rng, "b")
    same_RNC = np.repeat(one.log_probabilities_RNC[:1], len(one.runs), axis=0)
    fine_tunings = {"x-1": FineTunings("b", "b", one.runs, one.positions_N, same_RNC)}
    runs = run_table(fine_tunings, labels.tune_N)
    table = fine_tuned_table(runs, fine_tunings, RANKING, labels, "accuracy")
    assert set(table["learning_rate"]) == {RATES[0]}
