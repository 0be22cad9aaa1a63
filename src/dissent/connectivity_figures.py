"""What the figures of linear connectivity share: looks of families, pairings and clusters."""

import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dissent import cluster_marks, figures
from dissent.tables import read_table

TEXT = [
    *("family", "model", "first", "second", "data", "group", "pairing", "plane", "cluster"),
    "eigenvalues",
]
FOOTNOTE_CHARACTERS = 100  # that fit into a figure's width
NAME_CHARACTERS = 18  # of a model, that fit beside a small panel
# Those that runs of the project have, which keep their looks in every figure.
FAMILIES = ("orders", "heads", "models", "separate", "aligned", "one-run")
STYLES = (
    figures.Style("#0072B2", "o", "-"),
    figures.Style("#D55E00", "s", (0, (5, 1.5))),
    figures.Style("#009E73", "D", (0, (1, 0.8))),
    figures.Style("black", "^", "-"),
    figures.Style("#E69F00", "v", (0, (4, 1, 1, 1))),
    figures.Style("#CC79A7", "P", (0, (2.5, 1))),
    figures.Style("#56B4E9", "X", (0, (7, 1, 1, 1))),
)
# Of two members, by whether their strategy accuracy is above or below the median.
PAIRINGS = {
    "high-high": "both high",
    "high-low": "high to low",
    "low-low": "both low",
    "all": "all pairs",
}
# Of members of which no cluster was found: too few are in the window, or this one is not.
# Of more clusters than two.
FURTHER = {"cluster 3": {"marker": "D", "color": "#009E73"}}
FURTHEST = {"marker": "s", "color": "#F0E442"}
NO_CLUSTER = "in no cluster"
UNCLUSTERED = {"marker": "x", "color": "0.45", "markeredgewidth": 1.1, "markersize": 4}
UNCLUSTERED |= {"linestyle": "none"}
WITHOUT_CLUSTERS = "No clusters: too few models in the\nwindow, or all in one place"
STRATEGY_AXIS = "accuracy on the strategy group (%)"


def strategy_parser(description: str, **tables: str) -> ArgumentParser:
    """`figures.parser` with the group of examples that tells strategies apart."""
    made = figures.parser(description, **tables)
    made.add_argument(
        "--strategy",
        required=True,
        nargs=2,
        metavar=("DATA", "GROUP"),
        help="data set and group whose accuracy tells strategies apart",
    )
    return made


def read(arguments: Namespace, *tables: str) -> list[pd.DataFrame]:
    """The tables of metrics that arguments name; names in them stay text."""
    return [read_table(getattr(arguments, name), TEXT) for name in tables]


def family_looks(families: Iterable[str]) -> dict[str, dict]:
    """How lines and marks of each family look; families of any other names get looks too."""
    ordered = dict.fromkeys([*FAMILIES, *families])
    return {
        family: {
            "color": style.color,
            "marker": style.marker,
            "linestyle": style.dashes,
            "markeredgecolor": "black",
        }
        for family, style in zip(ordered, cycle(STYLES), strict=False)
    }


def pairings(table: pd.DataFrame) -> list[str]:
    """The pairings of curves.csv, in the order of the figures."""
    return [pairing for pairing in PAIRINGS if (table["pairing"] == pairing).any()]


def cluster_look(cluster: str) -> dict:
    """How marks of a cluster's members look, and of those that are in none."""
    if cluster == NO_CLUSTER:
        return UNCLUSTERED
    look = cluster_marks.LOOKS.get(cluster, FURTHER.get(cluster, FURTHEST))
    return look | cluster_marks.POINT | {"linestyle": "none"}


def by_cluster(members: pd.DataFrame) -> Iterator[tuple[str, dict, pd.DataFrame]]:
    """Name, look and rows of each cluster that has members, last of those in none."""
    found = members["cluster"].fillna(NO_CLUSTER)
    further = sorted(set(found) - {*cluster_marks.LOOKS, NO_CLUSTER})
    for cluster in (*cluster_marks.LOOKS, *further, NO_CLUSTER):
        if (found == cluster).any():
            name = f"{cluster} cluster" if cluster in cluster_marks.LOOKS else cluster
            yield name, cluster_look(cluster), members[found == cluster]


def cluster_handles(members: pd.DataFrame) -> list[Line2D]:
    """Legend entries of the clusters that have members."""
    return [figures.handle(name, **look) for name, look, _ in by_cluster(members)]


def at_last_step(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the last step of each family."""
    return table[table["step"] == table.groupby("family")["step"].transform("max")]


def families(table: pd.DataFrame) -> list[str]:
    """Families of a table, in its order."""
    return list(table["family"].unique())


def with_strategy(members: pd.DataFrame) -> pd.DataFrame:
    """Rows of members.csv that have an accuracy on the strategy group: images have none."""
    return members[members["strategy"].notna()]


def panels(n: int, height: float, columns: int = 3, **options) -> tuple[Figure, list[Axes]]:
    """A figure of n panels in rows of so many columns at most, `height` inches a row."""
    n_columns = min(columns, n)
    n_rows = -(-n // n_columns)
    figure, grid = pyplot.subplots(
        n_rows,
        n_columns,
        figsize=(figures.WIDTH, height * n_rows + 1.2),
        layout="constrained",
        squeeze=False,
        **options,
    )
    for axes in grid.flat[n:]:
        axes.set_axis_off()
    return figure, list(grid.flat[:n])


def member_counts(members: pd.DataFrame) -> list[str]:
    """Lines on how many members of members.csv each family has, and how many are compared."""
    last = at_last_step(members)
    sizes = [
        f"{family}: {figures.counted(len(rows), 'model')}, {len(in_window(rows))} in the window"
        for family, rows in last.groupby("family", sort=False)
    ]
    return wrapped("; ".join(sizes))


def in_window(members: pd.DataFrame) -> pd.DataFrame:
    """Rows of members.csv that are compared: their accuracy is in the window."""
    return members[members["kept"].astype(bool)]


def wrapped(sentence: str) -> list[str]:
    """A sentence as lines that fit under a figure."""
    return textwrap.wrap(sentence, FOOTNOTE_CHARACTERS)


def interval_note(drawn: pd.DataFrame, mark: str, level: float, of: str) -> str:
    """What intervals in columns `low` and `high` are; a note of none where all are empty."""
    if not drawn[["low", "high"]].notna().any(axis=None):
        return "No intervals: too few to measure them"
    return f"{mark}: {level:.0%} {of}"


def shortened(name: str) -> str:
    """A model's name, cut where it is too long for a small panel."""
    return (
        name
        if len(name) <= NAME_CHARACTERS
        else f"{name[: NAME_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
    )


def spelt(number: float, digits: int = 2) -> str:
    """A number with so many decimals, a true minus sign, and a dash where there is none."""
    if np.isnan(number):
        return "\N{EN DASH}"
    return f"{number:.{digits}f}".replace("-", "\N{MINUS SIGN}")
