"""Linear fine-tuning of frozen features against fine-tuning: accuracy against dropout rate."""

import argparse

import pandas as pd
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import dropout_figures as dropout
from dissent.dropout_rate_curves import linear_arms, rate_curves


def main(arguments: argparse.Namespace) -> None:
    tables = dropout.read(arguments, "runs", "methods")
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    runs: pd.DataFrame, methods: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    arms = linear_arms(methods, "selected")
    return rate_curves(arms, "Is linear fine-tuning enough?", runs, run, level)


if __name__ == "__main__":
    of = "of compare_dropout.py"
    commandline.run(main, figures.parser(__doc__, runs=of, methods=of).parse_args())
