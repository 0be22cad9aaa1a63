"""The scripts that measure shift and the calibration of ensembles, on files like a rule's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from dissent.calibration import expected_calibration_error, fit_temperature
from dissent.examples import Examples, write_examples
from dissent.logits import Key, write_predictions

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "metrics"
COMMON = {"report_split": "report", "resamples": 200, "level": 0.9}
CLASSES = tuple("abcd")


def run(script, **options):
    command = [sys.executable, str(SCRIPTS / script)]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def write_data(folder, name, labels, splits_N, classes):
    ids = tuple(f"{name}-{i}" for i in range(len(labels)))
    examples = Examples(name, ids, None, labels, splits_N, classes)
    write_examples(folder / f"{name}.safetensors", examples)
    return examples


def write_model(folder, examples, model, predicted_N, log_probability_NC=None):
    output = "classes" if log_probability_NC is None else "logits"
    hashes = examples.ids_sha256, examples.content_sha256
    key = Key("0", {}, *hashes, list(examples.classes), output, "float32", {})
    path = folder / examples.name / f"{model}.safetensors"
    highest = None if log_probability_NC is None else log_probability_NC.max(axis=1)
    write_predictions(path, key, predicted_N, highest, log_probability_NC, examples.labels)
    return path


@pytest.fixture(scope="module")
def shifted(tmp_path_factory):
    """Three data sets; which examples are of the report split, and who is right, by data set."""
    folder = tmp_path_factory.mktemp("shift")
    rng = np.random.default_rng(0)
    files, correct = {"data": [], "logits": []}, {}
    for name, n, accuracy in (("later", 80, 0.6), ("original", 150, 0.9), ("latest", 90, 0.5)):
        labels_N = rng.integers(4, size=n)
        splits_N = np.where(np.arange(n) % 3 == 0, "tune", "report")
        examples = write_data(folder, name, labels_N, splits_N, CLASSES)
        files["data"].append(folder / f"{name}.safetensors")
        for model in ("a", "b", "c", *(["only-there"] if name == "original" else [])):
            correct_N = rng.random(n) < accuracy
            predicted_N = np.where(correct_N, labels_N, (labels_N + 1) % 4)
            files["logits"].append(write_model(folder, examples, model, predicted_N))
            correct[name, model] = correct_N[splits_N == "report"]
    return folder, files, correct


def shift_options(folder, files):
    outputs = {f"output_{name}": folder / f"{name}.csv" for name in ("means", "pairs")}
    return files | {"original": "original"} | COMMON | outputs


def test_shift_of_the_models_there_are_everywhere(shifted):
    folder, files, correct = shifted
    done = run("measure_shift.py", **shift_options(folder, files))
    assert done.returncode == 0, done.stderr
    means, pairs = (pd.read_csv(folder / f"{name}.csv") for name in ("means", "pairs"))
    assert means["data"].unique().tolist() == ["original", "later", "latest"]
    assert pairs["data"].value_counts().to_dict() == {"original": 3, "later": 3, "latest": 3}
    for row in pairs.itertuples():
        first_N, second_N = correct[row.data, row.model1], correct[row.data, row.model2]
        assert row.error_inconsistency == pytest.approx((first_N != second_N).mean())
        assert (row.accuracy1, row.n) == (pytest.approx(first_N.mean()), len(first_N))
    value = means.set_index(["measure", "data"])
    inconsistency = value.loc["error_inconsistency"]
    expected = pairs.groupby("data")["error_inconsistency"].mean()
    for data in ("later", "latest"):
        row = inconsistency.loc[data]
        assert row["value"] == pytest.approx(expected[data])
        assert row["difference"] == pytest.approx(expected[data] - expected["original"])
        assert row["difference_low"] < row["difference"] < row["difference_high"]
        assert row["low"] < row["value"] < row["high"]
        # At the original's kappa: each pair's chance level times its 1 - kappa there.
        of = {name: part.reset_index(drop=True) for name, part in pairs.groupby("data")}
        chance = of[data]["expected_error_inconsistency"]
        kept = (chance * (1 - of["original"]["error_consistency"])).mean()
        at_original = value.loc[("error_inconsistency_at_original_kappa", data), "value"]
        assert at_original == pytest.approx(kept)
        at_odds = at_odds_ratio(of["original"], of[data]).mean()
        found = value.loc[("error_inconsistency_at_original_odds_ratio", data), "value"]
        assert found == pytest.approx(at_odds)
    assert inconsistency.loc["original", ["difference", "difference_low"]].isna().all()
    assert set(means["n_models"]) == {3}


def at_odds_ratio(original, shifted):
    """Error inconsistency of pairs at the original's odds ratio, by bisection from their rows."""
    found = []
    for before, after in zip(original.itertuples(), shifted.itertuples(), strict=True):
        first, second = before.accuracy1, before.accuracy2
        both = (first + second - before.error_inconsistency) / 2
        cells = np.array([both, 1 - first - second + both, first - both, second - both])
        cells = (before.n * cells).round()
        cells += 0.5 * (0 in cells)
        odds = cells[0] * cells[1] / (cells[2] * cells[3])
        first, second = after.accuracy1, after.accuracy2
        both = brentq(
            lambda x, a, b, odds: x * (1 - a - b + x) - odds * (a - x) * (b - x),
            max(0, first + second - 1),
            min(first, second),
            args=(first, second, odds),
        )
        found.append(first + second - 2 * both)
    return np.array(found)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"original": "elsewhere"}, "--original elsewhere is no data set of --data"),
        ({"logits": 1}, "predicts each of original, later, latest: give files of two models"),
    ],
)
def test_shift_says_what_is_missing(shifted, change, sentence):
    folder, files, _ = shifted
    if change.get("logits"):
        change = {"logits": files["logits"][: change["logits"]]}
    done = run("measure_shift.py", **shift_options(folder, files) | change)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def calibration_options(folder, paths, data="data"):
    outputs = {f"output_{name}": folder / f"{name}.csv" for name in ("table", "bins")}
    given = {"data": folder / f"{data}.safetensors", "logits": paths, "tune_split": "tune"}
    return given | {"bins": 10} | COMMON | outputs


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """Three overconfident models, of which one knows little."""
    folder = tmp_path_factory.mktemp("calibration")
    rng = np.random.default_rng(1)
    labels_N = rng.integers(4, size=600)
    splits_N = np.where(np.arange(600) % 2, "tune", "report")
    examples = write_data(folder, "data", labels_N, splits_N, CLASSES)
    logits = {}
    for model, signal in (("a", 2), ("b", 2), ("c", 0.3)):
        scores_NC = signal * np.eye(4)[labels_N] + rng.normal(size=(600, 4))
        logits[model] = log_softmax(2 * scores_NC, axis=1).astype(np.float32)
    paths = [
        write_model(folder, examples, model, log_NC.argmax(axis=1), log_NC)
        for model, log_NC in logits.items()
    ]
    several = np.ones((600, 4), np.uint8)
    write_data(folder, "several", several, splits_N, CLASSES)
    return folder, paths, labels_N, splits_N == "report", logits


