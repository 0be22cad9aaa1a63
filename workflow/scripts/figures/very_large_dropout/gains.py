"""What each change of the fine-tuning gains on the same domains: all of them, and one by one."""

import argparse
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dissent import commandline, figures
from dissent import dropout_figures as dropout
from dissent.dropout_comparison import VERSIONS

ROW = 0.2  # inches
# Some gains are tens of times as large as others: the axis is linear up to here, then logarithmic.
LINEAR_TO = 0.05
TICKS = (0.02, 0.05, 0.15, 0.5)
MEAN = {"color": "black", "marker": "D", "markersize": 6, "linestyle": "none"}
OF_SEVERAL = {name: dropout.NAMES[version] for name, version in VERSIONS.items()}
# Comparisons under their headings; {} is the rate that is compared with other methods.
BLOCKS = {
    "dropout over none": {
        r"rate-(.+)": r"rate \1",
        "large-rate-over-half": "{} over 0.5",
    },
    "dropout {} over plain": {
        f"large-rate-over-{version}": name for version, name in OF_SEVERAL.items()
    },
    "added to dropout {}": {
        f"{version}-on-large-rate": name for version, name in OF_SEVERAL.items()
    },
    "faster head": {
        "head-rate-on-plain": "over plain",
        "head-rate-on-large-rate": "added to dropout {}",
        "large-rate-on-head-rate": "dropout {} added to it",
        "large-rate-over-head-rate": "dropout {} over it",
    },
    "pre-training": {
        "naive-richer-over-advanced-poorer": "richer naive over poorer advanced",
        "advanced-on-poorer": "poorer: advanced over naive",
        "advanced-on-richer": "richer: advanced over naive",
    },
    "dropout over none, more data": {
        r"more-data-rate-(.+)": r"rate \1",
        "more-data-on-large-rate-gain": "rate {}, less the gain with few",
    },
    "dropout over none, from scratch": {r"scratch-rate-(.+)": r"rate \1"},
    "dropout over none, linear probe": {r"probe-rate-(.+)": r"rate \1"},
    "linear over usual fine-tuning": {r"linear-over-fine-tuning-rate-(.+)": r"rate \1"},
}


def main(arguments: argparse.Namespace) -> None:
    (gains,) = dropout.read(arguments, "gains")
    figure, table = draw(gains, arguments.large_rate, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    gains: pd.DataFrame, large_rate: float, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    places, labels = rows_of(gains["comparison"].unique(), f"{large_rate:g}")
    size = figures.WIDTH, 1.3 + ROW * len(labels)
    figure, both = pyplot.subplots(1, 2, figsize=size, layout="constrained", sharey=True)
    looks = dropout.domain_looks(gains["held_out"])
    for axes, axis in zip(both, ("ood", "iid"), strict=True):
        draw_panel(axes, gains[gains["axis"] == axis], places, looks)
        axes.set(title=f"{dropout.AXES[axis]} gain", xlabel="points of accuracy")
    both[0].set_ylim(len(labels) - 0.4, -0.6)
    both[0].set_yticks(range(len(labels)), labels)
    for row, tick in enumerate(both[0].get_yticklabels()):
        tick.set_fontweight("normal" if row in places.values() else "bold")
    handles = [figures.handle("mean over held-out domains", **MEAN)]
    handles += [figures.handle(f"held out: {domain}", **look) for domain, look in looks.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    figures.footnote(figure, run, *facts(gains, level))
    return figure, gains


def rows_of(comparisons: Iterable[str], large: str) -> tuple[dict[str, int], list[str]]:
    """The row of each comparison, and the labels of all rows; a heading stands above its own."""
    places, labels = {}, []
    for heading, block in BLOCKS.items():
        found = {
            comparison: match.expand(label).format(large)
            for pattern, label in block.items()
            for comparison in comparisons
            if (match := re.fullmatch(pattern, comparison))
        }
        if found:
            labels.append(heading.format(large))
            places |= {comparison: len(labels) + i for i, comparison in enumerate(found)}
            labels += found.values()
    return places, labels


def draw_panel(
    axes: Axes, gains: pd.DataFrame, places: dict[str, int], looks: dict[str, dict]
) -> None:
    axes.axvline(0, color="black", linewidth=0.8, zorder=1.4)
    asides = dict(zip(looks, np.linspace(-0.32, 0.32, len(looks)), strict=True))
    for row in gains.itertuples():
        is_mean = row.held_out == dropout.ALL_DOMAINS
        y = places[row.comparison] + (0 if is_mean else asides[row.held_out])
        dropout.interval(axes.hlines, y, row.low, row.high, is_mean)
        look = MEAN if is_mean else looks[row.held_out]
        axes.plot(row.gain, y, zorder=4 if is_mean else 2, **look)
    axes.set_xscale("symlog", linthresh=LINEAR_TO, linscale=1.5)
    axes.set_xlim(figures.limits(gains["gain"], gains["low"], gains["high"]))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    figures.percent(axes.xaxis)
    left, right = axes.get_xlim()
    ticks = [*(-tick for tick in TICKS[::-1]), 0, *TICKS]
    axes.set_xticks([tick for tick in ticks if left <= tick <= right])
    axes.xaxis.set_minor_locator(NullLocator())


def facts(gains: pd.DataFrame, level: float) -> list[str]:
    one = gains[gains["held_out"] != dropout.ALL_DOMAINS].set_index("axis")
    sizes = (
        f"{dropout.ends(one.loc[axis, 'n_images'])} images {name}"
        for axis, name in dropout.AXES.items()
    )
    drawn = "seeds and images" if gains["n_seeds"].max() > 1 else "images, for one seed"
    n_domains = figures.counted(one["held_out"].nunique(), "held-out domain")
    return [
        f"{n_domains}, each with {' and '.join(sizes)}",
        f"Configurations: {dropout.ends(gains['n_configurations'])}, seeds: "
        f"{dropout.ends(gains['n_seeds'])}; both arms of a comparison on the same images",
        f"Whiskers, cut at the frame: {level:.0%} t intervals over {drawn}; the axis is "
        f"logarithmic beyond {100 * LINEAR_TO:g} points",
    ]


if __name__ == "__main__":
    parser = figures.parser(__doc__, gains="of compare_dropout.py")
    parser.add_argument("--large-rate", required=True, type=float, help="rate that is compared")
    commandline.run(main, parser.parse_args())
