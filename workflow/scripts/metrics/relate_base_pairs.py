"""How pairs with the base model change from reinit to datasets: category means and trends."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline, relations
from dissent.bootstrap import percentile_interval
from dissent.commandline import InputError
from dissent.ensembles import RULES, pair_prediction, scaled_logits, softmax
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.logits import open_predictions
from dissent.progress import progress
from dissent.specialisation import confidence_angle

TRENDS = {
    "inconsistency_by_category": ("category", "error_inconsistency"),
    "error_consistency_by_category": ("category", "error_consistency"),
    "gain_by_inconsistency": ("error_inconsistency", "ensemble_gain"),
    "conversion_by_inconsistency": ("error_inconsistency", "conversion_rate"),
    "specialisation_by_category": ("category", "specialisation"),
}


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    models = pd.read_csv(arguments.models, index_col="model")
    others = [m for m in models.index[models["in_window"]] if m != arguments.base]
    if not others:
        raise InputError(
            f"no model but {arguments.base!r} may be compared: none other is in the accuracy window"
        )
    report = examples.where(arguments.report_split)
    labels_N = examples.labels[report]
    example_rng, model_rng = np.random.default_rng(arguments.seed).spawn(2)
    paths = {path.stem: path for path in arguments.logits}
    predictions = open_predictions([paths[m] for m in (arguments.base, *others)], examples)

    def tempered(model: str) -> np.ndarray:
        temperature = models.loc[model, "temperature"]
        return scaled_logits(predictions[model]["logits"][report], temperature)

    base_NC = tempered(arguments.base)
    base_predicted_N = predictions[arguments.base]["predicted"][report]
    base_confidence_N = softmax(base_NC).max(axis=1)
    correct, ensemble_correct, angle = [], [], []
    for model in progress(others, "pairs with the base model"):
        other_NC = tempered(model)
        predicted_2N = np.stack([base_predicted_N, predictions[model]["predicted"][report]])
        together_N = pair_prediction(base_NC, other_NC, predicted_2N, arguments.rule)
        correct.append(predicted_2N[1] == labels_N)
        ensemble_correct.append(together_N == labels_N)
        angle.append(confidence_angle(base_confidence_N, softmax(other_NC).max(axis=1)))
    measures = relations.base_pair_measures(
        base_predicted_N == labels_N,
        np.stack(correct),
        np.stack(ensemble_correct),
        np.stack(angle),
        arguments.resamples,
        example_rng,
    )
    rank = {category: i for i, category in enumerate(arguments.order)}
    category_P = models.loc[others, "category"].map(rank).to_numpy()
    index_RP = relations.resample_models(category_P, arguments.resamples, model_rng)
    drawn = {name: np.take_along_axis(v, index_RP, axis=1) for name, v in measures.items()}
    write_table(category_means(drawn, category_P, arguments), arguments.output_categories)
    write_table(trends(drawn, category_P, arguments.level), arguments.output_statistics)
    write_table(pair_rows(others, models, measures, arguments), arguments.output_pairs)


def category_means(drawn, category_P, arguments) -> pd.DataFrame:
    """Mean of each measure over the pairs of each category, with its interval."""
    rows = []
    for name, values_RP in drawn.items():
        for rank, category in enumerate(arguments.order):
            if (members_P := category_P == rank).any():
                mean_R = values_RP[:, members_P].mean(axis=1)
                low, high = percentile_interval(mean_R[1:], arguments.level)
                rows.append((category, name, mean_R[0], low, high, members_P.sum()))
    return pd.DataFrame(rows, columns=["category", "measure", "mean", "low", "high", "n_models"])


def trends(drawn, category_P, level) -> pd.DataFrame:
    """Rank correlations over pairs with the base model, with their intervals."""
    drawn = drawn | {"category": np.tile(category_P, (len(drawn["error_inconsistency"]), 1))}
    rows = []
    for statistic, (first, second) in TRENDS.items():
        value_R = relations.spearman_rows(drawn[first], drawn[second])
        low, high = percentile_interval(value_R[1:], level)
        rows.append((statistic, value_R[0], low, high, len(category_P)))
    table = pd.DataFrame(rows, columns=["statistic", "value", "low", "high", "n"])
    return table.assign(n_of="pairs with the base model")


def pair_rows(others, models, measures, arguments) -> pd.DataFrame:
    """Each pair's measures, with intervals over examples alone."""
    columns = {"model": others, "category": models.loc[others, "category"].to_numpy()}
    for name, values_RP in measures.items():
        low, high = percentile_interval(values_RP[1:], arguments.level)
        columns |= {name: values_RP[0], f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument("--logits", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument("--models", required=True, type=Path, help="table of measure_models.py")
    parser.add_argument("--base", required=True, help="id of the base model")
    parser.add_argument(
        "--order", required=True, type=json.loads, help="JSON: categories, least different first"
    )
    parser.add_argument("--rule", required=True, choices=RULES, help="how two models combine")
    parser.add_argument("--report-split", required=True)
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output-pairs", required=True, type=Path)
    parser.add_argument("--output-categories", required=True, type=Path)
    parser.add_argument("--output-statistics", required=True, type=Path)
    commandline.run(main, parser.parse_args())
