"""Metrics of models of which some give scores, some a confidence, some classes alone.

The same predictions on three data sets: one with a tune split, one without, and one that labels
the examples anew, with any number of accepted classes.
"""

import importlib.util
import json
import os
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import binom, spearmanr
from sklearn.metrics import accuracy_score, brier_score_loss, cohen_kappa_score, log_loss

from dissent.claims import NOT_MEASURED, verdict
from dissent.commandline import InputError
from dissent.examples import Examples, read_examples, write_examples
from dissent.logits import Key, open_logits, write_logits, write_predictions

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "metrics"
N, C = 300, 6
# No model predicts the last ten examples, which no split has.
SPLITS = np.repeat(["tune", "report", "unused"], [110, 180, 10])
# The scores of the first are float16, as of models that ran here.
SCORED, SURE, CLASSES = ("half", "single"), ("certain", "tied"), "votes"
CATEGORY = {
    "certain": "reinit",
    "half": "reinit",
    "single": "architectures",
    "tied": "frameworks",
    "votes": "datasets",
}
MODELS = list(CATEGORY)
ORDER = ["reinit", "hyper-parameters", "architectures", "frameworks", "datasets"]
RULES = ("mean_probability", "mean_logit", "most_confident")
TEMPERED = "temperature nll_scaled brier_scaled ece_scaled"
NO_SCORES = "temperature nll brier nll_scaled brier_scaled ece_scaled"
NOTHING = "temperature nll brier ece nll_scaled brier_scaled ece_scaled"
# By data set, of each of the models.
LEFT_OUT = {
    "tuned": [NO_SCORES, "", "", NO_SCORES, NOTHING],
    "untuned": [NO_SCORES, TEMPERED, TEMPERED, NO_SCORES, NOTHING],
    "relabelled": [NOTHING] * 5,
}
DRAWN = {"report_split": "report", "resamples": 300, "level": 0.9}
WINDOW = {"base": "certain", "window": [0.3, 1]}


def run(script, **options):
    """The script as a rule runs it; JSON where the rule gives it."""
    command = [sys.executable, str(SCRIPTS / script)]
    for name, value in options.items():
        if name in ("categories", "order"):
            value = json.dumps(value)
        values = value if isinstance(value, list) else [value]
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def load(script):
    specification = importlib.util.spec_from_file_location("script", SCRIPTS / script)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def call(script, **options):
    """The script in this process, which starts faster."""
    load(script).main(Namespace(**({"base": None, "window": None, "seed": 0} | options)))


def table(path):
    return pd.read_csv(path, dtype=dict.fromkeys(["model", "model1", "model2"], str))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    rng = np.random.default_rng(1)
    labels_N = rng.integers(0, C, N)
    tuned = Examples(
        name="tuned",
        ids=tuple(f"x{i}" for i in range(N)),
        images_NHW=None,
        labels=labels_N,
        splits_N=SPLITS,
        classes=tuple("abcdef"),
    )
    write_examples(folder / "tuned.safetensors", tuned)
    untuned_N = np.where(SPLITS == "tune", "report", SPLITS)
    write_examples(folder / "untuned.safetensors", replace(tuned, splits_N=untuned_N))
    accepted_NC = (rng.random((N, C)) < 0.2) | (np.eye(C, dtype=bool)[labels_N])
    accepted_NC[:20] = False
    relabelled = replace(
        tuned,
        labels=accepted_NC.astype(np.uint8),
        splits_N=np.where(accepted_NC.any(axis=1), untuned_N, "unused"),
        relabels="tuned",
    )
    write_examples(folder / "relabelled.safetensors", relabelled)

    def key(output, dtype):
        hashes = tuned.ids_sha256, tuned.content_sha256
        return Key("0", {}, *hashes, list("abcdef"), output, dtype, {})

    hard_NC = rng.normal(0, 1.5, (N, C)) + 2 * np.eye(C)[labels_N]
    for model in MODELS:
        path = folder / f"{model}.safetensors"
        logits_NC = (hard_NC + rng.normal(0, 1.5, (N, C))).astype(np.float32)
        predicted_N = logits_NC.argmax(axis=1)
        if model == "half":
            features_ND = np.zeros((N, 2), np.float32)
            write_logits(path, key("logits", "float16"), features_ND, logits_NC, labels_N)
            continue
        # Ties, and confidences that differ by less than a millionth.
        confidence_N = softmax(logits_NC, axis=1).max(axis=1).astype(float)
        confidence_N[::3], confidence_N[1::3] = 1 if model == "certain" else 1 - 2e-7, 0.7
        log_probability_NC = log_softmax(logits_NC, axis=1)
        log_N = np.log(confidence_N) if model in SURE else log_probability_NC.max(axis=1)
        for values in (log_N, log_probability_NC):
            values[SPLITS == "unused"] = np.nan
        output, given = {
            "single": ("logits", (log_N, log_probability_NC)),
            CLASSES: ("classes", (None, None)),
        }.get(model, ("confidences", (log_N, None)))
        predicted_N[SPLITS == "unused"] = -1
        write_predictions(path, key(output, "float32"), predicted_N, *given, labels_N)
    return folder


