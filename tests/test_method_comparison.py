import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dissent.choice_metrics import Scores
from dissent.method_comparison import (
    ALL_TASKS,
    difference_table,
    method_table,
    ranking_table,
    statistics_table,
    upstream_excess,
)
from intervals_by_hand import by_hand

RNG = np.random.default_rng(0)


def choices(task, group, score, method="greedy", seed=0, draw=0):
    row = {"task": task, "group": group, "method": method, "seed": seed, "draw": draw}
    values = {"score": score, "nll": 1 - score, "brier": score / 2, "ece": 0.1}
    return row | values | {"n_members": 3, "multiply_adds": 40}


def test_scores_are_means_over_draws_then_seeds_and_tasks():
    rows = [
        choices("t1", "g", 0.5, seed=0),
        choices("t1", "g", 0.7, seed=1),
        choices("t2", "h", 0.8, seed=0),
        choices("t2", "h", 0.6, seed=1),
        choices("t1", "g", 0.2, "random", 0, 0),
        choices("t1", "g", 0.4, "random", 0, 1),
        choices("t1", "g", 0.6, "random", 1, 0),
        choices("t2", "h", 0.6, "random", 0, 0),
        choices("t2", "h", 0.9, "random", 1, 0),
    ]
    table = method_table(pd.DataFrame(rows), 0.95).set_index(["group", "method"])
    assert list(table.index) == [
        (group, method) for group in (ALL_TASKS, "g", "h") for method in ("greedy", "random")
    ]
    assert table.loc[(ALL_TASKS, "greedy"), "score"] == pytest.approx(0.65)
    # Equal spreads in both tasks: two degrees of freedom, for all that both seeds have mean 0.65.
    reach = stats.t.ppf(0.975, 2) * 0.1 / 2**0.5
    assert table.loc[(ALL_TASKS, "greedy"), "high"] == pytest.approx(0.65 + reach)
    drawn = table.loc[(ALL_TASKS, "random")]
    assert drawn["score"] == pytest.approx(((0.3 + 0.6) / 2 + (0.6 + 0.9) / 2) / 2)
    assert drawn["high"] - drawn["low"] == pytest.approx(2 * 1.5 * reach)
    assert table.loc[("g", "random"), "score"] == pytest.approx(0.45)
    assert table["n_tasks"].tolist() == [2, 2, 1, 1, 1, 1]
    assert set(table["n_seeds"]) == {2}


def test_differences_are_over_the_tasks_that_have_the_method():
    some = {m: RNG.integers(0, 2, (2, 30)).astype("f4") for m in ("greedy", "single", "heads")}
    others = {m: RNG.integers(0, 2, (2, 20)).astype("f4") for m in ("greedy", "single")}
    scores = [
        Scores("t1", "g", tuple(some), np.stack(list(some.values()))),
        Scores("t2", "h", tuple(others), np.stack(list(others.values()))),
    ]
    table = difference_table(scores, 0.9).set_index(["group", "method"])
    assert list(table.index) == [
        *((ALL_TASKS, "single"), (ALL_TASKS, "heads"), ("g", "single"), ("g", "heads")),
        ("h", "single"),
    ]
    first, second = (of["greedy"].astype(float) - of["single"] for of in (some, others))
    for key, expected in (((ALL_TASKS, "single"), [first, second]), (("h", "single"), [second])):
        row = table.loc[key, ["difference", "low", "high"]].astype(float)
        assert tuple(row) == pytest.approx(by_hand(expected, 0.9))
        assert table.loc[key, "n_tasks"] == len(expected)
    assert table.loc[(ALL_TASKS, "heads"), "n_tasks"] == 1
    assert set(table["n_seeds"]) == {2}


def fine_tuned(task="t", n_models=6, seeds=(0, 1)):
    models = RNG.permutation(n_models)
    return pd.DataFrame(
        {
            "task": task,
            "group": "g",
            "seed": seed,
            "model": f"m{model}",
            "rank": 2 * model + 1,  # models that were not fine-tuned are ranked too
            "ranking_accuracy": 1 - model / 10,
            "score": RNG.random(),
        }
        for seed in seeds
        for model in models
    )


def test_the_ranking_is_compared_with_mean_scores():
    table = fine_tuned()
    row = ranking_table(table, 4).iloc[0]
    models = dict(list(table.groupby("model")))
    accuracy = [of_model["ranking_accuracy"].iloc[0] for of_model in models.values()]
    score = {m: np.mean(of_model["score"].tolist()) for m, of_model in models.items()}
    expected = stats.spearmanr(accuracy, list(score.values())).statistic
    assert row["spearman"] == pytest.approx(expected)
    assert (row["task"], row["group"], row["n_models"]) == ("t", "g", 6)
    for k in range(1, 5):
        within = [score[m] for m, of_model in models.items() if of_model["rank"].iloc[0] <= k]
        assert row[f"regret_{k}"] == pytest.approx(max(score.values()) - max(within))
    assert not any(name.startswith("regret_5") for name in row.index)


