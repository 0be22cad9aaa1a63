"""The one style of all figures, and saving them so that equal tables give equal bytes.

Importing this module replaces matplotlib's settings: a user's own would change the bytes.
"""

from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from dissent import commandline
from dissent.commandline import InputError
from dissent.files import atomic

matplotlib.use("Agg")
matplotlib.rcdefaults()
matplotlib.rcParams.update(
    {
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 9,
        "figure.dpi": 200,
        "figure.labelsize": 8,
        "font.size": 8,  # the smallest in any figure, at the width below
        "grid.color": "0.92",
        "legend.fontsize": 8,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "lines.markeredgewidth": 0.5,
        "lines.markersize": 5.5,
        "savefig.dpi": 200,
        "svg.hashsalt": "dissent",
    }
)
WIDTH = 7.5  # inches: a page between its margins
# Dates are left out, so that a figure drawn again is the same file.
METADATA = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}


class Style(NamedTuple):
    """How a category looks, told apart by any one of the three."""

    color: str
    marker: str
    dashes: str | tuple


# Colours of Okabe and Ito, which colour-blind readers tell apart.
STYLES = {
    "reinit": Style("#0072B2", "o", "-"),
    "hyper-parameters": Style("#56B4E9", "s", (0, (7, 1.5))),
    "architectures": Style("#E69F00", "^", (0, (3.5, 1.2))),
    "frameworks": Style("#009E73", "D", (0, (4, 1, 1, 1))),
    "datasets": Style("#D55E00", "P", (0, (1, 0.7))),
}
GREY = "0.5"
DENSE = 5000  # points, more of which go into files as pixels
FEW = 2  # points of a category that have room for their names
# Of pairs, by which model is right.
CORRECTNESS = {
    "only 1 correct": {"marker": "^", "color": "black", "markersize": 3.5},
    "only 2 correct": {
        "marker": "o",
        "color": "white",
        "markeredgecolor": "black",
        "markersize": 4,
    },
    "both correct": {"marker": ".", "color": "0.75", "markersize": 3},
    "both wrong": {"marker": "x", "color": "0.6", "markersize": 3},
}


def marker(category: str) -> dict:
    """How points of a category look."""
    style = STYLES[category]
    return {"color": style.color, "marker": style.marker, "markeredgecolor": "black"}


def line(category: str, rank: int = 0) -> dict:
    """How lines of a category look; the more models of it are before (`rank`), the darker."""
    style = STYLES[category]
    if not rank:
        return {"color": style.color, "linestyle": style.dashes}
    return {"color": np.array(to_rgb(style.color)) / (1 + rank), "linestyle": style.dashes}


def points(axes: Axes, x, y, category: str, **changes) -> None:
    """Draw points of a category, joined by no line unless `changes` has one."""
    axes.plot(x, y, **({"linestyle": "none"} | marker(category) | changes))


def whiskers(axes: Axes, x, low, high, **changes) -> None:
    """Draw intervals as thin vertical lines; unlike error bars they need not hold the value."""
    axes.vlines(x, low, high, **({"color": GREY, "linewidth": 0.7, "zorder": 1.5} | changes))


def label_points(axes: Axes, x: pd.Series, y: pd.Series, labels: pd.Series) -> None:
    """Write short labels at a corner of their points, the one farthest from what is there.

    An empty label is not written.
    """
    places_P2 = np.stack([x, y], axis=1)
    shown_P = np.isfinite(places_P2).all(axis=1)
    if not shown_P.any():
        return
    taken_P2 = (places_P2 / np.ptp(places_P2[shown_P], axis=0).clip(1e-9))[shown_P]
    corners_42 = np.array([(1, 1), (-1, 1), (1, -1), (-1, -1)])
    for i, label in enumerate(labels[shown_P]):
        if label:
            others_P2 = np.delete(taken_P2, i, axis=0)
            labels_42 = taken_P2[i] + 0.06 * corners_42
            room_4 = np.linalg.norm(labels_42[:, None] - others_P2, axis=2).min(axis=1, initial=9)
            best = room_4.argmax()
            taken_P2 = np.append(taken_P2, labels_42[[best]], axis=0)
            place = {"textcoords": "offset points", "ha": "center", "va": "center"}
            axes.annotate(label, places_P2[shown_P][i], 7 * corners_42[best], **place)


def percent(*axes: Axis) -> None:
    """Label axes of fractions in percent; the axis label says so."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], min_n_ticks=4))
        axis.set_major_formatter(lambda x, _: f"{100 * x:.3g}".replace("-", "\N{MINUS SIGN}"))


def plain_logarithm(axis: Axis) -> None:
    """Label 1, 2 and 5 of each decade as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda x, _: f"{x:,g}")
    axis.set_minor_locator(NullLocator())


