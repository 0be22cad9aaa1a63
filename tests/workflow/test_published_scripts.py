"""Scripts that read what others published: on small synthetic tables, and on the published ones."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from scipy import stats

from dissent import figures, published
from dissent.bootstrap import bootstrap_interval
from dissent.commandline import InputError
from dissent.examples import Examples, write_examples
from dissent.logits import Key, write_predictions

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
LEXICAL = published.SUBSETS["Lexical (nonent)"]
CONSTITUENT = published.SUBSETS["Constituent (nonent)"]
SMALL = (1, 8, 12)
N_MODELS = 4
COUNTS = [4, 4, 0, 2, 3, 1]
SUFFIXES = ("svg", "pdf", "png", "csv")
DRAWN = {
    "linear_connectivity/mnli_against_hans": ("runs", "clusters"),
    "linear_connectivity/hans_subsets": ("runs", "clusters", "groups"),
    "very_large_dropout/soups": ("soups",),
}
MEASURED = {
    "compare_clusters": ("output", "output_runs", "output_statistics"),
    "measure_agreement": ("output", "output_histogram"),
    "compare_soups": ("output", "output_statistics"),
}


def load(script):
    specification = importlib.util.spec_from_file_location("script", SCRIPTS / f"{script}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(script, options):
    """The script as a rule calls it."""
    command = [sys.executable, SCRIPTS / f"{script}.py"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", *(value if isinstance(value, list) else [value])]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Published tables of 20 runs, 6 examples and 5 models, and accuracies of 2 others by group."""
    folder = tmp_path_factory.mktemp("published")
    rng = np.random.default_rng(0)
    runs = pd.DataFrame({"Run": [f"Run {run}" for run in range(20)]})
    is_small = runs.index.isin(SMALL)
    for name in (*published.ACCURACIES, "ln_passive"):
        runs[name] = rng.uniform(0.4, 0.6, len(runs)) - 0.2 * (is_small & (name != "MNLI dev acc."))
    runs["ce_adverb"] = 1
    runs.to_csv(folder / "accuracies.csv", index=False)
    cluster = np.where(is_small, "small", "large")
    pd.DataFrame({"run": runs.index, "cluster": cluster}).to_csv(folder / "list.csv", index=False)
    lines = [f'{i}\t"some text\t{count}\n' for i, count in enumerate(COUNTS)]
    (folder / "counts.txt").write_text("".join(["index\ttext\tright\n", *lines]))
    for kind, models in {"individual": "abc", "uniform": "u", "greedy": "g"}.items():
        results = [
            {"model_name": model} | {name: rng.uniform(0.4, 0.8) for name in published.IMAGES}
            for model in models
        ]
        (folder / f"{kind}.jsonl").write_text("\n".join(map(json.dumps, results)))
    groups = [(m, g) for m in ("bert", "esim") for g in published.SUBSETS.values()]
    groups = pd.DataFrame(groups, columns=["model", "group"]).assign(
        accuracy=rng.uniform(0.2, 0.8, 12), n=50
    )
    groups = groups.assign(low=groups["accuracy"] - 0.1, high=groups["accuracy"] + 0.05)
    groups.to_csv(folder / "groups.csv", index=False)
    return folder


def measure_options(script, folder):
    common = {"resamples": 500, "level": 0.9}
    return {
        "compare_clusters": {
            "runs": folder / "accuracies.csv",
            "clusters": folder / "list.csv",
            "caliper": 0.05,
            "permutations": 99,
            **common,
            "output": folder / "clusters.csv",
            "output_runs": folder / "runs.csv",
            "output_statistics": folder / "clusters_statistics.csv",
        },
        "measure_agreement": {
            "counts": folder / "counts.txt",
            "models": N_MODELS,
            **common,
            "output": folder / "agreement.csv",
            "output_histogram": folder / "histogram.csv",
        },
        "compare_soups": {
            **{name: folder / f"{name}.jsonl" for name in ("individual", "uniform", "greedy")},
            "level": 0.9,
            "output": folder / "soups.csv",
            "output_statistics": folder / "soups_statistics.csv",
        },
    }[script]


