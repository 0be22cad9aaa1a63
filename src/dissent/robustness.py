"""How good ensembles are on shifted versions of report images: corruptions, by severity."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dissent.choice_metrics import mixture, quality
from dissent.finetuned import Shifted
from dissent.method_comparison import STATISTICS
from dissent.welch_intervals import difference_interval

UNSHIFTED = "none"


def method_predictions(shifted: Shifted) -> dict[str, np.ndarray]:
    """Log-probabilities of each method's ensemble on each version, float64 [V, N, C], by name."""
    methods = sorted({method for member in shifted.members for method in member.methods})
    predictions = {}
    for method in methods:
        weights = {
            row: member.methods[method]
            for row, member in enumerate(shifted.members)
            if method in member.methods
        }
        members = [shifted.log_probabilities_RVNC[row] for row in weights]
        predictions[method] = mixture(members, list(weights.values()))
    return predictions


def robustness_table(shifted: Shifted, group: str, n_bins: int) -> pd.DataFrame:
    """One row a method and a version of the images: how good its ensemble is there."""
    return pd.DataFrame(
        {
            "task": shifted.task,
            "group": group,
            "method": method,
            "corruption": corruption,
            "severity": severity,
            "n": len(shifted.labels_N),
            **quality(log_probability_NC, shifted.labels_N, n_bins),
        }
        for method, versions in method_predictions(shifted).items()
        for (corruption, severity), log_probability_NC in zip(
            shifted.versions, versions, strict=True
        )
    )


def robustness_statistics(tasks: Sequence[Shifted], level: float) -> pd.DataFrame:
    """What chosen ensembles gain in accuracy over single models, as a mean over shifted versions.

    A mean over tasks too. The interval is over images, each with all its versions, Student's t: the
    fine-tunings are of one seed, so that it holds for these. No row if a run has none to compare.
    """
    differences = []
    for shifted in tasks:
        is_shifted_V = np.array([corruption != UNSHIFTED for corruption, _ in shifted.versions])
        right = {
            method: (prediction_VNC.argmax(axis=2) == shifted.labels_N)[is_shifted_V].mean(axis=0)
            for method, prediction_VNC in method_predictions(shifted).items()
        }
        if {"greedy", "single"} <= set(right):
            differences.append((right["greedy"] - right["single"])[None])
    rows = []
    if differences:
        n = sum(map(np.size, differences))
        row = "greedy_over_single_shifted", *difference_interval(differences, level), n, "images"
        rows.append(row)
    return pd.DataFrame(rows, columns=STATISTICS)
