"""Figure 7: models and pairs of them on a task that none was trained for."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures

NAMES = ["letter", "model1", "category"]
ACROSS = ["accuracy", "accuracy_low", "accuracy_high", "error_inconsistency"]
PRECISION = ["map", "map_low", "map_high", "gain", "gain_low", "gain_high"]
LABELLED = 3  # pairs, and the most inconsistent one


def main(arguments: argparse.Namespace) -> None:
    tables = map(pd.read_csv, (arguments.singles, arguments.pairs))
    figure, table = draw(*tables, arguments.categories, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    singles: pd.DataFrame, pairs: pd.DataFrame, categories: dict[str, str], run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(singles, pairs, categories)
    by_panel = dict(iter(table.groupby("panel")))
    figure = pyplot.figure(figsize=(figures.WIDTH, 6.4), layout="constrained")
    (single, matrix), (joined, gained) = figure.subplots(2, 2)
    draw_singles(single, by_panel["singles"])
    draw_matrix(matrix, by_panel["pairs"])
    draw_pairs(joined, by_panel["pairs"], "map")
    joined.set(title="Joined features; dotted: best single model")
    joined.set(ylabel="mean average precision (%)")
    joined.axhline(singles["map"].max(), color=figures.GREY, linestyle=":")
    draw_pairs(gained, by_panel["pairs"], "gain")
    gained.set(title="Gain over the better member", ylabel="points of precision")
    gained.axhline(0, color=figures.GREY, linestyle=":")
    handles = [
        figures.handle(f"{letter}  {model} ({category})", **figures.marker(category))
        for letter, model, category in by_panel["singles"][NAMES].to_numpy()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    figures.footnote(
        figure,
        run,
        f"{singles['n'].iloc[0]:,} examples of the new task, {len(singles)} models, {len(pairs)} "
        f"pairs; accuracy and error inconsistency: {singles['accuracy_n'].iloc[0]:,} others",
        f"Whiskers: {level:.0%} bootstrap over examples; pairs named: the {LABELLED} highest and "
        "the most inconsistent one",
    )
    return figure, table


def drawn(singles: pd.DataFrame, pairs: pd.DataFrame, categories: dict[str, str]) -> pd.DataFrame:
    """Rows of single models and of pairs; each model goes by a letter."""
    letter = pd.Series([chr(ord("A") + i) for i in range(len(singles))], singles["model"])
    intervals = {"low": "map_low", "high": "map_high"}
    alone = singles.rename(columns={"model": "model1"} | intervals).assign(letter=letter.to_numpy())
    alone["category"] = alone["model1"].map(categories)
    joined = pairs.rename(columns={"low": "gain_low", "high": "gain_high"})
    joined["letter"] = pairs["model1"].map(letter) + pairs["model2"].map(letter)
    parts = [alone.assign(panel="singles"), joined.assign(panel="pairs")]
    return pd.concat(parts)[["panel", *NAMES, "model2", *ACROSS, *PRECISION, "n"]]


def draw_singles(axes: Axes, rows: pd.DataFrame) -> None:
    figures.whiskers(axes, rows["accuracy"], rows["map_low"], rows["map_high"])
    ends = rows["accuracy_low"], rows["accuracy_high"]
    axes.hlines(rows["map"], *ends, color=figures.GREY, linewidth=0.7, zorder=1.5)
    for category, members in rows.groupby("category"):
        figures.points(axes, members["accuracy"], members["map"], category)
    figures.label_points(axes, rows["accuracy"], rows["map"], rows["letter"])
    axes.set(title="Single models", xlabel="accuracy (%)", ylabel="mean average precision (%)")
    figures.percent(axes.xaxis, axes.yaxis)


def draw_matrix(axes: Axes, rows: pd.DataFrame) -> None:
    """Error inconsistency of every pair, darker where it is larger."""
    first, second = rows["letter"].str[0], rows["letter"].str[1]
    cells = rows.assign(first=first, second=second)
    matrix = cells.pivot(index="second", columns="first", values="error_inconsistency")
    axes.imshow(matrix, cmap="Greys", vmin=0, vmax=0.7, aspect="auto")
    for (i, j), value in np.ndenumerate(matrix):
        axes.text(j, i, "" if np.isnan(value) else f"{100 * value:.0f}", ha="center", va="center")
    axes.set_xticks(range(len(matrix.columns)), matrix.columns)
    axes.set_yticks(range(len(matrix.index)), matrix.index)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title("Error inconsistency (%)")


def draw_pairs(axes: Axes, rows: pd.DataFrame, measure: str) -> None:
    x, y = rows["error_inconsistency"], rows[measure]
    if f"{measure}_low" in rows.dropna(axis="columns", how="all"):
        figures.whiskers(axes, x, rows[f"{measure}_low"], rows[f"{measure}_high"])
    axes.plot(x, y, linestyle="none", marker="o", color="black", markersize=3.5)
    named = rows["letter"].where(y.rank(ascending=False).le(LABELLED) | (x == x.max()), "")
    figures.label_points(axes, x, y, named)
    axes.set(xlabel="error inconsistency (%)", xmargin=0.1, ymargin=0.1)
    figures.percent(axes.xaxis, axes.yaxis)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--singles", required=True, type=Path, help="of probe_downstream.py")
    parser.add_argument("--pairs", required=True, type=Path, help="of probe_downstream.py")
    parser.add_argument(
        "--categories", required=True, type=json.loads, help="JSON: model id to category"
    )
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
