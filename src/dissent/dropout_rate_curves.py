"""Figures of accuracy against the dropout rate, several arms in one panel."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from dissent import figures
from dissent.dropout_figures import AXES, MEANS, PLAIN, counts, interval_note

ARMS = (
    {"color": "black", "marker": "o", "linestyle": "-"},
    {"color": "#D55E00", "marker": "s", "linestyle": (0, (5, 1.5))},
    {"color": "#0072B2", "marker": "^", "linestyle": (0, (4, 1.2, 1, 1.2))},
)
RING = {"marker": "o", "markersize": 10, "markerfacecolor": "none", "linestyle": "none"}


class Arm(NamedTuple):
    """A method of all rates, drawn as a line."""

    label: str
    look: dict
    rows: pd.DataFrame  # of methods.csv


def rate_curves(
    arms: Sequence[Arm], title: str, runs: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure of i.i.d. and o.o.d. accuracy of each arm against the rate, and what it draws."""
    rows = [arm.rows.sort_values("rate").assign(arm=arm.label) for arm in arms]
    table = pd.concat(rows)[["arm", "family", "kind", "width", "version", "rate", *MEANS]]
    places = {rate: place for place, rate in enumerate(sorted(table["rate"].unique()))}
    figure, both = pyplot.subplots(1, 2, figsize=(figures.WIDTH, 3.4), layout="constrained")
    for axes, (axis, name) in zip(both, AXES.items(), strict=True):
        for i, (arm, of_arm) in enumerate(zip(arms, rows, strict=True)):
            x = of_arm["rate"].map(places) + 0.06 * (i - (len(arms) - 1) / 2)
            ends = of_arm[f"{axis}_low"], of_arm[f"{axis}_high"]
            figures.whiskers(axes, x, *ends, color=arm.look["color"], linewidth=1)
            axes.plot(x, of_arm[axis], **{"markeredgecolor": "black"} | arm.look)
            best = of_arm[axis].idxmax()
            axes.plot(x[best], of_arm[axis][best], **RING, color=arm.look["color"])
        axes.set_ylim(figures.limits(*(table[f"{axis}{end}"] for end in ("", "_low", "_high"))))
        axes.set_xlim(-0.4, len(places) - 0.6)
        axes.set_xticks([*places.values()], [f"{rate:g}" for rate in places])
        axes.set(xlabel="dropout rate", ylabel=f"{name} accuracy (%)")
        figures.percent(axes.yaxis)
    both[0].set_title(title)
    handles = [figures.handle(arm.label, **{"markeredgecolor": "black"} | arm.look) for arm in arms]
    handles.append(figures.handle("highest of its line", **RING, color="black"))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=3)
    families = dict.fromkeys(table["family"])
    figures.footnote(figure, run, *counts(runs, families), interval_note(table, level))
    return figure, table


def arm_rows(
    methods: pd.DataFrame, family: str, version: str = "selected", kind: str = "fine-tuning"
) -> pd.DataFrame:
    """Rows of methods.csv of all rates, with all features."""
    at = (methods["family"] == family) & (methods["version"] == version)
    return methods[at & (methods["kind"] == kind) & methods["width"].isna()]


def linear_arms(methods: pd.DataFrame, version: str) -> list[Arm]:
    """Fine-tuning, linear fine-tuning and probes, the version of each."""
    return [
        Arm("fine-tuning", ARMS[0], arm_rows(methods, PLAIN, version)),
        Arm("linear fine-tuning", ARMS[1], arm_rows(methods, "linear", version, "linear")),
        Arm("linear probe", ARMS[2], arm_rows(methods, "linear", version, "probe")),
    ]
