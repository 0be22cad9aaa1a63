"""Error inconsistency of the same models on a data set and on shifted versions of it."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline, pairwise
from dissent.bootstrap import percentile_interval
from dissent.commandline import InputError
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.logits import open_predictions
from dissent.shift import MEASURES, resampled_means


def main(arguments: argparse.Namespace) -> None:
    models, correct = read_correct(arguments)
    rng = np.random.default_rng(arguments.seed)
    values = resampled_means(list(correct.values()), arguments.resamples, rng)
    write_table(means(values, correct, arguments.level), arguments.output_means)
    pairs = [pair_rows(data, models, correct_MN) for data, correct_MN in correct.items()]
    write_table(pd.concat(pairs), arguments.output_pairs)


def read_correct(arguments: argparse.Namespace) -> tuple[list[str], dict[str, np.ndarray]]:
    """Models that predict every data set, and whether they are right on each, bool [M, N].

    The original data set comes first.
    """
    data = {examples.name: examples for examples in map(read_examples, arguments.data)}
    if arguments.original not in data:
        raise InputError(f"--original {arguments.original} is no data set of --data: {list(data)}")
    names = sorted(data, key=lambda name: name != arguments.original)
    paths = {
        name: {path.stem: path for path in arguments.logits if path.parent.name == name}
        for name in names
    }
    models = sorted(set.intersection(*(set(of_data) for of_data in paths.values())))
    if len(models) < 2:
        raise InputError(
            f"only {models or 'no model'} among --logits predicts each of {', '.join(names)}: give "
            "files of two models or more that do, in folders of the data sets' names"
        )
    correct = {}
    for name in names:
        chosen = [paths[name][model] for model in models]
        predictions = open_predictions(chosen, data[name], least="classes")
        report = data[name].where(arguments.report_split)
        labels = data[name].labels[report]
        rows = [pairwise.is_right(p["predicted"][report], labels) for p in predictions.values()]
        correct[name] = np.stack(rows)
    return models, correct


def means(values: np.ndarray, correct: dict[str, np.ndarray], level: float) -> pd.DataFrame:
    """One row a data set and measure: its mean over pairs, and the difference to the original."""
    difference = values - values[:, :1]
    low, high = percentile_interval(values[1:], level)
    difference_low, difference_high = percentile_interval(difference[1:], level)
    rows = []
    for i, (data, correct_MN) in enumerate(correct.items()):
        n_models, n = correct_MN.shape
        for k, measure in enumerate(MEASURES):
            ends = values[0, i, k], low[i, k], high[i, k]
            change = difference[0, i, k], difference_low[i, k], difference_high[i, k]
            change = change if i else (None,) * 3
            n_pairs = n_models * (n_models - 1) // 2
            rows.append((data, measure, *ends, *change, n, n_models, n_pairs))
    columns = ["data", "measure", "value", "low", "high"]
    columns += ["difference", "difference_low", "difference_high", "n", "n_models", "n_pairs"]
    return pd.DataFrame(rows, columns=columns)


def pair_rows(data: str, models: list[str], correct_MN: np.ndarray) -> pd.DataFrame:
    """One row a pair: its measures on one data set."""
    counts_P22, pairs_P2 = pairwise.pair_counts(correct_MN), pairwise.all_pairs(len(models))
    accuracy1_P, accuracy2_P = pairwise.accuracies(counts_P22)
    return pd.DataFrame(
        {
            "data": data,
            "model1": np.array(models)[pairs_P2[:, 0]],
            "model2": np.array(models)[pairs_P2[:, 1]],
            "n": correct_MN.shape[1],
            "accuracy1": accuracy1_P,
            "accuracy2": accuracy2_P,
            "error_inconsistency": pairwise.error_inconsistency(counts_P22),
            "expected_error_inconsistency": pairwise.expected_error_inconsistency(counts_P22),
            "error_consistency": pairwise.error_consistency(counts_P22),
        }
    )


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, nargs="+", type=Path, help="data set files")
    parser.add_argument(
        "--logits",
        required=True,
        nargs="+",
        type=Path,
        help="logits files, each in a folder of its data set's name",
    )
    parser.add_argument("--original", required=True, help="name of the data set before the shift")
    parser.add_argument("--report-split", required=True)
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output-means", required=True, type=Path)
    parser.add_argument("--output-pairs", required=True, type=Path)
    commandline.run(main, parser.parse_args())
