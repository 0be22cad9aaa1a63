"""What more data to fine-tune on change: i.i.d. and o.o.d. accuracy against dropout rate."""

import argparse

import pandas as pd
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import dropout_figures as dropout
from dissent.dropout_figures import PLAIN
from dissent.dropout_rate_curves import ARMS, Arm, arm_rows, rate_curves


def main(arguments: argparse.Namespace) -> None:
    (runs,) = dropout.read(arguments, "runs")
    figure, table = draw(runs, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(runs: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    runs, methods, _ = dropout.on_shared(runs, (PLAIN, "more-data"), level)
    arms = [
        Arm("fine-tuning", ARMS[0], arm_rows(methods, PLAIN)),
        Arm("with more data", ARMS[1], arm_rows(methods, "more-data")),
    ]
    return rate_curves(arms, "Does dropout help with more data?", runs, run, level)


if __name__ == "__main__":
    of = "of compare_dropout.py"
    commandline.run(main, figures.parser(__doc__, runs=of).parse_args())
