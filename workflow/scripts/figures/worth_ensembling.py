"""Which models are worth ensembling: sets by size, members of the best set, and the best pairs."""

import argparse
import textwrap
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dissent import commandline, figures
from dissent.ensembling import JOINED
from dissent.tables import read_table

SHOWN = 15  # pairs, or models
NAME = 34  # characters of a model's name; longer ones lose their middle
LINE = 104  # characters of the verdict in a line
ROW = 0.17  # inches
COLOR = "#0072B2"
RING = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "color": "black"}
TITLE = {"x": 0.01, "ha": "left", "fontsize": 9}  # at the figure's edge, however long names are
NO_PAIRS = "Of two models that give classes alone the more accurate one decides: no pair is shown"


def main(arguments: argparse.Namespace) -> None:
    figure, table = draw(
        read_table(arguments.table, ["members", "weights", "left_out"]),
        arguments.verdict.read_text(encoding="utf-8"),
        arguments.data_name,
        arguments.run,
        arguments.level,
    )
    figures.save_figure(figure, table, arguments.output)


def draw(
    table: pd.DataFrame, verdict: str, data: str, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    sets, members, models, pairs = (
        table[table["kind"] == kind] for kind in ("set", "member", "single", "pair")
    )
    pairs = pairs.dropna(subset="gain")
    shown = (models if pairs.empty else pairs).head(SHOWN)
    compared = sets if len(sets) > 1 else sets.iloc[:0]  # one model alone is no comparison
    heights = [2.6] * (len(compared) > 0) + [0.8 + ROW * len(shown)]
    figure = pyplot.figure(figsize=(figures.WIDTH, sum(heights) + 1), layout="constrained")
    # Apart from one another, so that long names below do not squeeze what is above.
    *above, below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    if above:
        panels = above[0].subplots(1, 2 if len(members) else 1, squeeze=False)[0]
        draw_sets(panels[0], sets, models.iloc[0])
        if len(members):
            draw_members(panels[1], members)
    if pairs.empty:
        chosen = sets.loc[sets["chosen"], "members"].iloc[0].split(JOINED)
        draw_models(below.subplots(), shown, chosen, len(models))
    else:
        draw_pairs(below.subplots(), shown, models.iloc[0], len(pairs))
    has_gains = len(members) or not pairs.empty
    unbroken = verdict.replace(" %", "\N{NO-BREAK SPACE}%")
    title = textwrap.fill(unbroken, LINE, break_on_hyphens=False)
    figure.suptitle(title, **TITLE, parse_math=False)
    figures.footnote(
        figure,
        run,
        f"data set {data}, {table['n'].iloc[0]:,} examples; what is chosen or called best is so on "
        "other examples",
        f"Whiskers: {level:.0%} bootstrap over examples"
        + ("; filled gains: the whole whisker is above 0" if has_gains else ""),
        *([NO_PAIRS] if pairs.empty else []),
    )
    return figure, pd.concat([compared, members, shown])


def draw_sets(axes: Axes, sets: pd.DataFrame, best: pd.Series) -> None:
    """Accuracy of the ensemble of each size, against the best model alone."""
    figures.whiskers(axes, sets["size"], sets["accuracy_low"], sets["accuracy_high"])
    axes.plot(sets["size"], sets["accuracy"], color=COLOR, marker="o", markeredgecolor="black")
    chosen = sets[sets["chosen"]]
    axes.plot(chosen["size"], chosen["accuracy"], linestyle="none", **RING)
    axes.axhline(best["accuracy"], color="0.3", linestyle=(0, (4, 1.2)), linewidth=1, zorder=1)
    labels, known = sets["size"].astype(str), sets["cost"].notna()
    if known.any():
        labels += sets["cost"].map("\n{:.3g}".format).where(known, "\n?")
    axes.set_xticks(sets["size"], labels)
    axes.set_xlim(0.5, max(sets["size"].max(), 2) + 0.5)
    axes.set_xlabel("models in it" + (", and their cost" if known.any() else ""))
    axes.set_ylabel("accuracy (%)")
    axes.set_title("Ensembles by greedy selection\nring: chosen; dashes: best model alone")
    figures.percent(axes.yaxis)


def draw_members(axes: Axes, members: pd.DataFrame) -> None:
    names = members["members"].map(short) + " (" + members["weights"] + ")"
    draw_rows(axes, members, names, "gain", members["gain_low"] > 0)
    axes.axvline(0, color="black", linewidth=0.8)
    # Fewer ticks than elsewhere: long names leave little room.
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_xlabel("points lost without it")
    axes.set_title("Members of the chosen ensemble\nin brackets: weight")


def draw_pairs(axes: Axes, pairs: pd.DataFrame, best: pd.Series, n_pairs: int) -> None:
    names = [JOINED.join(map(short, pair.split(JOINED))) for pair in pairs["members"]]
    draw_rows(axes, pairs, names, "gain", pairs["gain_low"] > 0)
    axes.axvline(0, color="black", linewidth=0.8)
    for y, accuracy in enumerate(pairs["accuracy"]):
        place = {"transform": axes.get_yaxis_transform(), "va": "center_baseline"}
        axes.text(1.01, y, f"{100 * accuracy:.1f} %", **place)
    right = f"right: accuracy of the pair, {100 * best['accuracy']:.1f} % for the best model alone"
    title = f"Pairs, equally weighted{ordered(len(pairs), n_pairs, 'gain')}\n{right}"
    axes.set_xlabel("gain over the better member (points)")
    axes.figure.suptitle(title, **TITLE)


def draw_models(axes: Axes, models: pd.DataFrame, chosen: list[str], n_models: int) -> None:
    """Models alone, where no pair has an ensemble other than its better member."""
    in_set = models["members"].isin(chosen)
    draw_rows(axes, models, models["members"].map(short), "accuracy", in_set)
    filled = "in the chosen ensemble" if len(chosen) > 1 else "the chosen model"
    title = f"Models alone{ordered(len(models), n_models, 'accuracy')}\nfilled: {filled}"
    axes.set_xlabel("accuracy (%)")
    axes.figure.suptitle(title, **TITLE)


def ordered(n_shown: int, n: int, measure: str) -> str:
    """How many rows of how many are shown, and that their order is not that of the dots."""
    among = f", {n_shown} of {n}" if n_shown < n else ""
    return f"{among}, ordered by their {measure} on the examples used to choose"


def draw_rows(axes: Axes, rows: pd.DataFrame, names, measure: str, filled: pd.Series) -> None:
    """A named row each, the first on top: the measure as a dot, with its interval."""
    y = list(range(len(rows)))
    low, high = rows[f"{measure}_low"], rows[f"{measure}_high"]
    axes.hlines(y, low, high, color=figures.GREY, linewidth=0.7, zorder=1.5)
    colors = [COLOR if fill else "white" for fill in filled]
    axes.scatter(rows[measure], y, s=26, c=colors, edgecolors="black", linewidths=0.5, zorder=2)
    axes.set_yticks(y, names, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    figures.percent(axes.xaxis)


def short(name: str) -> str:
    """The name, without its middle if it is long."""
    half = NAME // 2
    return name if len(name) <= NAME else f"{name[:half]}…{name[-half:]}"


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--table", required=True, type=Path, help="of rank_ensembles.py")
    parser.add_argument("--verdict", required=True, type=Path, help="of rank_ensembles.py")
    parser.add_argument("--data-name", required=True, help="name of the data set")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