@pytest.fixture(scope="module")
def measured(folder):
    """Every table the scripts of metrics write, by its file's stem."""
    tables = {}
    for script, outputs in MEASURED.items():
        options = measure_options(script, folder)
        run(f"metrics/{script}", options)
        tables |= {options[o].stem: pd.read_csv(options[o]) for o in outputs}
    return tables


def test_clusters_are_compared_in_every_measure(folder, measured):
    source = pd.read_csv(folder / "accuracies.csv")
    table = measured["clusters"].set_index("measure")
    assert table["kind"].tolist() == [
        "in domain",
        *["subset"] * 6,
        "all subsets",
        *["sub-case"] * 2,
    ]
    names = published.ACCURACIES | {"ln_passive": "ln_passive", "ce_adverb": "ce_adverb"}
    is_small = source.index.isin(SMALL)
    for theirs, ours in names.items():
        small, large = source[theirs][is_small], source[theirs][~is_small]
        row = table.loc[ours]
        for cluster, values in (("small", small), ("large", large)):
            columns = [f"{cluster}_{name}" for name in ("n", "mean", "sd")]
            assert row[columns].tolist() == pytest.approx(
                [len(values), values.mean(), values.std()]
            )
        assert row["difference"] == pytest.approx(large.mean() - small.mean())
        for name in ("small_mean", "large_mean", "difference"):
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    # Twenty runs have 1,140 deals, more than are drawn.
    assert table.loc[LEXICAL, "p_value"] == pytest.approx(1 / 100)
    assert table.loc["ce_adverb", "p_value"] == 1
    assert np.isnan(table.loc["ce_adverb", "correlation"])
    assert table.loc[LEXICAL, "correlation"] > 0.5


def test_intervals_of_means_are_those_of_a_bootstrap_of_the_cluster_alone(folder, measured):
    source = pd.read_csv(folder / "accuracies.csv")["Lexical (nonent)"]
    row = measured["clusters"].set_index("measure").loc[LEXICAL]
    for cluster, values in (
        ("small", source[source.index.isin(SMALL)]),
        ("large", source[~source.index.isin(SMALL)]),
    ):
        expected = bootstrap_interval(
            np.mean, values.to_numpy(), n_resamples=4000, seed=1, level=0.9
        )
        found = row[[f"{cluster}_mean_low", f"{cluster}_mean_high"]].astype(float)
        np.testing.assert_allclose(found, expected, atol=0.008)


def test_statistics_of_clusters_say_what_they_count(measured):
    statistics = measured["clusters_statistics"].set_index("statistic")
    table = measured["clusters"].set_index("measure")
    for short, name in (("mnli", "mnli"), ("hans", LEXICAL)):
        found = statistics.loc[f"clusters_{short}_difference"]
        expected = table.loc[name, ["difference", "difference_low", "difference_high"]].tolist()
        assert found[["value", "low", "high"]].tolist() == pytest.approx(expected)
        assert found[["n", "n_of"]].tolist() == [20, "models"]
        matched = statistics.loc[f"clusters_{short}_difference_matched"]
        assert matched["low"] <= matched["value"] <= matched["high"]
        assert matched[["n", "n_of"]].tolist() == [3, "models of the small cluster"]
    assert abs(statistics.loc["clusters_mnli_difference_matched", "value"]) <= 0.05


def test_no_match_at_all_is_an_error(folder, tmp_path):
    options = measure_options("compare_clusters", folder) | {"caliper": 1e-9, "seed": 0}
    outputs = {name: tmp_path / f"{name}.csv" for name in MEASURED["compare_clusters"]}
    with pytest.raises(
        InputError, match="has one of the large within 1e-09 of its accuracy: widen"
    ):
        load("metrics/compare_clusters").main(Namespace(**options | outputs))


