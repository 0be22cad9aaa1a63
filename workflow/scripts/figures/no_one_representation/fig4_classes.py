"""Figure 4: in which classes each of two models is the better one."""

import argparse
import json
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures

INCONSISTENT = ["only 1 correct", "only 2 correct"]


def main(arguments: argparse.Namespace) -> None:
    angles, classes = (
        pd.read_csv(path, dtype={"class": str}) for path in (arguments.angles, arguments.classes)
    )
    figure, table = draw(angles, classes, arguments.categories, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    angles: pd.DataFrame, classes: pd.DataFrame, categories: dict[str, str], run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(angles, classes, level)
    models = figures.by_category(classes["model2"], categories)
    base, names = classes["model1"].iloc[0], classes["class"].unique()
    figure = pyplot.figure(figsize=(figures.WIDTH, 1 + 1.6 * len(models)), layout="constrained")
    all_axes = figure.subplots(len(models), 2, sharex=True, sharey="col", squeeze=False)
    for (left, right), model in zip(all_axes, models, strict=True):
        category = categories[model]
        rows = table[table["model2"] == model]
        draw_angles(left, rows[rows["panel"] == "angle"], names)
        draw_differences(right, rows[rows["panel"] == "accuracy difference"], names, category)
        left.set(title=f"{category}: {model}", ylabel="angle θ (degrees)", yticks=range(0, 91, 15))
        right.set(ylabel="points of accuracy")
    all_axes[0, 1].set_title(f"Accuracy of {base} less the other's")
    sizes = classes.drop_duplicates("class")["n"]
    for axes in all_axes[-1]:
        axes.set_xlabel("class; below it, its number of examples")
        axes.set_xticks(range(len(names)), [f"{c}\n{n}" for c, n in zip(names, sizes, strict=True)])
    handles = [
        figures.handle(f"only {name} correct", **figures.CORRECTNESS[group])
        for name, group in zip((base, "the other model"), INCONSISTENT, strict=True)
    ]
    handles.append(figures.handle("equally confident", color="black", linestyle=":"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
    figures.footnote(
        figure,
        run,
        f"{sizes.sum():,} examples, {len(models)} pairs with {base}; left: those examples on which "
        "exactly one of the two is right",
        f"Whiskers: {level:.0%} normal intervals of the paired difference",
    )
    return figure, table


def drawn(angles: pd.DataFrame, classes: pd.DataFrame, level: float) -> pd.DataFrame:
    """Angles of inconsistent errors, and each class's accuracy difference with its interval."""
    left = angles[angles["group"].isin(INCONSISTENT)].sort_values("angle")
    difference = classes["accuracy_difference"]
    # Of a difference of two correctness values, which is 1 or -1 where errors are inconsistent.
    variance = (classes["error_inconsistency"] - difference**2) / classes["n"]
    half = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(variance)
    right = classes.assign(low=difference - half, high=difference + half)
    columns = ["panel", "model2", "class", "example", "group", "angle", "accuracy_difference"]
    return pd.concat([left.assign(panel="angle"), right.assign(panel="accuracy difference")])[
        [*columns, "low", "high", "n"]
    ]


def draw_angles(axes: Axes, table: pd.DataFrame, names: np.ndarray) -> None:
    position = pd.Series(range(len(names)), names)
    for group, side in zip(INCONSISTENT, (-0.21, 0.21), strict=True):
        rows = table[table["group"] == group]
        x = position[rows["class"]] + side + figures.spread(rows["class"], 0.4)
        axes.plot(x, rows["angle"], **({"linestyle": "none"} | figures.CORRECTNESS[group]))
    axes.axhline(45, color="black", linestyle=":")


def draw_differences(axes: Axes, table: pd.DataFrame, names: np.ndarray, category: str) -> None:
    x = pd.Series(range(len(names)), names)[table["class"]].to_numpy()
    axes.axhline(0, color="black", linewidth=0.8)
    axes.bar(x, table["accuracy_difference"], color=figures.STYLES[category].color, width=0.7)
    figures.whiskers(axes, x, table["low"], table["high"], color="black", zorder=2)
    figures.percent(axes.yaxis)


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