def test_two_models_or_equal_accuracies_have_no_rank_correlation():
    assert np.isnan(ranking_table(fine_tuned(n_models=2), 1)["spearman"]).all()
    equal = fine_tuned().assign(ranking_accuracy=0.5)
    assert np.isnan(ranking_table(equal, 1)["spearman"]).all()


def diversity(values):
    """Rows from {(task, source): values by seed}."""
    return pd.DataFrame(
        {
            "task": task,
            "source": source,
            "seed": seed,
            "error_inconsistency": value,
            "error_consistency": -value,
        }
        for (task, source), by_seed in values.items()
        for seed, value in enumerate(by_seed)
    )


POOLS = {
    ("t1", "x"): [0.3, 0.5],
    ("t1", "y"): [0.2, 0.2],
    ("t1", "settings"): [0.1, 0.1],
    ("t1", "heads"): [0.2, 0.0],
    ("t1", "all"): [0.9, 0.9],
    ("t2", "x"): [0.4, 0.2],
    ("t2", "y"): [0.1, 0.1],
    ("t2", "settings"): [0.1, 0.3],
    ("t2", "heads"): [0.0, 0.0],
    ("t2", "all"): [0.9, 0.9],
}


def test_upstream_sources_are_the_pools_or_all_without_pools():
    over_settings = upstream_excess(diversity(POOLS), "error_inconsistency", "settings")
    assert over_settings.to_dict() == pytest.approx({"t1": 0.3 - 0.1, "t2": 0.2 - 0.2})
    over_heads = upstream_excess(diversity(POOLS), "error_inconsistency", "heads")
    assert over_heads.to_dict() == pytest.approx({"t1": 0.3 - 0.1, "t2": 0.2 - 0.0})
    one = {key: values for key, values in POOLS.items() if key[1] in ("all", "heads")}
    excess = upstream_excess(diversity(one), "error_inconsistency", "heads")
    assert excess.to_dict() == pytest.approx({"t1": 0.8, "t2": 0.9})
    assert upstream_excess(diversity(one), "error_inconsistency", "settings").empty
    for sources in (("x", "y", "all"), ("heads", "settings")):
        partial = {key: values for key, values in POOLS.items() if key[1] in sources}
        assert upstream_excess(diversity(partial), "error_inconsistency", "heads").empty


def test_statistics_are_means_over_tasks_and_differences_over_all_of_them():
    rows = [("all tasks", "single", 0.1, 0.0, 0.2, 2, 3), ("g", "single", 0.4, 0.3, 0.5, 1, 3)]
    columns = ["group", "method", "difference", "low", "high", "n_tasks", "n_seeds"]
    ranking = pd.DataFrame({"spearman": [0.5, 0.9, np.nan, 0.6]})
    table = statistics_table(
        pd.DataFrame(rows, columns=columns), diversity(POOLS), ranking, 0.95
    ).set_index("statistic")
    # What the run has no method for is not there.
    assert list(table.index) == [
        *("greedy_over_single", "knn_rank_correlation"),
        *(
            f"upstream_error_{measure}_over_{source}"
            for source in ("settings", "heads")
            for measure in ("inconsistency", "consistency")
        ),
    ]
    values = ["value", "low", "high", "n"]
    assert table.loc["greedy_over_single", values].tolist() == [0.1, 0.0, 0.2, 2]
    for statistic, over_tasks in (
        ("upstream_error_inconsistency_over_settings", [0.2, 0.0]),
        ("upstream_error_consistency_over_settings", [-0.2, 0.0]),
        ("knn_rank_correlation", [0.5, 0.9, 0.6]),
    ):
        interval = stats.ttest_1samp(over_tasks, 0).confidence_interval(0.95)
        expected = [np.mean(over_tasks), *interval, len(over_tasks)]
        assert table.loc[statistic, values].tolist() == pytest.approx(expected)
    assert set(table["n_of"]) == {"tasks"}


def test_one_task_has_values_without_intervals_and_nothing_to_measure_no_rows():
    nothing = pd.DataFrame(columns=["group", "method", "difference", "low", "high", "n_tasks"])
    one = diversity({key: values for key, values in POOLS.items() if key[0] == "t1"})
    table = statistics_table(nothing, one, pd.DataFrame({"spearman": [0.5]}), 0.95)
    assert table[["low", "high"]].isna().all(axis=None)
    assert table["value"].notna().all()
    alone = one[one["source"] == "all"]
    ranking = pd.DataFrame({"spearman": [np.nan]})
    assert statistics_table(nothing, alone, ranking, 0.95).empty
