"""Accuracy in every group of the diagnostic data sets: each model, and the mean of its cluster."""

import argparse

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared

ROW, BAND = 0.34, 0.76  # inches a row; share of it that marks fill
MEAN = {"color": "black", "linewidth": 2, "zorder": 4}


def main(arguments: argparse.Namespace) -> None:
    tables = shared.read(arguments, "diagnostics", "members")
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    diagnostics: pd.DataFrame, members: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    members = shared.with_strategy(members)
    kept = shared.in_window(shared.at_last_step(members))
    table = kept[["family", "step", "model", "cluster"]].merge(diagnostics)
    if table.empty:
        return figures.empty_figure("No model in the window", run), table
    names = shared.families(table)
    places, labels = rows_of(table)
    size = figures.WIDTH, 1.5 + ROW * len(labels)
    figure, row = pyplot.subplots(
        1, len(names), figsize=size, layout="constrained", squeeze=False, sharex=True, sharey=True
    )
    for axes, family in zip(row.flat, names, strict=True):
        draw_panel(axes, table[table["family"] == family], places)
        axes.set(title=family, xlabel="accuracy (%)")
    first = row.flat[0]
    first.set_ylim(len(labels) - 0.4, -0.6)
    first.set_yticks(range(len(labels)), labels)
    for place, tick in enumerate(first.get_yticklabels()):
        tick.set_fontweight("normal" if place in places.values() else "bold")
    mean = figures.handle("mean of the cluster", marker="|", markersize=9, markeredgewidth=2)
    mean.set_color("black")
    figure.legend(
        handles=[*shared.cluster_handles(table), mean], loc="outside upper center", ncols=4
    )
    figures.footnote(
        figure,
        run,
        *shared.member_counts(members),
        *shared.wrapped(f"Examples: {sizes(table)}"),
        shared.interval_note(table, "Whiskers", level, "intervals over examples, of each model"),
    )
    return figure, table


def rows_of(table: pd.DataFrame) -> tuple[dict[tuple[str, str], int], list[str]]:
    """The row of each group, and the labels of all rows; data sets are headings."""
    places, labels = {}, []
    for data, of_data in table.groupby("data", sort=False):
        labels.append(data)
        for group in of_data["group"].unique():
            places[data, group] = len(labels)
            labels.append(group)
    return places, labels


def sizes(table: pd.DataFrame) -> str:
    """How many examples groups of each data set have, the smallest and the largest."""
    of_data = table.groupby("data", sort=False)["n"]
    return "; ".join(
        f"{data}, {' to '.join(dict.fromkeys((f'{n.min():,}', f'{n.max():,}')))} a group"
        for data, n in of_data
    )


def draw_panel(axes: Axes, rows: pd.DataFrame, places: dict[tuple[str, str], int]) -> None:
    clusters = list(shared.by_cluster(rows))
    for (data, group), place in places.items():
        for i, (_, look, of_cluster) in enumerate(clusters):
            own = of_cluster[(of_cluster["data"] == data) & (of_cluster["group"] == group)]
            # Each cluster has its own strip of the row, so that means are not over one another.
            width = BAND / len(clusters)
            middle = place + width * (i - (len(clusters) - 1) / 2)
            y = middle + figures.spread(own["group"], 0.8 * width)
            axes.hlines(y, own["low"], own["high"], color="0.75", linewidth=0.6, zorder=1.5)
            axes.plot(own["accuracy"], y, **look | {"zorder": 3})
            ends = middle - width / 2, middle + width / 2
            axes.vlines(own["accuracy"].mean(), *ends, **MEAN)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    figures.percent(axes.xaxis)


if __name__ == "__main__":
    of = "of compare_connectivity.py"
    commandline.run(main, figures.parser(__doc__, diagnostics=of, members=of).parse_args())
