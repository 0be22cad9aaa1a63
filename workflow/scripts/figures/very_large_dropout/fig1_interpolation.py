"""From a pre-trained network to a fine-tuned one: mixing weights against mixing representations."""

import argparse

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from dissent import commandline, figures
from dissent import dropout_figures as dropout

KEYS = ["fine_tuning", "path", "share"]
FINE_TUNINGS = {
    "mild": {"color": "#0072B2", "marker": "o"},
    "long": {"color": "#D55E00", "marker": "s"},
}
PATHS = {"weights": (0, (4, 1.5)), "representations": "-"}
START = {"color": "black", "marker": "*", "markersize": 10}
HALF = {"marker": "o", "markersize": 7, "markerfacecolor": "none", "linestyle": "none"}
COLUMNS = 2  # small panels side by side


def main(arguments: argparse.Namespace) -> None:
    (interpolation,) = dropout.read(arguments, "interpolation")
    figure, table = draw(interpolation, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(interpolation: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    means = interpolation.groupby(KEYS, sort=False)[["iid", "ood"]].mean().reset_index()
    domains = interpolation["held_out"].unique()
    n_rows = -(-len(domains) // COLUMNS)
    figure = pyplot.figure(figsize=(figures.WIDTH, max(3.8, 1.6 * n_rows)), layout="constrained")
    grid = figure.add_gridspec(n_rows, 1 + COLUMNS, width_ratios=(1.9, *[1] * COLUMNS))
    large = figure.add_subplot(grid[:, 0])
    draw_panel(large, means, large=True)
    large.set_title(f"mean over {len(domains)} held-out domains")
    large.set(xlabel="i.i.d. accuracy (%)", ylabel="o.o.d. accuracy (%)")
    for place, domain in enumerate(domains):
        row, column = divmod(place, COLUMNS)
        axes = figure.add_subplot(grid[row, 1 + column])
        draw_panel(axes, interpolation[interpolation["held_out"] == domain], large=False)
        axes.set_title(f"held out: {domain}")
    handles = [
        figures.handle(f"{name} fine-tuning, {path}", **look | face(path) | {"linestyle": dashes})
        for name, look in FINE_TUNINGS.items()
        for path, dashes in PATHS.items()
    ]
    handles.append(figures.handle("pre-trained", **START))
    if (means["share"] == 0.5).any():
        handles.append(figures.handle("half-way", color="0.5", **HALF))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handlelength=3)
    reach = [100 * widest(interpolation, axis, level) for axis in dropout.AXES]
    figures.footnote(
        figure,
        run,
        f"{dropout.images(interpolation)}; one fine-tuning of each kind",
        f"Marks: {interpolation['share'].nunique()} shares of the fine-tuned network, from 0 "
        "(star) to 1 (large)",
        f"No intervals drawn: {level:.0%} normal ones over images reach at most "
        f"{reach[0]:.1f} (i.i.d.) and {reach[1]:.1f} (o.o.d.) points from the means",
    )
    return figure, pd.concat([means.assign(held_out=dropout.ALL_DOMAINS), interpolation])


def draw_panel(axes: Axes, table: pd.DataFrame, large: bool) -> None:
    lines = table.groupby(["fine_tuning", "path"], sort=False)
    for (fine_tuning, path), rows in lines:
        rows = rows.sort_values("share")
        look = FINE_TUNINGS[fine_tuning]
        axes.plot(
            *(rows["iid"], rows["ood"]),
            **look | face(path) | {"linestyle": PATHS[path], "markersize": 2 + 1.5 * large},
            zorder=3 if path == "weights" else 2,
        )
        last = rows.iloc[-1]
        axes.plot(last["iid"], last["ood"], **look | {"markersize": 5 + 3 * large}, zorder=4)
        half = rows[rows["share"] == 0.5]
        axes.plot(half["iid"], half["ood"], color=look["color"], **HALF, zorder=4)
    first = table[table["share"] == 0].iloc[0]
    axes.plot(first["iid"], first["ood"], zorder=5, **START)
    axes.margins(0.1)
    if large:
        figures.percent(axes.xaxis, axes.yaxis)
    else:
        dropout.few_ticks(axes)


def face(path: str) -> dict:
    return {"markerfacecolor": "white"} if path == "weights" else {}


def widest(interpolation: pd.DataFrame, axis: str, level: float) -> float:
    """The largest reach of a normal interval over images of a mean over held-out domains.

    A report image is in all settings but one, in which it may be judged alike: at most, the errors
    of so many settings add up. Unseen images are in one setting each.
    """
    variance = interpolation[axis] * (1 - interpolation[axis]) / interpolation[f"n_{axis}"]
    by_point = variance.groupby([interpolation[key] for key in KEYS])
    errors = np.sqrt(by_point.sum()) / by_point.size()
    n_settings = by_point.size().max() - 1 if axis == "iid" else 1
    return stats.norm.ppf((1 + level) / 2) * errors.max() * np.sqrt(max(n_settings, 1))


if __name__ == "__main__":
    parser = figures.parser(__doc__, interpolation="of compare_dropout.py")
    commandline.run(main, parser.parse_args())
