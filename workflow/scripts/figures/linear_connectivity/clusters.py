"""Accuracy of the models of each cluster, with mean, standard deviation and maximum as a table."""

import argparse

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared

HEAD = "cluster\nmodels\nmean\ns.d.\nmax."
ROW = 2.1  # inches
MEAN = {"color": "black", "linewidth": 1.6, "zorder": 3}
SUMMARY = ["size", "mean", "std", "max"]


def main(arguments: argparse.Namespace) -> None:
    tables = shared.read(arguments, "members", "diagnostics")
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    members: pd.DataFrame, diagnostics: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws: models, then a row of statistics for each cluster."""
    members = shared.with_strategy(members)
    table = measured(members, diagnostics)
    if table.empty:
        return figures.empty_figure("No model in the window", run), table
    names, measures = shared.families(table), list(table["measure"].unique())
    size = figures.WIDTH, 0.8 + ROW * len(names)
    figure, grid = pyplot.subplots(
        *(len(names), len(measures)),
        figsize=size,
        layout="constrained",
        squeeze=False,
        sharey="col",
    )
    summaries = []
    for row, family in zip(grid, names, strict=True):
        for axes, measure in zip(row, measures, strict=True):
            rows = table[(table["family"] == family) & (table["measure"] == measure)]
            summary = draw_panel(axes, rows)
            summaries.append(summary.assign(family=family, measure=measure))
        row[0].set_ylabel(f"{family}: accuracy (%)")
        place = {"textcoords": "offset points", "ha": "right", "va": "top"}
        row[0].annotate(HEAD, (0, 0), (-3, -3.5), "axes fraction", **place)
    for axes, measure in zip(grid[0], measures, strict=True):
        axes.set_title(measure)
    figure.legend(
        handles=[*shared.cluster_handles(table), figures.handle("mean", linestyle="-", **MEAN)],
        loc="outside upper center",
        ncols=4,
    )
    figures.footnote(figure, run, *facts(members, table, level))
    return figure, pd.concat([table.assign(drawn="model"), *summaries])


def measured(members: pd.DataFrame, diagnostics: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of compared models in domain, on the strategy group and on each diagnostic.

    A diagnostic's is over all its examples: its groups count by their sizes.
    """
    kept = shared.in_window(shared.at_last_step(members))
    keys = ["family", "step", "model", "cluster"]
    parts = [
        kept[[*keys, "n"]].assign(measure=measure, accuracy=kept[column])
        for column, measure in (("in_domain", "in domain"), ("strategy", "strategy group"))
    ]
    right = diagnostics.assign(right=diagnostics["accuracy"] * diagnostics["n"])
    sums = right.groupby(["family", "step", "model", "data"], sort=False)[["right", "n"]].sum()
    whole = sums.assign(accuracy=sums["right"] / sums["n"]).reset_index()
    parts.append(kept[keys].merge(whole.rename(columns={"data": "measure"})))
    columns = [*keys, "measure", "accuracy"]
    return pd.concat(parts)[columns].reset_index(drop=True)


def draw_panel(axes: Axes, rows: pd.DataFrame) -> pd.DataFrame:
    """Draw the models of each cluster, with their statistics as the labels below; these."""
    found, ticks = [], []
    for place, (name, look, of_cluster) in enumerate(shared.by_cluster(rows)):
        x = place + figures.spread(of_cluster["measure"], 0.7)
        axes.plot(x, of_cluster["accuracy"], **look)
        statistics = of_cluster["accuracy"].agg(SUMMARY)
        axes.hlines(statistics["mean"], place - 0.4, place + 0.4, **MEAN)
        shown = [shared.spelt(100 * statistics[name], 1) for name in SUMMARY[1:]]
        label = "none" if name == shared.NO_CLUSTER else name.removesuffix(" cluster")
        ticks.append("\n".join([label, f"{len(of_cluster)}", *shown]))
        found.append(statistics.to_dict() | {"cluster": label, "drawn": "cluster"})
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.6, len(ticks) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    figures.percent(axes.yaxis)
    # Models in a narrow window differ in the fourth digit.
    axes.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.4g}")
    return pd.DataFrame(found)


def facts(members: pd.DataFrame, table: pd.DataFrame, level: float) -> list[str]:
    none = "; no clusters of fewer than four" if table["cluster"].isna().any() else ""
    return [
        *shared.member_counts(members),
        f"Of models in the window, at the last step{none}; each column has its own scale",
        f"No intervals here: those of differences between clusters ({level:.0%}) are in "
        "separation.csv",
    ]


if __name__ == "__main__":
    of = "of compare_connectivity.py"
    commandline.run(main, figures.parser(__doc__, members=of, diagnostics=of).parse_args())
