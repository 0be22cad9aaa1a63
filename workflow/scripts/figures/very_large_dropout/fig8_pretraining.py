"""Richer pre-training against better fine-tuning of a poorer one: i.i.d. and o.o.d."""

import argparse

import pandas as pd
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import dropout_figures as dropout
from dissent.dropout_figures import PLAIN, Series

POORER, HEAD = "poorer-model", "higher-head-rate"


def main(arguments: argparse.Namespace) -> None:
    (runs,) = dropout.read(arguments, "runs")
    figure, table = draw(runs, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(runs: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure of runs.csv, and what it draws."""
    tables = dropout.on_shared(runs, (PLAIN, HEAD, POORER), level)
    methods = tables[1]
    looks = dropout.rate_looks(methods["rate"])
    advanced = methods[(methods["family"] == POORER) & (methods["rate"] > 0)].iloc[0]
    rate, factor = advanced["rate"], advanced["head_factor"]
    series = [
        Series("richer, naive", PLAIN, 0, "selected", looks[0]),
        Series("richer, advanced", HEAD, rate, "average", looks[rate]),
        Series("poorer, naive", POORER, 0, "selected", dropout.hollow(looks[0])),
        Series("poorer, advanced", POORER, rate, "average", dropout.hollow(looks[rate])),
    ]
    title = (
        "Richer pre-training, or a better way of fine-tuning?\n"
        f"advanced: dropout {rate:g}, faster head ({factor:g} times), weight average of a run"
    )
    return dropout.methods_figure(series, title, tables, run, level)


if __name__ == "__main__":
    of = "of compare_dropout.py"
    parser = figures.parser(__doc__, runs=of)
    commandline.run(main, parser.parse_args())
