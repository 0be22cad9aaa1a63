"""How pairs with the base model change from reinit to datasets: category means and trends."""

import argparse
import json
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline, relations
from dissent.bootstrap import percentile_interval
from dissent.commandline import InputError
from dissent.ensembles import RULES, first_decides, pair_prediction, scaled_logits
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.logits import Logits, open_predictions
from dissent.progress import progress
from dissent.specialisation import confidence_angle
from dissent.tables import read_table
from dissent.votes import completed, confidence

TRENDS = {
    "inconsistency_by_category": ("category", "error_inconsistency"),
    "error_consistency_by_category": ("category", "error_consistency"),
    "gain_by_inconsistency": ("error_inconsistency", "ensemble_gain"),
    "conversion_by_inconsistency": ("error_inconsistency", "conversion_rate"),
    "specialisation_by_category": ("category", "specialisation"),
}
# Models are drawn within their category. One or two hardly vary, and intervals would be far too
# narrow: with one model a category, a trend of nothing seems to be one in a quarter of all cases.
LEAST_MODELS = 3
NONE = (np.nan, np.nan)
EXAMPLES_AT_A_TIME = 2**12  # with 1,000 classes 16 MB an array
# What a model says of the report examples: confidences are tempered, and NaN of classes alone;
# logits are `Completed`, and None where there are not all.
Answers = namedtuple("Answers", ["predicted_N", "confidence_N", "logits", "temperature"])


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    if examples.labels.ndim != 1:
        raise InputError(
            f"{arguments.data} accepts several classes an example: give a data set with one label"
        )
    models = read_table(arguments.models, ["model"]).set_index("model")
    others = [m for m in models.index[models["in_window"]] if m != arguments.base]
    if not others:
        raise InputError(
            f"no model but {arguments.base!r} may be compared: none other is in the accuracy window"
        )
    paths = {path.stem: path for path in arguments.logits}
    predictions = open_predictions([paths[m] for m in (arguments.base, *others)], examples)
    # Examples and models are drawn from streams of their own.
    example_seed, model_seed = np.random.SeedSequence(arguments.seed).spawn(2)
    temperatures = models["temperature"].fillna(1.0)
    measures = measure(predictions, temperatures, examples, arguments, example_seed)
    rank = {category: i for i, category in enumerate(arguments.order)}
    category_P = models.loc[others, "category"].map(rank).to_numpy()
    means = category_means(measures, category_P, arguments, model_seed)
    statistics = trends(measures, category_P, arguments.level, model_seed)
    write_table(means, arguments.output_categories)
    write_table(statistics, arguments.output_statistics)
    write_table(pair_rows(others, models, measures, arguments), arguments.output_pairs)


def measure(predictions, temperatures, examples, arguments, seed) -> dict[str, np.ndarray]:
    """Measures, [1 + R, P], of the pairs of the first model with each other one.

    See `base_pair_measures`; NaN where a member says too little.
    """
    report = examples.where(arguments.report_split)
    labels_N = examples.labels[report]
    base, *others = (
        answers_of(logits, report, temperatures[model]) for model, logits in predictions.items()
    )
    correct, together, angle = [], [], []
    for other in progress(others, "pairs with the base model"):
        correct.append(other.predicted_N == labels_N)
        together.append(prediction_together(base, other, arguments.rule))
        angle.append(confidence_angle(base.confidence_N, other.confidence_N))
    together_PN = np.stack(together)
    measures = relations.base_pair_measures(
        base.predicted_N == labels_N,
        np.stack(correct),
        together_PN == labels_N,
        np.stack(angle),
        arguments.resamples,
        np.random.default_rng(seed),
    )
    for name in ("ensemble_gain", "conversion_rate"):
        measures[name][:, (together_PN < 0).all(axis=1)] = np.nan
    return measures


def answers_of(logits: Logits, report: np.ndarray, temperature: float) -> Answers:
    """What a model says of the report examples, as much as its file holds."""
    confidence_N, all_logits = np.full(len(report), np.nan), None
    if logits.key.output != "classes":
        confidence_N = confidence(logits, report, temperature)
    if logits.key.output == "logits":
        # Read a part at a time.
        all_logits = completed(logits, report, len(logits.key.label_map), np.nan)
    return Answers(logits["predicted"][report], confidence_N, all_logits, temperature)


def prediction_together(first: Answers, second: Answers, rule: str) -> np.ndarray:
    """Class [N] that two models choose together; -1 if one says too little for the rule."""
    predicted_2N = np.stack([first.predicted_N, second.predicted_N])
    if rule == "most_confident":
        confidence_2N = np.stack([first.confidence_N, second.confidence_N])
        chosen_N = np.where(first_decides(*confidence_2N), *predicted_2N)
        return np.where(np.isnan(confidence_2N).any(axis=0), -1, chosen_N)
    chosen_N = np.full(len(first.predicted_N), -1)
    if first.logits is not None and second.logits is not None:
        for start in range(0, len(chosen_N), EXAMPLES_AT_A_TIME):
            part = slice(start, start + EXAMPLES_AT_A_TIME)
            scaled = (scaled_logits(one.logits[part], one.temperature) for one in (first, second))
            chosen_N[part] = pair_prediction(*scaled, predicted_2N[:, part], rule)
    return chosen_N


def resampled(measures, category_P, seed) -> tuple[list[np.ndarray], np.ndarray]:
    """Measures [1 + R, P] with models drawn anew, and the models' categories.

    They are drawn from those that have a value of each of the measures, and by the same seed, so
    that measures which all models have share their draws.
    """
    has_P = np.isfinite([values_RP[0] for values_RP in measures]).all(axis=0)
    rng = np.random.default_rng(seed)
    index_RP = relations.resample_models(category_P[has_P], len(measures[0]) - 1, rng)
    drawn = [np.take_along_axis(values_RP[:, has_P], index_RP, axis=1) for values_RP in measures]
    return drawn, category_P[has_P]


def category_means(measures, category_P, arguments, seed) -> pd.DataFrame:
    """Mean of each measure over the pairs of each category that have it, with its interval."""
    rows = []
    for name, values_RP in measures.items():
        (drawn_RP,), category_of = resampled([values_RP], category_P, seed)
        for rank, category in enumerate(arguments.order):
            members_P = category_of == rank
            if members_P.any():
                mean_R = drawn_RP[:, members_P].mean(axis=1)
                enough = members_P.sum() >= LEAST_MODELS
                interval = percentile_interval(mean_R[1:], arguments.level) if enough else NONE
                rows.append((category, name, mean_R[0], *interval, members_P.sum()))
    return pd.DataFrame(rows, columns=["category", "measure", "mean", "low", "high", "n_models"])


def trends(measures, category_P, level, seed) -> pd.DataFrame:
    """Rank correlations over pairs with the base model; without intervals if models are few."""
    n_rows = len(measures["error_inconsistency"])
    measures = measures | {"category": np.tile(category_P, (n_rows, 1))}
    rows = []
    for statistic, names in TRENDS.items():
        drawn, category_of = resampled([measures[name] for name in names], category_P, seed)
        value_R, n = relations.spearman_rows(*drawn), len(category_of)
        fewest = np.unique(category_of, return_counts=True)[1].min(initial=n)
        enough = fewest >= LEAST_MODELS
        interval = percentile_interval(value_R[1:], level) if enough else NONE
        rows.append((statistic, value_R[0], *interval, n))
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
