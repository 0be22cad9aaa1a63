"""Whether nearest neighbours rank pre-trained models as fine-tuning would."""

import argparse
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import low_data_figures as low_data
from dissent.welch_intervals import t_interval

COLUMNS = 3  # panels of tasks side by side
UNKNOWN = {"marker": "o", "color": "0.6", "markeredgecolor": "black"}
RING = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "linestyle": "none"}
TASK = {"color": "0.75", "linestyle": "-", "linewidth": 0.8}
RANDOM = {"color": figures.GREY, "linestyle": (0, (4, 1.5))}


def main(arguments: argparse.Namespace) -> None:
    tables = low_data.read(arguments.fine_tuned), low_data.read([arguments.ranking])
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    fine_tuned: pd.DataFrame, ranking: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    models = of_models(fine_tuned)
    regret = regrets(models, ranking, level)
    n_best = regret["k"].max()
    tasks = list(ranking["task"])
    n_columns = min(COLUMNS, len(tasks))
    n_rows = -(-len(tasks) // n_columns)
    figure = pyplot.figure(
        figsize=(figures.WIDTH, max(2, n_rows) * 1.65 + 1.0), layout="constrained"
    )
    grid = figure.add_gridspec(n_rows, n_columns + 1)
    correlations = ranking.set_index("task")["spearman"]
    for i, task in enumerate(tasks):
        row, column = divmod(i, n_columns)
        axes = figure.add_subplot(grid[row, column])
        draw_task(axes, models[models["task"] == task], n_best)
        axes.set_title(f"{task}\nrank correlation {low_data.spelt(correlations[task])}")
        if i + n_columns >= len(tasks):
            axes.set_xlabel("1-NN accuracy (%)")
        if not column:
            axes.set_ylabel("fine-tuned score (%)")
    draw_regret(figure.add_subplot(grid[:2, n_columns]), regret, n_best)
    handles = figures.category_handles(models["category"].dropna())
    if models["rank"].max() > n_best:
        handles.append(figures.handle(f"among the {n_best} best ranked", **RING, color="black"))
    if len(tasks) > 1:
        handles.append(figures.handle("one task", **TASK))
    mean = "mean of tasks" if len(tasks) > 1 else "the best ranked"
    handles += [
        figures.handle(mean, **low_data.line("greedy")),
        figures.handle("as many at random", **RANDOM),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=5, columnspacing=1)
    figures.footnote(figure, run, *facts(fine_tuned, ranking, level))
    return figure, pd.concat([models.assign(panel="models"), regret.assign(panel="regret")])


def facts(fine_tuned: pd.DataFrame, ranking: pd.DataFrame, level: float) -> list[str]:
    n_seeds, n_tasks = fine_tuned["seed"].nunique(), len(ranking)
    n_models = sorted({*ranking["n_models"]})
    models = f"{n_models[0]} to {n_models[-1]}" if len(n_models) > 1 else f"{n_models[0]}"
    spread = "; vertical lines: range over seeds" if n_seeds > 1 else ""
    over = (
        f"whiskers, cut at the frame: {level:.0%} t over tasks"
        if n_tasks > 1
        else "no intervals: one task"
    )
    return [
        f"{low_data.counts(n_tasks, n_seeds)}, {low_data.examples(fine_tuned['n'])}, {models} "
        f"fine-tuned models each{spread}",
        f"Regret: how far the best of the k best ranked is below the best of all; {over}",
    ]


def of_models(fine_tuned: pd.DataFrame) -> pd.DataFrame:
    """Each model of each task: its score, the mean over seeds, with the lowest and highest."""
    keys = ["task", "model", "category", "rank", "ranking_accuracy", "n"]
    scores = fine_tuned.groupby(keys, sort=False, dropna=False)["score"]
    return scores.agg(score="mean", lowest="min", highest="max").reset_index()


def regrets(models: pd.DataFrame, ranking: pd.DataFrame, level: float) -> pd.DataFrame:
    """Regret after the first k models of each task, its mean over tasks, and that of chance."""
    columns = [name for name in ranking if name.startswith("regret_")]
    scores, parts = models.groupby("task", sort=False)["score"], []
    for k, name in enumerate(columns, start=1):
        by_task = ranking[["task"]].assign(drawn="task", regret=ranking[name])
        low, high = t_interval(ranking[name], level)
        mean = {"drawn": "mean", "regret": ranking[name].mean(), "low": low, "high": high}
        lost = [of_task.max() - expected_best(of_task, k) for _, of_task in scores]
        rows = pd.DataFrame([mean, {"drawn": "chance", "regret": np.mean(lost)}])
        parts.append(pd.concat([by_task, rows]).assign(k=k))
    return pd.concat(parts)


def expected_best(scores: pd.Series, k: int) -> float:
    """Expected largest of k different scores drawn at random."""
    sorted_R, total = np.sort(scores), comb(len(scores), k)
    return sum(score * comb(i, k - 1) / total for i, score in enumerate(sorted_R))


def draw_task(axes: Axes, models: pd.DataFrame, n_best: int) -> None:
    x, y = models["ranking_accuracy"], models["score"]
    figures.whiskers(axes, x, models["lowest"], models["highest"])
    axes.plot(
        x[models["category"].isna()], y[models["category"].isna()], linestyle="none", **UNKNOWN
    )
    for category in figures.STYLES:
        among = models["category"] == category
        figures.points(axes, x[among], y[among], category, markersize=4.5)
    best = models["rank"] <= n_best
    if not best.all():
        axes.plot(x[best], y[best], color="black", **RING)
    axes.margins(0.1)
    figures.percent(axes.xaxis, axes.yaxis)


def draw_regret(axes: Axes, regret: pd.DataFrame, n_best: int) -> None:
    for _, rows in regret[regret["drawn"] == "task"].groupby("task"):
        axes.plot(rows["k"], rows["regret"], **TASK)
    chance, mean = (regret[regret["drawn"] == name] for name in ("chance", "mean"))
    axes.plot(chance["k"], chance["regret"], **RANDOM)
    figures.whiskers(axes, mean["k"], mean["low"], mean["high"], color="black")
    axes.plot(mean["k"], mean["regret"], **low_data.line("greedy"))
    axes.set(title="Regret", xlabel="best-ranked models (k)", ylabel="points of score")
    axes.set_xlim(0.5, n_best + 0.5)
    axes.set_ylim(figures.limits(regret["regret"], regret["low"], regret["high"]))
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.xaxis.get_major_locator().set_params(integer=True)
    figures.percent(axes.yaxis)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--fine-tuned", required=True, nargs="+", type=Path, help="of evaluate_choices.py"
    )
    parser.add_argument("--ranking", required=True, type=Path, help="of compare_methods.py")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
