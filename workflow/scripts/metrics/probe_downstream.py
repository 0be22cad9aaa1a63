"""Probe features, single and of pairs, on a multi-label task no model was trained for (figure 7).

Two statistics: `diverse_pair_downstream_gain`, the rank correlation over pairs of their error
inconsistency and what the pair gains over its better member, resampling examples and models; and
`most_diverse_pair_rank`, the rank of the most inconsistent pair's gain (1 is the largest),
resampling examples.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from dissent import commandline, pairwise
from dissent.bootstrap import multinomial_interval, percentile_interval
from dissent.commandline import InputError
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.logits import open_predictions
from dissent.probes import (
    fit_probe,
    mean_average_precision,
    one_vs_rest_loss,
    probe_scores,
    read_features,
    resampled_counts,
    tuned_probe,
)
from dissent.progress import progress
from dissent.relations import resample_models, spearman_rows

HELD_OUT = 4  # one in this many training examples is where the penalty is chosen


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    if examples.labels.ndim != 2:
        raise InputError(f"{arguments.data} has one label an example: give one that has several")
    features = {
        path.stem: read_features(path, examples, arguments.train_split)
        for path in arguments.features
    }
    models = list(features)
    pairs = list(combinations(models, 2))
    correct_MN = correct_where_compared(models, arguments)
    inconsistency_P = pairwise.error_inconsistency(pairwise.pair_counts(correct_MN))
    train, report = (examples.where(s) for s in (arguments.train_split, arguments.report_split))
    example_rng, model_rng = np.random.default_rng(arguments.seed).spawn(2)
    counts_NR = resampled_counts(len(report), arguments.resamples, example_rng)

    precision_LR = []
    for members in progress([*((m,) for m in models), *pairs], "probing downstream"):
        members_ND = np.hstack([features[model] for model in members])
        weights_EC = probe(members_ND[train], examples.labels[train])
        scores_NC = probe_scores(members_ND[report], weights_EC)
        precision_LR.append(mean_average_precision(examples.labels[report], scores_NC, counts_NR))
    single_MR, pair_PR = np.split(centred(np.stack(precision_LR)), [len(models)])
    position = {model: i for i, model in enumerate(models)}
    pair_P2 = np.array([[position[model] for model in pair] for pair in pairs])
    gain_PR = pair_PR - single_MR[pair_P2].max(axis=1)
    singles = accuracies(models, correct_MN, arguments).assign(map=single_MR[:, 0])
    singles["low"], singles["high"] = percentile_interval(single_MR[:, 1:].T, arguments.level)
    table = pd.DataFrame(pairs, columns=["model1", "model2"]).assign(
        error_inconsistency=inconsistency_P, map=pair_PR[:, 0], gain=gain_PR[:, 0]
    )
    table["low"], table["high"] = percentile_interval(gain_PR[:, 1:].T, arguments.level)
    write_table(singles.assign(n=len(report)), arguments.output_singles)
    write_table(table.assign(n=len(report)), arguments.output_pairs)
    write_table(
        statistics(pair_P2, inconsistency_P, gain_PR, arguments, model_rng),
        arguments.output_statistics,
    )


def correct_where_compared(models: list[str], arguments) -> np.ndarray:
    """Whether each model is right on the report examples of the compared data, bool [M, N]."""
    examples = read_examples(arguments.compared_data)
    predictions = open_predictions(arguments.compared_logits, examples)
    if sorted(predictions) != sorted(models):
        raise InputError("--compared-logits should be of the same models as --features")
    report = examples.where(arguments.report_split)
    predicted_MN = np.stack([predictions[model]["predicted"][report] for model in models])
    return predicted_MN == examples.labels[report]


def accuracies(models: list[str], correct_MN: np.ndarray, arguments) -> pd.DataFrame:
    """One row a model: accuracy on the compared data, its interval over examples, and n."""
    right_M, n = correct_MN.sum(axis=1), correct_MN.shape[1]
    low, high = multinomial_interval(
        np.stack([right_M, n - right_M], axis=1),
        lambda counts: counts[..., 0] / n,
        arguments.resamples,
        arguments.seed,
        arguments.level,
    )
    columns = {"accuracy": right_M / n, "accuracy_low": low, "accuracy_high": high}
    return pd.DataFrame({"model": models, **columns, "accuracy_n": n})


def probe(train_ND: np.ndarray, labels_NC: np.ndarray) -> np.ndarray:
    """Weights [E, C] fitted on all training examples, with the penalty best on a held-out part."""
    held_out_N = np.arange(len(train_ND)) % HELD_OUT == 0
    penalty, weights_EC = tuned_probe(
        train_ND[~held_out_N],
        labels_NC[~held_out_N],
        train_ND[held_out_N],
        labels_NC[held_out_N],
        one_vs_rest_loss,
        precision,
    )
    return fit_probe(train_ND, labels_NC, one_vs_rest_loss, penalty, weights_EC)


def precision(scores_NC: np.ndarray, labels_NC: np.ndarray) -> float:
    """Mean average precision of the examples as they are."""
    once_N1 = np.ones((len(labels_NC), 1), np.int16)
    return mean_average_precision(labels_NC, scores_NC, once_N1)[0]


def centred(values_LR: np.ndarray) -> np.ndarray:
    """Shift the resampled values (all but the first) so that their mean is the sample's value.

    The average precision of resamples is too high, as copies of an example are ranked together.
    """
    bias_L1 = values_LR[:, 1:].mean(axis=1, keepdims=True) - values_LR[:, :1]
    return np.hstack([values_LR[:, :1], values_LR[:, 1:] - bias_L1])


def statistics(
    pair_P2: np.ndarray,
    inconsistency_P: np.ndarray,
    gain_PR: np.ndarray,
    arguments,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Both statistics; n counts pairs. Axis R: the sample itself, then its resamples.

    Pairs share models, so models are drawn, with replacement, and all pairs of different ones among
    them count. Error inconsistency is taken as known.
    """
    n_models = pair_P2.max() + 1
    index_RM = resample_models(np.zeros(n_models), arguments.resamples, rng)
    pair_of_MM = np.full((n_models, n_models), -1)
    pair_of_MM[tuple(pair_P2.T)] = pair_of_MM[tuple(pair_P2.T[::-1])] = np.arange(len(pair_P2))
    drawn_RP = pair_of_MM[index_RM[:, pair_P2[:, 0]], index_RM[:, pair_P2[:, 1]]]
    inconsistency_RP = np.where(drawn_RP < 0, np.nan, inconsistency_P[drawn_RP])
    gain_RP = np.take_along_axis(gain_PR.T, drawn_RP, axis=1)
    most_diverse = inconsistency_P.argmax()
    values = {
        "diverse_pair_downstream_gain": spearman_rows(inconsistency_RP, gain_RP),
        "most_diverse_pair_rank": rankdata(-gain_PR, axis=0)[most_diverse],
    }
    table = pd.DataFrame(
        [
            (name, value_R[0], *percentile_interval(value_R[1:], arguments.level), len(pair_P2))
            for name, value_R in values.items()
        ],
        columns=["statistic", "value", "low", "high", "n"],
    )
    return table.assign(n_of="pairs")


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="multi-label data set file")
    parser.add_argument("--features", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument(
        "--compared-data", required=True, type=Path, help="data set file all models predict"
    )
    parser.add_argument(
        "--compared-logits", required=True, nargs="+", type=Path, help="logits files on it"
    )
    parser.add_argument("--train-split", required=True, help="where probes are fitted")
    parser.add_argument("--report-split", required=True, help="where precision is reported")
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output-singles", required=True, type=Path)
    parser.add_argument("--output-pairs", required=True, type=Path)
    parser.add_argument("--output-statistics", required=True, type=Path)
    commandline.run(main, parser.parse_args())
