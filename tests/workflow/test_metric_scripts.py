"""The scripts of metrics, run as a rule runs them on small synthetic files."""

import copy
import importlib.util
import json
import os
import subprocess
import sys
from argparse import Namespace
from itertools import combinations, combinations_with_replacement
from math import factorial, prod
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import binom, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dissent.examples import Examples, read_examples, write_examples
from dissent.logits import Key, open_logits, open_predictions, write_logits
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
    """A single-label and a multi-label data set, and the features of four models on each.

    On the first they have logits, so far from 0 that float16 has steps of 1/2.
    """
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
        hashes = examples.ids_sha256, examples.content_sha256
        output = "logits" if name == "single" else "features"
        key = Key("0", {}, *hashes, list("abcd"), output, "float16", {})
        for model, (first, second) in VIEWS.items():
            seen_NH = hidden_NH * np.repeat([first, second], 3)
            features_ND = seen_NH @ projections[model] + rng.normal(size=(n, WIDTHS[model]))
            logits_NC = (scores_NC + 2 * rng.normal(size=(n, 4)) + 1000).astype(np.float32)
            given = (logits_NC, examples.labels) if name == "single" else ()
            write_logits(folder / name / f"{model}.safetensors", key, features_ND, *given)
    models = pd.DataFrame({"model": list(VIEWS), "temperature": [0.8, 1, 1.2, 1.5]})
    models["in_window"] = True
    models["category"] = ["reinit", "reinit", "architectures", "datasets"]
    models.assign(accuracy=0.5, accuracy_tune=0.5).to_csv(folder / "models.csv", index=False)
    return folder


def logits_files(folder, name="single"):
    return [folder / name / f"{model}.safetensors" for model in VIEWS]


def report_predictions(folder):
    """Whether each model is right on the report examples, [M, N], by its float32 prediction."""
    examples = read_examples(folder / "single.safetensors")
    report = examples.where("report")
    opened = open_predictions(logits_files(folder), examples).values()
    return np.stack([one["predicted"][report] for one in opened]) == examples.labels[report]


REPORTING = {"report_split": "report", "resamples": 300, "level": 0.9}


def relate_options(folder):
    return {
        "data": folder / "single.safetensors",
        "logits": logits_files(folder),
        "models": folder / "models.csv",
        "base": "base",
        "order": json.dumps(ORDER),
        "rule": "mean_logit",
        "output_pairs": folder / "base_pairs.csv",
        "output_categories": folder / "base_pairs_categories.csv",
        "output_statistics": folder / "base_pairs_statistics.csv",
    } | REPORTING


@pytest.fixture(scope="module")
def related(folder):
    """Tables of all pairs, of pairs with the base model, and their trends."""
    options = relate_options(folder)
    shared = {name: options[name] for name in ("data", "logits", "models", *REPORTING)}
    done = run("measure_pairs.py", **shared, output=folder / "all_pairs.csv")
    assert done.returncode == 0, done.stderr
    done = run("relate_base_pairs.py", **options)
    assert done.returncode == 0, done.stderr
    names = ("all_pairs", "base_pairs", "base_pairs_statistics")
    return [pd.read_csv(folder / f"{name}.csv") for name in names]


def test_members_are_right_alike_in_all_columns_of_a_pair(folder, related):
    pairs, _, _ = related
    correct_MN = report_predictions(folder)
    examples = read_examples(folder / "single.safetensors")
    report = examples.where("report")
    stored = [
        one["logits"][report] for one in open_predictions(logits_files(folder), examples).values()
    ]
    assert (np.argmax(stored, axis=2) == examples.labels[report]).mean() != correct_MN.mean()
    both = list(combinations(correct_MN.mean(axis=1), 2))
    np.testing.assert_allclose(pairs[["accuracy1", "accuracy2"]], both)
    for rule in ("mean_probability", "mean_logit", "most_confident"):
        mean = (pairs["accuracy1"] + pairs["accuracy2"]) / 2
        gain = pairs[f"{rule}_ensemble_accuracy"] - mean
        np.testing.assert_allclose(pairs[f"{rule}_ensemble_gain"], gain, atol=1e-15)
        np.testing.assert_allclose(pairs[f"{rule}_identity_residual"], 0, atol=1e-12)
        for measure in ("ensemble_accuracy", "ensemble_gain", "conversion_rate"):
            name = f"{rule}_{measure}"
            assert pairs[name].between(pairs[f"{name}_low"], pairs[f"{name}_high"]).all()


def test_both_tables_say_the_same_of_a_pair(related):
    pairs, base_pairs, statistics = related
    of_base = pairs[pairs["model1"] == "base"]
    assert of_base["model2"].tolist() == base_pairs["model"].tolist()
    for name in ("error_inconsistency", "error_consistency"):
        np.testing.assert_allclose(base_pairs[name], of_base[name], atol=1e-12)
    for name in ("ensemble_gain", "conversion_rate"):
        np.testing.assert_allclose(base_pairs[name], of_base[f"mean_logit_{name}"], atol=1e-12)
    assert (statistics["n"] == 3).all()
    assert (statistics["n_of"] == "pairs with the base model").all()


