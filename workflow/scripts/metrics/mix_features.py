"""Probe mixed features of a base and other models, and their most diverse dimensions (figure 6).

Two statistics: `mixed_features_gain`, the accuracy of half of both less that of the better of
either model's own features (all of them), mean over the models beyond the least different category;
and `selection_saves_dimensions`, the rank correlation of category and dimensions needed for the
base's accuracy less one point (negative if divergent pairs need fewer). Their intervals resample
examples and models.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline
from dissent.bootstrap import percentile_interval
from dissent.commandline import InputError
from dissent.examples import Examples, read_examples
from dissent.files import write_table
from dissent.probes import (
    mixed_dimensions,
    probe_scores,
    rank_by_diversity,
    read_features,
    resampled_counts,
    softmax_loss,
    tuned_probe,
)
from dissent.progress import progress
from dissent.relations import resample_models, spearman_rows

TOLERATED_LOSS = 0.01  # of the base's accuracy, when dimensions are dropped
CENSORED = 2  # times the most dimensions tried, where they are not enough


def main(arguments: argparse.Namespace) -> None:
    if not {0, 50} <= set(arguments.shares):
        raise InputError("--shares lacks 0 or 50: the gain of mixing compares these")
    examples = read_examples(arguments.data)
    if examples.labels.ndim != 1:
        raise InputError(f"{arguments.data} has several labels an example: give one that has one")
    base_ND = read_features(arguments.base, examples, arguments.train_split)
    features = {
        path.stem: np.hstack([base_ND, read_features(path, examples, arguments.train_split)])
        for path in arguments.others
    }
    n_base = base_ND.shape[1]
    mixing = mixing_rows(features, n_base, arguments)
    others = other_rows(features, n_base)
    selection = selection_rows(features, n_base, examples, arguments)
    correct_LN = probe_all([*mixing, *others, *selection], features, n_base, examples, arguments)
    n = correct_LN.shape[1]
    example_rng, model_rng = np.random.default_rng(arguments.seed).spawn(2)
    counts_NR = resampled_counts(n, arguments.resamples, example_rng).astype(np.float32)
    ends = np.cumsum([len(mixing), len(others)])
    mixing_LR, other_MR, selection_LR = np.split(correct_LN @ counts_NR, ends)
    other = table(others, other_MR, n, arguments).set_index("model")
    other = other[["accuracy", "low", "high"]].add_prefix("other_")
    mixing_table = table(mixing, mixing_LR, n, arguments).join(other, on="model")
    write_table(mixing_table, arguments.output_mixing)
    write_table(table(selection, selection_LR, n, arguments), arguments.output_selection)
    mixing_MSTR = mixing_LR.reshape(len(features), len(arguments.shares), arguments.repeats, -1)
    selection_MKR = selection_LR.reshape(len(features), len(arguments.kept), -1)
    rank_M = np.array([arguments.order.index(arguments.categories[model]) for model in features])
    write_table(
        statistics(rank_M, mixing_MSTR, other_MR, selection_MKR, n, arguments, model_rng),
        arguments.output_statistics,
    )


def mixing_rows(features: dict[str, np.ndarray], n_base: int, arguments) -> list[dict]:
    """Random mixes of every model with the base: the same draws for all models and shares."""
    rows = []
    for model, both_ND in features.items():
        for share in arguments.shares:
            for repeat in range(arguments.repeats):
                rng = np.random.default_rng([arguments.seed, repeat])
                chosen = mixed_dimensions(n_base, both_ND.shape[1] - n_base, share, rng)
                rows.append({"model": model, "share": share, "repeat": repeat, "chosen": chosen})
    return rows


def other_rows(features: dict[str, np.ndarray], n_base: int) -> list[dict]:
    """All features of every other model: a wider one than the base is cut in the mixes."""
    return [
        {"model": model, "chosen": np.arange(n_base, both_ND.shape[1])}
        for model, both_ND in features.items()
    ]


def selection_rows(
    features: dict[str, np.ndarray], n_base: int, examples: Examples, arguments
) -> list[dict]:
    """The most diverse dimensions of every model and the base together."""
    train, rows = examples.where(arguments.train_split), []
    for model, both_ND in features.items():
        if both_ND.shape[1] < max(arguments.kept):
            raise InputError(
                f"--kept asks for {max(arguments.kept)} dimensions, {model!r} and the base have "
                f"{both_ND.shape[1]} together: keep fewer"
            )
        order = rank_by_diversity(*np.split(both_ND[train], [n_base], axis=1))
        rows += [{"model": model, "chosen": np.sort(order[:kept])} for kept in arguments.kept]
    return rows


def probe_all(
    rows: list[dict], features: dict[str, np.ndarray], n_base: int, examples: Examples, arguments
) -> np.ndarray:
    """Whether the probe of each row's dimensions is right on the report split, bool [L, n]."""
    splits = arguments.train_split, arguments.tune_split, arguments.report_split
    train, tune, report = map(examples.where, splits)
    targets_NC = np.eye(len(examples.classes))[examples.labels]
    known, correct = {}, []
    for row in progress(rows, "probing mixed features"):
        # Several rows are the base alone, or all of the other, whatever the repeat.
        of_base_alone = row["chosen"][-1] < n_base
        key = None if of_base_alone else row["model"], row["chosen"].tobytes()
        if key not in known:
            chosen_ND = features[row["model"]][:, row["chosen"]]
            _, weights_EC = tuned_probe(
                chosen_ND[train],
                targets_NC[train],
                chosen_ND[tune],
                targets_NC[tune],
                softmax_loss,
                # Accuracy would be too coarse to choose by.
                lambda scores_NC, targets_NC: -softmax_loss(scores_NC, targets_NC)[0],
            )
            scores_NC = probe_scores(chosen_ND[report], weights_EC)
            known[key] = scores_NC.argmax(axis=1) == examples.labels[report]
        correct.append(known[key])
    return np.stack(correct)


