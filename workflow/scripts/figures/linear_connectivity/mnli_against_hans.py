"""Accuracy on two subsets of HANS against accuracy on MNLI: two clusters of models."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import cluster_marks, commandline, figures
from dissent.published import MNLI, SUBSETS

PANELS = (SUBSETS["Lexical (nonent)"], SUBSETS["Constituent (nonent)"])
# Those that the paper draws planes through, and one of the large cluster that looks like the small.
NAMED = (99, 8, 37, 44, 73, 89, 48)
MEAN = {"markersize": 6, "markeredgecolor": "black", "markeredgewidth": 1.4, "zorder": 4}
WHISKER = {"color": "black", "linewidth": 1.4, "zorder": 3.5}
ENDS = ["value", "value_low", "value_high", "mnli", "mnli_low", "mnli_high"]


def main(arguments: argparse.Namespace) -> None:
    tables = map(pd.read_csv, (arguments.runs, arguments.clusters))
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    runs: pd.DataFrame, clusters: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = pd.concat([drawn(runs, clusters, subset) for subset in PANELS])
    size = figures.WIDTH, 3.8
    figure, all_axes = pyplot.subplots(1, 2, figsize=size, layout="constrained", sharex=True)
    for axes, subset in zip(all_axes, PANELS, strict=True):
        draw_panel(axes, table[table["subset"] == subset])
        axes.set(title=f"HANS: {subset}", xlabel="accuracy on MNLI (%)", ylabel="accuracy (%)")
        figures.percent(axes.xaxis, axes.yaxis)
    label_named(all_axes[0], table[(table["subset"] == PANELS[0]) & (table["drawn"] == "run")])
    handles = cluster_marks.handles(runs["cluster"].value_counts())
    mean = figures.handle("mean of the cluster", marker="o", **MEAN | {"color": "white"})
    figure.legend(handles=[*handles, mean], loc="outside upper center", ncols=3)
    figures.footnote(
        figure,
        run,
        f"{len(runs)} models, fine-tuned alike but for their random numbers",
        f"Whiskers of means: {level:.0%} bootstrap over models of the cluster",
    )
    return figure, table


def draw_panel(axes: Axes, table: pd.DataFrame) -> None:
    runs = table[table["drawn"] == "run"]
    for cluster, look in cluster_marks.LOOKS.items():
        of_cluster = runs[runs["cluster"] == cluster]
        style = look | cluster_marks.POINT
        axes.plot(of_cluster["mnli"], of_cluster["value"], linestyle="none", **style)
    for mean in table[table["drawn"] == "cluster mean"].itertuples():
        axes.vlines(mean.mnli, mean.value_low, mean.value_high, **WHISKER)
        axes.hlines(mean.value, mean.mnli_low, mean.mnli_high, **WHISKER)
        axes.plot(mean.mnli, mean.value, **cluster_marks.LOOKS[mean.cluster] | MEAN)
    axes.set_ylim(bottom=0)


def label_named(axes: Axes, runs: pd.DataFrame) -> None:
    names = runs["run"].map(lambda number: f"{number:.0f}" if number in NAMED else "")
    figures.label_points(axes, runs["mnli"], runs["value"], names)


def drawn(runs: pd.DataFrame, clusters: pd.DataFrame, subset: str) -> pd.DataFrame:
    """Rows of one panel: each run, and the mean of each cluster with its intervals."""
    points = runs[["run", "cluster"]].assign(drawn="run", mnli=runs[MNLI], value=runs[subset])
    by_measure = clusters.set_index("measure")
    means = [
        {"drawn": "cluster mean", "cluster": cluster}
        | {
            f"{name}{end}": by_measure.loc[measure, f"{cluster}_mean{end}"]
            for name, measure in (("mnli", MNLI), ("value", subset))
            for end in ("", "_low", "_high")
        }
        for cluster in cluster_marks.LOOKS
    ]
    table = pd.concat([points, pd.DataFrame(means)]).assign(subset=subset)
    return table[["subset", "drawn", "cluster", "run", *ENDS]]


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--runs", required=True, type=Path, help="runs, of compare_clusters.py")
    parser.add_argument("--clusters", required=True, type=Path, help="measures, of the same")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
