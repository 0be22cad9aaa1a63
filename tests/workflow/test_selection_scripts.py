"""The scripts that rank candidates and choose ensembles, run as a rule runs them."""

import importlib.util
import json
import os
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from scipy.stats import norm
from sklearn.neighbors import KNeighborsClassifier

from dissent.commandline import InputError
from dissent.examples import Examples, write_examples
from dissent.finetuned import (
    FineTuning,
    FineTunings,
    predicted_positions,
    read_fine_tunings,
    write_fine_tunings,
)
from dissent.logits import Key, open_logits, write_logits, write_predictions

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "selection"
CATEGORIES = {"good": "deep", "weak": "wide", "twin": "wide", "007": "deep"}
SKILL = {"good": 1.0, "weak": 0.2, "twin": 0.2, "007": 0.5}
SIZES = {"report": 50, "train": 40, "tune": 20, "unused": 7}
CLASSES = ("cat", "dog", "eel")


def run(script, options):
    """Run a script as a rule does; the table that it writes."""
    command = [sys.executable, str(SCRIPTS / script)]
    for name, value in options.items():
        value = json.dumps(value) if isinstance(value, dict) else value
        values = value if isinstance(value, list) else [value]
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return written(options)


def call(script, options):
    """Run a script in this process, which is faster; the table that it writes."""
    spec = importlib.util.spec_from_file_location("script", SCRIPTS / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(Namespace(**options))
    return written(options)


def written(options):
    return pd.read_csv(options["output"], dtype={"model": str}, keep_default_na=False)


def refused(script, options):
    """The sentence by which a script refuses its input."""
    with pytest.raises(InputError) as error:
        call(script, options)
    assert not options["output"].exists()
    return str(error.value)


def task_of(labels_N, classes=CLASSES):
    n = len(labels_N)
    return Examples(
        name="pets",
        ids=tuple(f"pets-{i}" for i in range(n)),
        images_NHW=np.zeros((n, 1, 1), np.uint8),
        labels=labels_N,
        splits_N=np.random.default_rng(1).permutation(np.repeat([*SIZES], [*SIZES.values()])),
        classes=classes,
    )


def write_features(path, examples, features_ND, weights):
    hashes = examples.ids_sha256, examples.content_sha256
    key = Key(weights, {}, *hashes, ["0", "1"], "features", "float16", {})
    write_logits(path, key, features_ND)


@pytest.fixture
def task():
    return task_of(np.random.default_rng(0).integers(0, len(CLASSES), sum(SIZES.values())))


@pytest.fixture
def ranking(tmp_path, task):
    """Options of rank_candidates.py, with the features of four models on train and tune alone."""
    rng = np.random.default_rng(2)
    write_examples(tmp_path / "pets.safetensors", task)
    centre_CD = rng.normal(size=(len(CLASSES), 12))
    for model, skill in SKILL.items():
        features_ND = skill * centre_CD[task.labels] + rng.normal(size=(len(task.labels), 12))
        features_ND *= rng.uniform(0.2, 5, (len(features_ND), 1))
        features_ND[np.isin(task.splits_N, ["report", "unused"])] = np.nan
        if model == "weak":
            weak_ND = features_ND
        # Weights differ, features do not: equally good.
        features_ND = weak_ND if model == "twin" else features_ND
        write_features(tmp_path / f"{model}.safetensors", task, features_ND, f"sha-{model}")
    return {
        "task": tmp_path / "pets.safetensors",
        "features": [tmp_path / f"{model}.safetensors" for model in SKILL],
        "categories": CATEGORIES,
        "normalised": "false",
        "level": 0.9,
        "output": tmp_path / "ranking.csv",
    }


def accuracy_of(path, task, normalised):
    labelled = np.flatnonzero(np.isin(task.splits_N, ["train", "tune"]))
    features_ND = open_logits(path)["features"][labelled].astype(float)
    if normalised:
        features_ND /= np.linalg.norm(features_ND, axis=1, keepdims=True)
    model = KNeighborsClassifier(1, algorithm="brute").fit(features_ND, task.labels[labelled])
    return model.score(None, task.labels[labelled])


@pytest.mark.parametrize("normalised", [False, True])
def test_candidates_are_ranked_by_their_nearest_neighbours(task, ranking, normalised):
    table = call("rank_candidates.py", ranking | {"normalised": str(normalised).lower()})
    files = dict(zip(SKILL, ranking["features"], strict=True))
    expected = {model: accuracy_of(path, task, normalised) for model, path in files.items()}
    assert table.set_index("model")["accuracy"].to_dict() == pytest.approx(expected)
    assert list(table["model"]) == sorted(SKILL, key=lambda model: -expected[model])
    # In the order of the model table.
    assert list(table["model"]).index("weak") + 1 == list(table["model"]).index("twin")
    assert table["rank"].tolist() == [1, 2, 3, 4]
    for _, of_pool in table.groupby("category"):
        assert of_pool["place"].tolist() == [1, 2]
    assert table["category"].tolist() == [CATEGORIES[model] for model in table["model"]]
    assert set(table["n"]) == {60}
    assert set(table["dimensions"]) == {12}
    assert table["weights_sha256"].tolist() == [f"sha-{model}" for model in table["model"]]
    # Wilson's interval solves (p - accuracy)^2 = z^2 p (1 - p) / n for p.
    z = norm.ppf(0.95)
    for end in ("low", "high"):
        left = (table[end] - table["accuracy"]) ** 2
        np.testing.assert_allclose(left, z**2 * table[end] * (1 - table[end]) / 60)
    assert (table["low"] < table["accuracy"]).all()
    assert (table["accuracy"] < table["high"]).all()


def test_without_pools_places_are_ranks(ranking):
    table = run("rank_candidates.py", ranking | {"categories": dict.fromkeys(SKILL, "")})
    assert set(table["category"]) == {""}
    assert table["place"].tolist() == table["rank"].tolist()


def test_a_model_under_two_names_is_refused(task, ranking):
    write_features(ranking["features"][2], task, np.ones((len(task.ids), 3)), "sha-weak")
    message = refused("rank_candidates.py", ranking)
    assert "models 'weak' and 'twin' have the same weights (sha256 sha-weak" in message


def test_a_model_without_features_is_refused(task, ranking):
    hashes = task.ids_sha256, task.content_sha256
    key = Key("sha", {}, *hashes, list(CLASSES), "classes", "float32", {})
    write_predictions(ranking["features"][0], key, task.labels, None, None, task.labels)
    assert "holds no features of model 'good'" in refused("rank_candidates.py", ranking)


def test_features_that_are_nan_are_refused(task, ranking):
    features_ND = np.ones((len(task.ids), 3))
    features_ND[task.where("tune")[:2], 1] = np.nan
    write_features(ranking["features"][1], task, features_ND, "sha")
    message = refused("rank_candidates.py", ranking)
    assert "weak.safetensors: the features of 2 of 60 examples are not finite" in message


def test_features_of_other_examples_are_refused(task, ranking):
    other = replace(task, labels=np.roll(task.labels, 1))
    write_features(ranking["features"][1], other, np.ones((len(task.ids), 3)), "sha")
    assert "other images or labels" in refused("rank_candidates.py", ranking)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0], ("cat",), "data set 'pets' has one class"),
        ([0, 1], CLASSES, "data set 'pets' has 0 labelled examples of class 'eel'"),
    ],
)
def test_a_task_without_two_examples_of_every_class_is_refused(ranking, labels, classes, message):
    write_examples(ranking["task"], task_of(np.resize(labels, sum(SIZES.values())), classes))
    assert message in refused("rank_candidates.py", ranking)


