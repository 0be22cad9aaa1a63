"""Error overlap and ensembles of every pair of models, with bootstrap intervals."""

import argparse
from collections.abc import Callable, Sequence
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline, ensembles, pairwise
from dissent.bootstrap import multinomial_interval
from dissent.examples import Examples, read_examples
from dissent.files import write_table
from dissent.logits import Logits, open_predictions
from dissent.tables import read_table
from dissent.votes import completed, confidence

# The measures whose intervals are written; the others follow from the counts.
OVERLAP = (pairwise.error_inconsistency, pairwise.error_consistency)
ENSEMBLE = (ensembles.ensemble_accuracy, ensembles.ensemble_gain, ensembles.conversion_rate)
# What the files of members have to hold for each rule.
NEEDED = {
    "mean_probability": ("logits",),
    "mean_logit": ("logits",),
    "most_confident": ("confidences", "logits"),
}


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    predictions = open_predictions(arguments.logits, examples)
    models = read_table(arguments.models, ["model"]).set_index("model")
    report = examples.where(arguments.report_split)
    labels = examples.labels[report]
    predicted_MN = np.stack([logits["predicted"][report] for logits in predictions.values()])
    correct_MN = np.stack([pairwise.is_right(row_N, labels) for row_N in predicted_MN])
    table = pairwise.pair_table(list(predictions), correct_MN, predicted_MN)
    columns = with_intervals("", OVERLAP, pairwise.pair_counts(correct_MN), arguments)
    temperatures_M = models.loc[list(predictions), "temperature"].fillna(1.0).to_numpy()
    left_out = pd.DataFrame(index=table.index)
    for rule in ensembles.RULES:
        counts = ensemble_counts(rule, predictions, temperatures_M, examples, report)
        columns |= with_intervals(f"{rule}_", ENSEMBLE, counts, arguments)
        columns[f"{rule}_rescue_fraction"] = ensembles.rescue_fraction(counts)
        columns[f"{rule}_identity_residual"] = ensembles.identity_residual(counts)
        left_out[rule] = ~counts.any(axis=(1, 2, 3))
    table = table.assign(**columns)
    for member in ("1", "2"):
        for name in ("category", "in_window"):
            if name in models:
                table[f"{name}{member}"] = table[f"model{member}"].map(models[name])
    table["left_out"] = [" ".join(row.index[row]) for _, row in left_out.iterrows()]
    write_table(table, arguments.output)


def ensemble_counts(
    rule: str,
    predictions: dict[str, Logits],
    temperatures_M: np.ndarray,
    examples: Examples,
    report: np.ndarray,
) -> np.ndarray:
    """Joint counts, int64 [P, 2, 2, 2], of all pairs under one rule (see `dissent.ensembles`).

    Zeros, of which every measure is undefined, where a member holds too little for the rule, or
    where examples may have several accepted classes.
    """
    able_M = np.array([logits.key.output in NEEDED[rule] for logits in predictions.values()])
    made_P = able_M[pairwise.all_pairs(len(able_M))].all(axis=1) & (examples.labels.ndim == 1)
    counts = np.zeros((len(made_P), 2, 2, 2), np.int64)
    if not made_P.any():
        return counts
    members, temperatures_M = list(compress(predictions.values(), able_M)), temperatures_M[able_M]
    predicted_MN = np.stack([logits["predicted"][report] for logits in members])
    labels_N = examples.labels[report]
    if rule == "most_confident":
        both = zip(members, temperatures_M, strict=True)
        confidence_MN = np.stack([confidence(logits, report, t) for logits, t in both])
        correct_MN = predicted_MN == labels_N
        counts[made_P] = ensembles.most_confident_counts(confidence_MN, correct_MN)
    else:
        # All have scores; this reads them a few examples at a time.
        scores = [completed(logits, report, len(examples.classes), np.nan) for logits in members]
        counts[made_P] = ensembles.ensemble_counts(
            scores, predicted_MN, labels_N, temperatures_M, rule
        )
    return counts


def with_intervals(
    prefix: str, measures: Sequence[Callable], counts: np.ndarray, arguments: argparse.Namespace
) -> dict[str, np.ndarray]:
    """Columns of each measure and the ends of its bootstrap interval, all from the same draws."""
    low_PS, high_PS = multinomial_interval(
        counts,
        lambda drawn: np.stack([measure(drawn) for measure in measures], axis=-1),
        arguments.resamples,
        arguments.seed,
        arguments.level,
    )
    columns = {}
    for measure, low_P, high_P in zip(measures, low_PS.T, high_PS.T, strict=True):
        name = prefix + measure.__name__
        columns |= {name: measure(counts), f"{name}_low": low_P, f"{name}_high": high_P}
    return columns


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument("--logits", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument("--models", required=True, type=Path, help="table of measure_models.py")
    parser.add_argument("--report-split", required=True)
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
