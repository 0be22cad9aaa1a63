"""Figure 6: probes on features mixed from two models, and on their most diverse dimensions."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

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
    categories = table.drop_duplicates("model").set_index("model")["category"]
    models = figures.by_category(table["model"], categories)
    shares, kept = sorted(mixing["share"].unique()), sorted(selection["dimensions"].unique())
    base_accuracy = mixing.loc[mixing["share"] == 0, "accuracy"].iloc[0]
    size = figures.WIDTH, 3.7
    figure, (left, right) = pyplot.subplots(1, 2, figsize=size, layout="constrained")
    for i, model in enumerate(models):
        side = i - (len(models) - 1) / 2
        rows = table[table["model"] == model]
        mixes = rows[rows["panel"] == "mixing"]
        draw_line(left, mixes["share"] + 2 * side, mixes)
        best = rows[rows["panel"] == "selection"]
        draw_line(right, best["dimensions"] * 1.03**side, best)
    left.set(title="Features mixed at random", ylabel="accuracy of the probe (%)")
    left.set_xlabel(f"from {base} / from the other model (%)")
    left.set_xticks(shares, [f"{100 - share}/{share}" for share in shares])
    right.set(title="Most diverse dimensions kept", xscale="log", xlabel="dimensions kept, of both")
    right.set_xticks(kept, kept)
    right.xaxis.set_minor_locator(NullLocator())
    figures.reference(right, base_accuracy, f"all of {base}", "left")
    for axes in (left, right):
        figures.percent(axes.yaxis)
    looks = {model: figures.marker(c) | figures.line(c) for model, c in categories.items()}
    handles = [figures.handle(f"{m} ({categories[m]})", **looks[m]) for m in models]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    figures.footnote(
        figure,
        run,
        f"{mixing['n'].iloc[0]:,} examples, {len(models)} pairs with {base}; left: mean of "
        f"{mixing['repeat'].nunique()} random choices of dimensions",
        f"Whiskers: {level:.0%} bootstrap over examples",
    )
    return figure, table


def drawn(mixing: pd.DataFrame, selection: pd.DataFrame) -> pd.DataFrame:
    """Every point of both panels; repeats are averaged, and so are the ends of their intervals."""
    numbers = ["accuracy", "low", "high", "n"]
    mixes = mixing.groupby(["model", "category", "share"], sort=False)[numbers].mean()
    mixes = mixes.reset_index().assign(panel="mixing", repeats=mixing["repeat"].nunique())
    columns = ["panel", "model", "category", "share", "dimensions", *numbers, "repeats"]
    return pd.concat([mixes, selection.assign(panel="selection")])[columns]


def draw_line(axes: Axes, x: pd.Series, rows: pd.DataFrame) -> None:
    category = rows["category"].iloc[0]
    line = figures.line(category)
    figures.whiskers(axes, x, rows["low"], rows["high"], color=line["color"])
    figures.points(axes, x, rows["accuracy"], category, **line)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--mixing", required=True, type=Path, help="of mix_features.py")
    parser.add_argument("--selection", required=True, type=Path, help="of mix_features.py")
    parser.add_argument("--base", required=True, help="id of the base model")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
