"""The two probing scripts, run as a rule runs them on small synthetic files."""

import importlib.util
import json
import os
import subprocess
import sys
from argparse import Namespace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dissent.examples import Examples, read_examples, write_examples
from dissent.logits import Key, open_logits, write_logits
from dissent.probes import PENALTIES, eleven_point_average_precision

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "metrics"
SIZES = {"train": 80, "tune": 60, "report": 160}
CATEGORIES = {"again": "reinit", "wide": "architectures", "elsewhere": "datasets"}
ORDER = ["reinit", "hyper-parameters", "architectures", "frameworks", "datasets"]
# What each model sees: one or the other half of the hidden causes of the labels, or some of both.
VIEWS = {"base": (1, 0), "again": (1, 0), "wide": (1, 0.3), "elsewhere": (0, 1)}
WIDTHS = {"base": 10, "again": 10, "wide": 14, "elsewhere": 10}


def run(script, **options):
    command = [sys.executable, str(SCRIPTS / script)]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def load(script):
    spec = importlib.util.spec_from_file_location("script", SCRIPTS / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A single-label and a multi-label data set, and the features of four models on each."""
    folder = tmp_path_factory.mktemp("probes")
    rng = np.random.default_rng(0)
    n = sum(SIZES.values())
    projections = {model: rng.normal(size=(6, width)) for model, width in WIDTHS.items()}
    for name in ("single", "multi"):
        hidden_NH = rng.normal(size=(n, 6))
        scores_NC = hidden_NH @ rng.normal(size=(6, 4))
        several = (scores_NC > 1).astype(np.uint8)
        examples = Examples(
            name=name,
            ids=tuple(f"{name}-{i}" for i in range(n)),
            images_NHW=np.zeros((n, 1, 1), np.uint8),
            labels=scores_NC.argmax(axis=1) if name == "single" else several,
            splits_N=np.repeat(list(SIZES), list(SIZES.values())),
            classes=tuple("abcd"),
        )
        write_examples(folder / f"{name}.safetensors", examples)
        key = Key("0", {}, examples.ids_sha256, list("abcd"), "features", "float16", {})
        for model, (first, second) in VIEWS.items():
            seen_NH = hidden_NH * np.repeat([first, second], 3)
            features_ND = seen_NH @ projections[model] + rng.normal(size=(n, WIDTHS[model]))
            write_logits(folder / name / f"{model}.safetensors", key, features_ND)
    return folder


def mix_options(folder, **changes):
    options = {
        "data": folder / "single.safetensors",
        "base": folder / "single" / "base.safetensors",
        "others": [folder / "single" / f"{model}.safetensors" for model in CATEGORIES],
        "categories": json.dumps(CATEGORIES),
        "order": json.dumps(ORDER),
        "shares": [0, 50, 100],
        "repeats": 3,
        "kept": [4, 10, 20],
        "train_split": "train",
        "tune_split": "tune",
        "report_split": "report",
        "resamples": 300,
        "level": 0.9,
        "output_mixing": folder / "mixing.csv",
        "output_selection": folder / "selection.csv",
        "output_statistics": folder / "mixing_statistics.csv",
    }
    return options | changes


@pytest.fixture(scope="module")
def mixed(folder):
    done = run("mix_features.py", **mix_options(folder))
    assert done.returncode == 0, done.stderr
    names = ("mixing", "selection", "mixing_statistics")
    return [pd.read_csv(folder / f"{name}.csv") for name in names]


def best_regression(make, quality, features_ND, labels, fitted, tuned):
    """The scikit-learn model of the penalty with the highest quality on `tuned`."""
    models = [make(1 / (penalty * len(fitted))) for penalty in PENALTIES]
    for model in models:
        model.fit(features_ND[fitted], labels[fitted])
    return max(models, key=lambda model: quality(model, features_ND[tuned], labels[tuned]))


def test_the_two_ends_of_the_mixes_are_probes_of_scikit_learn(folder, mixed):
    mixing, _, _ = mixed
    examples = read_examples(folder / "single.safetensors")
    train, tune, report = (examples.where(split) for split in SIZES)

    def accuracy(model):
        tensors = open_logits(folder / "single" / f"{model}.safetensors").tensors
        features_ND = tensors["features"].astype(np.float64)
        found = best_regression(
            lambda c: make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=10_000)),
            lambda model, given_ND, given_N: -log_loss(given_N, model.predict_proba(given_ND)),
            features_ND,
            examples.labels,
            train,
            tune,
        )
        return found.score(features_ND[report], examples.labels[report])

    one_example = 1.01 / SIZES["report"]
    base = mixing[mixing["share"] == 0]["accuracy"]
    np.testing.assert_allclose(base, accuracy("base"), atol=one_example)
    for model in ("again", "elsewhere"):  # no wider than the base, so that all of it is taken
        end = mixing[(mixing["share"] == 100) & (mixing["model"] == model)]["accuracy"]
        np.testing.assert_allclose(end, accuracy(model), atol=one_example)


def test_tables_of_mixes_and_selections_are_whole(mixed):
    mixing, selection, _ = mixed
    assert len(mixing) == 3 * 3 * 3
    assert len(selection) == 3 * 3
    for table in mixed[:2]:
        assert (table["category"] == table["model"].map(CATEGORIES)).all()
        assert (table["n"] == SIZES["report"]).all()
        for end, quantile in (("low", 0.05), ("high", 0.95)):
            expected = binom.ppf(quantile, table["n"], table["accuracy"]) / table["n"]
            np.testing.assert_allclose(table[end], expected, atol=0.016)
    assert (mixing["dimensions"] == 10).all()
    assert selection["dimensions"].tolist() == [4, 10, 20] * 3


def test_statistics_of_mixing_follow_from_its_tables(mixed):
    mixing, selection, statistics = mixed
    statistics = statistics.set_index("statistic")
    mean = mixing.groupby(["model", "share"])["accuracy"].mean().unstack()
    gain = mean[50] - mean[[0, 100]].max(axis=1)
    found = statistics.loc["mixed_features_gain"]
    assert found["value"] == pytest.approx(gain[["wide", "elsewhere"]].mean())
    assert found["low"] < found["value"] < found["high"]
    assert found["n"] == 2
    goal = mixing.loc[mixing["share"] == 0, "accuracy"].iloc[0] - 0.01
    needed = [
        min([*rows["dimensions"][rows["accuracy"] >= goal], 2 * 20])
        for _, rows in selection.groupby("model", sort=False)
    ]
    found = statistics.loc["selection_saves_dimensions"]
    assert found["value"] == pytest.approx(spearmanr([0, 2, 4], needed).statistic)
    assert found["n"] == 3


def test_too_few_dimensions_count_as_twice_the_most_tried():
    arguments = Namespace(shares=[0, 50, 100], kept=[2, 4], resamples=1, seed=0, level=0.9)
    # The base has 90 of 100 right, so that 89 are needed: never, with 4 and with 2 dimensions.
    right_MK = np.array([[50, 88], [50, 89], [89, 95]])
    table = load("mix_features.py").statistics(
        np.array([0, 2, 4]),
        np.full((3, 3, 1, 2), 90.0),
        np.repeat(right_MK[..., None], 2, axis=2),
        100,
        arguments,
    )
    assert table.set_index("statistic").loc["selection_saves_dimensions", "value"] == pytest.approx(
        spearmanr([0, 2, 4], [8, 4, 2]).statistic
    )


def test_mixing_says_what_is_wrong_with_its_input(folder):
    done = run("mix_features.py", **mix_options(folder, shares=[0, 100]))
    assert (done.returncode, "lacks 0, 50 or 100" in done.stderr) == (1, True)
    done = run("mix_features.py", **mix_options(folder, kept=[4, 21]))
    assert (done.returncode, "'again' and the base have 20" in done.stderr) == (1, True)


PAIRS = pd.DataFrame(
    [(b, a, i / 10) for i, (a, b) in enumerate(combinations(VIEWS, 2))],
    columns=["model1", "model2", "error_inconsistency"],
)


def probe_options(folder, **changes):
    pd.DataFrame({"model": list(VIEWS), "accuracy": 0.75}).to_csv(
        folder / "models.csv", index=False
    )
    PAIRS.to_csv(folder / "pairs.csv", index=False)
    options = {
        "data": folder / "multi.safetensors",
        "features": [folder / "multi" / f"{model}.safetensors" for model in VIEWS],
        "accuracies": folder / "models.csv",
        "pairs": folder / "pairs.csv",
        "train_split": "train",
        "report_split": "report",
        "resamples": 200,
        "level": 0.9,
        "output_singles": folder / "singles.csv",
        "output_pairs": folder / "probed_pairs.csv",
        "output_statistics": folder / "downstream_statistics.csv",
    }
    return options | changes


@pytest.fixture(scope="module")
def probed(folder):
    done = run("probe_downstream.py", **probe_options(folder))
    assert done.returncode == 0, done.stderr
    names = ("singles", "probed_pairs", "downstream_statistics")
    return [pd.read_csv(folder / f"{name}.csv") for name in names]


def test_precisions_of_features_are_those_of_scikit_learn_probes(folder, probed):
    singles, pairs, _ = probed
    examples = read_examples(folder / "multi.safetensors")
    train, report = examples.where("train"), examples.where("report")

    def mean_precision(model, features_ND, labels_NC):
        once = np.ones((len(labels_NC), 1), np.int16)
        scores_NC = model.decision_function(features_ND)
        columns = zip(labels_NC.T, scores_NC.T, strict=True)
        return np.mean([eleven_point_average_precision(*column, once) for column in columns])

    def precision(*models):
        paths = [folder / "multi" / f"{model}.safetensors" for model in models]
        features_ND = np.hstack([open_logits(path)["features"] for path in paths])
        features_ND = features_ND.astype(np.float64)
        features_ND = StandardScaler().fit(features_ND[train]).transform(features_ND)
        best = best_regression(
            lambda c: OneVsRestClassifier(LogisticRegression(C=c, max_iter=10_000)),
            mean_precision,
            features_ND,
            examples.labels,
            np.delete(train, np.s_[::4]),
            train[::4],
        )
        # The same penalty beside the mean loss of 80 examples instead of 60.
        final = best.set_params(estimator__C=best.estimator.C * 60 / 80)
        final.fit(features_ND[train], examples.labels[train])
        return mean_precision(final, features_ND[report], examples.labels[report])

    np.testing.assert_allclose(singles["map"], [precision(m) for m in VIEWS], atol=0.005)
    expected = [precision(*pair) for pair in combinations(VIEWS, 2)]
    np.testing.assert_allclose(pairs["map"], expected, atol=0.005)


def test_gains_and_statistics_follow_from_the_tables(probed):
    singles, pairs, statistics = probed
    precision = singles.set_index("model")["map"]
    better = np.maximum(precision[pairs["model1"]].values, precision[pairs["model2"]].values)
    np.testing.assert_allclose(pairs["gain"], pairs["map"] - better)
    assert pairs["error_inconsistency"].tolist() == PAIRS["error_inconsistency"].tolist()
    for table in (singles, pairs):
        assert (table["low"] < table["high"]).all()
        assert (table["n"] == SIZES["report"]).all()
    # A plain percentile interval lies too high, as the precision of resamples does.
    middle, width = (singles["low"] + singles["high"]) / 2, singles["high"] - singles["low"]
    assert ((middle - singles["map"]).abs() < 0.1 * width).all()
    correlation, rank = statistics["value"]
    assert correlation == pytest.approx(
        spearmanr(pairs["error_inconsistency"], pairs["gain"]).statistic
    )
    assert rank == pairs["gain"].rank(ascending=False).iloc[-1]
    assert statistics["n"].tolist() == [6, 6]


def test_the_interval_over_pairs_is_that_of_all_draws_of_models():
    script = load("probe_downstream.py")
    rng = np.random.default_rng(0)
    pair_P2 = np.array(list(combinations(range(4), 2)))
    inconsistency_P = rng.normal(size=6)
    gain_P = inconsistency_P + rng.normal(size=6)
    arguments = Namespace(resamples=1500, seed=0, level=0.8)
    table = script.statistics(
        pair_P2, inconsistency_P, np.repeat(gain_P[:, None], 1501, axis=1), arguments
    )
    number = {frozenset(map(int, pair)): p for p, pair in enumerate(pair_P2)}
    correlations = []
    for drawn in product(range(4), repeat=4):
        chosen = [number[frozenset(pair)] for pair in combinations(drawn, 2) if len(set(pair)) == 2]
        if len(set(chosen)) > 1:
            correlations.append(spearmanr(inconsistency_P[chosen], gain_P[chosen]).statistic)
    correlations = np.array(correlations)
    # The quantiles may be off by what 1,500 random draws are: 3 standard errors of the share below.
    for end, quantile in (("low", 0.1), ("high", 0.9)):
        value = table.loc[0, end]
        below, up_to = np.mean(correlations < value - 1e-9), np.mean(correlations < value + 1e-9)
        assert below - 0.025 < quantile < up_to + 0.025


def test_probing_says_what_is_wrong_with_its_input(folder):
    PAIRS.iloc[1:].to_csv(folder / "few.csv", index=False)
    done = run("probe_downstream.py", **probe_options(folder, pairs=folder / "few.csv"))
    assert (done.returncode, "no row for 'base' and 'again'" in done.stderr) == (1, True)