def limits(values: pd.Series, low: pd.Series, high: pd.Series) -> tuple[float, float] | None:
    """Limits of an axis with whiskers, None where values are all equal, or all missing.

    Intervals from two or three seeds may be so wide that nothing else could be told apart: on
    either side they get as much room as the values themselves have.
    """
    first, last = values.min(), values.max()
    if not first < last:
        return None
    bottom = max(2 * first - last, np.nanmin([first, low.min()]))
    top = min(2 * last - first, np.nanmax([last, high.max()]))
    margin = 0.05 * (top - bottom)
    return bottom - margin, top + margin


def category_handles(categories: Iterable[str]) -> list[Line2D]:
    """Legend entries of those categories, in the order of growing difference."""
    present = set(categories)
    return [handle(category, **marker(category)) for category in STYLES if category in present]


def handle(label: str, **look) -> Line2D:
    """A legend entry; no line unless `look` has one."""
    return Line2D([], [], label=label, **({"linestyle": "none"} | look))


def counted(n: int, thing: str) -> str:
    """A number with its noun."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def footnote(figure: Figure, run: str, *facts: str) -> None:
    """Write under a figure which run it is of, its n and its kind of interval, one line a fact."""
    figure.supxlabel(f"Run {run}: " + "\n".join(facts), x=0.01, ha="left", color="0.3")


def absent(axes: Axes, reason: str) -> None:
    """Say in a panel why nothing is drawn in it."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color="0.3")


def empty_figure(reason: str, run: str) -> Figure:
    """A figure that says why there is none: a run may have too few models for it."""
    figure, axes = pyplot.subplots(figsize=(WIDTH, 1.5), layout="constrained")
    absent(axes, reason)
    footnote(figure, run, "nothing to draw")
    return figure


def compared(pairs: pd.DataFrame) -> pd.DataFrame:
    """Rows of pairs.csv whose models are both in the accuracy window; all if there is none."""
    if not has_window(pairs):
        return pairs
    return pairs[pairs["in_window1"].astype(bool) & pairs["in_window2"].astype(bool)]


def has_window(pairs: pd.DataFrame) -> bool:
    """Whether only models in an accuracy window are compared."""
    return "in_window1" in pairs


def base_pairs(pairs: pd.DataFrame, base: str) -> pd.DataFrame:
    """Rows of pairs.csv with the base model; those whose other model is in the accuracy window.

    `model` and `category` are the other model's, `base_accuracy` is the base's.
    """
    with_base = pairs[(pairs["model1"] == base) | (pairs["model2"] == base)]
    base_first = with_base["model1"] == base
    other = {
        name: with_base[f"{name}2"].where(base_first, with_base[f"{name}1"])
        for name in ("model", "category", "in_window")
        if f"{name}2" in pairs
    }
    base_accuracy = with_base["accuracy1"].where(base_first, with_base["accuracy2"])
    made = with_base.assign(base_accuracy=base_accuracy, **other)
    return made[made["in_window"].astype(bool)] if has_window(pairs) else made


def names_of_few(points: pd.DataFrame) -> pd.Series:
    """Each row's `model` where its category has few rows, empty where it has more."""
    size = points.groupby("category")["model"].transform("size")
    return points["model"].where(size <= FEW, "")


def rank_in_category(models: Iterable[str], categories: dict[str, str]) -> dict[str, int]:
    """How many models of the same category come before each."""
    category = pd.Series({model: categories[model] for model in models})
    return category.groupby(category).cumcount().to_dict()


def by_category(models: Iterable[str], categories: pd.Series) -> list[str]:
    """Each of the models once, those of less different training first."""
    order = list(STYLES)
    return sorted(dict.fromkeys(models), key=lambda model: order.index(categories[model]))


def spread(keys: pd.Series, width: float) -> np.ndarray:
    """Offsets in [-width / 2, width / 2] that set rows of equal key side by side, in row order."""
    groups = keys.groupby(keys, sort=False)
    rank, size = groups.cumcount(), groups.transform("size")
    return width * ((rank + 0.5) / size - 0.5).to_numpy()


def parser(description: str, **tables: str) -> ArgumentParser:
    """Arguments of a figure of those tables, which say what each is of."""
    made = commandline.parser(description)
    for name, help_text in tables.items():
        option = f"--{name.replace('_', '-')}"
        made.add_argument(option, required=True, type=Path, help=help_text)
    made.add_argument("--run", required=True, help="name of the run")
    made.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    made.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    return made


def save_figure(figure: Figure, table: pd.DataFrame, outputs: Iterable[Path]) -> None:
    """Write each of the outputs by its suffix: .svg, .pdf, .png, or .csv for the table drawn.

    Raises InputError for any other suffix.
    """
    # Laid out once: every format shows the same, whichever others are written. Even an engine that
    # does nothing would have each format draw twice.
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    for output in outputs:
        if output.suffix not in (*METADATA, ".csv"):
            raise InputError(f"{output}: a figure is written as .svg, .pdf, .png or .csv")
        with atomic(output) as path:
            if output.suffix == ".csv":
                table.to_csv(path, index=False)
            else:
                figure.savefig(path, metadata=METADATA[output.suffix])
