"""Membership of models in one of two clusters against accuracy on the strategy group."""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared
from dissent.connectivity_figures import spelt

COLUMNS = ["family", "model", "cluster", "membership", "strategy"]
BINS = np.linspace(0, 1, 13)
HATCHES = {"large cluster": "", "small cluster": "////", shared.NO_CLUSTER: "...."}
FIT = {"color": figures.GREY, "linestyle": "--", "zorder": 1.5}


def main(arguments: argparse.Namespace) -> None:
    tables = shared.read(arguments, "members", "separation")
    figure, table = draw(*tables, arguments.strategy, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    members: pd.DataFrame, separation: pd.DataFrame, strategy: Sequence[str], run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws: models in the window at the last step, a row a family."""
    members = shared.at_last_step(shared.with_strategy(members))
    families, kept = shared.families(members), shared.in_window(members)
    data, group = strategy
    found = shared.at_last_step(separation)
    found = found[(found["data"] == data) & (found["group"] == group)].set_index("family")
    figure, grid = pyplot.subplots(
        *(len(families), 2),
        figsize=(figures.WIDTH, 1.3 + 2.5 * len(families)),
        layout="constrained",
        squeeze=False,
        sharey="row",
        width_ratios=(2, 1),
    )
    for (scatter, histogram), family in zip(grid, families, strict=True):
        rows = kept[kept["family"] == family]
        tests = found.reindex([family]).iloc[0]
        draw_scatter(scatter, rows)
        scatter.set_title(f"{family}: {correlation(tests)}")
        scatter.set_ylabel("accuracy (%)")
        draw_histogram(histogram, rows)
        histogram.set_title(difference(tests))
        figures.percent(scatter.yaxis)
    scatter.set_xlabel("membership in the large cluster")
    histogram.set_xlabel("models")
    figure.legend(handles=shared.cluster_handles(kept), loc="outside upper center", ncols=3)
    figures.footnote(
        figure,
        run,
        *shared.member_counts(members),
        *shared.wrapped(f"Accuracy on {data}: {group}"),
        f"In brackets: {level:.0%} intervals for other models of the same recipe (Fisher's z, t)",
        "p by permutation; dashed: least squares",
    )
    return figure, kept[COLUMNS]


def draw_scatter(axes: Axes, members: pd.DataFrame) -> None:
    measured = members.dropna(subset=["membership"])
    if measured.empty:
        figures.absent(axes, shared.WITHOUT_CLUSTERS)
        # The scale is that of the histogram beside too.
        axes.set_axis_on()
        axes.set_xticks([])
        return
    for _, look, rows in shared.by_cluster(measured):
        axes.plot(rows["membership"], rows["strategy"], **look)
    if measured["membership"].nunique() > 1:
        slope, start = np.polyfit(measured["membership"], measured["strategy"], 1)
        ends = np.array([measured["membership"].min(), measured["membership"].max()])
        axes.plot(ends, start + slope * ends, **FIT)
    axes.margins(0.08)


def draw_histogram(axes: Axes, members: pd.DataFrame) -> None:
    """Counts by accuracy, of one cluster beside those of the others."""
    groups = list(shared.by_cluster(members))
    axes.hist(
        [rows["strategy"] for _, _, rows in groups],
        bins=BINS,
        orientation="horizontal",
        stacked=True,
        color=[look["color"] for _, look, _ in groups],
        edgecolor="black",
        linewidth=0.5,
        hatch=[HATCHES.get(name, "xx") for name, _, _ in groups],
    )
    axes.xaxis.get_major_locator().set_params(integer=True)


def correlation(tests: pd.Series) -> str:
    if np.isnan(tests["r_membership"]):
        return "correlation not measured"
    ends = interval(tests["r_low"], tests["r_high"], 2)
    return f"r = {spelt(tests['r_membership'])}{ends}, p = {tests['p_membership']:.2g}"


def difference(tests: pd.Series) -> str:
    """How far apart the clusters are, in percentage points."""
    if np.isnan(tests["difference"]):
        return ""
    ends = interval(100 * tests["low"], 100 * tests["high"], 0)
    value = spelt(100 * tests["difference"], 0)
    return f"large \N{MINUS SIGN} small: {value}{ends}\npoints, p = {tests['p']:.2g}"


def interval(low: float, high: float, digits: int) -> str:
    """Ends in brackets; nothing where there are none."""
    return "" if np.isnan(low) else f" ({spelt(low, digits)} to {spelt(high, digits)})"


if __name__ == "__main__":
    of = "of compare_connectivity.py"
    parser = shared.strategy_parser(__doc__, members=of, separation=of)
    commandline.run(main, parser.parse_args())
