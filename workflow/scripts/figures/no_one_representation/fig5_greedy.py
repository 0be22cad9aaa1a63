"""Figure 5: weak models added greedily to strong ones, and the best first one to add."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures

DASHES = ["-", (0, (4, 1.2)), (0, (1, 0.8)), (0, (5, 1, 1, 1)), (0, (8, 2))]
ADDED = ["start", "start_accuracy", "added", "model", "category", "own_accuracy"]
COLUMNS = ["panel", *ADDED, "accuracy", "accuracy_low", "accuracy_high", "chosen", "n"]
RING = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "color": "black"}
LINE = 0.055  # width of the sample of each start's line, of the table's


def main(arguments: argparse.Namespace) -> None:
    figure, table = draw(pd.read_csv(arguments.greedy), arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(greedy: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    parts = [greedy.assign(panel="added"), first_added(greedy).assign(panel="first")]
    table = pd.concat(parts)[COLUMNS]
    starts = greedy["start"].unique()
    heights = [3.2, 0.2 * (1 + len(starts))]
    size = figures.WIDTH, sum(heights) + 0.8
    figure, (upper, lower) = pyplot.subplots(
        2, 1, figsize=size, layout="constrained", height_ratios=heights
    )
    draw_trajectories(upper, table[table["panel"] == "added"], starts)
    draw_table(lower, table[table["panel"] == "first"], level)
    handles = [
        *figures.category_handles(greedy.loc[greedy["added"] > 0, "category"]),
        figures.handle("nothing added", marker=".", color="black"),
        figures.handle("size chosen", **RING),
    ]
    close = {"handletextpad": 0.1, "columnspacing": 0.8}
    figure.legend(handles=handles, loc="outside upper center", ncols=7, **close)
    figures.footnote(
        figure,
        run,
        f"{greedy['n'].iloc[0]:,} examples, {len(starts)} starting models; "
        "models and sizes are chosen on other examples",
        f"Whiskers: {level:.0%} bootstrap over examples",
    )
    return figure, table


def first_added(greedy: pd.DataFrame) -> pd.DataFrame:
    """One row a start: its accuracy, the model added first, and the accuracy of both together."""
    alone = greedy[greedy["added"] == 0].set_index("start")["accuracy"]
    first = greedy[greedy["added"] == 1]
    return first.assign(start_accuracy=first["start"].map(alone)).drop(columns="chosen")


def draw_trajectories(axes: Axes, table: pd.DataFrame, starts: np.ndarray) -> None:
    """A line a start; its marks say of which category the model added there is."""
    offsets = 0.07 * (np.arange(len(starts)) - (len(starts) - 1) / 2)
    for i, (start, offset) in enumerate(zip(starts, offsets, strict=True)):
        rows = table[table["start"] == start]
        x = rows["added"] + offset
        figures.whiskers(axes, x, rows["accuracy_low"], rows["accuracy_high"])
        axes.plot(x, rows["accuracy"], color="black", linestyle=DASHES[i % len(DASHES)])
        axes.plot(x.iloc[0], rows["accuracy"].iloc[0], color="black", marker=".", markersize=8)
        for category in figures.STYLES:
            added = (rows["category"] == category) & (rows["added"] > 0)
            figures.points(axes, x[added], rows["accuracy"][added], category)
        chosen = rows["chosen"].astype(bool)
        axes.plot(x[chosen], rows["accuracy"][chosen], linestyle="none", **RING)
    axes.set(xlabel="weak models added", ylabel="accuracy of the ensemble (%)")
    axes.set_xticks(range(table["added"].max() + 1))
    axes.set_title("Weak models added to strong ones")
    figures.percent(axes.yaxis)


def draw_table(axes: Axes, table: pd.DataFrame, level: float) -> None:
    axes.set(xlim=(0, 1), ylim=(len(table) - 0.5, -1.5))
    axes.set_axis_off()
    axes.axhline(-0.5, color="black", linewidth=0.8)
    both = f"both [{level:.0%}] (%)"
    header = ["start", "alone (%)", "", "best first model to add", "alone (%)", both]
    rows = [header, *map(cells, table.itertuples())]
    characters = [max(map(len, column)) + 3 for column in zip(*rows, strict=True)]
    ends = np.cumsum([0, *characters]) / sum(characters)
    lefts = LINE + 0.01 + (0.99 - LINE) * ends[:-1]
    for y, row in enumerate(rows, start=-1):
        for x, text in zip(lefts, row, strict=True):
            axes.text(x, y, text, va="center_baseline", weight="bold" if y < 0 else "normal")
    for y, category in enumerate(table["category"]):
        axes.plot([0, LINE], [y, y], color="black", linestyle=DASHES[y % len(DASHES)])
        figures.points(axes, [lefts[2]], [y], category)


def cells(row) -> list[str]:
    """The texts of one line of the table."""
    numbers = row.start_accuracy, row.own_accuracy, row.accuracy, row.accuracy_low
    start, own, both, low, high = (f"{100 * x:.1f}" for x in (*numbers, row.accuracy_high))
    return [row.start, start, "", f"{row.model} ({row.category})", own, f"{both} [{low}, {high}]"]


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--greedy", required=True, type=Path, help="of add_greedily.py")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
