"""How membership and strategy accuracy of models move from checkpoint to checkpoint."""

import argparse
from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared

COLUMNS = ["family", "model", "step", "membership", "strategy", "cluster", "early_agrees"]
ARROW = {"arrowstyle": "-|>", "mutation_scale": 8, "shrinkA": 2.5, "shrinkB": 3}
SWITCHED = (0, (2, 1.2))
EARLIER = {"markerfacecolor": "white", "markersize": 3, "linestyle": "none"}


def main(arguments: argparse.Namespace) -> None:
    tables = shared.read(arguments, "dynamics", "members")
    figure, table = draw(*tables, arguments.run)
    figures.save_figure(figure, table, arguments.output)


def draw(dynamics: pd.DataFrame, members: pd.DataFrame, run: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws: a path for each model, through its steps."""
    members = shared.with_strategy(members)
    families = shared.families(members)
    table = dynamics.dropna(subset=["membership"])[COLUMNS].sort_values("step", kind="stable")
    figure, all_axes = shared.panels(len(families), 3, columns=2, sharey=True)
    for axes, family in zip(all_axes, families, strict=True):
        rows = table[table["family"] == family]
        if rows.empty:
            axes.set_title(family)
            figures.absent(axes, shared.WITHOUT_CLUSTERS)
            continue
        draw_panel(axes, rows)
        axes.set_title(f"{family}{agreement(rows)}")
        axes.set_xlabel("membership in the large cluster")
        figures.percent(axes.yaxis)
    all_axes[0].set_ylabel(shared.STRATEGY_AXIS)
    handles = shared.cluster_handles(shared.at_last_step(table))
    if table["step"].nunique() > 1:
        handles += [
            figures.handle("earlier step", marker="o", color="black", **EARLIER),
            figures.handle("in the other cluster at first", linestyle=SWITCHED, color="black"),
        ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=2.5)
    figures.footnote(figure, run, *shared.member_counts(members), steps_note(table))
    return figure, table


def draw_panel(axes: Axes, rows: pd.DataFrame) -> None:
    for _, path in rows.groupby("model", sort=False):
        look = shared.cluster_look(path["cluster"].iloc[-1])
        places = path[["membership", "strategy"]].to_numpy()
        arrow = ARROW | {"color": look["color"], "linestyle": "-" if stays(path) else SWITCHED}
        for start, end in pairwise(places):
            axes.annotate("", end, start, arrowprops=arrow)
        axes.plot(*places[:-1].T, **look | EARLIER)
        axes.plot(*places[-1], **look)


def stays(path: pd.DataFrame) -> bool:
    """Whether a model is at its first step in the cluster of its last."""
    return str(path["early_agrees"].iloc[0]) != "False"


def agreement(rows: pd.DataFrame) -> str:
    """How many models stay in their cluster, of those that have several steps."""
    paths = [path for _, path in rows.groupby("model") if len(path) > 1]
    if not paths:
        return ""
    return f": {sum(map(stays, paths))} of {len(paths)} stay in their cluster"


def steps_note(table: pd.DataFrame) -> str:
    steps = ", ".join(f"{step:,}" for step in sorted(table["step"].unique()))
    if table["step"].nunique() > 1:
        return f"Steps: {steps}; no intervals drawn: those of the last step are in separation.csv"
    return "One step: no arrows; no intervals drawn: those of it are in separation.csv"


if __name__ == "__main__":
    of = "of compare_connectivity.py"
    parser = figures.parser(__doc__, dynamics=of, members=of)
    commandline.run(main, parser.parse_args())
