"""What score an inference budget buys: greedy ensembles against those of one checkpoint."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from dissent import commandline, figures
from dissent import low_data_figures as low_data
from dissent.choice_metrics import is_full

METHODS = ("greedy", "settings", "heads")
RING = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "linestyle": "none"}
MILLION = 1e6
# Ensembles of one checkpoint often cost the same.
ASIDE = {"settings": 0.97, "heads": 1.03}


def main(arguments: argparse.Namespace) -> None:
    figure, table = draw(low_data.read(arguments.methods), arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(methods: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table, missing = drawn(methods, level)
    limited = table["budget"].notna().any()
    figure, all_axes = pyplot.subplots(
        1,
        1 + limited,
        figsize=(figures.WIDTH, 3.6),
        layout="constrained",
        squeeze=False,
        width_ratios=(1.5, 1)[: 1 + limited],
    )
    draw_scores(all_axes[0, 0], table)
    if limited:
        draw_use(all_axes[0, 1], table[table["budget"].notna()])
    figure.legend(handles=handles(table), loc="outside upper center", ncols=5, handlelength=3)
    n_tasks, n_seeds = methods["task"].nunique(), methods["seed"].nunique()
    facts = [
        f"{low_data.counts(n_tasks, n_seeds)}, {low_data.examples(methods['n'])}; "
        "multiply-adds of all members for one image: geometric mean",
        low_data.interval_note(n_seeds, level),
    ]
    if missing:
        facts.append(f"Left out, as some task has no ensemble so cheap: {', '.join(missing)}")
    figures.footnote(figure, run, *facts)
    return figure, table


def drawn(methods: pd.DataFrame, level: float) -> tuple[pd.DataFrame, list[str]]:
    """Score and cost of each method at each budget, and names of those missing in some task."""
    of_budgets = methods[methods["budget"].notna() & methods["method"].isin(METHODS)]
    without = methods[is_full(methods)]
    without = without[without["method"].isin(low_data.LOOKS)]
    # No budget is told by infinity here, as a missing one would be left out of groups.
    rows = pd.concat([of_budgets, without.assign(budget=np.inf)])
    rows = rows.assign(logarithm=np.log(rows["multiply_adds"]))
    keys = ["method", "budget"]
    costs = rows.groupby(keys)["logarithm"].agg(["mean", "size"])
    table = low_data.over_seeds(rows, keys, "score", level).join(costs, on=keys)
    is_whole = table["size"] == len(methods[["task", "seed"]].drop_duplicates())
    cheap = table[~is_whole].sort_values("budget")
    missing = [f"{row.method} at {row.budget:g} times" for row in cheap.itertuples()]
    table = table[is_whole].assign(multiply_adds=np.exp(table["mean"]))
    order = table["method"].map(list(low_data.LOOKS).index)
    table = table.assign(order=order).sort_values(["order", "budget"])
    table = table.assign(budget=table["budget"].replace(np.inf, np.nan))
    return table[["method", "budget", "multiply_adds", "value", "low", "high"]], missing


def handles(table: pd.DataFrame) -> list[Line2D]:
    """Legend entries; a method has a line where it has budgets, a ring tells it from none."""
    limited = set(table.loc[table["budget"].notna(), "method"])
    made = [
        figures.handle(
            low_data.NAMES[method],
            **(low_data.line(method) if method in limited else low_data.look(method)),
        )
        for method in table["method"].unique()
    ]
    if limited:
        made.append(figures.handle("without a budget", **RING, color="black"))
    return made


def draw_scores(axes: Axes, table: pd.DataFrame) -> None:
    for method, rows in table.groupby("method", sort=False):
        x = rows["multiply_adds"] / MILLION * ASIDE.get(method, 1)
        color = low_data.LOOKS[method].color
        # Greedy with the least budget may be the same model.
        top = 4 if method == "single" else 2
        figures.whiskers(axes, x, rows["low"], rows["high"], color=color)
        at = rows["budget"].notna()
        axes.plot(x[at], rows["value"][at], **low_data.line(method))
        axes.plot(x[~at], rows["value"][~at], linestyle="none", zorder=top, **low_data.look(method))
        if at.any():
            axes.plot(x[~at], rows["value"][~at], **RING, color=color)
    axes.set_xscale("log")
    axes.set_xlim(around(table["multiply_adds"] / MILLION))
    figures.plain_logarithm(axes.xaxis)
    axes.set_ylim(figures.limits(table["value"], table["low"], table["high"]))
    axes.set(xlabel="million multiply-adds", ylabel="score (%)")
    axes.set_title("What does a larger cost buy?")
    figures.percent(axes.yaxis)


def draw_use(axes: Axes, table: pd.DataFrame) -> None:
    for method, rows in table.groupby("method", sort=False):
        x = rows["budget"] * ASIDE.get(method, 1)
        axes.plot(x, rows["multiply_adds"] / MILLION, **low_data.line(method))
    axes.set(xscale="log", yscale="log", title="What does an ensemble cost?")
    axes.set(xlabel="budget, in multiples of the best-ranked model", ylabel="million multiply-adds")
    axes.set_xticks(budgets := table["budget"].unique(), [f"{budget:g}" for budget in budgets])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlim=around(table["budget"]), ylim=around(table["multiply_adds"] / MILLION))
    figures.plain_logarithm(axes.yaxis)


def around(values: pd.Series) -> tuple[float, float]:
    """Limits of a logarithmic axis, wide enough for a tick even around a single value."""
    return values.min() / 1.6, values.max() * 1.6


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--methods", required=True, nargs="+", type=Path, help="of evaluate_choices.py, a task each"
    )
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