def files(folder, models=MODELS):
    return [folder / f"{model}.safetensors" for model in models]


def model_options(folder, data, output, models=MODELS):
    return DRAWN | {
        "data": folder / f"{data}.safetensors",
        "logits": files(folder, models),
        "categories": CATEGORY,
        "tune_split": "tune",
        "bins": 15,
        "output": output,
    }


def pair_options(folder, data, output, models=MODELS):
    return DRAWN | {
        "data": folder / f"{data}.safetensors",
        "logits": files(folder, models),
        "models": folder / f"{data}-models.csv",
        "output": output,
    }


def relate_options(folder, outputs, models=MODELS, rule="most_confident"):
    """The first model is the base."""
    options = pair_options(folder, "tuned", None, models)
    del options["output"]
    names = ("pairs", "categories", "statistics")
    options |= {f"output_{name}": outputs / f"base-{name}.csv" for name in names}
    return options | {"base": models[0], "order": ORDER, "rule": rule}


def specialise_options(folder, outputs, models):
    return {
        "data": folder / "tuned.safetensors",
        "logits": files(folder, models),
        "base": models[0],
        "tune_split": "tune",
        "report_split": "report",
        "output_angles": outputs / "angles.csv",
        "output_classes": outputs / "classes.csv",
    }


@pytest.fixture(scope="module")
def measured(folder):
    """The tables of models and of pairs of each data set; the first has an accuracy window."""
    tables = {}
    for data in LEFT_OUT:
        window = WINDOW if data == "tuned" else {"base": [], "window": []}
        for script, options in (
            ("models", model_options(folder, data, folder / f"{data}-models.csv") | window),
            ("pairs", pair_options(folder, data, folder / f"{data}-pairs.csv")),
        ):
            done = run(f"measure_{script}.py", **options)
            assert done.returncode == 0, done.stderr
            assert "Warning" not in done.stderr
        tables[data] = [table(folder / f"{data}-{name}.csv") for name in ("models", "pairs")]
    return tables


def correct(folder, data, model, split="report"):
    """Whether the model is right on each example of a split, by the definition."""
    examples = read_examples(folder / f"{data}.safetensors")
    rows = np.flatnonzero(examples.splits_N == split)
    predicted_N = open_logits(folder / f"{model}.safetensors")["predicted"]
    if examples.labels.ndim == 1:
        return np.array([predicted_N[row] == examples.labels[row] for row in rows])
    return np.array([predicted_N[row] in np.flatnonzero(examples.labels[row]) for row in rows])


def scores(folder, model, rows, temperature=1.0):
    logits_NC = open_logits(folder / f"{model}.safetensors")["logits"][rows].astype(float)
    return logits_NC / temperature


def confidence(folder, model, rows, temperature=1.0):
    if model in SCORED:
        return softmax(scores(folder, model, rows, temperature), axis=1).max(axis=1)
    log_N = open_logits(folder / f"{model}.safetensors")["max_log_probability"][rows]
    return np.exp(log_N.astype(float))


def report_rows(folder, data):
    return np.flatnonzero(read_examples(folder / f"{data}.safetensors").splits_N == "report")


