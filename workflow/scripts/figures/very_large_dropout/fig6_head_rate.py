"""Dropout of a large rate against a head that learns faster, and both: i.i.d. and o.o.d."""

import argparse

import pandas as pd
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import dropout_figures as dropout
from dissent.dropout_figures import PLAIN, Series

HEAD = "higher-head-rate"


def main(arguments: argparse.Namespace) -> None:
    (runs,) = dropout.read(arguments, "runs")
    figure, table = draw(runs, arguments.large_rate, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    runs: pd.DataFrame, large_rate: float, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure of runs.csv, and what it draws."""
    tables = dropout.on_shared(runs, (PLAIN, HEAD), level)
    methods = tables[1]
    looks = dropout.rate_looks(methods["rate"])
    factor = methods.loc[methods["family"] == HEAD, "head_factor"].iloc[0]
    series = [
        Series("plain fine-tuning", PLAIN, 0, "selected", looks[0]),
        Series("faster head", HEAD, 0, "selected", dropout.hollow(looks[0])),
        Series(f"dropout {large_rate:g}", PLAIN, large_rate, "selected", looks[large_rate]),
        Series(
            f"dropout {large_rate:g} and faster head",
            *(HEAD, large_rate, "selected", dropout.hollow(looks[large_rate])),
        ),
    ]
    title = f"Dropout {large_rate:g}, or a head that learns {factor:g} times as fast?"
    return dropout.methods_figure(dropout.present(series, methods), title, tables, run, level)


if __name__ == "__main__":
    of = "of compare_dropout.py"
    parser = figures.parser(__doc__, runs=of)
    parser.add_argument("--large-rate", required=True, type=float, help="rate that is compared")
    commandline.run(main, parser.parse_args())
