"""What fine-tuning with dropout gains on a domain that it never saw, and the claims' statistics."""

import argparse
from pathlib import Path

import pandas as pd

from dissent import commandline, dropout_comparison, dropout_metrics
from dissent.dropout_runs import read_runs
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.tables import read_table


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    runs = dropout_metrics.in_order(
        [read_runs(path, examples) for path in arguments.runs], examples
    )
    large, level = arguments.large_rate, arguments.level
    of_runs = dropout_metrics.runs_table(runs, examples, arguments.bins)
    write_table(of_runs, arguments.output_runs)
    write_table(dropout_metrics.methods_table(of_runs, level), arguments.output_methods)
    write_table(dropout_metrics.mixtures_table(of_runs), arguments.output_mixtures)
    curves = dropout_metrics.curves_table(runs)
    write_table(curves, arguments.output_curves)
    matched = dropout_metrics.matched_table(curves, level)
    write_table(matched, arguments.output_matched)
    gains = dropout_comparison.gains_table(runs, examples, large, level)
    write_table(gains, arguments.output_gains)
    statistics = dropout_comparison.statistics_table(gains, matched, large)
    write_table(statistics, arguments.output_statistics)
    if arguments.output_interpolation:
        tables = [read_table(path, ["held_out"]) for path in arguments.interpolation]
        write_table(pd.concat(tables), arguments.output_interpolation)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set with domains")
    parser.add_argument(
        "--runs", required=True, nargs="+", type=Path, help="of each family and held-out domain"
    )
    parser.add_argument(
        "--interpolation", nargs="*", default=[], type=Path, help="table of each held-out domain"
    )
    parser.add_argument(
        "--large-rate", required=True, type=float, help="rate to compare with other methods"
    )
    parser.add_argument("--bins", required=True, type=int, help="bins of the calibration error")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output-runs", required=True, type=Path, help="a row a version of a run")
    parser.add_argument("--output-curves", required=True, type=Path, help="a row a checkpoint")
    parser.add_argument("--output-methods", required=True, type=Path, help="a row a method")
    parser.add_argument("--output-gains", required=True, type=Path, help="paired differences")
    parser.add_argument("--output-mixtures", required=True, type=Path, help="clouds of figures")
    parser.add_argument("--output-matched", required=True, type=Path, help="at equal i.i.d.")
    parser.add_argument("--output-statistics", required=True, type=Path)
    parser.add_argument("--output-interpolation", nargs="?", type=Path, help="of all domains")
    commandline.run(main, parser.parse_args())
