"""Losses along straight lines between models, by whether their strategies are alike."""

import argparse

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared

COLUMNS = ["family", "data", "pairing", "share", "loss", "low", "high", "n_pairs"]
CHORD = {"color": figures.GREY, "linestyle": ":", "linewidth": 0.9, "zorder": 1.5}


def main(arguments: argparse.Namespace) -> None:
    (curves,) = shared.read(arguments, "curves")
    figure, table = draw(curves, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(curves: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws: lines between sentence classifiers.

    Those between image classifiers have a figure of their own.
    """
    table = curves.loc[curves["pairing"] != "all", COLUMNS]
    if table.empty:
        return figures.empty_figure(
            "No pair of models in the window, above or below their median", run
        ), table
    data, pairings = table["data"].unique(), shared.pairings(table)
    looks = shared.family_looks(curves["family"])
    figure, grid = pyplot.subplots(
        *(len(data), len(pairings)),
        figsize=(figures.WIDTH, 1.4 + 1.7 * len(data)),
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey="row",
    )
    for row, name in zip(grid, data, strict=True):
        for axes, pairing in zip(row, pairings, strict=True):
            at = (table["data"] == name) & (table["pairing"] == pairing)
            draw_panel(axes, table[at], looks)
            axes.set_title(f"{name}: {shared.PAIRINGS[pairing]}")
        row[0].set_ylabel("loss (nats)")
        row[0].set_ylim(bottom=0)
    for axes in grid[-1]:
        axes.set_xlabel("share of the second model")
    handles = [
        figures.handle(family, **looks[family] | {"marker": ""})
        for family in shared.families(table)
    ]
    handles.append(figures.handle("straight line between the ends", **CHORD))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=3)
    note = shared.interval_note(
        table, "Bands", level, "over models and examples; of one pair, none"
    )
    figures.footnote(figure, run, *pair_counts(table), note)
    return figure, table


def draw_panel(axes: Axes, curves: pd.DataFrame, looks: dict[str, dict]) -> None:
    for family, rows in curves.groupby("family", sort=False):
        rows = rows.sort_values("share")
        look, ends = looks[family], rows.iloc[[0, -1]]
        axes.plot(ends["share"], ends["loss"], **CHORD)
        axes.fill_between(
            *(rows["share"], rows["low"], rows["high"]),
            color=look["color"],
            alpha=0.2,
            linewidth=0,
        )
        axes.plot(rows["share"], rows["loss"], **look | {"marker": ""})


def pair_counts(curves: pd.DataFrame) -> list[str]:
    """How many pairs each line is the mean of, which is the same for all data sets."""
    counts = curves.drop_duplicates(["family", "pairing"])
    return [
        f"{family}: "
        + ", ".join(
            f"{figures.counted(row.n_pairs, 'pair')} {shared.PAIRINGS[row.pairing]}"
            for row in rows.itertuples()
        )
        for family, rows in counts.groupby("family", sort=False)
    ]


if __name__ == "__main__":
    parser = figures.parser(__doc__, curves="of compare_connectivity.py")
    commandline.run(main, parser.parse_args())