def test_greedy_statistics_say_what_they_count(folder):
    options = relate_options(folder)
    done = run(
        "add_greedily.py",
        **{name: options[name] for name in ("data", "logits", "models", *REPORTING)},
        start=["base"],
        highest=0.9,
        max_added=1,
        tune_split="tune",
        output=folder / "greedy.csv",
        output_statistics=folder / "greedy_statistics.csv",
    )
    assert done.returncode == 0, done.stderr
    statistics = pd.read_csv(folder / "greedy_statistics.csv")
    assert statistics[["n", "n_of"]].to_numpy().tolist() == [[SIZES["report"], "examples"]]


def test_confidences_are_at_the_temperatures_that_fit_the_tune_split(folder):
    done = run(
        "measure_specialisation.py",
        data=folder / "single.safetensors",
        logits=logits_files(folder),
        base="base",
        tune_split="tune",
        report_split="report",
        output_angles=folder / "angles.csv",
        output_classes=folder / "classes.csv",
    )
    assert done.returncode == 0, done.stderr
    angles = pd.read_csv(folder / "angles.csv")
    examples = read_examples(folder / "single.safetensors")
    tune, place = examples.where("tune"), {name: i for i, name in enumerate(examples.ids)}
    for model, rows in angles.groupby("model2"):
        for column, name in (("confidence1", "base"), ("confidence2", model)):
            path = folder / "single" / f"{name}.safetensors"
            logits_NC = open_logits(path)["logits"].astype(float)

            def loss(temperature, tune_NC=logits_NC[tune]):
                return log_loss(examples.labels[tune], softmax(tune_NC / temperature, axis=1))

            temperature = minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x
            confidence_N = softmax(logits_NC / temperature, axis=1).max(axis=1)
            expected = confidence_N[[place[example] for example in rows["example"]]]
            np.testing.assert_allclose(rows[column], expected, rtol=1e-3)


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
    for model in CATEGORIES:
        rows = mixing[(mixing["share"] == 100) & (mixing["model"] == model)]
        np.testing.assert_allclose(rows["other_accuracy"], accuracy(model), atol=one_example)
        # The wide one is cut to the base's width.
        assert (rows["accuracy"] == rows["other_accuracy"]).all() == (model != "wide")


def test_tables_of_mixes_and_selections_are_whole(mixed):
    mixing, selection, _ = mixed
    assert len(mixing) == 3 * 3 * 3
    assert len(selection) == 3 * 3
    others = mixing[["model", "other_accuracy", "other_low", "other_high"]].drop_duplicates()
    assert others["model"].tolist() == list(CATEGORIES)
    assert others["other_accuracy"].between(others["other_low"], others["other_high"]).all()
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
    gain = mean[50] - np.maximum(mean[0], mixing.groupby("model")["other_accuracy"].first())
    found = statistics.loc["mixed_features_gain"]
    assert found["value"] == pytest.approx(gain[["wide", "elsewhere"]].mean())
    assert found["low"] < found["value"] < found["high"]
    assert found["n"] == 2
    assert (statistics["n_of"] == "models").all()
    goal = mixing.loc[mixing["share"] == 0, "accuracy"].iloc[0] - 0.01
    needed = [
        min([*rows["dimensions"][rows["accuracy"] >= goal], 2 * 20])
        for _, rows in selection.groupby("model", sort=False)
    ]
    found = statistics.loc["selection_saves_dimensions"]
    assert found["value"] == pytest.approx(spearmanr([0, 2, 4], needed).statistic)
    assert found["n"] == 3


def test_too_few_dimensions_count_as_twice_the_most_tried():
    arguments = Namespace(shares=[0, 50, 100], kept=[2, 4], resamples=1, level=0.9)
    # The base has 90 of 100 right, so that 89 are needed: never, with 4 and with 2 dimensions.
    right_MK = np.array([[50, 88], [50, 89], [89, 95]])
    table = load("mix_features.py").statistics(
        np.array([0, 2, 4]),
        np.full((3, 3, 1, 2), 90.0),
        np.full((3, 2), 90.0),
        np.repeat(right_MK[..., None], 2, axis=2),
        100,
        arguments,
        np.random.default_rng(0),
    )
    assert table.set_index("statistic").loc["selection_saves_dimensions", "value"] == pytest.approx(
        spearmanr([0, 2, 4], [8, 4, 2]).statistic
    )


def test_mixing_says_what_is_wrong_with_its_input(folder):
    done = run("mix_features.py", **mix_options(folder, shares=[0, 100]))
    assert (done.returncode, "lacks 0 or 50" in done.stderr) == (1, True)
    done = run("mix_features.py", **mix_options(folder, kept=[4, 21]))
    assert (done.returncode, "'again' and the base have 20" in done.stderr) == (1, True)


