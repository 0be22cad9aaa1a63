"""How many candidates and members a greedy ensemble needs, and whether it overfits `tune`."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dissent import commandline, figures
from dissent import low_data_figures as low_data

ALONG = {"models": "best-ranked models considered", "size": "additions allowed"}
MEASURES = {
    "score": ("score (%)", low_data.line("greedy")),
    "nll": ("cross-entropy (nats)", low_data.line("greedy")),
    "tune_nll": (
        "cross-entropy (nats)",
        {"marker": "o", "color": "0.45", "markerfacecolor": "white", "linestyle": (0, (4, 1.5))},
    ),
}
SINGLE = {"color": figures.GREY, "linestyle": ":", "zorder": 1.2}


def main(arguments: argparse.Namespace) -> None:
    figure, table = draw(low_data.read(arguments.methods), arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(methods: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(methods, level)
    figure, all_axes = pyplot.subplots(
        2, 2, figsize=(figures.WIDTH, 4.6), layout="constrained", sharex="col", sharey="row"
    )
    for axes, along in zip(all_axes.T, ALONG, strict=True):
        for measure, (label, look) in MEASURES.items():
            panel = axes[int(measure != "score")]
            draw_line(panel, table[table["measure"] == measure], along, look)
            if along == "models":
                panel.set_ylabel(label)
        axes[1].set_xlabel(ALONG[along])
        # Whole numbers, of which there may be only one.
        axes[1].xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        ends = table.loc[table["along"] == along, "at"].agg(["min", "max"])
        axes[1].set_xlim(ends["min"] - 0.5, ends["max"] + 0.5)
    all_axes[0, 0].set_title("Do more models help?")
    all_axes[0, 1].set_title("Do more members help?")
    for row, shown in table.groupby(table["measure"] != "score"):
        limits = figures.limits(shown["value"], shown["low"], shown["high"])
        all_axes[int(row), 0].set_ylim(limits)
    figures.percent(all_axes[0, 0].yaxis)
    handles = [
        figures.handle("on test examples", **MEASURES["nll"][1]),
        figures.handle("on tune examples, which chose members", **MEASURES["tune_nll"][1]),
        figures.handle("best single, on test examples", **SINGLE),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handlelength=3)
    n_tasks, n_seeds = methods["task"].nunique(), methods["seed"].nunique()
    figures.footnote(
        figure,
        run,
        f"{low_data.counts(n_tasks, n_seeds)}, {low_data.examples(methods['n'])}; greedy "
        "ensembles; a repeated member counts again",
        low_data.interval_note(n_seeds, level),
    )
    return figure, table


def drawn(methods: pd.DataFrame, level: float) -> pd.DataFrame:
    """Measures of greedy ensembles by models considered and by size, and of the best one."""
    greedy = methods[(methods["method"] == "greedy") & methods["budget"].isna()]
    most, single = greedy[["models", "size"]].max(), methods[methods["method"] == "single"]
    cuts = {"models": greedy["size"] == most["size"], "size": greedy["models"] == most["models"]}
    parts = []
    for measure in MEASURES:
        for along, cut in cuts.items():
            means = low_data.over_seeds(greedy[cut], [along], measure, level)
            means = means.sort_values(along).rename(columns={along: "at"})
            parts.append(means.assign(method="greedy", along=along, measure=measure))
        if measure != "tune_nll":
            alone = low_data.over_seeds(single, ["method"], measure, level)
            parts.append(alone.assign(measure=measure))
    return pd.concat(parts)[["method", "along", "at", "measure", "value", "low", "high"]]


def draw_line(axes: Axes, table: pd.DataFrame, along: str, look: dict) -> None:
    rows = table[table["along"] == along]
    # Beside each other, so that no whisker hides another.
    aside = 0.02 * (rows["at"].max() - rows["at"].min() + 1) * (look["color"] != "black")
    figures.whiskers(axes, rows["at"] + aside, rows["low"], rows["high"], color=look["color"])
    axes.plot(rows["at"] + aside, rows["value"], **look)
    if (table["measure"] != "tune_nll").all():
        axes.axhline(table.loc[table["method"] == "single", "value"].item(), **SINGLE)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--methods", required=True, nargs="+", type=Path, help="of evaluate_choices.py, a task each"
    )
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
