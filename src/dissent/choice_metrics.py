"""How good the ensembles are that were chosen on one task.

They are chosen on the tune examples and measured on the report examples; the log-probabilities
[N, C] of fine-tunings have both, in this order (`dissent.finetuned`). An ensemble's prediction is
the weighted mean of its members' probabilities. `chosen` has one row a member of a choice, as the
file of that name.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.stats import binomtest, norm

from dissent import pairwise
from dissent.calibration import (
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
)
from dissent.choices import CHOICE
from dissent.commandline import InputError
from dissent.ensembling import mcnemar_p_value
from dissent.files import atomic
from dissent.finetuned import FineTunings

METRICS = ("accuracy", "mean_class_accuracy")


class Labels(NamedTuple):
    """Labels of the examples to choose on and of those to report on."""

    tune_N: np.ndarray
    report_N: np.ndarray


class Scores(NamedTuple):
    """What each report example adds to the score of each method and seed, float32 [A, S, N].

    Means over examples are the scores (see `score_contributions`).
    """

    task: str
    group: str
    methods: tuple[str, ...]
    contributions_ASN: np.ndarray


def mixture(log_probabilities: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Logarithm of the weighted mean of members' probabilities, float64, from arrays [..., C]."""
    pairs = zip(log_probabilities, weights, strict=True)
    return reduce(np.logaddexp, (np.log(weight) + member.astype(float) for member, weight in pairs))


def quality(log_probability_NC: np.ndarray, labels_N: np.ndarray, n_bins: int) -> dict[str, float]:
    """Accuracy, negative log-likelihood (nats), Brier score and expected calibration error."""
    return {
        "accuracy": (log_probability_NC.argmax(axis=1) == labels_N).mean(),
        "nll": negative_log_likelihood(log_probability_NC, labels_N),
        "brier": brier_score(log_probability_NC, labels_N),
        "ece": expected_calibration_error(log_probability_NC, labels_N, n_bins=n_bins),
    }


def score_contributions(correct_N: np.ndarray, labels_N: np.ndarray, metric: str) -> np.ndarray:
    """What each example adds to the score, float64 [N]: its mean is the score.

    For "accuracy" whether the example is right. For "mean_class_accuracy", the mean over the
    classes there are of the accuracy on each, the score plus the example's influence on it, so that
    the variance of the contributions over N is that of the score: an example's deviation from the
    accuracy of its class, in the weight that it has, and by sqrt(n / (n - 1)) more for the n
    examples that this accuracy is estimated from. A class with one example shows no variance.
    """
    if metric == "accuracy":
        return correct_N.astype(float)
    _, class_N, n_C = np.unique(labels_N, return_inverse=True, return_counts=True)
    accuracy_C = np.bincount(class_N, weights=correct_N) / n_C
    weight_C = len(labels_N) / (len(n_C) * n_C) * np.sqrt(n_C / np.maximum(n_C - 1, 1))
    return accuracy_C.mean() + weight_C[class_N] * (correct_N - accuracy_C[class_N])


def evaluate_choices(
    chosen: pd.DataFrame,
    fine_tunings: Mapping[str, FineTunings],
    labels: Labels,
    costs: pd.DataFrame,
    metric: str,
    n_bins: int,
) -> tuple[pd.DataFrame, np.ndarray]:
    """One row a choice (CHOICE) with what it costs and how good it is; what it is right on, [A, N].

    `fine_tunings` are by file (as in `chosen`), `costs` by model. A fine-tuning that is in an
    ensemble several times is paid for once. Raises InputError for a member that there is not.
    """
    rows, correct = [], []
    n_tune = len(labels.tune_N)
    for choice, members in chosen.groupby(CHOICE, sort=False, dropna=False):
        log_probability_NC = mixture(
            list(member_predictions(members, fine_tunings)), members["weight"]
        )
        tune_NC, report_NC = np.split(log_probability_NC, [n_tune])
        correct.append(report_NC.argmax(axis=1) == labels.report_N)
        paid = _costs_of(members["model"], costs)
        rows.append(
            dict(zip(CHOICE, choice, strict=True))
            | {
                "n_members": len(members),
                "n_models": members["model"].nunique(),
                "multiply_adds": paid["multiply_adds"].sum(),
                "parameters": paid["parameters"].sum(),
                "score": score_contributions(correct[-1], labels.report_N, metric).mean(),
            }
            | quality(report_NC, labels.report_N, n_bins)
            | {
                "n": len(labels.report_N),
                "tune_nll": negative_log_likelihood(tune_NC, labels.tune_N),
            }
        )
    return pd.DataFrame(rows), np.stack(correct)


def member_predictions(
    members: pd.DataFrame, fine_tunings: Mapping[str, FineTunings]
) -> Iterator[np.ndarray]:
    """Log-probabilities [N, C] of the fine-tunings that rows with `file` and `run` name."""
    for member in members.itertuples():
        of_file = fine_tunings.get(member.file)
        if of_file is None or not 0 <= member.run < len(of_file.runs):
            raise InputError(
                f"the chosen fine-tuning {member.run} of {member.file} is not among the "
                "fine-tunings: choose ensembles again"
            )
        yield of_file.log_probabilities_RNC[member.run]


