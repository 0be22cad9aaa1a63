"""Figure 1, right: error inconsistency of pairs with the base model, by category."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent.tables import read_table


def main(arguments: argparse.Namespace) -> None:
    tables = map(read_table, (arguments.pairs, arguments.categories))
    figure, table = draw(*tables, arguments.base, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    pairs: pd.DataFrame, categories: pd.DataFrame, base: str, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table, n = drawn(pairs, categories, base), pairs["n"].iloc[0]
    is_pair = table["drawn"] == "pair"
    present = [category for category in figures.STYLES if (table["category"] == category).any()]
    figure, axes = pyplot.subplots(figsize=(figures.WIDTH, 3.6), layout="constrained")
    ticks = []
    for x, category in enumerate(present):
        color = figures.STYLES[category].color
        rows = table[is_pair & (table["category"] == category)]
        ticks.append(f"{category}\n{len(rows)} pair{'s' * (len(rows) != 1)}")
        for mean in table[~is_pair & (table["category"] == category)].itertuples():
            ends = [x - 0.42, x + 0.42]
            if pd.notna(mean.low):
                axes.fill_between(ends, mean.low, mean.high, color=color, alpha=0.2, linewidth=0)
            axes.plot(ends, [mean.error_inconsistency] * 2, color=color)
        x_P = x + figures.spread(rows["category"], 0.8)
        figures.whiskers(axes, x_P, rows["low"], rows["high"])
        figures.points(axes, x_P, rows["error_inconsistency"], category)
        axes.plot(x_P, rows["chance"], linestyle="none", marker="_", color="0.3", markersize=7)
        below = {"xytext": (0, -12), "textcoords": "offset points", "ha": "center", "va": "center"}
        for place in zip(figures.names_of_few(rows), x_P, rows["error_inconsistency"], strict=True):
            axes.annotate(place[0], place[1:], **below)
    axes.set_xticks(range(len(ticks)), ticks)
    axes.grid(axis="x", visible=False)
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set(ylabel="error inconsistency (%)", title="Exactly one model of a pair is right")
    figures.percent(axes.yaxis)
    handles = [
        figures.handle("pair", marker="o", color="white", markeredgecolor="black"),
        figures.handle("category mean", linestyle="-", color="0.3"),
        figures.handle("chance level: independent errors", marker="_", color="0.3", markersize=7),
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=3)
    all_have_bands = table.loc[~is_pair, "low"].notna().all()
    bands = "bands" if all_have_bands else "bands, of categories with three models or more"
    others = "a model in the accuracy window" if figures.has_window(pairs) else "another model"
    figures.footnote(
        figure,
        run,
        f"{n:,} examples, {is_pair.sum()} pairs of {base} and {others}",
        f"Whiskers: {level:.0%} bootstrap over examples; {bands}: of the mean, over models too",
    )
    return figure, table


def drawn(pairs: pd.DataFrame, categories: pd.DataFrame, base: str) -> pd.DataFrame:
    """One row a pair, by error inconsistency, and one a category mean."""
    columns = ["category", "model", "error_inconsistency", "low", "high", "chance", "n"]
    names = {
        "error_inconsistency_low": "low",
        "error_inconsistency_high": "high",
        "expected_error_inconsistency": "chance",
    }
    points = figures.base_pairs(pairs, base).rename(columns=names)[columns]
    means = categories[categories["measure"] == "error_inconsistency"]
    means = means.rename(columns={"mean": "error_inconsistency"})
    return pd.concat(
        [
            points.sort_values("error_inconsistency").assign(drawn="pair"),
            means.drop(columns="measure").assign(drawn="category mean"),
        ]
    )[["drawn", *columns, "n_models"]]


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--pairs", required=True, type=Path, help="of measure_pairs.py")
    parser.add_argument("--categories", required=True, type=Path, help="of relate_base_pairs.py")
    parser.add_argument("--base", required=True, help="id of the base model")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
