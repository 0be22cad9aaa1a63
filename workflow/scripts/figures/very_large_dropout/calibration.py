"""What dropout does to probabilities: cross-entropy and calibration error against its rate."""

import argparse

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import dropout_figures as dropout
from dissent.low_data_figures import over_seeds

MEASURES = {"nll": "cross-entropy (nats)", "ece": "calibration error (%)"}
LINES = {"selected": "one checkpoint"} | dropout.NAMES
ONE = {"color": "black", "marker": "o", "linestyle": "-"}


def main(arguments: argparse.Namespace) -> None:
    (runs,) = dropout.read(arguments, "runs")
    figure, table = draw(runs, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(runs: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(runs, level)
    figure, all_axes = pyplot.subplots(
        2, 2, figsize=(figures.WIDTH, 5), layout="constrained", sharex=True
    )
    for row, measure in zip(all_axes, MEASURES, strict=True):
        for axes, axis in zip(row, dropout.AXES, strict=True):
            at = (table["measure"] == measure) & (table["axis"] == axis)
            draw_panel(axes, table[at])
            if measure == "ece":
                axes.set_xlabel("dropout rate")
                figures.percent(axes.yaxis)
            else:
                axes.set_title(dropout.AXES[axis])
        row[0].set_ylabel(MEASURES[measure])
    present = set(table["version"])
    handles = [figures.handle(LINES[name], **look(name)) for name in LINES if name in present]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handlelength=3)
    figures.footnote(
        figure,
        run,
        *dropout.counts(runs, [dropout.PLAIN]),
        "Lower is better; probabilities as networks give them, without temperature; each panel has "
        "its own scale",
        dropout.interval_note(table, level),
    )
    return figure, table


def drawn(runs: pd.DataFrame, level: float) -> pd.DataFrame:
    """Means over held-out domains of each measure, on each axis: of each version and rate."""
    at = (runs["family"] == dropout.PLAIN) & runs["version"].isin(list(LINES))
    # What is made of all runs has no seed.
    own = runs[at].fillna({"seed": 0}).rename(columns={"held_out": "task"})
    parts = [
        over_seeds(own, ["version", "rate"], f"{measure}_{axis}", level).assign(
            measure=measure, axis=axis
        )
        for measure in MEASURES
        for axis in dropout.AXES
    ]
    return pd.concat(parts, ignore_index=True)


def draw_panel(axes: Axes, table: pd.DataFrame) -> None:
    places = {rate: place for place, rate in enumerate(sorted(table["rate"].unique()))}
    present = [name for name in LINES if name in set(table["version"])]
    for i, name in enumerate(present):
        rows = table[table["version"] == name].sort_values("rate")
        x = rows["rate"].map(places) + 0.06 * (i - (len(present) - 1) / 2)
        style = look(name)
        figures.whiskers(axes, x, rows["low"], rows["high"], color=style["color"], linewidth=1)
        axes.plot(x, rows["value"], **style)
    axes.set_ylim(figures.limits(table["value"], table["low"], table["high"]))
    axes.set_xticks([*places.values()], [f"{rate:g}" for rate in places])


def look(version: str) -> dict:
    return dropout.VERSIONS.get(version, ONE) | {"markeredgecolor": "black"}


if __name__ == "__main__":
    parser = figures.parser(__doc__, runs="of compare_dropout.py")
    commandline.run(main, parser.parse_args())
