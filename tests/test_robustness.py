import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss

from dissent.finetuned import Shifted, ShiftedMember
from dissent.robustness import robustness_statistics, robustness_table

VERSIONS = (("none", 0), ("noise", 1), ("noise", 2), ("blur", 1))
WEIGHTS = [{"greedy": 0.75, "single": 1.0}, {"greedy": 0.25, "heads": 0.5}, {"heads": 0.5}]


def shifted(seed, n=40, weights=WEIGHTS):
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(3), (len(weights), len(VERSIONS), n))
    members = [ShiftedMember("all-1", i, "m", methods) for i, methods in enumerate(weights)]
    return Shifted(
        f"t{seed}",
        tuple("abc"),
        tuple(members),
        VERSIONS,
        np.log(probability).astype("f4"),
        rng.integers(3, size=n),
    )


def probabilities(task, method):
    """Of each version, [V, N, C]."""
    return sum(
        member.methods.get(method, 0) * np.exp(log_probability.astype(float))
        for member, log_probability in zip(task.members, task.log_probabilities_RVNC, strict=True)
    )


def test_every_method_is_measured_on_every_version():
    task = shifted(0)
    table = robustness_table(task, "g", n_bins=10).set_index(["method", "corruption", "severity"])
    assert len(table) == 3 * len(VERSIONS)
    for method in ("greedy", "single", "heads"):
        for probability_NC, version in zip(probabilities(task, method), VERSIONS, strict=True):
            row = table.loc[(method, *version)]
            right_N = probability_NC.argmax(axis=1) == task.labels_N
            assert row["accuracy"] == right_N.mean()
            scaled_NC = probability_NC / probability_NC.sum(axis=1, keepdims=True)
            assert row["nll"] == pytest.approx(log_loss(task.labels_N, scaled_NC, labels=range(3)))
            assert (row["task"], row["group"], row["n"]) == ("t0", "g", 40)


def test_the_gain_under_shift_is_a_paired_mean_over_images():
    tasks = [shifted(0, 40), shifted(1, 25)]
    table = robustness_statistics(tasks, 0.9)
    gains = []
    for task in tasks:
        right = {
            method: probabilities(task, method).argmax(axis=2) == task.labels_N
            for method in ("greedy", "single")
        }
        gains.append((right["greedy"][1:].astype(int) - right["single"][1:]).mean(axis=0))
    mean = np.mean([gain_N.mean() for gain_N in gains])
    # Half the difference of two samples, as Welch's t has it.
    welch = stats.ttest_ind(*(gain_N - gain_N.mean() for gain_N in gains), equal_var=False)
    reach = welch.confidence_interval(0.9).high / 2
    row = table.iloc[0]
    assert row["statistic"] == "greedy_over_single_shifted"
    expected = mean, mean - reach, mean + reach
    assert tuple(row[["value", "low", "high"]].astype(float)) == pytest.approx(expected)
    assert (row["n"], row["n_of"]) == (65, "images")


def test_without_single_models_there_is_nothing_to_compare():
    task = shifted(0, weights=[{"greedy": 1.0}])
    assert robustness_statistics([task], 0.95).empty
    assert len(robustness_table(task, "g", 10)) == len(VERSIONS)


def test_an_ensemble_that_is_the_single_model_gains_nothing_that_has_an_interval():
    row = robustness_statistics([shifted(0, weights=[{"greedy": 1.0, "single": 1.0}])], 0.95)
    assert row["value"].item() == 0
    assert row[["low", "high"]].isna().all(axis=None)