def test_agreement_is_that_of_the_counts(measured):
    table = measured["agreement"].set_index("measure")
    # Of the 6 pairs of models, those that differ: 0, 0, 0, 4, 3 and 3.
    expected = {
        "mean_accuracy": 14 / 24,
        "error_inconsistency": 10 / 36,
        "all_right": 2 / 6,
        "all_wrong": 1 / 6,
        "majority_vote": 4 / 6,
        "strict_majority_vote": 3 / 6,
    }
    assert table["value"].to_dict() == pytest.approx(expected)
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    drawn = stats.binom.ppf([0.05, 0.95], len(COUNTS), 4 / 6) / len(COUNTS)
    found = table.loc["majority_vote", ["low", "high"]].astype(float)
    np.testing.assert_allclose(found, drawn, atol=1e-9)
    assert (table["n"] == len(COUNTS)).all()
    assert (table["n_models"] == N_MODELS).all()
    assert measured["histogram"].to_numpy().tolist() == [[0, 1], [1, 1], [2, 1], [3, 1], [4, 2]]


def test_one_model_makes_no_pair(folder):
    options = measure_options("measure_agreement", folder) | {"models": 1, "seed": 0}
    with pytest.raises(InputError, match="1 models make no pair"):
        load("metrics/measure_agreement").main(Namespace(**options))


def test_soups_are_compared_with_the_chosen_model(measured):
    table = measured["soups"].set_index("model")
    statistics = measured["soups_statistics"].set_index("statistic")
    assert table.index.tolist() == ["a", "b", "c", "u", "g"]
    chosen = table["ImageNet2p"][:3].idxmax()
    for statistic, axis, n in (
        ("greedy_soup_gain", "ImageNet", 50_000),
        ("greedy_soup_shifted_gain", "shifted", 116_963),
    ):
        found = statistics.loc[statistic]
        assert found["value"] == pytest.approx(table.loc["g", axis] - table.loc[chosen, axis])
        assert found["low"] < found["value"] < found["high"]
        assert found[["n", "n_of"]].tolist() == [n, "images"]


@pytest.fixture
def grouped(tmp_path):
    """A data set with groups, of which some examples are not reported, and two models' classes."""
    rng = np.random.default_rng(0)
    examples = Examples(
        name="grouped",
        ids=tuple(f"e{i}" for i in range(100)),
        images_NHW=None,
        labels=rng.integers(2, size=100),
        splits_N=np.where(np.arange(100) < 80, "report", "unused"),
        classes=("yes", "no"),
        groups=tuple(np.where(rng.random(100) < 0.3, "rare", "frequent").tolist()),
    )
    write_examples(tmp_path / "data.safetensors", examples)
    hashes = examples.ids_sha256, examples.content_sha256
    key = Key("0", {}, *hashes, list(examples.classes), "classes", "float32", {})
    predicted = {model: rng.integers(2, size=100) for model in ("one", "two")}
    for model, predicted_N in predicted.items():
        path = tmp_path / f"{model}.safetensors"
        write_predictions(path, key, predicted_N, None, None, examples.labels)
    return tmp_path, examples, predicted


def test_groups_are_measured_on_the_reported_examples(grouped):
    folder, examples, predicted = grouped
    options = {"report_split": "report", "resamples": 2000, "level": 0.9}
    files = {"data": folder / "data.safetensors", "output": folder / "groups.csv"}
    files["logits"] = [folder / f"{model}.safetensors" for model in predicted]
    run("metrics/measure_groups", files | options)
    table = pd.read_csv(folder / "groups.csv").set_index(["model", "group"])
    assert table.index.tolist() == [(m, g) for m in predicted for g in ("frequent", "rare")]
    for (model, group), row in table.iterrows():
        right = [
            predicted[model][i] == examples.labels[i]
            for i in range(80)
            if examples.groups[i] == group
        ]
        n = len(right)
        assert row[["accuracy", "n"]].tolist() == pytest.approx([np.mean(right), n])
        expected = stats.binom.ppf([0.05, 0.95], n, np.mean(right)) / n
        np.testing.assert_allclose(row[["low", "high"]], expected, atol=1.01 / n)


def test_a_data_set_without_groups_is_refused(grouped):
    folder, examples, _ = grouped
    path = folder / "without.safetensors"
    write_examples(path, replace(examples, groups=()))
    with pytest.raises(InputError, match=r"without.safetensors: no groups are told apart"):
        load("metrics/measure_groups").main(Namespace(data=path))


def figure_options(name, folder, out):
    inputs = {table: folder / f"{table}.csv" for table in DRAWN[name]}
    files = [folder / out / f"{Path(name).name}.{suffix}" for suffix in SUFFIXES]
    return inputs | {"run": "test", "level": 0.9, "output": files}