@pytest.fixture
def choosing(tmp_path, task):
    """Options of choose_ensembles.py, with fine-tunings of two pools and of the best model."""
    rng = np.random.default_rng(5)
    write_examples(tmp_path / "pets.safetensors", task)
    models = ["007", "good", "weak", "twin"]
    ranks = {"rank": range(1, 5), "model": models, "place": [1, 2, 1, 2]}
    table = pd.DataFrame(ranks).assign(category=[CATEGORIES[model] for model in models])
    table.to_csv(tmp_path / "ranking.csv", index=False)
    costs = pd.DataFrame({"model": models, "multiply_adds": [4, 8, 2, 6], "parameters": 1})
    costs.to_csv(tmp_path / "costs.csv", index=False)
    positions_N = predicted_positions(task)
    places = {"deep-1": "007", "deep-2": "good", "wide-1": "weak", "wide-2": "twin"}
    for place, model in (places | {"more-heads": "007"}).items():
        head = int(place == "more-heads")
        runs = tuple(FineTuning(rate, 9, head, seed) for seed in (0, 1) for rate in (0.1, 0.01))
        scores_RNC = rng.normal(size=(len(runs), len(positions_N), len(CLASSES)))
        scores_RNC += 1.5 * SKILL[model] * np.eye(len(CLASSES))[task.labels[positions_N]]
        predicted_RNC = log_softmax(scores_RNC, axis=2).astype(np.float32)
        made = FineTunings(model, f"sha-{model}", runs, positions_N, predicted_RNC)
        write_fine_tunings(tmp_path / f"{place}.safetensors", made, task)
    return {
        "task": tmp_path / "pets.safetensors",
        "ranking": tmp_path / "ranking.csv",
        "costs": tmp_path / "costs.csv",
        "fine_tunings": [tmp_path / f"{place}.safetensors" for place in [*places, "more-heads"]],
        "fine_tuned": 2,
        "pools": ["deep", "wide"],
        "max_members": 4,
        "replacement": "true",
        "stop": "best",
        "bags": 3,
        "bag_share": 0.5,
        "budgets": [1, 2.5],
        "random_draws": 2,
        "output": tmp_path / "chosen.csv",
    }