def calibration_error(confidence_N, correct_N, n_bins=15):
    """The definition, bin by bin."""
    total = 0.0
    for index in range(n_bins):
        inside_N = (confidence_N > index / n_bins) & (confidence_N <= (index + 1) / n_bins)
        if inside_N.any():
            total += abs((confidence_N - correct_N)[inside_N].sum())
    return total / len(confidence_N)


@pytest.mark.parametrize("data", LEFT_OUT)
def test_empty_cells_of_models_are_those_named(measured, data):
    models, _ = measured[data]
    assert models["model"].tolist() == MODELS
    assert models["category"].tolist() == list(CATEGORY.values())
    assert models["left_out"].fillna("").tolist() == LEFT_OUT[data]
    empty = models.drop(columns="left_out").isna()
    assert [" ".join(row.index[row]) for _, row in empty.iterrows()] == LEFT_OUT[data]
    assert ("accuracy_tune" in models) == (data == "tuned")
    assert ("in_window" in models) == (data == "tuned")


@pytest.mark.parametrize("data", LEFT_OUT)
def test_accuracy_counts_every_accepted_class(folder, measured, data):
    for row in measured[data][0].itertuples():
        right_N = correct(folder, data, row.model)
        assert row.n == len(right_N)
        assert row.accuracy == pytest.approx(right_N.mean())
        for end, quantile in ((row.accuracy_low, 0.05), (row.accuracy_high, 0.95)):
            expected = binom.ppf(quantile, row.n, row.accuracy) / row.n
            assert end == pytest.approx(expected, abs=0.016)
        if data == "tuned":
            tune_N = correct(folder, data, row.model, "tune")
            assert row.accuracy_tune == pytest.approx(tune_N.mean())
    labels_N, rows = read_examples(folder / "tuned.safetensors").labels, report_rows(folder, data)
    plain = [
        accuracy_score(labels_N[rows], open_logits(path)["predicted"][rows])
        for path in files(folder)
    ]
    found = measured[data][0]["accuracy"]
    if data == "relabelled":
        assert (found > plain).all()
    else:
        assert found.tolist() == pytest.approx(plain)


@pytest.mark.parametrize("data", ["tuned", "untuned"])
def test_calibration_is_that_of_scikit_learn(folder, measured, data):
    examples, rows = read_examples(folder / f"{data}.safetensors"), report_rows(folder, data)
    labels_N = examples.labels[rows]
    for row in measured[data][0].set_index("model").loc[list(SCORED)].itertuples():
        for suffix in ("", "_scaled") if data == "tuned" else ("",):
            temperature = row.temperature if suffix else 1.0
            scaled_NC = scores(folder, row.Index, rows, temperature)
            probability_NC = softmax(scaled_NC, axis=1)
            given = {"labels": range(C)}
            expected = {
                "nll": log_loss(labels_N, probability_NC, **given),
                "brier": brier_score_loss(labels_N, probability_NC, scale_by_half=False, **given),
                "ece": calibration_error(
                    probability_NC.max(axis=1), scaled_NC.argmax(axis=1) == labels_N
                ),
            }
            for name, value in expected.items():
                assert getattr(row, name + suffix) == pytest.approx(value, rel=1e-9)