@pytest.fixture(scope="module")
def drawn(folder, measured):
    """What each script draws when its main is called here: the figure, and the csv file."""
    return {name: draw(name, folder) for name in DRAWN}


def draw(name, folder):
    kept, save = [], figures.save_figure

    def keep(figure, table, outputs):
        kept.append(figure)
        save(figure, table, outputs)

    options = figure_options(name, folder, "here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save_figure", keep)
        load(f"figures/{name}").main(Namespace(**options))
    pyplot.close("all")
    return kept[0], pd.read_csv(options["output"][-1])


@pytest.mark.parametrize("name", DRAWN)
def test_another_process_draws_the_same_bytes(name, folder, drawn):
    options = figure_options(name, folder, "there")
    run(f"figures/{name}", options)
    for path in options["output"]:
        assert path.read_bytes() == (folder / "here" / path.name).read_bytes(), path.name
    note = drawn[name][0].get_supxlabel()
    assert note.startswith("Run test: ")
    assert re.search(r"90% (bootstrap|normal)", note)


def marks(axes):
    lines = [line for line in axes.lines if line.get_marker() not in ("None", "")]
    return points(np.concatenate([line.get_xydata() for line in lines]))


def points(values):
    return {tuple(row) for row in np.asarray(values, dtype=float).round(9)}


def test_mnli_against_hans_draws_every_run_and_both_means(measured, drawn):
    figure, table = drawn["linear_connectivity/mnli_against_hans"]
    means = measured["clusters"].set_index("measure")
    for axes, subset in zip(figure.axes, (LEXICAL, CONSTITUENT), strict=True):
        rows = table[table["subset"] == subset]
        expected = points(measured["runs"][["mnli", subset]])
        expected |= {
            tuple(means.loc[["mnli", subset], f"{cluster}_mean"].round(9))
            for cluster in published.CLUSTERS
        }
        assert marks(axes) == expected == points(rows[["mnli", "value"]])
    assert [text.get_text() for text in figure.axes[0].texts] == ["8"]


def test_hans_subsets_has_all_models_in_every_subset(folder, measured, drawn):
    figure, table = drawn["linear_connectivity/hans_subsets"]
    groups = pd.read_csv(folder / "groups.csv")
    panels = {axes.get_title("left"): axes for axes in figure.axes}
    assert list(panels) == [
        *list(published.SUBSETS.values())[::2],
        *list(published.SUBSETS.values())[1::2],
    ]
    for subset, axes in panels.items():
        others = groups.loc[groups["group"] == subset, "accuracy"]
        heights = sorted(y for _, y in marks(axes))
        assert heights == pytest.approx(sorted([*measured["runs"][subset], *others]))
        rows = table[table["subset"] == subset]
        assert rows["drawn"].value_counts().to_dict() == {
            "run": 20,
            "cluster mean": 2,
            "other model": 2,
        }
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == ["large cluster (17 models)", "small cluster (3 models)"]
    assert legend[3:] == ["bert", "esim"]


def test_other_models_without_the_subsets_are_refused(folder, measured, tmp_path):
    groups = pd.read_csv(folder / "groups.csv").assign(group="another")
    groups.to_csv(tmp_path / "groups.csv", index=False)
    options = figure_options("linear_connectivity/hans_subsets", folder, "nowhere")
    options["groups"] = tmp_path / "groups.csv"
    with pytest.raises(
        InputError, match=f"has no group {published.SUBSETS['Lexical (entailed)']!r}"
    ):
        load("figures/linear_connectivity/hans_subsets").main(Namespace(**options))


def test_soups_are_drawn_where_they_are(measured, drawn):
    figure, table = drawn["very_large_dropout/soups"]
    soups = measured["soups"]
    assert marks(figure.axes[0]) == points(soups[["ImageNet", "shifted"]])
    assert table["drawn"].value_counts().to_dict() == {
        "individual": 2,
        "chosen": 1,
        "uniform soup": 1,
        "greedy soup": 1,
    }


