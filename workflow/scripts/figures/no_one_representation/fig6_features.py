"""Figure 6: probes on features mixed from two models, and on their most diverse dimensions."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures


def main(arguments: argparse.Namespace) -> None:
    tables = map(pd.read_csv, (arguments.mixing, arguments.selection))
    figure, table = draw(*tables, arguments.base, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    mixing: pd.DataFrame, selection: pd.DataFrame, base: str, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(mixing, selection)
    shares, kept = sorted(mixing["share"].unique()), sorted(selection["dimensions"].unique())
    base_accuracy = mixing.loc[mixing["share"] == 0, "accuracy"].iloc[0]
    size = figures.WIDTH, 3.8
    figure, (left, right) = pyplot.subplots(1, 2, figsize=size, layout="constrained")
    present = [category for category in figures.STYLES if category in set(table["category"])]
    handles = []
    for i, category in enumerate(present):
        side = i - (len(present) - 1) / 2
        rows = table[table["category"] == category]
        draw_lines(left, rows[rows["panel"] == "mixing"], "share", 1.5 * side)
        best = rows[rows["panel"] == "selection"]
        draw_lines(right, best, "dimensions", max(kept) / 130 * side)
        look = figures.marker(category) | figures.line(category)
        handles.append(figures.handle(f"{category} ({rows['model'].nunique()})", **look))
    left.set(title="Features mixed at random", ylabel="accuracy of the probe (%)")
    left.set_xlabel(f"from {base} / from the other model (%)")
    left.set_xticks(shares, [f"{100 - share}/{share}" for share in shares])
    right.set(title="Most diverse dimensions kept", xlabel="dimensions kept, of both models")
    right.set_xticks(kept, kept)
    alone = {"color": "black", "linestyle": ":"}
    right.axhline(base_accuracy, **alone)
    handles.append(figures.handle("base alone", **alone))
    figures.percent(left.yaxis, right.yaxis)
    figure.legend(handles=handles, loc="outside upper center", ncols=6, columnspacing=1)
    figures.footnote(
        figure,
        run,
        f"{mixing['n'].iloc[0]:,} examples, {mixing['model'].nunique()} pairs with {base}; left: "
        f"mean of {mixing['repeat'].nunique()} random choices of dimensions",
        f"Thick: mean of the (n) models of a category; thin: each; whiskers: mean ends of their "
        f"{level:.0%} bootstrap intervals",
    )
    return figure, table


def drawn(mixing: pd.DataFrame, selection: pd.DataFrame) -> pd.DataFrame:
    """Points of each model, mean of its repeats, and of each category, mean of its models.

    The ends of intervals are averaged too.
    """
    numbers = ["accuracy", "low", "high", "n"]
    mixes = mixing.groupby(["model", "category", "share"], sort=False)[numbers].mean().reset_index()
    models = pd.concat([mixes.assign(panel="mixing"), selection.assign(panel="selection")])
    place = ["panel", "category", "share", "dimensions"]
    means = models.groupby(place, sort=False, dropna=False)[numbers].mean().reset_index()
    parts = [models.assign(drawn="model"), means.assign(drawn="category mean")]
    return pd.concat(parts)[["drawn", "model", *place, *numbers]]


def draw_lines(axes: Axes, rows: pd.DataFrame, x: str, offset: float) -> None:
    """The lines of one category; its mean stands beside those of other categories."""
    category, rows = rows["category"].iloc[0], rows.sort_values(x)
    line = figures.line(category)
    for _, of_model in rows[rows["drawn"] == "model"].groupby("model"):
        axes.plot(of_model[x], of_model["accuracy"], color=line["color"], alpha=0.5, linewidth=0.6)
    mean = rows[rows["drawn"] == "category mean"]
    figures.whiskers(axes, mean[x] + offset, mean["low"], mean["high"], color=line["color"])
    figures.points(axes, mean[x] + offset, mean["accuracy"], category, **line)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--mixing", required=True, type=Path, help="of mix_features.py")
    parser.add_argument("--selection", required=True, type=Path, help="of mix_features.py")
    parser.add_argument("--base", required=True, help="id of the base model")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