def test_temperatures_are_of_the_tune_split(folder, measured):
    examples = read_examples(folder / "tuned.safetensors")
    tune = examples.where("tune")
    models = measured["tuned"][0].set_index("model")
    for model in SCORED:

        def loss(temperature, model=model):
            probability_NC = softmax(scores(folder, model, tune, temperature), axis=1)
            return log_loss(examples.labels[tune], probability_NC)

        expected = minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x
        assert models.loc[model, "temperature"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("data", ["tuned", "untuned"])
def test_published_confidences_have_a_calibration_error(folder, measured, data):
    models, rows = measured[data][0].set_index("model"), report_rows(folder, data)
    for model in SURE:
        right_N = correct(folder, data, model)
        expected = calibration_error(confidence(folder, model, rows), right_N)
        assert expected > 0.01
        assert models.loc[model, "ece"] == pytest.approx(expected, rel=1e-6)


def test_a_model_is_measured_alike_in_any_company(folder, measured, tmp_path):
    some = [CLASSES, "tied", "half"]
    output = tmp_path / "models.csv"
    call("measure_models.py", **model_options(folder, "tuned", output, some))
    found = table(output)
    expected = measured["tuned"][0].set_index("model").loc[some].reset_index()
    # The ends of intervals are random draws.
    drawn = ["accuracy_low", "accuracy_high"]
    pd.testing.assert_frame_equal(
        found.drop(columns=drawn), expected.drop(columns=[*drawn, "in_window"]), check_exact=True
    )


def test_models_without_category_are_measured_in_full(folder, tmp_path):
    options = model_options(folder, "tuned", tmp_path / "models.csv", ["half", "single"])
    call("measure_models.py", **options | {"categories": {"half": None, "single": None}})
    models = table(options["output"])
    assert models[["category", "left_out"]].isna().all(axis=None)


def test_the_window_marks_models_and_members_of_pairs(measured):
    models, pairs = measured["tuned"]
    of = dict(zip(models["model"], models["in_window"], strict=True))
    for member in "12":
        assert pairs[f"in_window{member}"].tolist() == [of[m] for m in pairs[f"model{member}"]]
    assert not {"in_window1", "in_window2"} & set(measured["untuned"][1])


@pytest.mark.parametrize(("data", "column"), [("tuned", "accuracy_tune"), ("untuned", "accuracy")])
def test_the_window_is_on_the_tune_split_or_else_on_what_there_is(measured, data, column):
    models, script = measured[data][0].sort_values(column), load("measure_models.py")
    lowest = models[column].iloc[1]
    given = Namespace(window=[lowest, 1.0], tune_split="tune", base=models["model"].iloc[2])
    found = script.in_window(models, given)
    assert found.tolist() == [False, True, True, True, True]
    assert data == "untuned" or (models["accuracy"] >= lowest).tolist() != found.tolist()
    given.window = [0.0, 0.01]
    with pytest.raises(InputError, match="should hold the base model"):
        script.in_window(models, given)


def test_ids_of_models_may_be_numbers(folder, tmp_path, measured):
    for name, model in (("7", "certain"), ("08", "half")):
        (tmp_path / f"{name}.safetensors").symlink_to(folder / f"{model}.safetensors")
    shared = {"logits": files(tmp_path, ["7", "08"]), "categories": dict.fromkeys(["7", "08"], "x")}
    models = tmp_path / "models.csv"
    window = {"base": "7", "window": [0.0, 1.0]}
    call("measure_models.py", **model_options(folder, "tuned", models) | shared | window)
    shared["models"] = models
    options = pair_options(folder, "tuned", tmp_path / "pairs.csv") | shared
    call("measure_pairs.py", **options)
    expected = measured["tuned"][1].set_index(["model1", "model2"]).loc[("certain", "half")]
    found = table(options["output"]).set_index(["model1", "model2"]).loc[("7", "08")]
    name = "most_confident_ensemble_accuracy"
    assert found[name] == expected[name]
    options = relate_options(folder, tmp_path) | shared
    call("relate_base_pairs.py", **options | {"base": "7", "order": ["x"]})
    assert table(tmp_path / "base-pairs.csv")["model"].tolist() == ["08"]


def chosen_together(folder, rows, pair, temperatures, rule):
    """Class of each example that two models choose under a rule; None if they cannot."""
    if CLASSES in pair or (rule != "most_confident" and not set(pair) <= set(SCORED)):
        return None
    predicted = [open_logits(path)["predicted"][rows] for path in files(folder, pair)]
    each = [(m, rows, temperatures.get(m, 1.0)) for m in pair]
    if rule == "most_confident":
        sure = [confidence(folder, *one) for one in each]
        options = zip(*predicted, *sure, strict=True)
        return [a if sure_a >= sure_b else b for a, b, sure_a, sure_b in options]
    values = [scores(folder, *one) for one in each]
    if rule == "mean_probability":
        values = [softmax(one, axis=1) for one in values]
    best = np.sum(values, axis=0).argmax(axis=1)
    return [a if a == b else both for a, b, both in zip(*predicted, best, strict=True)]


def ratio(part, whole):
    return part / whole if whole else np.nan


@pytest.mark.parametrize("data", LEFT_OUT)
@pytest.mark.parametrize("reverse", [False, True])
def test_pairs_are_those_of_a_loop(folder, measured, tmp_path, data, reverse):
    models, pairs = measured[data]
    order = MODELS
    if reverse:
        order = MODELS[::-1]
        options = pair_options(folder, data, tmp_path / "pairs.csv", order)
        call("measure_pairs.py", **options)
        pairs = table(options["output"])
    assert list(zip(pairs["model1"], pairs["model2"], strict=True)) == list(combinations(order, 2))
    temperatures = models.set_index("model")["temperature"].dropna().to_dict()
    examples, rows = read_examples(folder / f"{data}.safetensors"), report_rows(folder, data)
    for row in pairs.itertuples():
        pair = [row.model1, row.model2]
        first_N, second_N = (correct(folder, data, model) for model in pair)
        assert row.error_inconsistency == pytest.approx((first_N != second_N).mean())
        assert row.error_consistency == pytest.approx(cohen_kappa_score(first_N, second_N))
        assert [row.accuracy1, row.accuracy2] == pytest.approx([first_N.mean(), second_N.mean()])
        assert row.only_1_right == sum(a and not b for a, b in zip(first_N, second_N, strict=True))
        assert (row.category1, row.category2) == (CATEGORY[row.model1], CATEGORY[row.model2])
        left_out = []
        for rule in RULES:
            chosen = chosen_together(folder, rows, pair, temperatures, rule)
            columns = [name for name in pairs if name.startswith(f"{rule}_")]
            found = {name.removeprefix(f"{rule}_"): getattr(row, name) for name in columns}
            if chosen is None or data == "relabelled":
                left_out.append(rule)
                assert all(np.isnan(value) for value in found.values())
                continue
            right = [a == b for a, b in zip(chosen, examples.labels[rows], strict=True)]
            each = list(zip(first_N, second_N, right, strict=True))
            one = [ok for a, b, ok in each if a != b]
            none = [ok for a, b, ok in each if not a and not b]
            accuracy = np.mean(right)
            assert found["ensemble_accuracy"] == pytest.approx(accuracy)
            gain = accuracy - (first_N.mean() + second_N.mean()) / 2
            assert found["ensemble_gain"] == pytest.approx(gain)
            assert found["conversion_rate"] == pytest.approx(ratio(sum(one), len(one)))
            assert found["rescue_fraction"] == pytest.approx(ratio(sum(none), len(none)))
            assert found["identity_residual"] == pytest.approx(0, abs=1e-12)
            for name in ("ensemble_accuracy", "ensemble_gain", "conversion_rate"):
                assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
        assert ("" if pd.isna(row.left_out) else row.left_out) == " ".join(left_out)


@pytest.mark.parametrize("data", ["tuned", "untuned"])
def test_ties_and_certain_models_matter_here(folder, data):
    """The oracle above is strict only if it makes a difference who wins these."""
    rows = report_rows(folder, data)
    first_N, second_N = (confidence(folder, model, rows) for model in SURE)
    better_N = correct(folder, data, "certain").astype(int) - correct(folder, data, "tied")
    assert better_N[first_N == second_N].sum() != 0
    assert better_N[(first_N != second_N) & (np.abs(first_N - second_N) < 1e-6)].sum() != 0


@pytest.fixture(scope="module")
def related(folder, measured):
    done = run("relate_base_pairs.py", **relate_options(folder, folder))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return [table(folder / f"base-{name}.csv") for name in ("pairs", "categories", "statistics")]


OF_ERRORS = ["error_inconsistency", "error_consistency"]
OF_ENSEMBLES = ["ensemble_gain", "conversion_rate"]


def test_pairs_with_the_base_model_are_those_of_the_table_of_all(folder, measured, related):
    of_base = measured["tuned"][1].query("model1 == 'certain'").set_index("model2")
    base_pairs = related[0].set_index("model")
    assert base_pairs.index.tolist() == of_base.index.tolist() == MODELS[1:]
    for name in OF_ERRORS:
        np.testing.assert_allclose(base_pairs[name], of_base[name])
    for name in OF_ENSEMBLES:
        np.testing.assert_allclose(base_pairs[name], of_base[f"most_confident_{name}"])
    temperatures = measured["tuned"][0].set_index("model")["temperature"]
    rows = report_rows(folder, "tuned")
    base_N, base_p = correct(folder, "tuned", "certain"), confidence(folder, "certain", rows)
    for model in MODELS[1:4]:
        other_N = correct(folder, "tuned", model)
        other_p = confidence(folder, model, rows, temperatures.fillna(1.0)[model])
        angle_N = np.degrees(np.arctan2(base_p, other_p))
        expected = angle_N[base_N & ~other_N].mean() - angle_N[other_N & ~base_N].mean()
        assert base_pairs.loc[model, "specialisation"] == pytest.approx(expected, rel=1e-5)
    of_classes = base_pairs.loc[CLASSES]
    named = of_classes.index.str.startswith((*OF_ENSEMBLES, "specialisation"))
    assert of_classes[named].isna().all()
    assert of_classes[~named].notna().all()


def test_categories_of_classes_alone_have_no_row_of_ensembles(related):
    base_pairs, categories, _ = related
    for measure in (*OF_ERRORS, *OF_ENSEMBLES, "specialisation"):
        rows = categories[categories["measure"] == measure].set_index("category")
        expected = base_pairs.set_index("category")[measure].dropna()
        assert rows.index.tolist() == expected.index.tolist()
        np.testing.assert_allclose(rows["mean"], expected)
        assert (rows["n_models"] == 1).all()
        assert rows[["low", "high"]].isna().all(axis=None)
    assert "datasets" not in categories[categories["measure"] == "ensemble_gain"]["category"].values


def test_few_pairs_have_a_trend_but_no_claim(related):
    base_pairs, _, statistics = related
    rank = base_pairs["category"].map(ORDER.index)
    for row in statistics.itertuples():
        first, second = load("relate_base_pairs.py").TRENDS[row.statistic]
        sides = base_pairs.assign(category=rank)[[first, second]].dropna()
        assert row.n == len(sides) == (4 if second in OF_ERRORS else 3)
        assert row.value == pytest.approx(spearmanr(*sides.to_numpy().T).statistic)
        assert np.isnan([row.low, row.high]).all()
        assert verdict(">", 0, row.value, row.low, row.high) == NOT_MEASURED


@pytest.mark.parametrize("without", [0, 1])
def test_three_models_in_each_category_have_intervals(without):
    rng = np.random.default_rng(1)
    script = load("relate_base_pairs.py")
    names = {name for names in script.TRENDS.values() for name in names} - {"category"}
    measures = {name: rng.normal(size=(100, 6)) for name in names}
    measures["ensemble_gain"][:, :without] = np.nan
    found = script.trends(measures, np.arange(6) % 2, 0.9, np.random.SeedSequence(0))
    found = found.set_index("statistic")
    assert found.loc["gain_by_inconsistency", "n"] == 6 - without
    assert found["low"].notna().sum() == 5 - without
    assert np.isfinite(found["value"]).all()


def test_a_model_of_classes_alone_leaves_the_others_of_its_category_as_they_are():
    rng = np.random.default_rng(2)
    script, seed = load("relate_base_pairs.py"), np.random.SeedSequence(0)
    gain_RP, category_P = rng.normal(size=(400, 6)), np.array([0, 0, 0, 2, 2, 2])
    arguments = Namespace(order=ORDER, level=0.9)
    expected = script.category_means({"ensemble_gain": gain_RP}, category_P, arguments, seed)
    more_RP = np.insert(gain_RP, [0, 4], np.nan, axis=1)
    found = script.category_means(
        {"ensemble_gain": more_RP}, np.insert(category_P, [0, 4], [0, 2]), arguments, seed
    )
    pd.testing.assert_frame_equal(found, expected)
    assert found["n_models"].tolist() == [3, 3]
    assert (found["low"] < found["mean"]).all()


def test_a_base_of_classes_alone_has_errors_to_compare_and_no_ensembles(folder, tmp_path, measured):
    call("relate_base_pairs.py", **relate_options(folder, tmp_path, MODELS[::-1]))
    pairs, categories, statistics = (
        table(tmp_path / f"base-{name}.csv") for name in ("pairs", "categories", "statistics")
    )
    assert pairs[OF_ERRORS].notna().all(axis=None)
    assert pairs[[*OF_ENSEMBLES, "specialisation"]].isna().all(axis=None)
    assert set(categories["measure"]) == set(OF_ERRORS)
    by_name = statistics.set_index("statistic")
    assert by_name.loc["gain_by_inconsistency", "n"] == 0
    assert np.isnan(by_name.loc["gain_by_inconsistency", "value"])
    assert by_name.loc["inconsistency_by_category", "n"] == 4


@pytest.mark.parametrize("rule", ["mean_probability", "mean_logit"])
def test_rules_of_scores_take_models_with_scores_alone(folder, tmp_path, measured, rule):
    order = ["half", "certain", "single", "tied", CLASSES]
    call("relate_base_pairs.py", **relate_options(folder, tmp_path, order, rule))
    base_pairs = table(tmp_path / "base-pairs.csv").set_index("model")
    pairs = measured["tuned"][1].set_index(["model1", "model2"])
    assert base_pairs["ensemble_gain"].dropna().index.tolist() == ["single"]
    for name in OF_ENSEMBLES:
        expected = pairs.loc[("half", "single"), f"{rule}_{name}"]
        assert base_pairs.loc["single", name] == pytest.approx(expected)
    assert base_pairs["specialisation"].isna().tolist() == (base_pairs.index == CLASSES).tolist()


def test_confidences_specialise(folder, measured, tmp_path):
    models = ["certain", "tied", "half"]
    call("measure_specialisation.py", **specialise_options(folder, tmp_path, models))
    examples, rows = read_examples(folder / "tuned.safetensors"), report_rows(folder, "tuned")
    temperature = measured["tuned"][0].set_index("model").loc["half", "temperature"]
    given = {m: confidence(folder, m, rows, temperature) for m in models}
    right = {m: correct(folder, "tuned", m) for m in models}
    drawn_N = (right["certain"] != right["tied"]) | (right["certain"] != right["half"])
    angles, classes = table(tmp_path / "angles.csv"), table(tmp_path / "classes.csv")
    for model in models[1:]:
        found = angles[angles["model2"] == model]
        assert found["example"].tolist() == [f"x{row}" for row in rows[drawn_N]]
        for column, name in (("confidence1", "certain"), ("confidence2", model)):
            np.testing.assert_allclose(found[column], given[name][drawn_N], rtol=1e-6)
        for row in classes[classes["model2"] == model].itertuples():
            inside_N = examples.labels[rows] == "abcdef".index(row[1])
            assert row.n == inside_N.sum()
            assert row.accuracy1 == pytest.approx(right["certain"][inside_N].mean())
            assert row.accuracy2 == pytest.approx(right[model][inside_N].mean())


def test_confidences_are_raw_without_a_tune_split(folder, tmp_path):
    options = specialise_options(folder, tmp_path, ["certain", "half"])
    call("measure_specialisation.py", **options | {"data": folder / "untuned.safetensors"})
    angles = table(tmp_path / "angles.csv")
    rows = [int(name[1:]) for name in angles["example"]]
    np.testing.assert_allclose(angles["confidence2"], confidence(folder, "half", rows), rtol=1e-6)


def test_classes_alone_cannot_specialise(folder, tmp_path):
    options = specialise_options(folder, tmp_path, ["certain", CLASSES])
    done = run("measure_specialisation.py", **options)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"{CLASSES}.safetensors holds classes alone, and confidences are needed" in done.stderr


def test_several_accepted_classes_are_refused_where_one_is_needed(folder, tmp_path, measured):
    data = folder / "relabelled.safetensors"
    for script, options in (
        ("relate_base_pairs.py", relate_options(folder, tmp_path)),
        ("measure_specialisation.py", specialise_options(folder, tmp_path, ["certain", "half"])),
    ):
        with pytest.raises(InputError, match=r"relabelled.* accepts several classes an example"):
            call(script, **options | {"data": data})
    assert not list(tmp_path.iterdir())