@pytest.fixture(scope="module")
def calibration_tables(calibrated):
    folder, paths, *_ = calibrated
    done = run("measure_ensemble_calibration.py", **calibration_options(folder, paths))
    assert done.returncode == 0, done.stderr
    return [pd.read_csv(folder / f"{name}.csv") for name in ("table", "bins")]


def test_every_combination_is_tempered_before_after_or_not(calibrated, calibration_tables):
    _, _, labels_N, report_N, logits = calibrated
    table = calibration_tables[0].set_index(["members", "variant", "measure"])
    own = {
        m: fit_temperature(log_NC[~report_N], labels_N[~report_N]) for m, log_NC in logits.items()
    }
    assert len(table) == 6 * (3 * 2 + 4 * 3)
    for members in ("a", "c", "a + b", "b + c", "a + b + c"):
        names = members.split(" + ")
        raw_NC = np.mean([softmax(logits[m], axis=1) for m in names], axis=0)
        scaled_NC = np.mean([softmax(logits[m] / own[m], axis=1) for m in names], axis=0)
        averages = {"raw": raw_NC, "members_scaled": scaled_NC}
        if len(names) > 1:
            temperature = fit_temperature(np.log(raw_NC[~report_N]), labels_N[~report_N])
            averages["ensemble_scaled"] = softmax(np.log(raw_NC) / temperature, axis=1)
            found = table.loc[(members, "ensemble_scaled", "nll"), "temperature"]
            assert found == pytest.approx(temperature, rel=1e-3)
        for variant, probability_NC in averages.items():
            report_NC, truth_N = probability_NC[report_N], labels_N[report_N]
            expected = {
                "accuracy": (report_NC.argmax(axis=1) == truth_N).mean(),
                "nll": log_loss(truth_N, report_NC, labels=range(4)),
                "ece": expected_calibration_error(np.log(report_NC), truth_N, n_bins=10),
            }
            for measure, value in expected.items():
                row = table.loc[members, variant, measure]
                assert row["value"] == pytest.approx(value, rel=1e-3), (members, variant, measure)
                assert row["low"] < row["value"] < row["high"]


