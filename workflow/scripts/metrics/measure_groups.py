"""Accuracy of every model in every group of a data set's examples."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline
from dissent.bootstrap import multinomial_interval
from dissent.commandline import InputError
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.logits import open_predictions
from dissent.pairwise import is_right


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    if not examples.groups:
        raise InputError(f"{arguments.data}: no groups are told apart in this data set")
    report = examples.where(arguments.report_split)
    groups_N, labels_N = np.array(examples.groups)[report], examples.labels[report]
    predictions = open_predictions(arguments.logits, examples)
    rows = []
    for model, logits in predictions.items():
        correct_N = is_right(logits["predicted"][report], labels_N)
        for group in np.unique(groups_N):
            of_group_N = groups_N == group
            rows.append((model, group, correct_N[of_group_N].sum(), of_group_N.sum()))
    table = pd.DataFrame(rows, columns=["model", "group", "right", "n"])
    low, high = multinomial_interval(
        np.stack([table["right"], table["n"] - table["right"]], axis=1),
        lambda counts: counts[..., 0] / counts.sum(axis=-1),
        arguments.resamples,
        arguments.seed,
        arguments.level,
    )
    accuracy = table["right"] / table["n"]
    table = table[["model", "group"]].assign(accuracy=accuracy, low=low, high=high, n=table["n"])
    write_table(table, arguments.output)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file, with groups")
    parser.add_argument("--logits", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument("--report-split", required=True, help="where accuracies are reported")
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