def probe_options(folder, **changes):
    options = {
        "data": folder / "multi.safetensors",
        "features": logits_files(folder, "multi"),
        "compared_data": folder / "single.safetensors",
        "compared_logits": logits_files(folder)[::-1],
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


def test_accuracy_and_inconsistency_are_those_of_the_compared_data(folder, probed):
    singles, pairs, _ = probed
    correct_MN = report_predictions(folder)
    np.testing.assert_allclose(singles["accuracy"], correct_MN.mean(axis=1))
    assert (singles["accuracy_n"] == SIZES["report"]).all()
    for end, quantile in (("accuracy_low", 0.05), ("accuracy_high", 0.95)):
        expected = binom.ppf(quantile, SIZES["report"], singles["accuracy"]) / SIZES["report"]
        np.testing.assert_allclose(singles[end], expected, atol=0.016)
    expected = [(first != second).mean() for first, second in combinations(correct_MN, 2)]
    np.testing.assert_allclose(pairs["error_inconsistency"], expected)


def test_gains_and_statistics_follow_from_the_tables(probed):
    singles, pairs, statistics = probed
    precision = singles.set_index("model")["map"]
    better = np.maximum(precision[pairs["model1"]].values, precision[pairs["model2"]].values)
    np.testing.assert_allclose(pairs["gain"], pairs["map"] - better)
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
    most_diverse = pairs["error_inconsistency"].argmax()
    assert rank == pairs["gain"].rank(ascending=False).iloc[most_diverse]
    assert statistics["n"].tolist() == [6, 6]
    assert statistics["n_of"].tolist() == ["pairs", "pairs"]
    # Too often, four models drawn of four are fewer than three.
    assert statistics["low"].isna().tolist() == [True, False]


def test_the_interval_over_pairs_is_that_of_all_draws_of_models():
    script = load("probe_downstream.py")
    rng, n_models = np.random.default_rng(0), 6
    pair_P2 = np.array(list(combinations(range(n_models), 2)))
    inconsistency_P = rng.normal(size=len(pair_P2))
    gain_P = inconsistency_P + rng.normal(size=len(pair_P2))
    arguments = Namespace(resamples=1500, level=0.8)
    gain_PR = np.repeat(gain_P[:, None], 1501, axis=1)
    table = script.statistics(pair_P2, inconsistency_P, gain_PR, arguments, rng)
    number = {frozenset(map(int, pair)): p for p, pair in enumerate(pair_P2)}
    correlations, ways = [], []
    for drawn in combinations_with_replacement(range(n_models), n_models):
        chosen = [number[frozenset(pair)] for pair in combinations(drawn, 2) if len(set(pair)) == 2]
        if len(set(chosen)) > 2:
            correlations.append(spearmanr(inconsistency_P[chosen], gain_P[chosen]).statistic)
            times = [factorial(drawn.count(model)) for model in set(drawn)]
            ways.append(factorial(n_models) / prod(times))
    correlations, share = np.array(correlations), np.array(ways) / sum(ways)
    assert 0.95 < sum(ways) / n_models**n_models < 1
    # The quantiles may be off by what 1,500 random draws are: 3 standard errors of the share below.
    for end, quantile in (("low", 0.1), ("high", 0.9)):
        value = table.loc[0, end]
        below, up_to = share[correlations < value - 1e-9], share[correlations < value + 1e-9]
        assert below.sum() - 0.025 < quantile < up_to.sum() + 0.025


def test_probing_says_what_is_wrong_with_its_input(folder):
    given = probe_options(folder, compared_logits=logits_files(folder)[1:])
    done = run("probe_downstream.py", **given)
    assert (done.returncode, "of the same models as --features" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("script", "options", "draw_examples"),
    [
        ("relate_base_pairs.py", relate_options, "base_pair_measures"),
        ("mix_features.py", mix_options, "resampled_counts"),
        ("probe_downstream.py", probe_options, "resampled_counts"),
    ],
)
def test_examples_and_models_are_drawn_from_streams_of_their_own(
    folder, monkeypatch, script, options, draw_examples
):
    module = load(script)
    home = getattr(module, "relations", module)
    next_numbers = {}

    def watch(name):
        function = getattr(home, name)

        def watched(*arguments):
            next_numbers.setdefault(name, copy.deepcopy(arguments[-1]).random())
            return function(*arguments)

        monkeypatch.setattr(home, name, watched)

    watch(draw_examples)
    watch("resample_models")
    given = options(folder)
    given |= {name: json.loads(given[name]) for name in ("order", "categories") if name in given}
    module.main(Namespace(**given, seed=0))
    assert next_numbers[draw_examples] != next_numbers["resample_models"]