def test_ensembles_are_compared_with_their_best_member_tempered(calibration_tables):
    table = calibration_tables[0].set_index(["members", "variant", "measure"])
    single = calibration_tables[0].query("n_members == 1")
    assert single[["difference", "difference_low", "difference_high"]].isna().all(axis=None)
    assert table.loc[("a + c", "raw", "nll"), "best_member"] == "a"
    for variant in ("raw", "members_scaled", "ensemble_scaled"):
        row = table.loc["a + c", variant, "nll"]
        alone = table.loc[("a", "members_scaled", "nll"), "value"]
        assert row["difference"] == pytest.approx(row["value"] - alone)
        # Examples are the same, so that the difference is known better than its terms.
        assert row["difference_high"] - row["difference_low"] < row["high"] - row["low"]


def test_averages_of_calibrated_members_are_not_confident_enough(calibration_tables):
    """Rahaman and Thiery 2021: a temperature of the average itself repairs that."""
    table = calibration_tables[0].set_index(["members", "variant", "measure"])
    gap = table["value"].xs("overconfidence", level="measure")["a + b"]
    high = table["high"].xs("overconfidence", level="measure")["a + b"]
    assert high["members_scaled"] < -0.02
    assert abs(gap["ensemble_scaled"]) < abs(gap["members_scaled"]) / 2


def test_bins_hold_every_example_once(calibrated, calibration_tables):
    table, bins = calibration_tables
    sizes = bins.groupby(["members", "variant"])["n"].sum()
    assert set(sizes) == {calibrated[3].sum()}
    weighted = (bins["n"] * (bins["confidence"] - bins["accuracy"]).abs()).groupby(
        [bins["members"], bins["variant"]]
    )
    error = table[table["measure"] == "ece"].set_index(["members", "variant"])["value"]
    pd.testing.assert_series_equal(weighted.sum() / sizes, error.sort_index(), check_names=False)


