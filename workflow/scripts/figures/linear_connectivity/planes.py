"""Losses on planes through three models: of highest, of lowest strategy accuracy, and mixed."""

import argparse
from string import ascii_uppercase

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared

TITLES = {
    "high": "three of high accuracy",
    "low": "three of low accuracy",
    "mixed": "two of high, one of low",
}
LEVELS = 12
LEAST = 1e-6  # nats: below it the logarithm would show rounding
POINT = {"linestyle": "none", "marker": "o", "color": "white", "markeredgecolor": "black"}
LETTER = {"color": "black", "weight": "bold"}
HALO = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}


def main(arguments: argparse.Namespace) -> None:
    tables = shared.read(arguments, "planes", "plane_points")
    figure, table = draw(*tables, arguments.run)
    figures.save_figure(figure, table, arguments.output)


def draw(planes: pd.DataFrame, plane_points: pd.DataFrame, run: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = pd.concat([planes.assign(drawn="loss"), plane_points.assign(drawn="model")])
    if planes.empty:
        return figures.empty_figure("Too few models for a plane", run), table
    families = shared.families(planes)
    names = [name for name in TITLES if (planes["plane"] == name).any()]
    figure, grid = pyplot.subplots(
        *(len(families), len(names)),
        figsize=(figures.WIDTH, 0.8 + 2.35 * len(families)),
        layout="constrained",
        squeeze=False,
    )
    levels = np.geomspace(planes["loss"].clip(lower=LEAST).min(), planes["loss"].max(), LEVELS)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, family in zip(grid, families, strict=True):
        for axes, name in zip(row, names, strict=True):
            rows, points = (of(table, family, name) for table in (planes, plane_points))
            if len(rows):
                filled = draw_panel(axes, rows, points, levels)
                axes.set_title("\n".join([f"{family}: {TITLES[name]}", *lettered(points)]))
        row[0].set_ylabel("distance")
    bar = figure.colorbar(filled, ax=grid, shrink=0.6, label="loss (nats)")
    figures.plain_logarithm(bar.ax.yaxis)
    figures.footnote(
        figure,
        run,
        "one plane through three models of a family, of highest or lowest strategy accuracy",
        "Axes: distance of weights; one scale of losses; no intervals: mean of the same examples",
    )
    return figure, table


def of(table: pd.DataFrame, family: str, plane: str) -> pd.DataFrame:
    return table[(table["family"] == family) & (table["plane"] == plane)]


def lettered(points: pd.DataFrame) -> list[str]:
    """Which model each letter is."""
    return [
        f"{letter}: {shared.shortened(model)}"
        for letter, model in zip(ascii_uppercase, points["model"], strict=False)
    ]


def draw_panel(
    axes: Axes, plane: pd.DataFrame, points: pd.DataFrame, levels: np.ndarray
) -> QuadContourSet:
    losses = plane.pivot(index="y", columns="x", values="loss").clip(lower=LEAST)
    grid = losses.columns, losses.index, losses
    axes.set_axis_on()
    axes.grid(visible=False)
    filled = axes.contourf(
        *grid, levels=levels, norm=LogNorm(levels[0], levels[-1]), cmap="viridis_r"
    )
    axes.contour(*grid, levels=levels, colors="black", linewidths=0.3)
    axes.plot(points["x"], points["y"], **POINT)
    for letter, x, y in zip(ascii_uppercase, points["x"], points["y"], strict=False):
        place = {"textcoords": "offset points", "ha": "center", "va": "center"}
        axes.annotate(letter, (x, y), (0, 9), bbox=HALO, **LETTER, **place)
    axes.set_aspect("equal")
    axes.set_xlabel("distance")
    return filled


if __name__ == "__main__":
    of_metrics = "of compare_connectivity.py"
    parser = figures.parser(__doc__, planes=of_metrics, plane_points=of_metrics)
    commandline.run(main, parser.parse_args())
