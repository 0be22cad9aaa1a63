"""Accuracy and calibration of single models, of every pair, and of all models averaged."""

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline, reliability
from dissent.bootstrap import percentile_interval
from dissent.calibration import fit_temperature, log_probabilities, negative_log_likelihood
from dissent.commandline import InputError
from dissent.examples import Examples, read_examples
from dissent.files import write_table
from dissent.logits import Logits, open_predictions
from dissent.probes import resampled_counts
from dissent.progress import progress


def main(arguments: argparse.Namespace) -> None:
    examples, predictions = read(arguments)
    labels_N = examples.labels[examples.where(arguments.report_split)]
    temperatures, losses = fitted(predictions, examples, arguments)
    example_rng, label_rng = np.random.default_rng(arguments.seed).spawn(2)
    counts_NR = resampled_counts(len(labels_N), arguments.resamples, example_rng)
    tables, bins, single = [], [], {}
    for members in progress(combined(list(predictions)), "measuring calibration"):
        best = min(members, key=losses.get)
        chosen = {model: predictions[model] for model in members}
        for variant, temperature, log_probability_NC, correct_N in variants(
            chosen, temperatures, examples, arguments
        ):
            columns_NK = reliability.score_columns(
                log_probability_NC, correct_N, labels_N, arguments.bins
            )
            scores_RK = reliability.resampled_scores(columns_NK, counts_NR)
            confidence_N = np.exp(log_probability_NC.max(axis=1))
            calibrated_R = reliability.calibrated_errors(
                confidence_N, arguments.bins, arguments.resamples, label_rng
            )
            table = measured(scores_RK, single.get(best), calibrated_R, arguments.level)
            parts = reliability.reliability_bins(
                confidence_N, correct_N, arguments.bins, arguments.level
            )
            name = {"members": " + ".join(members), "n_members": len(members), "variant": variant}
            about = {"temperature": temperature, "best_member": best, "n": len(labels_N)}
            tables.append(pd.DataFrame(name, table.index).join(table).assign(**about))
            bins.append(pd.DataFrame(name, parts.index).join(parts))
        if len(members) == 1:
            single[best] = scores_RK
    write_table(pd.concat(tables), arguments.output_table)
    write_table(pd.concat(bins), arguments.output_bins)


def read(arguments: argparse.Namespace) -> tuple[Examples, dict[str, Logits]]:
    """The data set and what two models or more say of it."""
    examples = read_examples(arguments.data)
    if examples.labels.ndim != 1:
        raise InputError(
            f"{arguments.data} accepts several classes an example: calibration needs one label each"
        )
    predictions = open_predictions(arguments.logits, examples, least="logits")
    if len(predictions) < 2:
        raise InputError("--logits should be files of two models or more: an ensemble needs two")
    return examples, predictions


def fitted(
    predictions: dict[str, Logits], examples: Examples, arguments: argparse.Namespace
) -> tuple[dict[str, float], dict[str, float]]:
    """Each model's temperature, and its negative log-likelihood with it, on the tune split."""
    tune = examples.where(arguments.tune_split)
    labels_N, temperatures, losses = examples.labels[tune], {}, {}
    for model, logits in predictions.items():
        logits_NC = logits["logits"][tune]
        temperatures[model] = fit_temperature(logits_NC, labels_N)
        losses[model] = negative_log_likelihood(logits_NC, labels_N, temperatures[model])
    return temperatures, losses


def combined(models: list[str]) -> list[tuple[str, ...]]:
    """Every model, every pair, and all, if there are more than two."""
    every = [tuple(models)] if len(models) > 2 else []
    return [*((model,) for model in models), *combinations(models, 2), *every]


def variants(
    members: dict[str, Logits],
    temperatures: dict[str, float],
    examples: Examples,
    arguments: argparse.Namespace,
) -> Iterator[tuple[str, float, np.ndarray, np.ndarray]]:
    """Each variant's name, temperature, log-probabilities [N, C] and correctness, on report."""
    tune, report = (examples.where(s) for s in (arguments.tune_split, arguments.report_split))
    report_logits = [logits["logits"][report] for logits in members.values()]
    predicted_MN = np.stack([logits["predicted"][report] for logits in members.values()])
    ones, own = [1.0] * len(members), [temperatures[model] for model in members]
    raw_NC = reliability.mean_log_probabilities(report_logits, ones)
    scaled_NC = reliability.mean_log_probabilities(report_logits, own)
    made = {"raw": (np.nan, raw_NC), "members_scaled": (np.nan, scaled_NC)}
    if len(members) == 1:
        made["members_scaled"] = own[0], scaled_NC
    else:
        tune_logits = [logits["logits"][tune] for logits in members.values()]
        tune_NC = reliability.mean_log_probabilities(tune_logits, ones)
        temperature = fit_temperature(tune_NC, examples.labels[tune])
        made["ensemble_scaled"] = temperature, log_probabilities(raw_NC, temperature)
    for variant, (temperature, log_probability_NC) in made.items():
        predicted_N = reliability.ensemble_prediction(log_probability_NC, predicted_MN)
        correct_N = predicted_N == examples.labels[report]
        yield variant, temperature, log_probability_NC, correct_N


def measured(
    scores_RK: np.ndarray, best_RK: np.ndarray | None, calibrated_R: np.ndarray, level: float
) -> pd.DataFrame:
    """One row a measure: its value, and its difference to the best member's, with intervals.

    The best member is tempered. The last row is the calibration error of a calibrated model with
    the same confidences.
    """
    difference_RK = scores_RK - (np.nan if best_RK is None else best_RK)
    low_K, high_K = percentile_interval(scores_RK[1:], level)
    difference_low_K, difference_high_K = percentile_interval(difference_RK[1:], level)
    table = pd.DataFrame(
        {
            "measure": reliability.MEASURES,
            "value": scores_RK[0],
            "low": low_K,
            "high": high_K,
            "difference": difference_RK[0],
            "difference_low": difference_low_K,
            "difference_high": difference_high_K,
        }
    )
    low, high = percentile_interval(calibrated_R, level)
    calibrated = {"value": calibrated_R.mean(), "low": low, "high": high}
    table.loc[len(table)] = {"measure": "ece_if_calibrated"} | calibrated
    return table


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument(
        "--logits", required=True, nargs="+", type=Path, help="logits files with all scores"
    )
    parser.add_argument("--tune-split", required=True, help="where temperatures are fitted")
    parser.add_argument("--report-split", required=True, help="where everything is reported")
    parser.add_argument("--bins", required=True, type=int, help="bins of the calibration error")
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output-table", required=True, type=Path)
    parser.add_argument("--output-bins", required=True, type=Path)
    commandline.run(main, parser.parse_args())
