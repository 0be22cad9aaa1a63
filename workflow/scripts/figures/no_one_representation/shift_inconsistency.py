"""Error inconsistency under distribution shift, and what lower accuracy alone would bring."""

import argparse
from itertools import cycle
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures

# Of the shifted data sets, in turn.
LOOKS = (
    {"marker": "o", "color": "#56B4E9", "markeredgecolor": "#0072B2"},
    {"marker": "^", "color": "#D55E00", "markeredgecolor": "black"},
    {"marker": "s", "color": "white", "markeredgecolor": "black"},
)
SMALL = {"linestyle": "none", "markersize": 2.5, "markeredgewidth": 0.3}
MEAN = {"markersize": 9, "markeredgecolor": "black", "markeredgewidth": 1, "zorder": 4}
ACROSS = {"error_inconsistency": "error inconsistency", "error_consistency": "kappa of errors"}
# What the panel of means shows of each data set.
SHOWN = {
    "expected_error_inconsistency": (
        "chance level: independent errors",
        {"marker": "_", "color": "0.3", "markersize": 9, "markeredgewidth": 1.5},
    ),
    "error_inconsistency_at_original_kappa": (
        "if kappa were as on {original}",
        {"marker": "D", "color": "white", "markeredgecolor": "black"},
    ),
    "error_inconsistency_at_original_odds_ratio": (
        "if odds ratio were as on {original}",
        {"marker": "v", "color": "white", "markeredgecolor": "black", "markersize": 6.5},
    ),
    "error_inconsistency": ("error inconsistency", {"marker": "o", "color": "black"}),
}
# What has its number beside it: how far right of its data set the mark is, and of the mark the
# number, in points.
NUMBERED = {
    "error_inconsistency": (0, (13, 0)),
    "error_inconsistency_at_original_kappa": (-0.15, (0, 9)),
    "error_inconsistency_at_original_odds_ratio": (0.15, (0, -9)),
}


def main(arguments: argparse.Namespace) -> None:
    figure, table = draw(
        pd.read_csv(arguments.means),
        pd.read_csv(arguments.pairs),
        arguments.original,
        arguments.run,
        arguments.level,
    )
    figures.save_figure(figure, table, arguments.output)


