"""The figure scripts, run as rules run them on small synthetic tables.

No model is of category `frameworks`, one conversion rate and one interval are undefined, one pair
is never wrong together.
"""

import importlib.util
import json
import os
import subprocess
import sys
from argparse import Namespace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from scipy import stats

from dissent import figures

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "figures" / "no_one_representation"
MODELS = {
    "base": "reinit",
    "again": "reinit",
    "tuned": "hyper-parameters",
    "wide": "architectures",
    "elsewhere": "datasets",
    "outside": "datasets",
}
COMPARED = ["again", "wide", "elsewhere"]
GROUPS = ["both wrong", "only 2 correct", "only 1 correct", "both correct"]
N = 60
SUFFIXES = ("svg", "pdf", "png", "csv")
COMMON = {"run": "test", "level": 0.9}
CATEGORIES = {"categories": {model: MODELS[model] for model in COMPARED}}
OPTIONS = {
    "fig1_error_inconsistency": ({"pairs", "categories"}, {"base": "base", **COMMON}),
    "fig2_ensemble_gain": ({"pairs"}, {"base": "base", "rule": "mean_logit", **COMMON}),
    "fig3_specialisation": ({"angles"}, {"run": "test"} | CATEGORIES),
    "fig4_classes": ({"angles", "classes"}, COMMON | CATEGORIES),
    "fig5_greedy": ({"greedy"}, COMMON),
    "fig6_features": ({"mixing", "selection"}, {"base": "base", **COMMON}),
    "fig7_downstream": ({"singles", "pairs"}, COMMON | CATEGORIES),
}


def around(values):
    return {"low": values - 0.05, "high": values + 0.02}


def pair_table(rng):
    pairs = pd.DataFrame(combinations(MODELS, 2), columns=["model1", "model2"])
    ensemble = (
        f"mean_logit_{m}" for m in ("ensemble_gain", "ensemble_accuracy", "conversion_rate")
    )
    for measure in ("error_inconsistency", *ensemble):
        values = rng.uniform(0.1, 0.9, len(pairs))
        pairs[measure] = values
        for end, value in around(values).items():
            pairs[f"{measure}_{end}"] = value
    pairs.loc[0, [c for c in pairs if "conversion" in c]] = np.nan
    pairs["expected_error_inconsistency"] = rng.uniform(0.3, 0.4, len(pairs))
    for member in "12":
        model = pairs[f"model{member}"]
        pairs[f"accuracy{member}"] = model.map(len) / 10
        pairs[f"category{member}"] = model.map(MODELS)
        pairs[f"in_window{member}"] = model != "outside"
    return pairs.assign(n=N)


