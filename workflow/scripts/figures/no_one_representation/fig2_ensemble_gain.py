"""Figure 2: what an ensemble of two models gains, against their error inconsistency."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent.tables import read_table

PANELS = {
    "ensemble_gain": ("Gain over the members' mean", "points of accuracy"),
    "ensemble_accuracy": ("Accuracy of the ensemble", "accuracy (%)"),
    "conversion_rate": ("Inconsistent errors made right", "conversion rate (%)"),
}
PAIR = ["category", "model1", "model2", "error_inconsistency"]
COLUMNS = ["panel", "drawn", *PAIR, "value", "low", "high", "n"]


def main(arguments: argparse.Namespace) -> None:
    pairs = read_table(arguments.pairs, ["model1", "model2"])
    figure, table = draw(pairs, arguments.base, arguments.rule, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    pairs: pd.DataFrame, base: str, rule: str, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(pairs, base, rule)
    size = figures.WIDTH, 3.3
    figure, all_axes = pyplot.subplots(1, 3, figsize=size, layout="constrained", sharex=True)
    for axes, (panel, (title, label)) in zip(all_axes, PANELS.items(), strict=True):
        draw_panel(axes, table[table["panel"] == panel], base)
        axes.set(title=title, xlabel="error inconsistency (%)", ylabel=label)
        figures.percent(axes.xaxis, axes.yaxis)
    is_gain = table["panel"] == "ensemble_gain"
    counts = table[is_gain & table["value"].notna()]["drawn"].value_counts()
    missing = (is_gain & table["value"].isna()).sum()
    star = {"marker": "*", "markersize": 11, "color": "white", "markeredgecolor": "black"}
    others = {
        "category mean": figures.handle("category mean", **star),
        "other pair": figures.handle("pair without base", marker=".", color="0.75"),
    }
    handles = [
        *figures.category_handles(table.loc[table["value"].notna(), "category"]),
        *(handle for drawn, handle in others.items() if drawn in counts),
    ]
    close = {"handletextpad": 0.1, "columnspacing": 0.8}
    figure.legend(handles=handles, loc="outside upper center", ncols=7, **close)
    in_window = "; all other models are in the accuracy window" if figures.has_window(pairs) else ""
    facts = [
        f"{pairs['n'].iloc[0]:,} examples, {counts.get('pair', 0)} pairs with {base}, "
        f"{counts.get('other pair', 0)} without{in_window}",
        f"Ensembles by {rule.replace('_', ' ')}; whiskers: {level:.0%} bootstrap over examples",
    ]
    if missing:
        facts.append(f"{missing} more pairs have no ensemble: too little is known of a member")
    figures.footnote(figure, run, *facts)
    return figure, table


def draw_panel(axes: Axes, table: pd.DataFrame, base: str) -> None:
    x, value, kind = table["error_inconsistency"], table["value"], table["drawn"]
    behind = kind == "other pair"
    axes.plot(x[behind], value[behind], linestyle="none", marker=".", color="0.8", markersize=3)
    for category in figures.STYLES:
        of_base = (kind == "pair") & (table["category"] == category)
        figures.whiskers(axes, x[of_base], table["low"][of_base], table["high"][of_base])
        figures.points(axes, x[of_base], value[of_base], category)
        mean = (kind == "category mean") & (table["category"] == category)
        figures.points(axes, x[mean], value[mean], category, marker="*", markersize=12, zorder=3)
    for name, height in zip(kind, value, strict=True):
        if name in ("no gain", "base alone", "half"):
            axes.axhline(height, color=figures.GREY, linestyle=":", zorder=1.2)
            right_end = {"xycoords": axes.get_yaxis_transform(), "ha": "right"}
            above = {"xytext": (0, 2), "textcoords": "offset points", "color": figures.GREY}
            axes.annotate(name, (1, height), **right_end, **above)
    of_base = table[kind == "pair"]
    model = of_base["model1"].where(of_base["model1"] != base, of_base["model2"])
    names = figures.names_of_few(of_base.assign(model=model))
    figures.label_points(axes, of_base["error_inconsistency"], of_base["value"], names)
    if names.any():
        axes.margins(x=0.15)


def drawn(pairs: pd.DataFrame, base: str, rule: str) -> pd.DataFrame:
    """Rows of each panel: pairs with the base, others, category means, and the line to compare."""
    of_base = figures.base_pairs(pairs, base)
    base_accuracy = of_base["base_accuracy"].iloc[0]
    lines = {
        "ensemble_gain": ("no gain", 0),
        "ensemble_accuracy": ("base alone", base_accuracy),
        "conversion_rate": ("half", 0.5),
    }
    without_base = (pairs[["model1", "model2"]] != base).all(axis=1)
    others = figures.compared(pairs[without_base])
    parts = []
    for panel, line in lines.items():
        measure = f"{rule}_{panel}"
        names = {measure: "value", f"{measure}_low": "low", f"{measure}_high": "high"}
        points = of_base.rename(columns=names)
        rows = {
            "pair": points,
            "other pair": others.rename(columns={measure: "value"}),
            "category mean": category_means(points),
            line[0]: pd.DataFrame({"value": [line[1]]}),
        }
        parts += [rows[kind].assign(panel=panel, drawn=kind) for kind in rows]
    return pd.concat([part.reindex(columns=COLUMNS) for part in parts])


def category_means(points: pd.DataFrame) -> pd.DataFrame:
    """Mean point of each category that has several."""
    places = points.dropna(subset="value").groupby("category")[["error_inconsistency", "value"]]
    return places.mean()[places.size() > 1].reset_index()


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--pairs", required=True, type=Path, help="of measure_pairs.py")
    parser.add_argument("--base", required=True, help="id of the base model")
    parser.add_argument("--rule", required=True, help="how two models combine")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