def draw(
    means: pd.DataFrame, pairs: pd.DataFrame, original: str, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(means, pairs, original)
    size = figures.WIDTH, 3.6
    figure, (left, centre, right) = pyplot.subplots(
        1, 3, figsize=size, layout="constrained", width_ratios=(1, 1, 0.9)
    )
    shifted = [data for data in means["data"].unique() if data != original]
    looks = dict(zip(shifted, cycle(LOOKS)))
    for axes, (measure, name) in zip((left, centre), ACROSS.items(), strict=True):
        draw_pairs(axes, table[table["measure"] == measure], looks)
        list_means(axes, means[means["measure"] == measure])
        axes.set(xlabel=f"{name} on {original}", ylabel=f"{name}, shifted", title=f"Pairs: {name}")
    for axis in (left.xaxis, left.yaxis):
        figures.percent(axis)
        axis.set_label_text(f"{axis.get_label_text()} (%)")
    draw_means(right, table[table["drawn"] == "mean"], [original, *shifted])
    handles = [figures.handle(data, **look) for data, look in looks.items()]
    handles += [figures.handle("mean of pairs", marker="*", color="white", **MEAN)]
    handles += [
        figures.handle(label.format(original=original), **look) for label, look in SHOWN.values()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handletextpad=0.1)
    sizes = means.drop_duplicates("data").set_index("data")["n"]
    counts = ", ".join(f"{data} {n:,}" for data, n in sizes.items())
    figures.footnote(
        figure,
        run,
        f"{means['n_pairs'].iloc[0]:,} pairs of {means['n_models'].iloc[0]} models; "
        f"examples: {counts}",
        f"Whiskers: {level:.0%} bootstrap over examples, which all pairs share; models as given",
    )
    return figure, table


def drawn(means: pd.DataFrame, pairs: pd.DataFrame, original: str) -> pd.DataFrame:
    """Measures of pairs on each shifted data set beside those on the original, and their means."""
    models = ["model1", "model2"]
    long = pairs.melt([*models, "data", "n"], list(ACROSS), "measure")
    is_original = long["data"] == original
    before = long[is_original].rename(columns={"value": "original"}).drop(columns=["data", "n"])
    points = long[~is_original].merge(before, on=[*models, "measure"], validate="many_to_one")
    same = (means["data"] == original) & means["measure"].str.contains("_at_original_")
    ends = means[means["measure"].isin(SHOWN | ACROSS) & ~same]
    before = means[means["data"] == original].set_index("measure")
    ends = ends.assign(
        original=ends["measure"].map(before["value"]),
        original_low=ends["measure"].map(before["low"]),
        original_high=ends["measure"].map(before["high"]),
    )
    columns = ["drawn", "measure", "data", *models, "original", "original_low", "original_high"]
    parts = [points.assign(drawn="pair"), ends.assign(drawn="mean")]
    return pd.concat(parts)[[*columns, "value", "low", "high", "n"]]


def draw_pairs(axes: Axes, table: pd.DataFrame, looks: dict[str, dict]) -> None:
    axes.axline((0, 0), slope=1, color="black", linestyle=":", linewidth=0.8)
    dense = {"rasterized": len(table) > figures.DENSE}
    for data, look in looks.items():
        rows = table[(table["data"] == data) & (table["drawn"] == "pair")]
        axes.plot(rows["original"], rows["value"], **(look | SMALL | dense))
    for data, look in looks.items():
        mean = table[(table["data"] == data) & (table["drawn"] == "mean")]
        cross = {"color": "black", "linewidth": 1, "zorder": 3.5}
        axes.vlines(mean["original"], mean["low"], mean["high"], **cross)
        axes.hlines(mean["value"], mean["original_low"], mean["original_high"], **cross)
        axes.plot(mean["original"], mean["value"], **(look | MEAN | {"marker": "*"}))
    lowest, highest = table[["original", "value"]].stack().agg(["min", "max"])
    limits = min(0, 1.05 * lowest), 1.05 * highest
    axes.set(xlim=limits, ylim=limits, aspect="equal")


def list_means(axes: Axes, means: pd.DataFrame) -> None:
    """Write the means of pairs with their intervals below the diagonal."""
    scale, digits = (100, 1) if (means["measure"] == "error_inconsistency").all() else (1, 2)
    lines = ["means:"]
    for row in means.itertuples():
        value, low, high = (f"{scale * x:.{digits}f}" for x in (row.value, row.low, row.high))
        lines.append(f"{row.data} {value} [{low}, {high}]")
    corner = {"transform": axes.transAxes, "ha": "right", "va": "bottom"}
    axes.text(1, 0.01, "\n".join(lines), **corner)


def draw_means(axes: Axes, table: pd.DataFrame, names: list[str]) -> None:
    """Mean error inconsistency on each data set, and what it would be for other reasons."""
    for measure, (_, look) in SHOWN.items():
        rows = table[table["measure"] == measure]
        aside, offset = NUMBERED.get(measure, (0, None))
        x = rows["data"].map(names.index) + aside
        figures.whiskers(axes, x, rows["low"], rows["high"], color="black")
        axes.plot(x, rows["value"], linestyle="none", **look)
        for place in zip(x, rows["value"], strict=True) if offset else ():
            beside = {"xytext": offset, "textcoords": "offset points", "ha": "center"}
            axes.annotate(f"{100 * place[1]:.1f}", place, va="center", **beside)
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right", rotation_mode="anchor")
    axes.set(xlim=(-0.5, len(names) - 0.3), ylabel="mean of pairs (%)", title="Means")
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    figures.percent(axes.yaxis)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--means", required=True, type=Path, help="of measure_shift.py")
    parser.add_argument("--pairs", required=True, type=Path, help="of the same script")
    parser.add_argument("--original", required=True, help="name of the data set before the shift")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
