"""How many models agree, from published counts of how many were right on each example."""

import argparse
from pathlib import Path

import pandas as pd

from dissent import commandline
from dissent.bootstrap import multinomial_interval
from dissent.commandline import InputError
from dissent.correct_counts import MEASURES, agreement, histogram
from dissent.files import write_table
from dissent.published import read_counts


def main(arguments: argparse.Namespace) -> None:
    if arguments.models < 2:
        raise InputError(f"{arguments.models} models make no pair: count two or more")
    counts_N = read_counts(arguments.counts, arguments.models)
    examples_C = histogram(counts_N, arguments.models)
    low_1K, high_1K = multinomial_interval(
        examples_C[None], agreement, arguments.resamples, arguments.seed, arguments.level
    )
    table = pd.DataFrame(
        {
            "measure": MEASURES,
            "value": agreement(examples_C),
            "low": low_1K[0],
            "high": high_1K[0],
            "n": len(counts_N),
            "n_models": arguments.models,
        }
    )
    write_table(table, arguments.output)
    by_count = pd.DataFrame({"models_right": range(len(examples_C)), "examples": examples_C})
    write_table(by_count, arguments.output_histogram)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--counts", required=True, type=Path, help="table; its last column counts")
    parser.add_argument("--models", required=True, type=int, help="how many models were counted")
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, type=Path, help="a row a measure")
    parser.add_argument("--output-histogram", required=True, type=Path, help="a row a count")
    commandline.run(main, parser.parse_args())
