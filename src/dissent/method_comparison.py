"""How methods of choosing ensembles compare over tasks, and how well a ranking finds models.

Intervals are over seeds and report images (welch_intervals.py), and hold for the mean over these
tasks. Only diversity and rank correlation, which need the tasks' own spread, have intervals over
tasks as draws.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dissent.choice_metrics import Scores
from dissent.choices import ONE_MODEL
from dissent.relations import spearman_rows
from dissent.welch_intervals import difference_interval, seeds_interval, t_interval

ALL_TASKS = "all tasks"
CHOSEN = "greedy"
MEANS = ["score", "nll", "brier", "ece", "n_members", "multiply_adds"]
CLAIMED_OVER = ("single", "random", "settings", "heads", "all")
STATISTICS = ["statistic", "value", "low", "high", "n", "n_of"]


def method_table(choices: pd.DataFrame, level: float) -> pd.DataFrame:
    """One row a group of tasks and a method: means over its tasks, seeds and draws.

    `choices` are those without limits, of all tasks. `low` and `high` of the score are the
    interval over seeds (`seeds_interval`): for other fine-tunings, with the same images.
    """
    keys = ["task", "group", "method", "seed"]
    over_draws = choices.groupby(keys, sort=False)[MEANS].mean().reset_index()
    rows = []
    for group, of_group in _by_group(over_draws):
        for method, of_method in of_group.groupby("method", sort=False):
            by_task = [of_task.to_numpy() for _, of_task in of_method.groupby("task")["score"]]
            means = of_method[MEANS].mean().to_dict()
            low, high = seeds_interval(by_task, level)
            counts = {"n_tasks": len(by_task), "n_seeds": of_method["seed"].nunique()}
            score = {"score": means.pop("score"), "low": low, "high": high}
            rows.append({"group": group, "method": method} | counts | score | means)
    return pd.DataFrame(rows)


def _by_group(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield ALL_TASKS, table
    yield from table.groupby("group", sort=False)


def difference_table(scores: Sequence[Scores], level: float) -> pd.DataFrame:
    """One row a group of tasks and a method other than "greedy": what that scores more.

    Over the tasks of the group that have the method, by `difference_interval`.
    """
    tasks = pd.DataFrame({"group": [of_task.group for of_task in scores]})
    methods = dict.fromkeys(method for of_task in scores for method in of_task.methods)
    rows = []
    for group, members in _by_group(tasks):
        for method in methods:
            differences = [
                _contributions(scores[i], CHOSEN) - _contributions(scores[i], method)
                for i in members.index
                if {CHOSEN, method} <= set(scores[i].methods)
            ]
            if method != CHOSEN and differences:
                value, low, high = difference_interval(differences, level)
                counts = len(differences), len(differences[0])
                rows.append((group, method, value, low, high, *counts))
    columns = ["group", "method", "difference", "low", "high", "n_tasks", "n_seeds"]
    return pd.DataFrame(rows, columns=columns)


def _contributions(scores: Scores, method: str) -> np.ndarray:
    return scores.contributions_ASN[scores.methods.index(method)].astype(float)


def ranking_table(fine_tuned: pd.DataFrame, n_models: int) -> pd.DataFrame:
    """One row a task: how the ranking of candidates agrees with their scores once fine-tuned.

    Scores are means over seeds. `spearman` is the rank correlation with the accuracy that ranked
    them, over the models that were fine-tuned: the best of each pool, among which differences are
    smaller than among all candidates. `regret_k` is the best score of any of these less the best
    among the k best-ranked; the first of many noisy scores is too high, so that regret is too.
    """
    rows = []
    for (task, group), of_task in fine_tuned.groupby(["task", "group"], sort=False):
        models = of_task.groupby("model")[["rank", "ranking_accuracy", "score"]].mean()
        columns = models["ranking_accuracy"].to_numpy(), models["score"].to_numpy()
        spearman = spearman_rows(*(column[None] for column in columns))[0]
        best = {k: models["score"][models["rank"] <= k].max() for k in range(1, n_models + 1)}
        regrets = {f"regret_{k}": models["score"].max() - best[k] for k in best}
        about = {"task": task, "group": group, "n_models": len(models), "spearman": spearman}
        rows.append(about | regrets)
    return pd.DataFrame(rows)


def statistics_table(
    differences: pd.DataFrame, diversity: pd.DataFrame, ranking: pd.DataFrame, level: float
) -> pd.DataFrame:
    """The statistics of claims, with STATISTICS; those that the run has no values for are left out.

    Differences of scores over all tasks (`difference_interval`), and means over tasks with t
    intervals over tasks: of rank correlation, and of what members that differ upstream (by pool, or
    all of them without pools) have more of than those that differ in settings alone, or in head and
    order alone: error inconsistency, and Cohen's kappa of errors, which takes out what lower
    accuracy brings.
    """
    over_all = differences[differences["group"] == ALL_TASKS].set_index("method")
    rows = [
        (f"{CHOSEN}_over_{method}", *over_all.loc[method, ["difference", "low", "high", "n_tasks"]])
        for method in CLAIMED_OVER
        if method in over_all.index
    ]
    over_tasks = {"knn_rank_correlation": ranking["spearman"]}
    for source in ONE_MODEL:
        for measure in ("error_inconsistency", "error_consistency"):
            excess = upstream_excess(diversity, measure, source)
            over_tasks[f"upstream_{measure}_over_{source}"] = excess
    for statistic, values in over_tasks.items():
        values = values.dropna()
        if len(values):
            interval = t_interval(values, level)
            rows.append((statistic, values.mean(), *interval, len(values)))
    return pd.DataFrame([(*row, "tasks") for row in rows], columns=STATISTICS)


def upstream_excess(diversity: pd.DataFrame, measure: str, source: str) -> pd.Series:
    """By task, a measure's mean over upstream sources less that of "settings" or of "heads".

    Upstream are the pools, or "all" where there are none. Empty without one of either.
    """
    means = diversity.groupby(["task", "source"], sort=False)[measure].mean().unstack()
    upstream = means.columns.difference([*ONE_MODEL, "all"])
    if upstream.empty:
        upstream = means.columns.intersection(["all"])
    if source not in means:
        return pd.Series(dtype=float)
    return (means[upstream].mean(axis=1) - means[source]).dropna()