PUBLISHED = {
    "runs": "berts_of_a_feather_accuracies_by_run.csv",
    "counts": "mnli_development_set_number_of_correct_responses.txt",
    "individual": "individual_model_results.jsonl",
    "uniform": "uniform_soup_results.jsonl",
    "greedy": "greedy_soup_results.jsonl",
}


@pytest.fixture(scope="module")
def of_the_published(mirror, tmp_path_factory):
    """The tables that the scripts write of the published files themselves."""
    out, tables = tmp_path_factory.mktemp("of_the_published"), {}
    changes = {"clusters": ROOT / "config/clusters/mnli.csv", "caliper": 0.001, "models": 100}
    changes |= {name: next(mirror.rglob(file)) for name, file in PUBLISHED.items()}
    for script, outputs in MEASURED.items():
        options = measure_options(script, out)
        options |= {name: value for name, value in changes.items() if name in options}
        load(f"metrics/{script}").main(Namespace(**options, seed=0))
        tables |= {options[o].stem: pd.read_csv(options[o]) for o in outputs}
    return tables


def test_published_clusters_are_as_known(mirror, of_the_published):
    table = of_the_published["clusters"].set_index("measure")
    known = {
        "mnli": (0.8393, 0.8440, 0.63),
        LEXICAL: (0.096, 0.301, 0.54),
        CONSTITUENT: (0.169, 0.125, -0.35),
        "hans": (0.540, 0.571, 0.43),
        "ln_subject/object_swap": (0.001, 0.216, 0.41),
        "cn_embedded_under_if": (0.551, 0.392, -0.43),
    }
    for measure, numbers in known.items():
        found = table.loc[measure, ["small_mean", "large_mean", "correlation"]].astype(float)
        places = [4, 4, 2] if measure == "mnli" else [3, 3, 2]
        assert [round(x, n) for x, n in zip(found, places, strict=True)] == list(numbers)
    assert table["kind"].value_counts().to_dict() == {
        "sub-case": 30,
        "subset": 6,
        "in domain": 1,
        "all subsets": 1,
    }
    # The published table ends in the mean of all runs.
    source = pd.read_csv(next(mirror.rglob(PUBLISHED["runs"]))).set_index("Run")
    mean = source.loc["Mean"].rename(published.ACCURACIES).astype(float)
    found = (12 * table["small_mean"] + 88 * table["large_mean"]) / 100
    np.testing.assert_allclose(found, mean[table.index], atol=1e-9)


def test_models_of_published_clusters_differ_at_equal_accuracy_too(of_the_published):
    statistics = of_the_published["clusters_statistics"].set_index("statistic")
    assert statistics.loc["clusters_hans_difference", "value"] == pytest.approx(0.205, abs=5e-4)
    # Of 12 models, three are less accurate on MNLI than any of the large cluster.
    matched = statistics.loc["clusters_hans_difference_matched"]
    assert matched["n"] == 9
    assert 0 < matched["low"] < matched["value"] < 0.205
    assert abs(statistics.loc["clusters_mnli_difference_matched", "value"]) < 3e-4


def test_published_agreement_and_soups_are_as_known(of_the_published):
    agreement = of_the_published["agreement"].set_index("measure")["value"]
    assert agreement["mean_accuracy"] == pytest.approx(0.8433928, abs=5e-8)
    assert agreement["error_inconsistency"] == pytest.approx(0.0627554, abs=5e-8)
    assert agreement["majority_vote"] == pytest.approx(0.8512481, abs=5e-8)
    assert agreement["strict_majority_vote"] == pytest.approx(0.8504330, abs=5e-8)
    assert of_the_published["histogram"]["examples"].sum() == 9815
    soups = of_the_published["soups"]
    assert len(soups) == 74
    assert soups.loc[soups["chosen"], "model"].tolist() == ["model_43"]
    assert soups.loc[soups["chosen"], "ImageNet"].tolist() == [0.80386]
    kinds = soups.set_index("kind")["ImageNet"]
    assert (kinds["greedy soup"], kinds["uniform soup"]) == (0.81026, 0.79972)
    right = soups[list(published.IMAGES)] * list(published.IMAGES.values())
    np.testing.assert_allclose(right, right.round(), atol=1e-6)
