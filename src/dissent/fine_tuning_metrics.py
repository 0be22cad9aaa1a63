"""How good each candidate is once fine-tuned, and how fine-tunings differ by source of diversity.

Chosen on the tune examples, measured on the report examples, as in `dissent.choice_metrics`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dissent import pairwise
from dissent.calibration import negative_log_likelihood
from dissent.choice_metrics import Labels, member_predictions, mixture, score_contributions
from dissent.choices import ONE_MODEL, candidate_table
from dissent.finetuned import FineTunings


def run_table(fine_tunings: Mapping[str, FineTunings], tune_labels_N: np.ndarray) -> pd.DataFrame:
    """One row a fine-tuning (`choices.candidate_table`), with its loss `tune_nll` in nats."""
    losses = [
        negative_log_likelihood(log_probability_NC[: len(tune_labels_N)], tune_labels_N)
        for of_file in fine_tunings.values()
        for log_probability_NC in of_file.log_probabilities_RNC
    ]
    return candidate_table(fine_tunings).assign(tune_nll=losses)


def best_runs(runs: pd.DataFrame, by: Sequence[str] = ("file", "seed")) -> pd.DataFrame:
    """The rows of least loss on the tune examples for each value of `by`; of equals the first."""
    return runs.loc[runs.groupby(list(by))["tune_nll"].idxmin().sort_values()]


def fine_tuned_table(
    runs: pd.DataFrame,
    fine_tunings: Mapping[str, FineTunings],
    ranking: pd.DataFrame,
    labels: Labels,
    metric: str,
) -> pd.DataFrame:
    """One row a seed and a place: the model there, at its best setting, and its ranking."""
    best = best_runs(runs[~runs["file"].isin(ONE_MODEL.values())])
    ranked = ranking.rename(columns={"accuracy": "ranking_accuracy"})
    table = best.merge(ranked[["model", "category", "rank", "place", "ranking_accuracy"]])
    correct_RN = _predicted(table, fine_tunings, len(labels.tune_N)) == labels.report_N
    table["accuracy"] = correct_RN.mean(axis=1)
    contributions = [score_contributions(row, labels.report_N, metric) for row in correct_RN]
    table["score"] = np.mean(contributions, axis=1)
    table["n"] = len(labels.report_N)
    columns = [
        *("seed", "file", "model", "category", "rank", "place", "ranking_accuracy"),
        *("learning_rate", "steps", "tune_nll", "accuracy", "score", "n"),
    ]
    return table.sort_values(["seed", "rank"], kind="stable")[columns]


def diversity_members(
    runs: pd.DataFrame, ranking: pd.DataFrame, n_models: int, pools: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Fine-tunings, as rows of `runs`, that differ by one source of diversity each, by its name.

    For each of `pools` its `n_models` best models, each at its best setting; for "all" the best
    models of all. For "settings" and "heads" the best model alone: its `n_models` best settings,
    and its first and its added heads, each at its best setting. Best is of least loss on the tune
    examples, for each seed. "settings" and "heads" are left out if nothing was fine-tuned for them.
    """
    added = runs["file"].isin(ONE_MODEL.values())
    placed, ranked = best_runs(runs[~added]), ranking.sort_values("rank")["model"].tolist()
    members = {
        pool: placed[placed["file"].isin([f"{pool}-{k + 1}" for k in range(n_models)])]
        for pool in pools
    }
    swept = (runs["model"] == ranked[0]) & ~added
    for source, file in ONE_MODEL.items():
        if (runs["file"] == file).any():
            of_source = runs[swept | (runs["file"] == file)]
            if source == "heads":
                members[source] = best_runs(of_source, ["seed", "head"])
            else:
                in_order = of_source.sort_values("tune_nll", kind="stable")
                members[source] = in_order.groupby("seed").head(n_models)
    return members | {"all": placed[placed["model"].isin(ranked[:n_models])]}


def diversity_table(
    members: Mapping[str, pd.DataFrame],
    fine_tunings: Mapping[str, FineTunings],
    labels: Labels,
) -> pd.DataFrame:
    """One row a source of diversity and a seed: how its members differ, and what averaging gains.

    `gain` is the accuracy of their uniform average over the mean of their own; measures of pairs
    (`dissent.pairwise`) are means over all pairs, NaN for a single member.
    """
    rows = []
    for source, of_source in members.items():
        for seed, of_seed in of_source.groupby("seed"):
            predicted_MN = _predicted(of_seed, fine_tunings, len(labels.tune_N))
            correct_MN = predicted_MN == labels.report_N
            parts = [
                member[len(labels.tune_N) :] for member in member_predictions(of_seed, fine_tunings)
            ]
            mean_NC = mixture(parts, np.full(len(parts), 1 / len(parts)))
            accuracy = (mean_NC.argmax(axis=1) == labels.report_N).mean()
            counts_P22 = pairwise.pair_counts(correct_MN)
            measured = {
                "error_inconsistency": pairwise.error_inconsistency(counts_P22),
                "error_consistency": pairwise.error_consistency(counts_P22),
                "disagreement": pairwise.disagreement(predicted_MN),
            }
            rows.append(
                {
                    "seed": seed,
                    "source": source,
                    "n_members": len(of_seed),
                    "member_accuracy": correct_MN.mean(),
                    "accuracy": accuracy,
                    "gain": accuracy - correct_MN.mean(),
                    **{name: pd.Series(values).mean() for name, values in measured.items()},
                }
            )
    return pd.DataFrame(rows)


def _predicted(
    runs: pd.DataFrame, fine_tunings: Mapping[str, FineTunings], n_tune: int
) -> np.ndarray:
    return np.stack(
        [member[n_tune:].argmax(axis=1) for member in member_predictions(runs, fine_tunings)]
    )
