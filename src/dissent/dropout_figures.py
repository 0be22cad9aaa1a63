"""What the figures of very large dropout share: looks of rates and methods, panels, footnotes."""

import textwrap
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps, pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dissent import figures
from dissent.dropout_metrics import ALL_DOMAINS, CONFIGURATION, methods_table, mixtures_table
from dissent.tables import read_table

TEXT = [
    *("held_out", "family", "kind", "version", "comparison", "axis"),
    *("fine_tuning", "path", "dataset"),
]
AXES = {"iid": "i.i.d.", "ood": "o.o.d."}
MEANS = [f"{axis}{end}" for axis in AXES for end in ("", "_low", "_high")]
FAMILIES = {
    "fine-tuning": "fine-tuning",
    "higher-head-rate": "faster head",
    "scratch": "from scratch",
    "poorer-model": "poorer pre-training",
    "more-data": "more data",
    "linear": "linear",
}
PLAIN = "fine-tuning"  # the family that others are compared with
FOOTNOTE_CHARACTERS = 110  # that fit into a figure's width
RATES = (0, 0.5, 0.9, 0.95)  # of the paper, which keep their looks in every run
MARKERS = "osD^vPX<>ph"
AVERAGE, ENSEMBLE = "#56B4E9", "#009E73"
# What is made of several checkpoints; of all runs in one, it stands out.
VERSIONS = {
    "average": {"color": AVERAGE, "marker": "v", "linestyle": (0, (5, 1.5))},
    "ensemble": {"color": ENSEMBLE, "marker": "P", "linestyle": (0, (5, 1.5))},
    "all-average": {"color": AVERAGE, "marker": "*", "linestyle": (0, (1, 1))},
    "all-ensemble": {"color": ENSEMBLE, "marker": "X", "linestyle": (0, (1, 1))},
}
NAMES = {
    "average": "weight average of a run",
    "ensemble": "ensemble of a run",
    "all-average": "weight average of all runs",
    "all-ensemble": "ensemble of all runs",
}
# Of held-out domains, in order.
DOMAINS = [
    {"color": color, "marker": marker, "markersize": 3.5, "markeredgewidth": 0.3}
    for color, marker in zip(
        ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "0.4"),
        "os^Dv<>",
        strict=True,
    )
]
GUIDE = {"color": figures.GREY, "linestyle": ":", "zorder": 1.2}


class Series(NamedTuple):
    """A method of one rate, drawn as a mean and the mixtures around it."""

    label: str
    family: str
    rate: float
    version: str
    look: dict


def read(arguments: Namespace, *tables: str) -> list[pd.DataFrame]:
    """The tables of metrics that arguments name; names in them stay text."""
    return [read_table(getattr(arguments, name), TEXT) for name in tables]


def rate_looks(rates: Iterable[float]) -> dict[float, dict]:
    """How marks of each rate look, the higher the darker, with those of the paper among them."""
    ordered = sorted({*RATES, *rates})
    shades = map(to_hex, colormaps["plasma_r"](np.linspace(0.2, 1, len(ordered))))
    return {
        rate: {"color": shade, "marker": marker, "markeredgecolor": "black"}
        for rate, shade, marker in zip(ordered, shades, cycle(MARKERS), strict=False)
    }


def version_look(version: str) -> dict:
    """How marks of a version look; those of all runs are larger."""
    of_all = {"markersize": 10 if version == "all-average" else 8} if "all-" in version else {}
    return VERSIONS[version] | {"linestyle": "none", "markeredgecolor": "black"} | of_all


def hollow(look: dict) -> dict:
    """The same look with white marks."""
    edge = {"markeredgecolor": look["color"], "markeredgewidth": 1.3}
    return look | {"markerfacecolor": "white"} | edge


def domain_looks(held_out: pd.Series) -> dict[str, dict]:
    """How marks of each held-out domain look."""
    domains = held_out[held_out != ALL_DOMAINS].unique()
    return {
        domain: look | {"markeredgecolor": "black", "linestyle": "none"}
        for domain, look in zip(domains, cycle(DOMAINS), strict=False)
    }


