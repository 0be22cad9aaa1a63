"""Accuracy on the six subsets of HANS: two clusters of models, and other models."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import cluster_marks, commandline, figures
from dissent.commandline import InputError
from dissent.published import SUBSETS

# Where each cluster and the other models stand in the panel of a subset.
PLACES = {"large": 0, "small": 1}
OTHERS, WIDTH = 2, 0.8
# Of other models, in the order of the table.
MARKS = ("*", "X", "d", "P", "v", "h")


def main(arguments: argparse.Namespace) -> None:
    tables = map(pd.read_csv, (arguments.runs, arguments.clusters, arguments.groups))
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    runs: pd.DataFrame, clusters: pd.DataFrame, groups: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(runs, clusters, groups)
    looks = other_looks(table)
    size = figures.WIDTH, 5
    figure, all_axes = pyplot.subplots(
        2, 3, figsize=size, layout="constrained", sharex=True, sharey="row"
    )
    for axes, subset in zip(all_axes.T.flat, SUBSETS.values(), strict=True):
        rows = table[table["subset"] == subset]
        for cluster in cluster_marks.LOOKS:
            draw_cluster(axes, cluster, rows[rows["cluster"] == cluster])
        others = rows[rows["drawn"] == "other model"]
        x_P = OTHERS + figures.spread(others["subset"], WIDTH)
        figures.whiskers(axes, x_P, others["low"], others["high"])
        for x, other in zip(x_P, others.itertuples(), strict=True):
            axes.plot(x, other.accuracy, **looks[other.model])
        axes.set(title=subset)
        axes.grid(axis="x", visible=False)
        axes.tick_params(axis="x", length=0)
        figures.percent(axes.yaxis)
    axes.set_xticks([*PLACES.values(), OTHERS], [*PLACES, "other models"])
    figure.supylabel("accuracy (%)")
    handles = cluster_marks.handles(runs["cluster"].value_counts())
    mean = figures.handle("mean of the cluster", linestyle="-", color="black")
    others = [figures.handle(model, **look) for model, look in looks.items()]
    figure.legend(handles=[*handles, mean, *others], loc="outside upper center", ncols=4)
    figures.footnote(
        figure,
        run,
        f"{len(runs)} models in two clusters, {len(looks)} others; "
        f"{groups['n'].iloc[0]:,} examples a subset; each row has its own scale",
        f"Bands: {level:.0%} bootstrap over models of the cluster; whiskers: over examples",
    )
    return figure, table


def draw_cluster(axes: Axes, cluster: str, rows: pd.DataFrame) -> None:
    look, x = cluster_marks.LOOKS[cluster], PLACES[cluster]
    runs, means = (rows[rows["drawn"] == drawn] for drawn in ("run", "cluster mean"))
    x_P = x + figures.spread(runs["subset"], WIDTH)
    axes.plot(x_P, runs["accuracy"], linestyle="none", **look | cluster_marks.POINT)
    ends = [x - WIDTH / 2, x + WIDTH / 2]
    for mean in means.itertuples():
        axes.fill_between(
            ends, mean.low, mean.high, color="black", alpha=0.25, linewidth=0, zorder=3
        )
        axes.plot(ends, [mean.accuracy] * 2, color="black", linestyle="-", zorder=3)


def other_looks(table: pd.DataFrame) -> dict[str, dict]:
    models = table["model"].dropna().unique()
    if len(models) > len(MARKS):
        raise InputError(
            f"{len(models)} models beside the clusters cannot be told apart: name {len(MARKS)} "
            "at most"
        )
    look = {"color": "white", "markeredgecolor": "black", "markersize": 7, "linestyle": "none"}
    return {model: look | {"marker": MARKS[i]} for i, model in enumerate(models)}


def drawn(runs: pd.DataFrame, clusters: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Of each subset: each run, the mean of each cluster, and each other model."""
    by_measure, parts = clusters.set_index("measure"), []
    for subset in SUBSETS.values():
        points = runs[["run", "cluster"]].assign(accuracy=runs[subset], drawn="run")
        means = [
            {
                "cluster": cluster,
                "drawn": "cluster mean",
                "n": by_measure.loc[subset, f"{cluster}_n"],
            }
            | {
                name: by_measure.loc[subset, f"{cluster}_mean{end}"]
                for name, end in (("accuracy", ""), ("low", "_low"), ("high", "_high"))
            }
            for cluster in cluster_marks.LOOKS
        ]
        others = groups[groups["group"] == subset].drop(columns="group").assign(drawn="other model")
        if others.empty:
            raise InputError(f"the table of other models has no group {subset!r}: it needs HANS")
        parts.append(pd.concat([points, pd.DataFrame(means), others]).assign(subset=subset))
    columns = ["subset", "drawn", "cluster", "run", "model", "accuracy", "low", "high", "n"]
    return pd.concat(parts).reindex(columns=columns)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--runs", required=True, type=Path, help="runs, of compare_clusters.py")
    parser.add_argument("--clusters", required=True, type=Path, help="measures, of the same")
    parser.add_argument("--groups", required=True, type=Path, help="of measure_groups.py")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
