"""The scripts that measure chosen ensembles, on files like those of the jobs before them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dissent.examples import Examples, write_examples
from dissent.finetuned import (
    FineTuning,
    FineTunings,
    Shifted,
    ShiftedMember,
    predicted_positions,
    write_fine_tunings,
    write_shifted,
)

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
CLASSES, K, RATES = tuple("abc"), 2, (0.1, 0.01)
# Names that a table must not read as numbers or as missing.
MODELS = ["007", "None", "m", "n"]
COSTS = pd.DataFrame({"model": MODELS, "multiply_adds": [20, 10, 30, 5]})
COSTS["parameters"] = [1, 2, 3, 4]


def run(script, **options):
    command = [sys.executable, str(SCRIPTS / script)]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def succeed(script, **options):
    done = run(script, **options)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr


def make_task(folder, name, pools, seeds, more, seed):
    """Files of one task up to its fine-tunings; the options that scripts share."""
    folder = folder / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    splits_N = np.repeat(["train", "tune", "report"], [20, 30, 40])
    labels_N = rng.integers(len(CLASSES), size=len(splits_N))
    ids = tuple(f"{name}-{i}" for i in range(len(splits_N)))
    examples = Examples(name, ids, None, labels_N, splits_N, CLASSES)
    write_examples(folder / "task.safetensors", examples)
    positions_N = predicted_positions(examples)
    towards_NC = 2 * np.eye(len(CLASSES))[labels_N[positions_N]]

    def fine_tune(stem, model, heads=(0,), rates=RATES):
        runs = [FineTuning(rate, 5, h, s) for s in range(seeds) for h in heads for rate in rates]
        logits = towards_NC + rng.normal(0, 1.5, (len(runs), *towards_NC.shape))
        logs = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
        fine_tunings = FineTunings(model, model, tuple(runs), positions_N, logs)
        path = folder / f"{stem}.safetensors"
        write_fine_tunings(path, fine_tunings, examples)
        return path

    categories = [pools[i % len(pools)] if pools else "" for i in range(len(MODELS))]
    ranking = pd.DataFrame({"rank": range(1, 5), "model": MODELS, "category": categories})
    ranking["place"] = ranking.groupby("category").cumcount() + 1
    ranking["accuracy"] = [0.9, 0.8, 0.8, 0.6]
    ranking.to_csv(folder / "ranking.csv", index=False)
    COSTS.to_csv(folder / "costs.csv", index=False)
    files = [
        fine_tune(f"{row.category or 'all'}-{row.place}", row.model)
        for row in ranking.itertuples()
        if row.place <= K
    ]
    if more:
        files.append(fine_tune("more-settings", "007", rates=(0.3, 0.03)))
        files.append(fine_tune("more-heads", "007", heads=(1,)))
    return folder, {
        "task": folder / "task.safetensors",
        "ranking": folder / "ranking.csv",
        "costs": folder / "costs.csv",
        "fine_tunings": files,
        "fine_tuned": K,
        "pools": pools,
    }


SELECTION = {"max_members": 3, "replacement": "true", "stop": "best", "bags": 2, "bag_share": 0.5}
OUTPUTS = {"methods": "csv", "diversity": "csv", "fine_tuned": "csv"}
OUTPUTS |= {"scores": "safetensors", "verdict": "txt"}


def evaluated(folder, name, pools, seeds, more, seed, metric="accuracy"):
    """A task's folder, once its ensembles are chosen and measured, and how they are measured."""
    folder, options = make_task(folder, name, pools, seeds, more, seed)
    chosen = folder / "chosen.csv"
    choosing = SELECTION | {"budgets": [1.0, 2.0], "random_draws": 3, "output": chosen}
    succeed("selection/choose_ensembles.py", **options, **choosing)
    about = {"name": name, "group": f"group-{name}", "metric": metric, "chosen": chosen}
    measuring = options | about | {"bins": 5, "level": 0.9}
    succeed("metrics/evaluate_choices.py", **measuring, **outputs_in(folder))
    return folder, measuring


def outputs_in(folder):
    return {f"output_{stem}": folder / f"{stem}.{end}" for stem, end in OUTPUTS.items()}


def compared(folders, output):
    """The tables over these tasks, by name."""
    names = ("methods", "differences", "ranking", "statistics")
    inputs = {name: [f / f"{name}.{OUTPUTS[name]}" for f in folders] for name in OUTPUTS}
    del inputs["verdict"]
    outputs = {f"output_{name}": output / f"{name}.csv" for name in names}
    common = {"fine_tuned_models": K, "level": 0.9}
    succeed("metrics/compare_methods.py", **inputs, **common, **outputs)
    return {name: read(output / f"{name}.csv") for name in names}