def interval(lines: Callable, place: float, low: float, high: float, is_mean: bool) -> None:
    """Draw an interval by `axes.hlines` or `axes.vlines`: bold of all domains, faint of one."""
    look = {"color": "black", "linewidth": 1.4} if is_mean else {"color": "0.7", "linewidth": 0.7}
    lines(place, low, high, zorder=3 if is_mean else 1.5, **look)


def on_shared(
    runs: pd.DataFrame, families: Iterable[str], level: float
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Runs of these families with what all of them have, and their methods and mixtures.

    That is configurations and seeds: else a family of one learning rate would be compared with the
    mean over several. What is made of all runs is left out.
    """
    keys = [*CONFIGURATION, "seed"]
    of_families = runs[runs["family"].isin(list(families)) & runs["seed"].notna()]
    present = of_families.groupby(keys)["family"].nunique()
    shared = present.index[present == of_families["family"].nunique()]
    kept = of_families[pd.MultiIndex.from_frame(of_families[keys]).isin(shared)]
    # Without any, each is taken as it is.
    kept = kept if len(kept) else of_families
    return kept, methods_table(kept, level), mixtures_table(kept)


def chosen(table: pd.DataFrame, series: Series) -> pd.DataFrame:
    """Its rows of methods.csv or mixtures.csv."""
    at = (table["family"] == series.family) & (table["version"] == series.version)
    return table[at & (table["rate"] == series.rate)].assign(method=series.label)


def scatter(
    axes: Axes, series: Sequence[Series], methods: pd.DataFrame, mixtures: pd.DataFrame
) -> pd.DataFrame:
    """Draw i.i.d. against o.o.d. accuracy of the series that are in the tables; what is drawn.

    Large marks are means with their intervals, small ones mixtures. Dotted lines cross at the
    first of the series, so that what is better than it on both axes is at the upper right.
    """
    parts = []
    for one in series:
        mean, cloud = chosen(methods, one), chosen(mixtures, one)
        dense = {"rasterized": len(cloud) > figures.DENSE // len(series)}
        # Of many, so faint that the mean is seen among them.
        faint = np.clip(50 / max(len(cloud), 1), 0.1, 0.4)
        open_marks = one.look.get("markerfacecolor") == "white"
        small = {"linestyle": "none", "markersize": 3, "alpha": faint, "zorder": 1.6}
        small |= {"markerfacecolor": "none"} if open_marks else {}
        small |= {"markeredgewidth": 0.6 * open_marks} | dense
        axes.plot(cloud["iid"], cloud["ood"], **one.look | small)
        mean_mark(axes, mean, one.look)
        parts += [mean.assign(drawn="mean"), cloud.assign(drawn="mixture")]
    table = pd.concat(parts)[["method", "drawn", *MEANS, "n_ways"]]
    first = table.iloc[0]
    axes.axvline(first["iid"], **GUIDE)
    axes.axhline(first["ood"], **GUIDE)
    axes.set_xlim(figures.limits(*(table[f"iid{end}"] for end in ("", "_low", "_high"))))
    axes.set_ylim(figures.limits(*(table[f"ood{end}"] for end in ("", "_low", "_high"))))
    axes.set(xlabel="i.i.d. accuracy (%)", ylabel="o.o.d. accuracy (%)")
    figures.percent(axes.xaxis, axes.yaxis)
    return table


def mean_mark(axes: Axes, mean: pd.DataFrame, look: dict) -> None:
    """Draw a mean with its intervals in both directions."""
    cross = {"color": "black", "linewidth": 0.8, "zorder": 3}
    axes.vlines(mean["iid"], mean["ood_low"], mean["ood_high"], **cross)
    axes.hlines(mean["ood"], mean["iid_low"], mean["iid_high"], **cross)
    axes.plot(
        mean["iid"], mean["ood"], **{"markersize": 8} | look | {"linestyle": "none", "zorder": 4}
    )


def present(series: Iterable[Series], methods: pd.DataFrame) -> list[Series]:
    """Those that the table has: there may be too few runs for some."""
    return [one for one in series if len(chosen(methods, one))]


def ranked_legend(series: Sequence[Series], table: pd.DataFrame) -> dict:
    """A legend with the accuracies of the means, the best o.o.d. first."""
    means = table[table["drawn"] == "mean"].set_index("method")
    best_first = means["ood"].sort_values(ascending=False, kind="stable").index
    looks = {one.label: one.look | {"linestyle": "none"} for one in series}
    handles = [
        figures.handle(
            f"{label}\n{100 * means.at[label, 'ood']:.1f} / {100 * means.at[label, 'iid']:.1f}",
            **looks[label],
        )
        for label in best_first
    ]
    title = "o.o.d. / i.i.d. accuracy (%),\nhighest o.o.d. first"
    return {"handles": handles, "title": title, "alignment": "left", "labelspacing": 0.8}


def methods_figure(
    series: Sequence[Series], title: str, tables: Sequence[pd.DataFrame], run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure of methods as clouds and means, and what it draws.

    `tables` are runs.csv, methods.csv and mixtures.csv.
    """
    runs, methods, mixtures = tables
    figure, axes = pyplot.subplots(figsize=(figures.WIDTH, 4.2), layout="constrained")
    table = scatter(axes, series, methods, mixtures)
    axes.set_title(title)
    figure.legend(loc="outside right upper", **ranked_legend(series, table))
    figures.footnote(figure, run, *scatter_facts(series, runs, table, level))
    return figure, table


def scatter_facts(
    series: Sequence[Series], runs: pd.DataFrame, table: pd.DataFrame, level: float
) -> list[str]:
    """Lines under a figure of clouds and means."""
    clouds = table[table["drawn"] == "mixture"].groupby("method")
    n_drawn, n_ways = clouds.size().max(), clouds["n_ways"].max().max()
    choices = "every choice" if n_drawn == n_ways else f"{n_drawn:,} of {n_ways:,.0f} choices"
    marks = f"Small marks: {choices} of one configuration for each held-out domain; dotted: "
    return [
        *counts(runs, dict.fromkeys(one.family for one in series)),
        (marks if n_ways > 1 else "Dotted: ") + "plain fine-tuning",
        interval_note(table, level),
    ]


def images(table: pd.DataFrame) -> str:
    """Of how many held-out domains and images a table with n_iid and n_ood is."""
    sizes = (f"{ends(table[f'n_{axis}'])} images {name}" for axis, name in AXES.items())
    n_domains = figures.counted(table["held_out"].nunique(), "held-out domain")
    return f"{n_domains}, each with {' and '.join(sizes)}"


def counts(runs: pd.DataFrame, families: Iterable[str]) -> list[str]:
    """What the numbers are of: held-out domains and images, then fine-tunings by family."""
    made = {}
    for family in families:
        rows = runs[(runs["family"] == family) & runs["seed"].notna()]
        made.setdefault(" with ".join(replicates(rows)), []).append(FAMILIES[family])
    fine_tunings = "; ".join(f"{what} ({', '.join(names)})" for what, names in made.items())
    sentence = f"Runs for each domain and rate: {fine_tunings}"
    return [images(runs), *textwrap.wrap(sentence, FOOTNOTE_CHARACTERS)]


def replicates(rows: pd.DataFrame) -> tuple[str, str]:
    """How many configurations and seeds rows of runs.csv or curves.csv are of."""
    n_configurations = len(rows[CONFIGURATION].drop_duplicates())
    n_seeds = rows["seed"].nunique()
    return figures.counted(n_configurations, "configuration"), figures.counted(n_seeds, "seed")


def few_ticks(axes: Axes) -> None:
    """Percent on both axes of a small panel."""
    figures.percent(axes.xaxis, axes.yaxis)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(nbins=4, min_n_ticks=2)


def ends(numbers: pd.Series) -> str:
    """Lowest and highest of whole numbers, one if they are the same."""
    return " to ".join(dict.fromkeys(f"{n:,.0f}" for n in (numbers.min(), numbers.max())))


def interval_note(table: pd.DataFrame, level: float, of: str = "the mean over domains") -> str:
    """What whiskers are, where they are t intervals over seeds."""
    if not table.filter(regex="low$").notna().any(axis=None):
        return "No intervals: one seed, or no spread of several"
    return f"Whiskers, cut at the frame: {level:.0%} t intervals over seeds of {of}"