def table(rows: list[dict], right_LR: np.ndarray, n: int, arguments) -> pd.DataFrame:
    """Rows with category, number of dimensions, accuracy, its interval over examples, and n."""
    made = pd.DataFrame(rows)
    made.insert(1, "category", made["model"].map(arguments.categories))
    made["dimensions"] = made.pop("chosen").map(len)
    accuracy_LR = right_LR.astype(np.float64) / n
    low, high = percentile_interval(accuracy_LR[:, 1:].T, arguments.level)
    return made.assign(accuracy=accuracy_LR[:, 0], low=low, high=high, n=n)


def statistics(
    rank_M: np.ndarray,
    mixing_MSTR: np.ndarray,
    other_MR: np.ndarray,
    selection_MKR: np.ndarray,
    n: int,
    arguments,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Both statistics with their intervals; their n counts models.

    From the models' ranks in the order of categories, and how many of n examples the probes have
    right: of S shares in T repeats, of all features of the others, and of K numbers of dimensions.
    Axis R: the sample itself, then its resamples.
    """
    diverging_M = rank_M > 0
    if not diverging_M.any():
        raise InputError(
            f"--others are all of category {arguments.order[0]!r}: add one that is not"
        )
    base_MR, half_MR = (
        mixing_MSTR[:, arguments.shares.index(share)].mean(axis=1, dtype=np.float64)
        for share in (0, 50)
    )
    gain_MR = (half_MR - np.maximum(base_MR, other_MR)) / n
    reached_MKR = selection_MKR >= base_MR[0] - TOLERATED_LOSS * n
    never = CENSORED * max(arguments.kept)
    needed_MR = np.where(reached_MKR, np.array(arguments.kept)[:, None], never).min(axis=1)
    rank_MR = np.broadcast_to(rank_M[:, None], needed_MR.shape)
    (gain_RM,) = draw_models(arguments.resamples, rng, gain_MR[diverging_M])
    gain_R = gain_RM.mean(axis=1)
    correlation_R = spearman_rows(*draw_models(arguments.resamples, rng, rank_MR, needed_MR))
    values = {
        "mixed_features_gain": (gain_R, diverging_M.sum()),
        "selection_saves_dimensions": (correlation_R, len(rank_M)),
    }
    return pd.DataFrame(
        [
            (name, value_R[0], *percentile_interval(value_R[1:], arguments.level), n, "models")
            for name, (value_R, n) in values.items()
        ],
        columns=["statistic", "value", "low", "high", "n", "n_of"],
    )


def draw_models(
    n_resamples: int, rng: np.random.Generator, *values: np.ndarray
) -> list[np.ndarray]:
    """Values [M, R] of the same models drawn with replacement, each [R, M]; row 0 has each once."""
    index_RM = resample_models(np.zeros(len(values[0])), n_resamples, rng)
    return [np.take_along_axis(values_MR.T, index_RM, axis=1) for values_MR in values]


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument("--base", required=True, type=Path, help="logits file of the base model")
    parser.add_argument("--others", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument(
        "--categories", required=True, type=json.loads, help="JSON: model id to category"
    )
    parser.add_argument(
        "--order", required=True, type=json.loads, help="JSON: categories, least different first"
    )
    parser.add_argument(
        "--shares", required=True, nargs="+", type=int, help="percent of the other's features"
    )
    parser.add_argument("--repeats", required=True, type=int, help="random mixes of each share")
    parser.add_argument(
        "--kept", required=True, nargs="+", type=int, help="numbers of dimensions to keep"
    )
    parser.add_argument("--train-split", required=True, help="where probes are fitted")
    parser.add_argument("--tune-split", required=True, help="where their penalty is chosen")
    parser.add_argument("--report-split", required=True, help="where accuracy is reported")
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output-mixing", required=True, type=Path)
    parser.add_argument("--output-selection", required=True, type=Path)
    parser.add_argument("--output-statistics", required=True, type=Path)
    commandline.run(main, parser.parse_args())
