"""Figure 7: models and pairs of them on a task that none was trained for."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures

NAMES = ["letter", "model1", "category"]
ACROSS = ["accuracy", "accuracy_low", "accuracy_high", "error_inconsistency"]
COLUMNS = ["panel", *NAMES, "model2", *ACROSS, "better_member", "map", "low", "high", "n"]


def main(arguments: argparse.Namespace) -> None:
    tables = map(pd.read_csv, (arguments.singles, arguments.pairs))
    models = pd.read_csv(arguments.models, index_col="model")
    figure, table = draw(*tables, models, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    singles: pd.DataFrame, pairs: pd.DataFrame, models: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(singles, pairs, models)
    by_panel = dict(iter(table.groupby("panel")))
    figure = pyplot.figure(figsize=(figures.WIDTH, 3.6), layout="constrained")
    left, centre, right = figure.subplots(1, 3)
    draw_singles(left, by_panel["singles"])
    draw_matrix(centre, by_panel["pairs"], by_panel["singles"]["letter"])
    draw_pairs(right, by_panel["pairs"])
    figures.reference(right, singles["map"].max(), "best single model")
    handles = [
        figures.handle(f"{letter}  {model} ({category})", **figures.marker(category))
        for letter, model, category in by_panel["singles"][NAMES].to_numpy()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    figures.footnote(
        figure,
        run,
        f"{singles['n'].iloc[0]:,} examples of the new task, {len(singles)} models, {len(pairs)} "
        f"pairs; accuracy and error inconsistency: {models['n'].iloc[0]:,} others",
        f"Whiskers: {level:.0%} bootstrap over examples; right: of the gain over the better member "
        "(its own precision is the dash)",
    )
    return figure, table


def drawn(singles: pd.DataFrame, pairs: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """Rows of single models and of pairs; each model goes by a letter."""
    letter = pd.Series([chr(ord("A") + i) for i in range(len(singles))], singles["model"])
    alone = singles.rename(columns={"model": "model1"}).assign(letter=letter.to_numpy())
    alone = alone.join(models[["category", "accuracy_low", "accuracy_high"]], on="model1")
    better = pairs["map"] - pairs["gain"]
    joined = pairs.assign(
        letter=pairs["model1"].map(letter) + pairs["model2"].map(letter),
        better_member=better,
        low=better + pairs["low"],
        high=better + pairs["high"],
    )
    return pd.concat([alone.assign(panel="singles"), joined.assign(panel="pairs")])[COLUMNS]


def draw_singles(axes: Axes, rows: pd.DataFrame) -> None:
    figures.whiskers(axes, rows["accuracy"], rows["low"], rows["high"])
    ends = rows["accuracy_low"], rows["accuracy_high"]
    axes.hlines(rows["map"], *ends, color=figures.GREY, linewidth=0.7, zorder=1.5)
    for category, members in rows.groupby("category"):
        figures.points(axes, members["accuracy"], members["map"], category)
    figures.label_points(axes, rows["accuracy"], rows["map"], rows["letter"])
    axes.set(title="Single models", xlabel="accuracy (%)", ylabel="mean average precision (%)")
    figures.percent(axes.xaxis)
    figures.percent(axes.yaxis)


def draw_matrix(axes: Axes, rows: pd.DataFrame, letters: pd.Series) -> None:
    """Error inconsistency of every pair, darker where it is larger."""
    matrix = np.full((len(letters), len(letters)), np.nan)
    place = {letter: i for i, letter in enumerate(letters)}
    for row in rows.itertuples():
        first, second = sorted(place[letter] for letter in row.letter)
        matrix[second, first] = row.error_inconsistency
    matrix = matrix[1:, :-1]
    axes.imshow(matrix, cmap="Greys", vmin=0, vmax=1.7 * np.nanmax(matrix), aspect="auto")
    for (i, j), value in np.ndenumerate(matrix):
        if not np.isnan(value):
            axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center")
    axes.set_xticks(range(len(letters) - 1), letters[:-1])
    axes.set_yticks(range(len(letters) - 1), letters[1:])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title("Error inconsistency (%)")


def draw_pairs(axes: Axes, rows: pd.DataFrame) -> None:
    x = rows["error_inconsistency"]
    axes.plot(x, rows["better_member"], linestyle="none", marker="_", color=figures.GREY)
    figures.whiskers(axes, x, rows["low"], rows["high"])
    axes.plot(x, rows["map"], linestyle="none", marker="o", color="black", markersize=4)
    figures.label_points(axes, x, rows["map"], rows["letter"])
    axes.set(title="Joined features of pairs", xlabel="error inconsistency (%)", xmargin=0.1)
    figures.percent(axes.xaxis)
    figures.percent(axes.yaxis)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--singles", required=True, type=Path, help="of probe_downstream.py")
    parser.add_argument("--pairs", required=True, type=Path, help="of probe_downstream.py")
    parser.add_argument("--models", required=True, type=Path, help="of measure_models.py")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
