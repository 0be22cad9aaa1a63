"""Rank pre-trained models on a task by leave-one-out nearest neighbours among its features."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from dissent import commandline
from dissent.commandline import InputError
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.logits import Logits, of_examples, open_logits
from dissent.neighbours import check_labels, nearest_neighbours, normalised
from dissent.progress import progress

SPLITS = ("train", "tune")  # all that is labelled, but for what is reported on
COLUMNS = [
    *("rank", "model", "category", "place", "accuracy", "low", "high", "n", "dimensions"),
    "weights_sha256",
]


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.task)
    labelled = np.concatenate([examples.where(split) for split in SPLITS])
    labels_N = examples.labels[labelled]
    check_labels(labels_N, examples.classes, examples.name)
    expected = of_examples(examples)
    # Imported predictions have another one, and no features.
    del expected["dtype"]
    rows, model_of = [], {}
    for path in progress(arguments.features, "ranking candidates"):
        logits = open_logits(path, **expected)
        weights = logits.key.weights_sha256
        if (other := model_of.setdefault(weights, path.stem)) != path.stem:
            raise InputError(
                f"models {other!r} and {path.stem!r} have the same weights (sha256 "
                f"{weights[:12]}...): leave one of them out of the model table"
            )
        right_N = labels_N[neighbours_of(path, logits, labelled, arguments)] == labels_N
        low, high = binomtest(int(right_N.sum()), len(right_N)).proportion_ci(
            arguments.level, "wilson"
        )
        rows.append(
            {
                "model": path.stem,
                "category": arguments.categories[path.stem],
                "accuracy": right_N.mean(),
                "low": low,
                "high": high,
                "n": len(right_N),
                "dimensions": logits["features"].shape[1],
                "weights_sha256": weights,
            }
        )
    # Stable: models of equal accuracy stay in the order of the model table.
    table = pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable")
    table["rank"] = range(1, len(table) + 1)
    table["place"] = table.groupby("category").cumcount() + 1
    write_table(table[COLUMNS], arguments.output)


def neighbours_of(
    path: Path, logits: Logits, labelled: np.ndarray, arguments: argparse.Namespace
) -> np.ndarray:
    """The nearest of the labelled examples of each of them, int64 [N]."""
    if "features" not in logits.tensors:
        raise InputError(
            f"{path} holds no features of model {path.stem!r}: leave the model out of the pools, "
            "or give its weights"
        )
    features_ND = logits["features"][labelled]
    if arguments.normalised == "true":
        features_ND = normalised(features_ND)
    try:
        return nearest_neighbours(features_ND)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--task", required=True, type=Path, help="data set file")
    parser.add_argument("--features", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument(
        "--categories", required=True, type=json.loads, help="JSON: model id to category, or ''"
    )
    parser.add_argument(
        "--normalised",
        required=True,
        choices=("true", "false"),
        help="whether features are scaled to length 1",
    )
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
