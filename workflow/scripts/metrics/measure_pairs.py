"""Error overlap and ensembles of every pair of models, with bootstrap intervals."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline, ensembles, pairwise
from dissent.bootstrap import multinomial_interval
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.logits import open_predictions

# The measures whose intervals are written; the others follow from the counts.
OVERLAP = (pairwise.error_inconsistency, pairwise.error_consistency)
ENSEMBLE = (ensembles.ensemble_accuracy, ensembles.ensemble_gain, ensembles.conversion_rate)


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    predictions = open_predictions(arguments.logits, examples)
    models = pd.read_csv(arguments.models, index_col="model")
    report = examples.where(arguments.report_split)
    labels_N = examples.labels[report]
    predicted_MN = np.stack([logits["predicted"][report] for logits in predictions.values()])
    table = pairwise.pair_table(list(predictions), predicted_MN == labels_N, predicted_MN)
    counts_P22 = pairwise.pair_counts(predicted_MN == labels_N)
    columns = with_intervals("", OVERLAP, counts_P22, arguments)
    for rule in ensembles.RULES:
        counts = ensembles.ensemble_counts(
            [logits["logits"][report] for logits in predictions.values()],
            predicted_MN,
            labels_N,
            models.loc[list(predictions), "temperature"].to_numpy(),
            rule,
        )
        columns |= with_intervals(f"{rule}_", ENSEMBLE, counts, arguments)
        columns[f"{rule}_rescue_fraction"] = ensembles.rescue_fraction(counts)
        columns[f"{rule}_identity_residual"] = ensembles.identity_residual(counts)
    table = table.assign(**columns)
    for member in ("1", "2"):
        table[f"category{member}"] = table[f"model{member}"].map(models["category"])
        table[f"in_window{member}"] = table[f"model{member}"].map(models["in_window"])
    write_table(table, arguments.output)


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