def test_calibration_says_what_it_needs(calibrated):
    folder, paths, *_ = calibrated
    for options, sentence in (
        (calibration_options(folder, paths[:1]), "of two models or more"),
        (calibration_options(folder, paths, "several"), "needs one label each"),
    ):
        done = run("measure_ensemble_calibration.py", **options)
        assert done.returncode == 1
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_published_classifiers_on_cifar_10_and_10_1(mirror, tmp_path):
    """Means over 435 pairs, computed elsewhere from the same files with plain loops."""
    published = next(mirror.rglob("CIFAR-10.1/*/"))
    data = {
        "original": next(mirror.rglob("cifar10_test_set_original_labels.npy")),
        "v4": published / "datasets/cifar10.1_v4_labels.npy",
        "v6": published / "datasets/cifar10.1_v6_labels.npy",
    }
    files = {"data": [], "logits": []}
    for name, path in data.items():
        labels_N = np.load(path).astype(np.int64)
        splits_N = np.full(len(labels_N), "report")
        examples = write_data(tmp_path, name, labels_N, splits_N, tuple("0123456789"))
        files["data"].append(tmp_path / f"{name}.safetensors")
        for model in sorted((published / f"model_predictions/{name}_predictions").iterdir()):
            predicted_N = np.array(json.loads(model.read_text()))
            files["logits"].append(write_model(tmp_path, examples, model.stem, predicted_N))
    done = run("measure_shift.py", **shift_options(tmp_path, files) | {"resamples": 50})
    assert done.returncode == 0, done.stderr
    means = pd.read_csv(tmp_path / "means.csv").set_index(["measure", "data"])["value"]
    expected = {"original": 0.080777, "v4": 0.145537, "v6": 0.142709}
    assert means["error_inconsistency"].to_dict() == pytest.approx(expected, abs=1e-6)
    for kept, lower in (("kappa", (0.158, 0.155)), ("odds_ratio", (0.131, 0.129))):
        found = means[f"error_inconsistency_at_original_{kept}"]
        assert found[["v4", "v6"]].tolist() == pytest.approx(lower, abs=5e-4)
    pairs = pd.read_csv(tmp_path / "pairs.csv").groupby("data")["error_inconsistency"]
    assert set(pairs.size()) == {435}
    extremes = {"original": (0.0194, 0.1670), "v4": (0.0465, 0.2791), "v6": (0.0445, 0.2730)}
    for name, ends in extremes.items():
        assert (pairs.min()[name], pairs.max()[name]) == pytest.approx(ends, abs=5e-5)


def test_published_probabilities_on_cifar_100(mirror, tmp_path):
    labels_N = np.load(next(mirror.rglob("cifar100_test_set_original_labels.npy")))
    # Twice the same examples, so that all are of both splits.
    labels_N = np.tile(labels_N.astype(np.int64), 2)
    splits_N = np.repeat(["tune", "report"], len(labels_N) // 2)
    examples = write_data(tmp_path, "data", labels_N, splits_N, tuple(map(str, range(100))))
    paths = []
    for model in ("densenet-bc-100", "wideresnet-16-4", "lenet-5"):
        probability_NC = np.load(next(mirror.rglob(f"{model}-cifar-100.npz")))["predictions"]
        log_NC = np.tile(np.log(probability_NC), (2, 1))
        paths.append(write_model(tmp_path, examples, model, log_NC.argmax(axis=1), log_NC))
    options = calibration_options(tmp_path, paths) | {"resamples": 20, "bins": 15}
    done = run("measure_ensemble_calibration.py", **options)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "table.csv").query("variant == 'raw'").set_index("members")
    accuracy, error = (table[table["measure"] == name]["value"] for name in ("accuracy", "ece"))
    expected = {
        "densenet-bc-100": 0.7541,
        "wideresnet-16-4": 0.7543,
        "lenet-5": 0.1246,
        "densenet-bc-100 + wideresnet-16-4": 0.7842,
        "densenet-bc-100 + lenet-5": 0.7542,
        "wideresnet-16-4 + lenet-5": 0.7531,
    }
    found = accuracy.drop("densenet-bc-100 + wideresnet-16-4 + lenet-5").to_dict()
    assert found == pytest.approx(expected, abs=1e-9)
    single = error[["densenet-bc-100", "wideresnet-16-4", "lenet-5"]]
    assert single.tolist() == pytest.approx([0.1422, 0.0581, 0.0149], abs=5e-5)
