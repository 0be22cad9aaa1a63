"""Dropout of a large rate against ensembles and weight averages without: i.i.d. and o.o.d."""

import argparse

import pandas as pd
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import dropout_figures as dropout
from dissent.dropout_figures import PLAIN, Series


def main(arguments: argparse.Namespace) -> None:
    tables = dropout.read(arguments, "runs", "methods", "mixtures")
    figure, table = draw(tables, arguments.large_rate, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    tables: list[pd.DataFrame], large_rate: float, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure of runs.csv, methods.csv and mixtures.csv, and what it draws."""
    methods = tables[1]
    looks = dropout.rate_looks(methods["rate"])
    series = [
        Series("plain fine-tuning", PLAIN, 0, "selected", looks[0]),
        *(
            Series(name, PLAIN, 0, version, dropout.version_look(version))
            for version, name in dropout.NAMES.items()
        ),
        Series(f"dropout {large_rate:g}", PLAIN, large_rate, "selected", looks[large_rate]),
    ]
    title = f"Dropout {large_rate:g}, or ensembles and averages of plain fine-tuning?"
    return dropout.methods_figure(dropout.present(series, methods), title, tables, run, level)


if __name__ == "__main__":
    of = "of compare_dropout.py"
    parser = figures.parser(__doc__, runs=of, methods=of, mixtures=of)
    parser.add_argument("--large-rate", required=True, type=float, help="rate that is compared")
    commandline.run(main, parser.parse_args())
