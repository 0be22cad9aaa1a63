"""What foretells accuracy on the strategy group: membership of a cluster, or sharpness."""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared

DRAWN = {"membership": "membership", "sharpness": "sharpness (%)"}
# Columns of separation.csv: correlation with strategy accuracy, and the ends of its interval.
PREDICTORS = {
    "membership": ("r_membership", "r_low", "r_high"),
    "sharpness": ("r_sharpness", "r_sharpness_low", "r_sharpness_high"),
    "in-domain accuracy": ("r_in_domain",),
}
ROW = 2.1  # inches
FIT = {"color": figures.GREY, "linestyle": "--", "zorder": 1.5}
MARK = {"color": "black", "marker": "o", "linestyle": "none"}


def main(arguments: argparse.Namespace) -> None:
    tables = shared.read(arguments, "members", "separation")
    figure, table = draw(*tables, arguments.strategy, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    members: pd.DataFrame, separation: pd.DataFrame, strategy: Sequence[str], run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws: models in the window at the last step, and correlations."""
    members = shared.at_last_step(shared.with_strategy(members))
    names, kept = shared.families(members), shared.in_window(members)
    found = correlations(separation, strategy)
    figure, grid = pyplot.subplots(
        *(len(names), 3),
        figsize=(figures.WIDTH, 1 + ROW * len(names)),
        layout="constrained",
        squeeze=False,
    )
    for row, family in zip(grid, names, strict=True):
        for axes, predictor in zip(row, DRAWN, strict=False):
            draw_scatter(axes, kept[kept["family"] == family], predictor)
        row[0].set_title(f"{family}: accuracy (%)")
        draw_correlations(row[2], found[found["family"] == family].set_index("predictor"))
    for axes, label in zip(grid[-1], (*DRAWN.values(), "|r| with this accuracy"), strict=True):
        axes.set_xlabel(label)
    figure.legend(handles=shared.cluster_handles(kept), loc="outside upper center", ncols=3)
    figures.footnote(
        figure,
        run,
        *shared.member_counts(members),
        *shared.wrapped("Accuracy on {}: {}".format(*strategy)),
        shared.interval_note(found, "Whiskers", level, "intervals of r over models")
        + "; dashed: least squares",
    )
    columns = ["family", "step", "model", "cluster", *DRAWN, "strategy"]
    parts = [kept[columns].assign(drawn="model"), found.assign(drawn="correlation")]
    return figure, pd.concat(parts)


def correlations(separation: pd.DataFrame, strategy: Sequence[str]) -> pd.DataFrame:
    """Each predictor's |r| by family at the last step, its interval turned with it."""
    last = shared.at_last_step(separation)
    data, group = strategy
    parts = []
    for row in last[(last["data"] == data) & (last["group"] == group)].to_dict("records"):
        for predictor, columns in PREDICTORS.items():
            r, *ends = (row[column] for column in columns)
            low, high = sorted(np.sign(r) * np.array(ends)) if ends else (np.nan, np.nan)
            of = {"family": row["family"], "step": row["step"], "predictor": predictor}
            parts.append(of | {"r": r, "size": abs(r), "low": low, "high": high})
    return pd.DataFrame(parts, columns=["family", "step", "predictor", "r", "size", "low", "high"])


def draw_scatter(axes: Axes, members: pd.DataFrame, predictor: str) -> None:
    measured = members.dropna(subset=predictor)
    if measured.empty:
        figures.absent(axes, f"No {predictor} measured")
        return
    for _, look, rows in shared.by_cluster(measured):
        axes.plot(rows[predictor], rows["strategy"], **look)
    x = measured[predictor]
    if x.nunique() > 1:
        slope, start = np.polyfit(x, measured["strategy"], 1)
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, start + slope * ends, **FIT)
    axes.set_ylim(-0.05, 1.05)
    figures.percent(axes.yaxis)


def draw_correlations(axes: Axes, found: pd.DataFrame) -> None:
    if found["r"].isna().all():
        figures.absent(axes, "No correlation measured")
        return
    places = list(PREDICTORS)
    for place, row in enumerate(found.loc[places].itertuples()):
        axes.hlines(place, row.low, row.high, color=figures.GREY, linewidth=1.2)
        axes.plot(row.size, place, **MARK)
        sign = "r = " + shared.spelt(row.r)
        axes.annotate(sign, (row.size, place), (0, 5), textcoords="offset points", ha="center")
    axes.axvline(0, color="0.75", linewidth=1, zorder=1)
    axes.set_xlim(np.nanmin([-0.2, found["low"].min() - 0.05]), 1.3)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks(range(len(places)), [place.replace(" ", "\n") for place in places])
    axes.set_ylim(len(places) - 0.4, -0.7)
    axes.grid(visible=False, axis="y")


if __name__ == "__main__":
    of = "of compare_connectivity.py"
    parser = shared.strategy_parser(__doc__, members=of, separation=of)
    commandline.run(main, parser.parse_args())
