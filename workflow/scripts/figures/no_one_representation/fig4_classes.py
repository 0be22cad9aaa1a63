"""Figure 4: in which classes each of two models is the better one."""

import argparse
import json
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dissent import commandline, figures
from dissent.tables import read_table

TEXT = ("example", "class", "model1", "model2")
INCONSISTENT = ["only 1 correct", "only 2 correct"]
COLUMN_EACH = 30  # classes up to which each has room for a column of its own
RANGES = 40  # at most, of consecutive classes, where there are more
# Of so many classes that examples are a cloud.
CLOUD = {
    "only 1 correct": {"marker": ".", "color": "0.25", "markersize": 1.5, "markeredgewidth": 0},
    "only 2 correct": {"marker": ".", "color": "0.7", "markersize": 1.5, "markeredgewidth": 0},
}
MEDIAN = {
    "only 1 correct": {"color": "black", "linestyle": "-"},
    "only 2 correct": {"color": "black", "linestyle": (0, (2, 1))},
}


def main(arguments: argparse.Namespace) -> None:
    angles, classes = (read_table(path, TEXT) for path in (arguments.angles, arguments.classes))
    figure, table = draw(angles, classes, arguments.categories, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    angles: pd.DataFrame, classes: pd.DataFrame, categories: dict[str, str], run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    models = figures.by_category(classes["model2"], categories)
    base = classes["model1"].iloc[0]
    sizes = classes.drop_duplicates("class").set_index("class")["n"]
    width = 1 if len(sizes) <= COLUMN_EACH else math.ceil(len(sizes) / RANGES)
    table = drawn(angles, classes, sizes.index, width, level)
    figure = pyplot.figure(figsize=(figures.WIDTH, 1 + 1.6 * len(models)), layout="constrained")
    all_axes = figure.subplots(len(models), 2, sharex=True, sharey="col", squeeze=False)
    for (left, right), model in zip(all_axes, models, strict=True):
        category = categories[model]
        rows = table[table["model2"] == model]
        draw_angles(left, rows[rows["panel"] == "angle"], sizes.index, width)
        draw_medians(left, rows[rows["panel"] == "median angle"], width)
        draw_differences(right, rows[rows["panel"] == "accuracy difference"], width, category)
        left.set(title=f"{category}: {model}", ylabel="angle θ (degrees)", yticks=range(0, 91, 15))
        right.set(ylabel="points of accuracy")
    all_axes[0, 1].set_title(f"Accuracy of {base} less the other's")
    for axes in all_axes[-1]:
        label_classes(axes, sizes, width)
    figure.legend(handles=legend(base, width), loc="outside upper left", ncols=3)
    figures.footnote(
        figure,
        run,
        f"{sizes.sum():,} examples, {len(models)} pairs with {base}; left: those examples on which "
        "exactly one of the two is right",
        f"Whiskers: {level:.0%} normal intervals of the paired difference"
        + (f"; lines and bars: ranges of {width} classes" if width > 1 else ""),
    )
    return figure, table


def legend(base: str, width: int) -> list[Line2D]:
    """Entries of the marks on the left."""
    handles = []
    for group, name in zip(INCONSISTENT, (base, "the other model"), strict=True):
        label, look = f"only {name} correct", figures.CORRECTNESS[group]
        if width > 1:
            dot = {"markerfacecolor": CLOUD[group]["color"], "markersize": 8}
            label, look = f"{label} (line: median)", CLOUD[group] | MEDIAN[group] | dot
        handles.append(figures.handle(label, **look))
    return [*handles, figures.handle("equally confident", color="black", linestyle=":")]


def drawn(
    angles: pd.DataFrame, classes: pd.DataFrame, names: pd.Index, width: int, level: float
) -> pd.DataFrame:
    """Angles of inconsistent errors, and accuracy differences with intervals.

    Differences are those of each class, or of ranges of so many, which also have median angles.
    """
    left = angles[angles["group"].isin(INCONSISTENT)].sort_values("angle")
    panels = [left.assign(panel="angle")]
    if width > 1:
        firsts = range(0, len(names), width)
        ranges = [f"{names[i]} to {names[i : i + width][-1]}" for i in firsts]
        range_of = pd.Series(np.repeat(ranges, width)[: len(names)], names)
        panels.append(medians(left, range_of))
        classes = pooled(classes, range_of)
    difference = classes["accuracy_difference"]
    # Of a difference of two correctness values, which is 1 or -1 where errors are inconsistent.
    variance = (classes["error_inconsistency"] - difference**2) / classes["n"]
    half = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(variance)
    right = classes.assign(low=difference - half, high=difference + half)
    columns = ["panel", "model2", "class", "example", "group", "angle", "accuracy_difference"]
    return pd.concat([*panels, right.assign(panel="accuracy difference")])[
        [*columns, "low", "high", "n"]
    ]


def medians(angles: pd.DataFrame, range_of: pd.Series) -> pd.DataFrame:
    """Median angle of each pair and group in each range of classes."""
    ranges = angles.assign(**{"class": angles["class"].map(range_of)})
    groups = ranges.groupby(["model2", "group", "class"])["angle"]
    return groups.agg(angle="median", n="size").reset_index().assign(panel="median angle")


def pooled(classes: pd.DataFrame, range_of: pd.Series) -> pd.DataFrame:
    """Measures of each pair on all examples of each range of classes."""
    measures = ["accuracy_difference", "error_inconsistency"]
    totals = classes[measures].mul(classes["n"], axis=0)
    ranges = [classes["model2"], classes["class"].map(range_of)]
    sums = totals.assign(n=classes["n"]).groupby(ranges, sort=False).sum()
    return sums[measures].div(sums["n"], axis=0).assign(n=sums["n"]).reset_index()


def draw_angles(axes: Axes, table: pd.DataFrame, names: pd.Index, width: int) -> None:
    position = pd.Series(range(len(names)), names)
    looks = CLOUD if width > 1 else figures.CORRECTNESS
    dense = {"rasterized": len(table) > figures.DENSE}
    for group, side in zip(INCONSISTENT, (-0.21, 0.21), strict=True):
        rows = table[table["group"] == group]
        x = position[rows["class"]] + side + figures.spread(rows["class"], 0.4)
        axes.plot(x, rows["angle"], **({"linestyle": "none"} | looks[group] | dense))
    axes.axhline(45, color="black", linestyle=":")


def draw_medians(axes: Axes, table: pd.DataFrame, width: int) -> None:
    """A line a group over the ranges of classes, in front of a white one."""
    ranges = table.pivot(index="class", columns="group", values="angle")
    ranges = ranges.reindex(table["class"].unique())
    edges = width * np.arange(len(ranges) + 1) - 0.5
    for group, angle in ranges.items():
        axes.stairs(angle, edges, baseline=None, color="white", linewidth=3)
        axes.stairs(angle, edges, baseline=None, **MEDIAN[group])


def draw_differences(axes: Axes, table: pd.DataFrame, width: int, category: str) -> None:
    x = width * np.arange(len(table)) + (width - 1) / 2
    axes.axhline(0, color="black", linewidth=0.8)
    color = figures.STYLES[category].color
    axes.bar(x, table["accuracy_difference"], color=color, width=0.7 * width)
    figures.whiskers(axes, x, table["low"], table["high"], color="black", zorder=2)
    figures.percent(axes.yaxis)


def label_classes(axes: Axes, sizes: pd.Series, width: int) -> None:
    """The class at each tick, and how many examples it has."""
    if width == 1:
        axes.set_xlabel("class; below it, its number of examples")
        axes.set_xticks(range(len(sizes)), [f"{name}\n{n}" for name, n in sizes.items()])
        return
    fewest, most = sizes.min(), sizes.max()
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    axes.set_xlabel(f"class; {each} examples each")
    ticks = range(0, len(sizes), width * 8)
    axes.set_xticks(ticks, sizes.index[ticks])


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--angles", required=True, type=Path, help="of measure_specialisation.py")
    parser.add_argument("--classes", required=True, type=Path, help="of the same script")
    parser.add_argument(
        "--categories", required=True, type=json.loads, help="JSON: model id to category"
    )
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
