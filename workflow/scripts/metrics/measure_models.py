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
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
)
from dissent.commandline import InputError
from dissent.examples import Examples, read_examples
from dissent.files import write_table
from dissent.logits import Logits, open_predictions
from dissent.progress import progress


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
    lowest, highest = arguments.window
    table["in_window"] = table[f"accuracy_{arguments.tune_split}"].between(lowest, highest)
    inside = table["model"][table["in_window"]].tolist()
    if arguments.base not in inside or len(inside) < 2:
        raise InputError(
            f"the accuracy window {lowest} to {highest} should hold the base model "
            f"{arguments.base!r} and another one, and holds {', '.join(inside) or 'no model'}: "
            "move or widen `accuracy_window` in the run file"
        )
    write_table(table, arguments.output)


def measure(logits: Logits, examples: Examples, arguments: argparse.Namespace) -> dict[str, float]:
    """The temperature is fitted on one split; everything else is reported on the other."""
    tune, report = (examples.where(s) for s in (arguments.tune_split, arguments.report_split))
    correct_N = logits["predicted"] == examples.labels
    temperature = fit_temperature(logits["logits"][tune], examples.labels[tune])
    report_logits_NC, labels_N = logits["logits"][report], examples.labels[report]
    row = {
        "n": len(report),
        f"accuracy_{arguments.tune_split}": correct_N[tune].mean(),
        "accuracy": correct_N[report].mean(),
        "temperature": temperature,
    }
    for suffix, divisor in (("", 1.0), ("_scaled", temperature)):
        row |= {
            f"nll{suffix}": negative_log_likelihood(report_logits_NC, labels_N, divisor),
            f"brier{suffix}": brier_score(report_logits_NC, labels_N, divisor),
            f"ece{suffix}": expected_calibration_error(
                report_logits_NC, labels_N, divisor, arguments.bins
            ),
        }
    return row


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument("--logits", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument(
        "--categories", required=True, type=json.loads, help="JSON: model id to category"
    )
    parser.add_argument("--tune-split", required=True, help="where temperatures are fitted")
    parser.add_argument("--report-split", required=True, help="where everything is reported")
    parser.add_argument("--base", required=True, help="id of the base model")
    parser.add_argument("--window", required=True, type=float, nargs=2, metavar=("LOW", "HIGH"))
    parser.add_argument("--bins", required=True, type=int, help="bins of the calibration error")
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
