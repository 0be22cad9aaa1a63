"""Which way of choosing fine-tuned models scores best, by group of tasks."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import low_data_figures as low_data
from dissent.method_comparison import ALL_TASKS

ROW = 0.19  # inches
COLUMNS = 4  # panels side by side


def main(arguments: argparse.Namespace) -> None:
    methods = low_data.read([arguments.methods])
    figure, table = draw(methods, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(methods: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    groups = low_data.in_order(methods["group"])
    table = methods[methods["group"].isin(groups)]
    places = rows_of(table["method"])
    n_columns = min(COLUMNS, len(groups))
    n_rows = -(-len(groups) // n_columns)
    size = figures.WIDTH, n_rows * (0.8 + ROW * (max(places.values()) + 1)) + 0.5
    figure, all_axes = pyplot.subplots(
        n_rows, n_columns, figsize=size, layout="constrained", sharey=True, squeeze=False
    )
    for axes, group in zip(all_axes.flat, groups, strict=False):
        draw_panel(axes, table[table["group"] == group].set_index("method"), places)
        n_tasks = figures.counted(n_of(table, group, "n_tasks"), "task")
        axes.set_title(f"{group}\n{n_tasks}" if n_columns > 1 else n_tasks)
        axes.xaxis.get_major_locator().set_params(nbins=max(4, 8 // n_columns), min_n_ticks=2)
    for axes in all_axes.flat[len(groups) :]:
        axes.set_axis_off()
    for axes in all_axes[:, 0]:
        for name, label in zip(places, axes.get_yticklabels(), strict=True):
            label.set_fontweight("normal" if name in low_data.NAMES else "bold")
    n_tasks, n_seeds = (n_of(table, ALL_TASKS, n) for n in ("n_tasks", "n_seeds"))
    figures.footnote(
        figure,
        run,
        f"{low_data.counts(n_tasks, n_seeds)}; score: each task's metric on its test examples; "
        "dotted: best single",
        low_data.interval_note(n_seeds, level) + "; each panel has its own scale" * (n_columns > 1),
    )
    return figure, table


def n_of(table: pd.DataFrame, group: str, name: str) -> int:
    return int(table.loc[table["group"] == group, name].iloc[0])


def rows_of(methods: pd.Series) -> dict[str, int]:
    """The row of each heading and method; a heading stands above its methods."""
    present, names = set(methods), []
    for heading, block in low_data.BLOCKS.items():
        shown = [method for method in block if method in present]
        names += [heading, *shown] if shown and len(block) > 1 else shown
    return {name: row for row, name in enumerate(names)}


def draw_panel(axes: Axes, table: pd.DataFrame, places: dict[str, int]) -> None:
    axes.axvline(table.loc["single", "score"], color=figures.GREY, linestyle=":", zorder=1.2)
    for row in table.itertuples():
        y = places[row.Index]
        axes.hlines(y, row.low, row.high, color=figures.GREY, linewidth=1, zorder=1.5)
        axes.plot(row.score, y, linestyle="none", **low_data.look(row.Index))
    axes.set_xlim(figures.limits(table["score"], table["low"], table["high"]))
    axes.set_ylim(max(places.values()) + 0.6, -0.6)
    axes.set_yticks([*places.values()], [low_data.NAMES.get(name, name) for name in places])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("score (%)")
    figures.percent(axes.xaxis)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--methods", required=True, type=Path, help="of compare_methods.py")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