def _costs_of(models: pd.Series, costs: pd.DataFrame) -> pd.DataFrame:
    if missing := sorted(set(models) - set(costs.index)):
        raise InputError(f"the table of costs has no model {missing[0]!r}: count costs again")
    return costs.loc[models]


def is_full(choices: pd.DataFrame) -> pd.Series:
    """Whether a choice of one task is without a limit: on its models, its size, and its cost.

    Each method with each seed has one such choice, or one a draw.
    """
    limits = choices[["models", "size"]].where(choices["budget"].isna())
    most = limits.groupby([choices["method"], choices["seed"]]).transform("max")
    return (limits == most).all(axis=1)


def method_scores(
    choices: pd.DataFrame, correct_AN: np.ndarray, labels_N: np.ndarray, metric: str
) -> tuple[tuple[str, ...], np.ndarray]:
    """Methods, and contributions to their scores, float32 [A, S, N], means over draws.

    Of the choices without limits; methods as they come, seeds in order.
    """
    full = choices.reset_index(drop=True)[is_full(choices).to_numpy()]
    rows = full.groupby(["method", "seed"]).groups
    methods, seeds = full["method"].unique(), np.sort(full["seed"].unique())
    contributions = [
        [
            np.mean([score_contributions(correct_AN[i], labels_N, metric) for i in rows[key]], 0)
            for key in ((method, seed) for seed in seeds)
        ]
        for method in methods
    ]
    return tuple(methods), np.array(contributions, dtype=np.float32)


def write_scores(path: str | os.PathLike, scores: Scores) -> None:
    """Write contributions to scores (safetensors; the rest in the header)."""
    header = {"task": scores.task, "group": scores.group, "methods": scores.methods}
    with atomic(path) as temporary:
        tensors = {"contributions": np.ascontiguousarray(scores.contributions_ASN)}
        save_file(tensors, temporary, {"scores": json.dumps(header)})


def read_scores(path: str | os.PathLike) -> Scores:
    """Read what `write_scores` wrote."""
    with safe_open(path, "np") as file:
        header = json.loads(file.metadata()["scores"])
        contributions_ASN = file.get_tensor("contributions")
    return Scores(header["task"], header["group"], tuple(header["methods"]), contributions_ASN)


def verdict(
    task: str, n_members: int, single_N: np.ndarray, ensemble_N: np.ndarray, level: float
) -> str:
    """In a sentence, what an ensemble of so many fine-tuned models gains over the best single one.

    From what each is right on, bool [N]. The interval of the ensemble's accuracy is Wilson's. The
    gain is more than other test images may give if McNemar's exact test says so, one-sided at
    (1 - level) / 2; of other fine-tunings it says nothing.
    """
    n = len(ensemble_N)
    decimals = 1 if n <= 1000 else 2  # enough to tell one image more from none

    def percent(share: float) -> str:
        return f"{100 * share:.{decimals}f}"

    low, high = binomtest(int(ensemble_N.sum()), n).proportion_ci(level, "wilson")
    right = f"{percent(ensemble_N.mean())} % of {n:,} test images [{percent(low)}, {percent(high)}]"
    if n_members == 1:
        return (
            f"On {task} no ensemble is chosen: no second fine-tuned model lowers the cross-entropy "
            f"of the best one on the examples used to choose, and that one is right on {right}."
        )
    counts_22 = pairwise.pair_counts(np.stack([single_N, ensemble_N]))[0]
    p_value, (low, high) = mcnemar_p_value(counts_22), paired_interval(counts_22, level)
    alone = percent(single_N.mean())
    # Of the printed accuracies, as a reader subtracts them.
    gain = float(percent(ensemble_N.mean())) - float(alone)
    if p_value < (1 - level) / 2:
        judged = "more than the luck of the test images"
    else:
        judged = "no more than the luck of the test images" if gain > 0 else "no gain"
    return (
        f"On {task} the chosen ensemble of {n_members} fine-tuned models is right on {right}; the "
        f"single one chosen in the same way on {alone} %: {gain:+.{decimals}f} points "
        f"[{percent(low)}, {percent(high)}], which is {judged} (p = {p_value:.2g}, one-sided)."
    )


def paired_interval(counts_22: np.ndarray, level: float) -> tuple[float, float]:
    """Interval of the second model's accuracy less the first's, from `pairwise` counts [2, 2].

    The normal one with half an example added to each count (Agresti and Min 2005), which has a
    width even where the models never differ. It excludes 0 from below only where McNemar's exact
    one-sided test at (1 - level) / 2 does too.
    """
    (_, gained), (lost, _) = counts_22
    n = counts_22.sum() + 2
    difference = (gained - lost) / n
    error = np.sqrt((gained + lost + 1) / n - difference**2) / np.sqrt(n)
    low, high = norm.interval(level, difference, error)
    if mcnemar_p_value(counts_22) >= (1 - level) / 2:
        low = min(low, 0.0)
    return float(low), float(high)
