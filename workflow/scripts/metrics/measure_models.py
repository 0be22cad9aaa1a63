"""Accuracy and calibration of every model, before and after temperature scaling."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline
from dissent.bootstrap import multinomial_interval
from dissent.calibration import (
    brier_score,
    confidence_calibration_error,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
)
from dissent.commandline import InputError
from dissent.examples import Examples, read_examples
from dissent.files import write_table
from dissent.logits import Logits, open_predictions
from dissent.pairwise import is_right
from dissent.progress import progress
from dissent.votes import confidence

SCORED = ("nll", "brier", "ece")


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    predictions = open_predictions(arguments.logits, examples)
    table = pd.DataFrame(
        {"model": model, "category": arguments.categories[model]}
        | measure(logits, examples, arguments)
        for model, logits in progress(predictions.items(), "measuring", len(predictions))
    )
    right_M2 = np.stack([table["accuracy"], 1 - table["accuracy"]], axis=1) * table["n"].iloc[0]
    low, high = multinomial_interval(
        right_M2.round().astype(int),
        lambda counts: counts[..., 0] / counts.sum(axis=-1),
        arguments.resamples,
        arguments.seed,
        arguments.level,
    )
    table.insert(table.columns.get_loc("accuracy") + 1, "accuracy_low", low)
    table.insert(table.columns.get_loc("accuracy") + 2, "accuracy_high", high)
    if arguments.window:
        table["in_window"] = in_window(table, arguments)
    empty = table.drop(columns="category").isna()
    table["left_out"] = [" ".join(row.index[row]) for _, row in empty.iterrows()]
    write_table(table, arguments.output)


def measure(logits: Logits, examples: Examples, arguments: argparse.Namespace) -> dict[str, float]:
    """The temperature is fitted on one split; everything else is reported on the other.

    NaN is what needs more than the model's predictions hold, a split that is not there, or one
    label an example: no probability says that any of several classes is accepted.
    """
    correct_N = is_right(logits["predicted"], examples.labels)
    report = examples.where(arguments.report_split)
    tune = np.flatnonzero(examples.splits_N == arguments.tune_split)
    row = {"n": len(report)}
    if len(tune):
        row[f"accuracy_{arguments.tune_split}"] = correct_N[tune].mean()
    row |= {"accuracy": correct_N[report].mean(), "temperature": np.nan}
    row |= {f"{name}{suffix}": np.nan for suffix in ("", "_scaled") for name in SCORED}
    held = logits.key.output if examples.labels.ndim == 1 else "classes"
    if held == "logits":
        scores_NC, labels_N = logits["logits"][report], examples.labels[report]
        row |= scored(scores_NC, labels_N, 1.0, "", arguments.bins)
        if len(tune):
            row["temperature"] = fit_temperature(logits["logits"][tune], examples.labels[tune])
            row |= scored(scores_NC, labels_N, row["temperature"], "_scaled", arguments.bins)
    elif held == "confidences":
        confidence_N = confidence(logits, report)
        row["ece"] = confidence_calibration_error(confidence_N, correct_N[report], arguments.bins)
    return row


def scored(
    scores_NC: np.ndarray, labels_N: np.ndarray, temperature: float, suffix: str, bins: int
) -> dict[str, float]:
    """How good the probabilities of all classes are."""
    return {
        f"nll{suffix}": negative_log_likelihood(scores_NC, labels_N, temperature),
        f"brier{suffix}": brier_score(scores_NC, labels_N, temperature),
        f"ece{suffix}": expected_calibration_error(scores_NC, labels_N, temperature, bins),
    }


def in_window(table: pd.DataFrame, arguments: argparse.Namespace) -> pd.Series:
    """Whether a model's accuracy is in the window: on the tune split, where there is one."""
    lowest, highest = arguments.window
    tuned = f"accuracy_{arguments.tune_split}"
    inside = table[tuned if tuned in table else "accuracy"].between(lowest, highest)
    models = table["model"][inside].tolist()
    if arguments.base not in models or len(models) < 2:
        raise InputError(
            f"the accuracy window {lowest} to {highest} should hold the base model "
            f"{arguments.base!r} and another one, and holds {', '.join(models) or 'no model'}: "
            "move or widen `accuracy_window` in the run file"
        )
    return inside


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument("--logits", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument(
        "--categories", required=True, type=json.loads, help="JSON: model id to category"
    )
    parser.add_argument("--tune-split", required=True, help="where temperatures are fitted")
    parser.add_argument("--report-split", required=True, help="where everything is reported")
    parser.add_argument(
        "--base", nargs="?", help="id of the base model, which should be in the window"
    )
    parser.add_argument("--window", type=float, nargs="*", help="lowest and highest accuracy")
    parser.add_argument("--bins", required=True, type=int, help="bins of the calibration error")
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