def specialisation_tables(rng):
    """Angles of all examples, and the table of classes from the correctness of each example."""
    angles, classes = [], []
    for model in COMPARED:
        confidence_N2 = rng.uniform(0.3, 1, (N, 2))
        correct_N2 = rng.random((N, 2)) < 0.7
        if model == "wide":
            correct_N2[:, 0] |= ~correct_N2[:, 1]
        table = pd.DataFrame(
            {
                "example": [f"e{i}" for i in range(N)],
                "class": np.repeat(["01", "x", "y"], N // 3),
                "confidence1": confidence_N2[:, 0],
                "confidence2": confidence_N2[:, 1],
                "angle": np.degrees(np.arctan2(*confidence_N2.T)),
                "group": np.array(GROUPS)[correct_N2 @ [2, 1]],
                "model1": "base",
                "model2": model,
                "difference": correct_N2 @ [1, -1],
            }
        )
        angles.append(table)
        by_class = table.groupby(["class", "model1", "model2"])["difference"]
        classes.append(
            by_class.agg(
                n="size",
                accuracy_difference="mean",
                error_inconsistency=lambda values: (values != 0).mean(),
            ).reset_index()
        )
    return pd.concat(angles), pd.concat(classes)


def greedy_table(rng):
    rows = []
    for start, order in {"s": ["s", "again", "elsewhere"], "t": ["t", "wide", "again"]}.items():
        for added, model in enumerate(order):
            category = MODELS.get(model, "datasets")
            rows.append((start, added, model, category, 0.7, rng.uniform(0.7, 0.9), added == 1))
    columns = ["start", "added", "model", "category", "own_accuracy", "accuracy", "chosen"]
    greedy = pd.DataFrame(rows, columns=columns)
    ends = around(greedy["accuracy"])
    return greedy.assign(accuracy_low=ends["low"], accuracy_high=ends["high"], n=N)


def probe_tables(rng):
    models = {model: MODELS[model] for model in COMPARED} | {"third": "reinit"}
    mixing, selection = (
        pd.DataFrame([(*model, *cell) for model in models.items() for cell in cells])
        for cells in ([(s, r) for s in (0, 50, 100) for r in (0, 1)], [(4,), (8,)])
    )
    mixing.columns = ["model", "category", "share", "repeat"]
    selection.columns = ["model", "category", "dimensions"]
    for table in (mixing, selection):
        table["accuracy"] = rng.uniform(0.5, 1, len(table))
        table[["low", "high"]] = np.stack([*around(table["accuracy"]).values()], axis=1)
        table["n"] = N
    return mixing, selection


def downstream_tables(rng):
    singles = pd.DataFrame({"model": COMPARED, "accuracy": 0.75, "map": rng.uniform(0.2, 0.5, 3)})
    singles[["low", "high"]] = np.stack([*around(singles["map"]).values()], axis=1)
    pairs = pd.DataFrame(combinations(COMPARED, 2), columns=["model1", "model2"])
    better = [singles["map"][list(pair)].max() for pair in combinations(range(3), 2)]
    pairs = pairs.assign(error_inconsistency=rng.uniform(0.1, 0.4, 3), gain=[0.1, -0.1, 0])
    pairs = pairs.assign(map=better + pairs["gain"], **around(pairs["gain"]), n=N)
    return singles.assign(accuracy_low=0.7, accuracy_high=0.8, accuracy_n=2 * N, n=N), pairs


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    pairs = pair_table(rng)
    angles, classes = specialisation_tables(rng)
    mixing, selection = probe_tables(rng)
    singles, downstream_pairs = downstream_tables(rng)
    means = {"reinit": 0.2, "hyper-parameters": 0.3, "architectures": 0.4, "datasets": 0.5}
    categories = pd.DataFrame({"category": means.keys(), "mean": means.values()})
    categories["low"], categories["high"] = around(categories["mean"]).values()
    categories.loc[1, ["low", "high"]] = np.nan
    categories = categories.assign(measure="error_inconsistency", n_models=1)
    return {
        "pairs": pairs,
        "categories": pd.concat([categories, categories.assign(measure="conversion_rate", mean=9)]),
        "angles": angles.drop(columns="difference"),
        "classes": classes,
        "differences": angles[["class", "model2", "difference"]],
        "greedy": greedy_table(rng),
        "mixing": mixing,
        "selection": selection,
        "singles": singles,
        "downstream_pairs": downstream_pairs,
    }


@pytest.fixture(scope="module")
def folder(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def options(name, folder, out):
    inputs, others = OPTIONS[name]
    paths = {table: folder / f"{table}.csv" for table in inputs}
    if name == "fig7_downstream":
        paths["pairs"] = folder / "downstream_pairs.csv"
    return paths | others | {"output": [folder / out / f"{name}.{s}" for s in SUFFIXES]}


@pytest.fixture(scope="module")
def drawn(folder):
    """What each script draws when its main is called here: the figure, and the csv file."""
    return {name: draw(name, folder) for name in OPTIONS}


def draw(name, folder):
    specification = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    kept, save = [], figures.save_figure

    def keep(figure, table, outputs):
        kept.append(figure)
        save(figure, table, outputs)

    arguments = options(name, folder, "here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save_figure", keep)
        module.main(Namespace(**arguments))
    pyplot.close("all")
    return kept[0], pd.read_csv(arguments["output"][-1], dtype={"class": str})


def marks(axes):
    """Coordinates of every marker in the axes, as a set of (x, y)."""
    lines = [line for line in axes.lines if line.get_marker() not in ("None", "")]
    return points(np.concatenate([line.get_xydata() for line in lines]))


def points(values):
    values = np.asarray(values, dtype=float)
    return {tuple(row) for row in values[~np.isnan(values).any(axis=1)].round(9)}


def heights(axes):
    return {y for _, y in marks(axes)}


def numbers(*columns):
    return set(pd.concat(columns).dropna().round(9))


@pytest.mark.parametrize("name", OPTIONS)
def test_another_process_with_other_settings_draws_the_same_bytes(name, folder, drawn):
    (folder / "matplotlibrc").write_text("font.size: 20\nfigure.facecolor: red\n")
    chosen = options(name, folder, "there")
    command = [sys.executable, SCRIPTS / f"{name}.py"]
    for option, value in chosen.items():
        value = json.dumps(value) if isinstance(value, dict) else value
        command += [f"--{option}", *(value if isinstance(value, list) else [value])]
    settings = {"MATPLOTLIBRC": str(folder / "matplotlibrc"), "PYTHONHASHSEED": "7"}
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | settings
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    for path in chosen["output"]:
        assert path.read_bytes() == (folder / "here" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", OPTIONS)
def test_the_figure_says_its_run_and_its_n(name, drawn):
    figure, _ = drawn[name]
    note = figure.get_supxlabel()
    assert note.startswith("Run test: ")
    assert str(N) in note
    assert "pairs" in note or "starting models" in note
    assert "90% bootstrap" in note or "90% normal" in note or "no intervals" in note


def test_fig1_draws_each_pair_in_the_window_with_its_chance_level(tables, drawn):
    figure, table = drawn["fig1_error_inconsistency"]
    pairs = table[table["drawn"] == "pair"]
    of_base = tables["pairs"].query("model1 == 'base' and model2 != 'outside'")
    assert numbers(pairs["error_inconsistency"]) == numbers(of_base["error_inconsistency"])
    assert numbers(pairs["chance"]) == numbers(of_base["expected_error_inconsistency"])
    assert heights(figure.axes[0]) == numbers(pairs["error_inconsistency"], pairs["chance"])
    means = table[table["drawn"] == "category mean"].set_index("category")["error_inconsistency"]
    lines = [line for line in figure.axes[0].lines if line.get_marker() == "None"]
    assert [line.get_ydata()[0] for line in lines] == means.tolist() == [0.2, 0.3, 0.4, 0.5]
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels[3:] == ["frameworks\nno pairs", "datasets\n1 pair"]


def test_fig2_draws_pairs_means_and_the_other_pairs(tables, drawn):
    figure, table = drawn["fig2_ensemble_gain"]
    panels = ["ensemble_gain", "ensemble_accuracy", "conversion_rate"]
    inside = tables["pairs"].query("model2 != 'outside'")
    assert len(inside) == 10
    for axes, panel in zip(figure.axes, panels, strict=True):
        rows = table[table["panel"] == panel]
        columns = ["error_inconsistency", "value"]
        assert marks(axes) == points(rows[columns])
        means = rows[rows["drawn"] == "category mean"]
        source = inside[["error_inconsistency", f"mean_logit_{panel}"]]
        assert marks(axes) - points(means[columns]) <= points(source)
        assert points(source) <= marks(axes)
        # One model a category, so that its pair is the mean.
        assert points(means[columns]) <= points(source)
    alone = table.loc[table["drawn"] == "base alone", "value"]
    assert alone.tolist() == [0.4]


def test_fig3_counts_examples_and_draws_the_most_different_pair(tables, drawn):
    figure, table = drawn["fig3_specialisation"]
    angles = tables["angles"]
    plane = angles[angles["model2"] == "elsewhere"]
    axes = {axes.get_label(): axes for axes in figure.axes}
    assert marks(axes["plane"]) == points(plane[["confidence2", "confidence1"]])
    for group in GROUPS:
        steps = {tuple(patch.get_data().values) for patch in axes[group].patches}
        rows = table[table["panel"] == group]
        assert steps == {tuple(part["examples"]) for _, part in rows.groupby("model2")}
        for row in rows.itertuples():
            among = angles[(angles["model2"] == row.model2) & (angles["group"] == group)]["angle"]
            assert row.examples == sum(row.angle_from <= a < row.angle_to for a in among)
    assert len(axes["both wrong"].patches) == 2


def test_fig4_has_each_class_its_n_and_the_interval_of_the_difference(tables, drawn):
    figure, table = drawn["fig4_classes"]
    for i, model in enumerate(COMPARED):
        left, right = figure.axes[2 * i : 2 * i + 2]
        rows = table[table["model2"] == model]
        assert heights(left) == numbers(rows["angle"])
        differences = rows[rows["panel"] == "accuracy difference"].set_index("class")
        bars = [patch.get_height() for patch in right.patches]
        np.testing.assert_allclose(bars, differences["accuracy_difference"])
        source = tables["differences"].query("model2 == @model").groupby("class")["difference"]
        for name, values in source:
            row = differences.loc[name]
            spread = values.std(ddof=0) / np.sqrt(len(values))
            expected = stats.norm.interval(0.9, values.mean(), spread) if spread else (0, 0)
            np.testing.assert_allclose(row[["low", "high"]].astype(float), expected, atol=1e-9)
    labels = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert labels == ["01\n20", "x\n20", "y\n20"]


def test_fig5_draws_every_size_and_the_first_model_of_each_start(tables, drawn):
    figure, table = drawn["fig5_greedy"]
    upper, lower = figure.axes
    added = table[table["panel"] == "added"]
    assert heights(upper) == numbers(added["accuracy"]) == numbers(tables["greedy"]["accuracy"])
    first = table[table["panel"] == "first"]
    assert first[["start", "model"]].to_numpy().tolist() == [["s", "again"], ["t", "wide"]]
    texts = {text.get_text() for text in lower.texts}
    alone = tables["greedy"].query("added == 0")["accuracy"]
    assert {"again (reinit)", "wide (architectures)"} <= texts
    assert {f"{100 * accuracy:.1f}" for accuracy in alone} <= texts
    assert numbers(first["start_accuracy"]) == numbers(alone)


def test_fig6_draws_means_of_repeats_and_of_models(tables, drawn):
    figure, table = drawn["fig6_features"]
    models, means = (table[table["drawn"] == kind] for kind in ("model", "category mean"))
    assert sorted(models["model"].unique()) == sorted([*COMPARED, "third"])
    for row in models[models["panel"] == "mixing"].itertuples():
        source = tables["mixing"].query("model == @row.model and share == @row.share")
        assert row.accuracy == pytest.approx(sum(source["accuracy"]) / 2)
        assert row.high == pytest.approx(sum(source["high"]) / 2)
    selected = models[models["panel"] == "selection"]["accuracy"]
    assert numbers(selected) == numbers(tables["selection"]["accuracy"])
    for row in means.itertuples():
        place = "share" if row.panel == "mixing" else "dimensions"
        of_category = models[(models["panel"] == row.panel) & (models["category"] == row.category)]
        among = of_category[of_category[place] == getattr(row, place)]
        assert len(among) == (2 if row.category == "reinit" else 1)
        assert row.low == pytest.approx(sum(among["low"]) / len(among))
    for axes, panel in zip(figure.axes, ("mixing", "selection"), strict=True):
        assert heights(axes) == numbers(means[means["panel"] == panel]["accuracy"])
        thin = [line.get_ydata() for line in axes.lines if line.get_alpha()]
        rows = models[models["panel"] == panel]
        assert numbers(*map(pd.Series, thin)) == numbers(rows["accuracy"])


def test_fig7_draws_models_their_matrix_and_pairs(tables, drawn):
    figure, table = drawn["fig7_downstream"]
    single, matrix, joined, gained = figure.axes
    singles, pairs = (table[table["panel"] == panel] for panel in ("singles", "pairs"))
    assert marks(single) == points(tables["singles"][["accuracy", "map"]])
    assert points(singles[["accuracy", "map"]]) == marks(single)
    source = tables["downstream_pairs"]
    in_cells = [[0, np.nan], [1, 2]]
    expected = [[source["error_inconsistency"].get(i, np.nan) for i in row] for row in in_cells]
    np.testing.assert_allclose(np.ma.filled(matrix.images[0].get_array(), np.nan), expected)
    for axes, measure in ((joined, "map"), (gained, "gain")):
        columns = ["error_inconsistency", measure]
        assert marks(axes) == points(pairs[columns]) == points(source[columns])
    assert joined.lines[-1].get_ydata()[0] == tables["singles"]["map"].max()
    np.testing.assert_allclose(pairs[["gain_low", "gain_high"]], source[["low", "high"]])
    assert pairs["letter"].tolist() == ["AB", "AC", "BC"]