def read(path):
    text = dict.fromkeys(("model", "category", "file"), str)
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=text)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Two tasks with all baselines, and the tables over both."""
    folder = tmp_path_factory.mktemp("full")
    first, measuring = evaluated(folder, "t1", ["x", "y"], 2, True, 0)
    second, _ = evaluated(folder, "t2", ["x", "y"], 2, True, 1, metric="mean_class_accuracy")
    return [first, second], compared([first, second], folder), measuring


def test_a_row_a_choice_with_what_it_costs(full):
    folders, _, _ = full
    for folder in folders:
        chosen, methods = read(folder / "chosen.csv"), read(folder / "methods.csv")
        key = ["method", "seed", "draw", "models", "size", "budget"]
        members = chosen.groupby(key, dropna=False)["model"].agg(list).reset_index()
        table = methods.merge(members, on=key, how="outer", validate="1:1")
        cost = COSTS.set_index("model")
        for row in table.itertuples():
            assert row.n_members == len(row.model)
            assert row.n_models == len(set(row.model))
            assert row.multiply_adds == sum(cost["multiply_adds"][m] for m in row.model)
            assert row.parameters == sum(cost["parameters"][m] for m in row.model)
        assert set(table["task"]) == {folder.name}
        assert methods.columns[:3].tolist() == ["task", "group", "metric"]


def test_the_tables_of_a_task_name_models_as_they_are(full):
    folders, _, _ = full
    fine_tuned, diversity = (read(folders[0] / f"{n}.csv") for n in ("fine_tuned", "diversity"))
    assert set(fine_tuned["model"]) == set(MODELS)
    assert len(fine_tuned) == 2 * len(MODELS)
    assert set(diversity["source"]) == {"x", "y", "settings", "heads", "all"}
    assert set(diversity["n_members"]) == {K}
    assert (folders[0] / "verdict.txt").read_text().startswith("On t1 ")


def test_differences_are_those_of_the_mean_scores(full):
    _, tables, _ = full
    score = tables["methods"].set_index(["group", "method"])["score"]
    for row in tables["differences"].itertuples():
        expected = score[row.group, "greedy"] - score[row.group, row.method]
        assert row.difference == pytest.approx(expected, abs=1e-6)
        assert np.isnan(row.low) or row.low < row.difference < row.high
    methods = set(tables["methods"]["method"])
    assert methods >= {"single", "greedy", "bagged", "all", "random", "settings", "heads", "x", "y"}
    assert set(tables["differences"]["method"]) == methods - {"greedy"}
    assert set(tables["methods"]["group"]) == {"all tasks", "group-t1", "group-t2"}


def test_the_claims_have_their_statistics(full):
    _, tables, _ = full
    statistics = tables["statistics"].set_index("statistic")
    assert set(statistics.index) == {
        *(f"greedy_over_{m}" for m in ("single", "random", "settings", "heads", "all")),
        "knn_rank_correlation",
        *(
            f"upstream_error_{measure}_over_{source}"
            for measure in ("inconsistency", "consistency")
            for source in ("settings", "heads")
        ),
    }
    assert (statistics["n"] == 2).all()
    diversity = pd.concat([read(folder / "diversity.csv") for folder in full[0]])
    upstream = diversity["source"].isin(["x", "y"])
    heads = diversity["source"] == "heads"
    means = [diversity.loc[rows, "error_inconsistency"].mean() for rows in (upstream, heads)]
    excess = statistics.loc["upstream_error_inconsistency_over_heads", "value"]
    assert excess == pytest.approx(means[0] - means[1])


def test_the_same_inputs_give_the_same_bytes(full, tmp_path):
    [folder, _], _, measuring = full
    succeed("metrics/evaluate_choices.py", **measuring, **outputs_in(tmp_path))
    for path in outputs_in(tmp_path).values():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_one_task_one_seed_and_no_baselines(tmp_path):
    folder, _ = evaluated(tmp_path, "t1", [], 1, False, 3)
    assert read(folder / "fine_tuned.csv")["category"].isna().all()
    tables = compared([folder], tmp_path)
    assert tables["methods"]["low"].isna().all()
    # Of one seed the differences have intervals over images.
    assert (tables["differences"]["low"] < tables["differences"]["difference"]).any()
    statistics = tables["statistics"]["statistic"].tolist()
    assert statistics == ["greedy_over_single", "greedy_over_random", "greedy_over_all"]
    assert tables["ranking"]["spearman"].isna().all()  # of two models


def test_robustness_of_every_task(tmp_path):
    rng = np.random.default_rng(0)
    versions = (("none", 0), ("noise", 1))
    paths = []
    for task in ("t1", "t2"):
        members = (
            ShiftedMember("all-1", 0, "m", {"greedy": 0.5, "single": 1.0}),
            ShiftedMember("all-2", 0, "n", {"greedy": 0.5}),
        )
        logs = np.log(rng.dirichlet(np.ones(3), (2, 2, 20)))
        paths.append(tmp_path / task / "shifted.safetensors")
        labels_N = rng.integers(3, size=20)
        write_shifted(paths[-1], Shifted(task, CLASSES, members, versions, logs, labels_N))
    outputs = {"output": tmp_path / "table.csv", "output_statistics": tmp_path / "statistics.csv"}
    groups = json.dumps({"t1": "g", "t2": "h"})
    common = {"bins": 5, "level": 0.9}
    succeed("metrics/measure_robustness.py", shifted=paths, groups=groups, **common, **outputs)
    table = read(tmp_path / "table.csv")
    assert len(table) == 2 * 2 * len(versions)
    assert dict(zip(table["task"], table["group"], strict=True)) == {"t1": "g", "t2": "h"}
    accuracy = table[table["severity"] > 0].groupby("method")["accuracy"].mean()
    statistics = read(tmp_path / "statistics.csv").iloc[0]
    assert statistics["value"] == pytest.approx(accuracy["greedy"] - accuracy["single"])
    assert statistics["low"] < statistics["value"] < statistics["high"]


def test_choices_of_other_fine_tunings_are_refused_in_one_sentence(full, tmp_path):
    _, _, measuring = full
    other = tmp_path / "chosen.csv"
    read(measuring["chosen"]).assign(run=99).to_csv(other, index=False)
    measuring = measuring | {"chosen": other}
    done = run("metrics/evaluate_choices.py", **measuring, **outputs_in(tmp_path))
    assert done.returncode == 1
    assert "choose ensembles again" in done.stderr
    assert "Traceback" not in done.stderr
