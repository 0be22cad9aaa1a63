"""Add weak models to strong ones greedily: chosen on one split, reported on another."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline
from dissent.bootstrap import bootstrap_interval
from dissent.commandline import InputError
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.greedy import greedy_addition, prefix_correct
from dissent.logits import Logits, open_predictions
from dissent.tables import read_table


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    predictions = with_scores(open_predictions(arguments.logits, examples), arguments.start)
    models = read_table(arguments.models, ["model"]).set_index("model").loc[list(predictions)]
    temperatures_M = models["temperature"].to_numpy()
    tune, report = (examples.where(s) for s in (arguments.tune_split, arguments.report_split))
    tune_logits = [p["logits"][tune] for p in predictions.values()]
    report_logits = [p["logits"][report] for p in predictions.values()]
    names = list(predictions)
    weak = [
        i
        for i, accuracy in enumerate(models[f"accuracy_{arguments.tune_split}"])
        if accuracy <= arguments.highest and names[i] not in arguments.start
    ]
    additions = min(arguments.max_added, len(weak))
    if not additions:
        raise InputError("no model is weak enough to be added: raise the accuracy window's end")
    trajectories, final_correct_SN, start_correct_SN = [], [], []
    for start in arguments.start:
        order, tune_accuracy_K = greedy_addition(
            tune_logits, examples.labels[tune], temperatures_M, names.index(start), weak, additions
        )
        correct_KN = prefix_correct(report_logits, examples.labels[report], temperatures_M, order)
        low_K, high_K = interval(lambda c_NK: c_NK.mean(axis=0), correct_KN.T, arguments)
        # The size too is chosen on the tune split: the smallest of the most accurate ones.
        chosen = int(tune_accuracy_K.argmax())
        start_correct_SN.append(correct_KN[0])
        final_correct_SN.append(correct_KN[chosen])
        trajectories.append(
            pd.DataFrame(
                {
                    "start": start,
                    "added": range(len(order)),
                    "model": [names[i] for i in order],
                    "category": [models["category"].iloc[i] for i in order],
                    "own_accuracy": [models["accuracy"].iloc[i] for i in order],
                    f"accuracy_{arguments.tune_split}": tune_accuracy_K,
                    "accuracy": correct_KN.mean(axis=1),
                    "accuracy_low": low_K,
                    "accuracy_high": high_K,
                    "chosen": np.arange(len(order)) == chosen,
                    "n": len(report),
                }
            )
        )
    gain_N = np.mean(final_correct_SN, axis=0) - np.mean(start_correct_SN, axis=0)
    low, high = interval(np.mean, gain_N, arguments)
    statistics = pd.DataFrame(
        [("greedy_gain", gain_N.mean(), low, high, len(gain_N), "examples")],
        columns=["statistic", "value", "low", "high", "n", "n_of"],
    )
    for table, output in (
        (pd.concat(trajectories), arguments.output),
        (statistics, arguments.output_statistics),
    ):
        write_table(table, output)


def with_scores(predictions: dict[str, Logits], start: list[str]) -> dict[str, Logits]:
    """The models whose files hold scores of all classes; the strong ones have to."""
    held = {model: logits.key.output == "logits" for model, logits in predictions.items()}
    if without := [model for model in start if not held[model]]:
        raise InputError(
            f"greedy addition cannot start from {without[0]!r}, of which not all scores are known: "
            "take it out of `greedy.start` in the run file"
        )
    if passed_over := [model for model in held if not held[model]]:
        logging.info("passed over, as not all scores are known: %s", ", ".join(passed_over))
    return {model: logits for model, logits in predictions.items() if held[model]}


def interval(statistic, values, arguments: argparse.Namespace) -> np.ndarray:
    return bootstrap_interval(
        statistic,
        values,
        n_resamples=arguments.resamples,
        seed=arguments.seed,
        level=arguments.level,
    )


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument("--logits", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument("--models", required=True, type=Path, help="table of measure_models.py")
    parser.add_argument("--start", required=True, nargs="+", help="ids of the strong models")
    parser.add_argument(
        "--highest", required=True, type=float, help="tune accuracy up to which a model is weak"
    )
    parser.add_argument("--max-added", required=True, type=int)
    parser.add_argument("--tune-split", required=True, help="where models are chosen")
    parser.add_argument("--report-split", required=True, help="where accuracies are reported")
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--output-statistics", required=True, type=Path)
    commandline.run(main, parser.parse_args())
