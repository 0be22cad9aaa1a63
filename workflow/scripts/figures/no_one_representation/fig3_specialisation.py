"""Figure 3: which of two models is the confident one, by which of them is right."""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent.tables import read_table

# In the places the paper has them: two beside the plane, two below.
HISTOGRAMS = {
    "both correct": "Both correct",
    "both wrong": "Both wrong",
    "only 2 correct": "Only the other model correct",
    "only 1 correct": "Only {base} correct",
}
TEXT = ("example", "class", "model1", "model2")
PLANE = ["model2", "category", "group", "example", "confidence1", "confidence2", "angle"]
EDGES = np.linspace(0, 90, 19)  # degrees
SHOWN = 1000  # points of the plane that can be told apart
EQUAL = 45  # degrees: beyond it, model 1 is the more confident, and its prediction likely wins


def main(arguments: argparse.Namespace) -> None:
    angles = read_table(arguments.angles, TEXT)
    figure, table = draw(angles, arguments.categories, arguments.run)
    figures.save_figure(figure, table, arguments.output)


def draw(angles: pd.DataFrame, categories: dict[str, str], run: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    if angles.empty:
        reason = "In no example is exactly one model of a pair right"
        return figures.empty_figure(reason, run), angles
    others = figures.by_category(angles["model2"], categories)
    angles = angles.assign(category=angles["model2"].map(categories))
    plane = angles.loc[angles["model2"] == others[-1], PLANE].assign(panel="plane")
    step = math.ceil(len(plane) / SHOWN)
    table = pd.concat([plane[::step], histograms(angles)])
    base = angles["model1"].iloc[0]
    figure = pyplot.figure(figsize=(figures.WIDTH, 5), layout="constrained")
    axes = figure.subplot_mosaic([["plane", *list(HISTOGRAMS)[:2]], ["key", *list(HISTOGRAMS)[2:]]])
    draw_plane(axes["plane"], table[table["panel"] == "plane"], base)
    ranks = figures.rank_in_category(others, categories)
    for panel, title in HISTOGRAMS.items():
        draw_histograms(axes[panel], table[table["panel"] == panel], ranks)
        axes[panel].set_title(title.format(base=base))
        axes[panel].set_xlabel("angle θ (degrees)")
    axes["both correct"].set_ylabel("examples")
    axes["only 2 correct"].set_ylabel("examples")
    draw_key(axes["key"], others, categories, base)
    thinned = f"; plane: one in {step} of the examples" if step > 1 else ""
    figures.footnote(
        figure,
        run,
        f"{angles['example'].nunique():,} examples on which exactly one model of at least one pair "
        f"is right, {len(others)} pairs",
        f"Bins of {EDGES[1]:.0f}°; counts, no intervals" + thinned,
    )
    return figure, table


def histograms(angles: pd.DataFrame) -> pd.DataFrame:
    """Number of examples in each bin, of each pair in each group."""
    parts = []
    for (model, category, group), rows in angles.groupby(["model2", "category", "group"]):
        counts = np.histogram(rows["angle"], EDGES)[0]
        bins = {"angle_from": EDGES[:-1], "angle_to": EDGES[1:], "examples": counts}
        parts.append(pd.DataFrame(bins).assign(panel=group, model2=model, category=category))
    return pd.concat(parts)


def draw_plane(axes: Axes, table: pd.DataFrame, base: str) -> None:
    for group, look in reversed(figures.CORRECTNESS.items()):
        rows = table[table["group"] == group]
        axes.plot(rows["confidence2"], rows["confidence1"], **({"linestyle": "none"} | look))
    axes.plot([0, 1], [0, 1], color="black", linestyle=":")
    arc = np.radians(np.linspace(0, 30))
    axes.plot(0.35 * np.cos(arc), 0.35 * np.sin(arc), color="black")
    axes.plot([0, np.cos(arc[-1])], [0, np.sin(arc[-1])], color="black", linewidth=0.6)
    axes.text(0.37, 0.08, "θ")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal", title="Plane of confidences")
    axes.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.set(xlabel=f"confidence of {table['model2'].iloc[0]}", ylabel=f"confidence of {base}")


def draw_histograms(axes: Axes, table: pd.DataFrame, ranks: dict[str, int]) -> None:
    for (model, category), rows in table.groupby(["model2", "category"]):
        look = figures.line(category, ranks[model])
        axes.stairs(rows["examples"], EDGES, baseline=None, linewidth=1.5, **look)
    axes.axvline(EQUAL, color="black", linestyle=":")
    axes.set_xticks(range(0, 91, 15))
    axes.set_ylim(bottom=0)


def draw_key(axes: Axes, others: list[str], categories: dict[str, str], base: str) -> None:
    """The legend, where the paper has no panel."""
    axes.set_axis_off()
    ranks = figures.rank_in_category(others, categories)
    pairs = [
        (f"{model} ({categories[model]})", figures.line(categories[model], ranks[model]))
        for model in others
    ]
    groups = [
        (HISTOGRAMS[group].format(base=base).lower(), look)
        for group, look in figures.CORRECTNESS.items()
    ]
    handles = [
        *(figures.handle(label, **look) for label, look in pairs),
        figures.handle("equally confident", color="black", linestyle=":"),
        *(figures.handle(label, **look) for label, look in groups),
    ]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(-0.3, 0.5))


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--angles", required=True, type=Path, help="of measure_specialisation.py")
    parser.add_argument(
        "--categories", required=True, type=json.loads, help="JSON: model id to category"
    )
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
