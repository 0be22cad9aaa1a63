"""I.i.d. and o.o.d. accuracy at each dropout rate, with the paper's means beside."""

import argparse

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import dropout_figures as dropout
from dissent.dropout_figures import PLAIN, Series

JOINED = {"color": "0.3", "linewidth": 1, "zorder": 2}


def main(arguments: argparse.Namespace) -> None:
    tables = dropout.read(arguments, "runs", "methods", "mixtures", "digitised")
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    runs: pd.DataFrame,
    methods: pd.DataFrame,
    mixtures: pd.DataFrame,
    digitised: pd.DataFrame,
    run: str,
    level: float,
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    looks = dropout.rate_looks(methods["rate"])
    rates = methods.loc[methods["family"] == PLAIN, "rate"].drop_duplicates().sort_values()
    series = [Series(f"rate {rate:g}", PLAIN, rate, "selected", looks[rate]) for rate in rates]
    datasets = digitised["dataset"].unique()
    figure = pyplot.figure(figsize=(figures.WIDTH, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, len(datasets), height_ratios=(2, 1))
    own = figure.add_subplot(grid[0, :-1])
    table = dropout.scatter(own, series, methods, mixtures)
    means = table[table["drawn"] == "mean"]
    own.plot(means["iid"], means["ood"], **JOINED)
    own.set_title("Which dropout rate is best?")
    for place, dataset in enumerate(datasets):
        axes = figure.add_subplot(grid[1, place])
        draw_digitised(axes, digitised[digitised["dataset"] == dataset], looks)
        axes.set_title(f"paper: {dataset}\n(digitised)")
        if not place:
            axes.set_ylabel("o.o.d. accuracy (%)")
    beside = figure.add_subplot(grid[0, -1])
    beside.set_axis_off()
    legend = dropout.ranked_legend(series, table)
    legend["handles"] += [
        figures.handle(f"rate {rate:g}\n(paper alone)", linestyle="none", **looks[rate])
        for rate in sorted({*digitised["rate"]} - {*rates})
    ]
    beside.legend(loc="upper left", **legend)
    facts = dropout.scatter_facts(series, runs, table, level)
    figures.footnote(figure, run, *facts, "Below: means read off the paper's figure 3")
    return figure, pd.concat([table, digitised.assign(drawn="digitised")])


def draw_digitised(axes: Axes, means: pd.DataFrame, looks: dict[float, dict]) -> None:
    means = means.sort_values("rate")
    axes.plot(means["iid"], means["ood"], **JOINED)
    for row in means.itertuples():
        axes.plot(row.iid, row.ood, linestyle="none", zorder=3, **looks[row.rate])
    axes.margins(0.15)
    axes.set_xlabel("i.i.d. accuracy (%)")
    dropout.few_ticks(axes)


if __name__ == "__main__":
    of = "of compare_dropout.py"
    digitised = "means of the paper's figure 3"
    parser = figures.parser(__doc__, runs=of, methods=of, mixtures=of, digitised=digitised)
    commandline.run(main, parser.parse_args())