def test_ensembles_are_chosen_for_every_seed_and_method(task, choosing):
    table = call("choose_ensembles.py", choosing)
    assert list(table) == [
        *("method", "seed", "draw", "models", "size", "budget", "member", "file", "run"),
        *("model", "learning_rate", "steps", "head", "weight"),
    ]
    methods = ["single", "greedy", "greedy-without-replacement", "bagged", "all", "random"]
    methods += ["heads", "deep", "wide"]
    assert set(zip(table["method"], table["seed"], strict=True)) == {
        (method, seed) for method in methods for seed in (0, 1)
    }
    single = table[table["method"] == "single"].set_index("seed")
    tune = task.where("tune")
    for seed in (0, 1):
        losses = {}
        for place in ("deep-1", "deep-2"):
            made = read_fine_tunings(choosing["task"].with_name(f"{place}.safetensors"), task)
            for index in (2 * seed, 2 * seed + 1):
                said_NC = made.log_probabilities_RNC[index, : len(tune)]
                losses[place, index] = -said_NC[np.arange(len(tune)), task.labels[tune]].mean()
        assert (single.loc[seed, "file"], single.loc[seed, "run"]) == min(losses, key=losses.get)


def test_predictions_to_report_on_have_no_part_in_the_choice(task, choosing):
    call("choose_ensembles.py", choosing)
    before = choosing["output"].read_bytes()
    for path in choosing["fine_tunings"]:
        made = read_fine_tunings(path, task)
        made.log_probabilities_RNC[:, len(task.where("tune")) :] = np.nan
        write_fine_tunings(path, made, task)
    call("choose_ensembles.py", choosing)
    assert choosing["output"].read_bytes() == before


def test_a_run_without_pools_and_budgets(choosing):
    folder = choosing["task"].parent
    for rank, place in enumerate(["deep-1", "deep-2"], start=1):
        (folder / f"{place}.safetensors").rename(folder / f"all-{rank}.safetensors")
    changed = {"fine_tunings": [folder / f"all-{rank}.safetensors" for rank in (1, 2)]}
    changed |= {"pools": [], "budgets": [], "replacement": "false", "stop": "first_rise"}
    table = run("choose_ensembles.py", choosing | changed)
    assert set(table["budget"]) == {""}
    assert "greedy-with-replacement" in set(table["method"])


def test_fine_tunings_that_are_nan_are_refused(task, choosing):
    made = read_fine_tunings(choosing["fine_tunings"][1], task)
    made.log_probabilities_RNC[0, 3] = np.nan
    write_fine_tunings(choosing["fine_tunings"][1], made, task)
    message = refused("choose_ensembles.py", choosing)
    assert "deep-2.safetensors has predictions that are NaN" in message


def test_a_missing_file_is_named(choosing):
    message = refused(
        "choose_ensembles.py", choosing | {"fine_tunings": choosing["fine_tunings"][1:]}
    )
    assert "no fine-tunings deep-1 of '007'" in message
