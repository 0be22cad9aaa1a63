"""The figure scripts, run as rules run them on small synthetic tables.

No model is of category `frameworks`, one conversion rate and one interval are undefined, one pair
is never wrong together. Tables of predictions that others published (`published`) have no accuracy
window, a model of classes alone, two models of one category, and many classes.
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
from dissent.reliability import VARIANTS

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "figures" / "no_one_representation"
MODELS = {
    "base": "reinit",
    "again": "reinit",
    "tuned": "hyper-parameters",
    "wide": "architectures",
    "narrow": "architectures",
    "elsewhere": "datasets",
    "outside": "datasets",
}
COMPARED = ["again", "wide", "elsewhere"]
PUBLISHED = {"base": "reinit", "p": "architectures", "q": "architectures", "votes": "datasets"}
GROUPS = ["both wrong", "only 2 correct", "only 1 correct", "both correct"]
N = 60
PANELS = ["ensemble_gain", "ensemble_accuracy", "conversion_rate"]
SUFFIXES = ("svg", "pdf", "png", "csv")
COMMON = {"run": "test", "level": 0.9}
CATEGORIES = {"categories": {model: MODELS[model] for model in COMPARED}}
ALIKE = {"categories": {model: PUBLISHED[model] for model in ("p", "q")}}
RANGE, N_CLASSES, EACH = 3, 100, 110
OPTIONS = {
    "fig1_error_inconsistency": ({"pairs", "categories"}, {"base": "base", **COMMON}),
    "fig2_ensemble_gain": ({"pairs"}, {"base": "base", "rule": "mean_logit", **COMMON}),
    "fig3_specialisation": ({"angles"}, {"run": "test"} | CATEGORIES),
    "fig4_classes": ({"angles", "classes"}, COMMON | CATEGORIES),
    "fig5_greedy": ({"greedy"}, COMMON),
    "fig6_features": ({"mixing", "selection"}, {"base": "base", **COMMON}),
    "fig7_downstream": ({"singles", "pairs"}, COMMON | CATEGORIES),
    "shift_inconsistency": ({"means", "pairs"}, {"original": "first", **COMMON}),
    "calibration": ({"table", "bins"}, {"data-name": "some", **COMMON}),
    "fig1_error_inconsistency-published": ({"pairs", "categories"}, {"base": "base", **COMMON}),
    "fig2_ensemble_gain-published": ({"pairs"}, {"base": "base", "rule": "mean_logit", **COMMON}),
    "fig3_specialisation-published": ({"angles"}, {"run": "test"} | ALIKE),
    "fig4_classes-published": ({"angles", "classes"}, COMMON | ALIKE),
}
# Tables of these names differ from those of other figures.
OWN_TABLES = ("fig7_downstream", "shift_inconsistency", "calibration")


def around(values):
    return {"low": values - 0.05, "high": values + 0.02}


def pair_table(rng, models):
    pairs = pd.DataFrame(combinations(models, 2), columns=["model1", "model2"])
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
        pairs[f"category{member}"] = model.map(models)
        pairs[f"in_window{member}"] = model != "outside"
    return pairs.assign(n=N)


def published_tables(rng):
    """Pairs without a window; two models with angles in many classes."""
    pairs = pair_table(rng, PUBLISHED).drop(columns=["in_window1", "in_window2"])
    of_ensembles = [column for column in pairs if column.startswith("mean_logit_")]
    pairs.loc[pairs["model2"] == "votes", of_ensembles] = np.nan
    angles = []
    for model in ALIKE["categories"]:
        confidence_N2 = rng.uniform(0.3, 1, (EACH * N_CLASSES, 2))
        correct_N2 = rng.random(confidence_N2.shape) < 0.6
        angles.append(
            pd.DataFrame(
                {
                    "example": range(len(confidence_N2)),
                    "class": np.repeat([f"c{i}" for i in range(N_CLASSES)], EACH),
                    "confidence1": confidence_N2[:, 0],
                    "confidence2": confidence_N2[:, 1],
                    "angle": np.degrees(np.arctan2(*confidence_N2.T)),
                    "group": np.array(GROUPS)[correct_N2 @ [2, 1]],
                    "model1": "base",
                    "model2": model,
                    "difference": correct_N2 @ [1, -1],
                }
            )
        )
    angles = pd.concat(angles)
    by_class = angles.assign(inconsistent=angles["difference"] != 0).groupby(
        ["model2", "class", "model1"], sort=False
    )
    classes = by_class.agg(
        n=("difference", "size"),
        accuracy_difference=("difference", "mean"),
        error_inconsistency=("inconsistent", "mean"),
    )
    return pairs, angles, classes.reset_index()


def shift_tables(rng):
    models, rows = ["a", "b", "c"], []
    for data in ("first", "second", "third"):
        for pair in combinations(models, 2):
            rows.append((data, *pair, N, *rng.uniform(0.1, 0.9, 2)))
    measures = ["error_inconsistency", "error_consistency"]
    pairs = pd.DataFrame(rows, columns=["data", "model1", "model2", "n", *measures])
    means = pairs.melt("data", measures, "measure").groupby(["data", "measure"]).mean()
    own = means.drop("error_consistency", level="measure")
    others = {
        "expected_error_inconsistency": 0.1,
        "error_inconsistency_at_original_kappa": 0.05,
        "error_inconsistency_at_original_odds_ratio": 0.03,
    }
    parts = [own.rename({"error_inconsistency": name}) + more for name, more in others.items()]
    means = pd.concat([means, *parts]).reset_index()
    return means.assign(**around(means["value"]), n=N, n_models=3, n_pairs=3), pairs


def calibration_tables(rng):
    rows, bins = [], []
    for members in ("a", "b", "c", "a + b", "a + c", "b + c", "a + b + c"):
        size = len(members.split(" + "))
        for variant in VARIANTS[: 2 if size == 1 else 3]:
            name = {"members": members, "n_members": size, "variant": variant}
            for measure in ("accuracy", "nll", "ece", "ece_if_calibrated"):
                value = rng.uniform(0.1, 0.9)
                row = name | {"measure": measure, "value": value, "n": N} | around(value)
                if size > 1 and measure in ("accuracy", "nll"):
                    difference = around(value / 10)
                    ends = {f"difference_{end}": x for end, x in difference.items()}
                    row |= {"difference": value / 10} | ends
                rows.append(row)
            for confidence, n in ((0.3, 19), (0.5, 20), (0.9, 21)):
                accuracy = rng.uniform(0.1, 0.9)
                row = {"confidence": confidence, "accuracy": accuracy, "n": n}
                bins.append(name | row | around(accuracy))
    return pd.DataFrame(rows), pd.DataFrame(bins)


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
    pairs = pair_table(rng, MODELS)
    angles, classes = specialisation_tables(rng)
    mixing, selection = probe_tables(rng)
    singles, downstream_pairs = downstream_tables(rng)
    means = {"reinit": 0.2, "hyper-parameters": 0.3, "architectures": 0.4, "datasets": 0.5}
    categories = pd.DataFrame({"category": means.keys(), "mean": means.values()})
    categories["low"], categories["high"] = around(categories["mean"]).values()
    categories.loc[1, ["low", "high"]] = np.nan
    categories = categories.assign(measure="error_inconsistency", n_models=1)
    published_pairs, published_angles, published_classes = published_tables(rng)
    shift_means, shift_pairs = shift_tables(rng)
    calibration, reliability = calibration_tables(rng)
    return {
        "published_pairs": published_pairs,
        "published_categories": categories[categories["category"].isin(PUBLISHED.values())][1:],
        "published_angles": published_angles.drop(columns="difference"),
        "published_classes": published_classes,
        "published_differences": published_angles[["class", "model2", "difference"]],
        "shift_inconsistency_means": shift_means,
        "shift_inconsistency_pairs": shift_pairs,
        "calibration_table": calibration,
        "calibration_bins": reliability,
        "pairs": pairs,
        "categories": pd.concat([categories, categories.assign(measure="conversion_rate", mean=9)]),
        "angles": angles.drop(columns="difference"),
        "classes": classes,
        "differences": angles[["class", "model2", "difference"]],
        "greedy": greedy_table(rng),
        "mixing": mixing,
        "selection": selection,
        "fig7_downstream_singles": singles,
        "fig7_downstream_pairs": downstream_pairs,
    }


@pytest.fixture(scope="module")
def folder(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def options(name, folder, out):
    inputs, others = OPTIONS[name]
    script, _, variant = name.partition("-")
    prefix = f"{variant or (script if script in OWN_TABLES else '')}_".lstrip("_")
    paths = {table: folder / f"{prefix}{table}.csv" for table in inputs}
    return paths | others | {"output": [folder / out / f"{name}.{s}" for s in SUFFIXES]}


def script_of(name):
    return SCRIPTS / f"{name.partition('-')[0]}.py"


@pytest.fixture(scope="module")
def drawn(folder):
    """What each script draws when its main is called here: the figure, and the csv file."""
    return {name: draw(name, folder) for name in OPTIONS}


def draw(name, folder):
    specification = importlib.util.spec_from_file_location("script", script_of(name))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    kept, save = [], figures.save_figure

    def keep(figure, table, outputs):
        kept.append(figure)
        save(figure, table, outputs)

    arguments = options(name, folder, "here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save_figure", keep)
        module.main(Namespace(**{k.replace("-", "_"): v for k, v in arguments.items()}))
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
    command = [sys.executable, script_of(name)]
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
    assert str(N) in note or f"{N_CLASSES * EACH:,} examples" in note
    assert any(words in note for words in ("pairs", "starting models", "data set some"))
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
    assert labels[2:] == ["architectures\n2 pairs", "datasets\n1 pair"]
    assert "in the accuracy window" in figure.get_supxlabel()
    # The interval of hyper-parameters is undefined.
    bands = [band.get_paths()[0].vertices[:, 1] for band in figure.axes[0].collections]
    bands = [(min(y), max(y)) for y in bands if len(y) > 2]
    assert bands == [pytest.approx((mean - 0.05, mean + 0.02)) for mean in (0.2, 0.4, 0.5)]
    assert "bands, of categories with three models or more: of the mean" in figure.get_supxlabel()


def test_fig1_names_the_points_of_a_category_with_few(drawn):
    figure, table = drawn["fig1_error_inconsistency-published"]
    pairs = table[table["drawn"] == "pair"].set_index("model")["error_inconsistency"]
    assert {text.get_text(): text.xy[1] for text in figure.axes[0].texts} == pairs.to_dict()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["architectures\n2 pairs", "datasets\n1 pair"]
    assert "window" not in figure.get_supxlabel()
    assert "bands: of the mean" in figure.get_supxlabel()


def test_fig2_draws_pairs_means_and_the_other_pairs(tables, drawn):
    figure, table = drawn["fig2_ensemble_gain"]
    inside = tables["pairs"].query("model2 != 'outside'")
    assert len(inside) == 15
    for axes, panel in zip(figure.axes, PANELS, strict=True):
        rows = table[table["panel"] == panel]
        columns = ["error_inconsistency", "value"]
        assert marks(axes) == points(rows[columns])
        means = rows[rows["drawn"] == "category mean"]
        source = inside[["error_inconsistency", f"mean_logit_{panel}"]]
        assert points(source) == marks(axes) - points(means[columns])
        # The only category of several pairs.
        several = inside.query("model1 == 'base' and category2 == 'architectures'")
        assert points(means[columns]) == points([several[list(source)].mean()])
    alone = table.loc[table["drawn"] == "base alone", "value"]
    assert alone.tolist() == [0.4]


def test_fig2_says_how_many_pairs_have_no_ensemble(tables, drawn):
    figure, _ = drawn["fig2_ensemble_gain-published"]
    of_base = tables["published_pairs"].query("model1 == 'base'")
    assert "2 pairs with base, 1 without\n" in figure.get_supxlabel()
    assert "3 more pairs have no ensemble" in figure.get_supxlabel()
    entries = {text.get_text() for text in figure.legends[0].get_texts()}
    assert entries == {"architectures", "category mean", "pair without base"}
    for axes, panel in zip(figure.axes, PANELS, strict=True):
        named = {text.get_text() for text in axes.texts} & set(PUBLISHED)
        assert named == set(of_base.dropna(subset=f"mean_logit_{panel}")["model2"])


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


def test_fig3_tells_models_of_one_category_apart_and_thins_the_plane(tables, drawn):
    figure, _ = drawn["fig3_specialisation-published"]
    axes = {axes.get_label(): axes for axes in figure.axes}
    angles = tables["published_angles"]
    every = angles[angles["model2"] == "q"].iloc[::11]
    assert marks(axes["plane"]) == points(every[["confidence2", "confidence1"]])
    assert len(every) == 1000
    assert "one in 11 of the examples" in figure.get_supxlabel()
    colors = {tuple(patch.get_edgecolor()) for patch in axes["both wrong"].patches}
    assert len(colors) == 2


def test_fig3_says_so_where_all_models_are_right_on_the_same_examples(tables, tmp_path):
    tables["angles"].iloc[:0].to_csv(tmp_path / "angles.csv", index=False)
    figure, table = draw("fig3_specialisation", tmp_path)
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "In no example is exactly one model of a pair right"
    ]
    assert table.empty


def test_fig4_draws_no_angle_where_all_models_are_right_on_the_same_examples(tables, tmp_path):
    tables["angles"].iloc[:0].to_csv(tmp_path / "angles.csv", index=False)
    alike = tables["classes"].assign(accuracy_difference=0.0, error_inconsistency=0.0)
    alike.to_csv(tmp_path / "classes.csv", index=False)
    figure, _ = draw("fig4_classes", tmp_path)
    for axes in figure.axes[::2]:
        assert not marks(axes)


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


def test_fig4_pools_ranges_of_many_classes(tables, drawn, folder):
    figure, table = drawn["fig4_classes-published"]
    angles = tables["published_angles"]
    for i, model in enumerate(ALIKE["categories"]):
        left, right = figure.axes[2 * i : 2 * i + 2]
        rows = table[table["model2"] == model]
        assert heights(left) == numbers(rows[rows["panel"] == "angle"]["angle"])
        assert all(line.get_rasterized() for line in left.lines if line.get_marker() == ".")
        differences = rows[rows["panel"] == "accuracy difference"].set_index("class")
        assert len(differences) == len(right.patches) == 34
        medians = rows[rows["panel"] == "median angle"].set_index(["class", "group"])["angle"]
        source = tables["published_differences"].query("model2 == @model")
        for first in range(0, N_CLASSES, RANGE):
            names = [f"c{at}" for at in range(first, min(first + RANGE, N_CLASSES))]
            name = f"{names[0]} to {names[-1]}"
            inside = source[source["class"].isin(names)]["difference"]
            row = differences.loc[name]
            assert row["accuracy_difference"] == pytest.approx(inside.mean())
            assert row["n"] == len(inside)
            ends = stats.norm.interval(0.9, inside.mean(), inside.std(ddof=0) / len(inside) ** 0.5)
            np.testing.assert_allclose(row[["low", "high"]].astype(float), ends)
            among = angles[(angles["model2"] == model) & angles["class"].isin(names)]
            for group in ("only 1 correct", "only 2 correct"):
                expected = among[among["group"] == group]["angle"].median()
                assert medians[name, group] == pytest.approx(expected)
    labels = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert labels == ["c0", "c24", "c48", "c72", "c96"]
    assert (folder / "here/fig4_classes-published.svg").stat().st_size < 10**6


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
    assert marks(single) == points(tables["fig7_downstream_singles"][["accuracy", "map"]])
    assert points(singles[["accuracy", "map"]]) == marks(single)
    source = tables["fig7_downstream_pairs"]
    in_cells = [[0, np.nan], [1, 2]]
    expected = [[source["error_inconsistency"].get(i, np.nan) for i in row] for row in in_cells]
    np.testing.assert_allclose(np.ma.filled(matrix.images[0].get_array(), np.nan), expected)
    for axes, measure in ((joined, "map"), (gained, "gain")):
        columns = ["error_inconsistency", measure]
        assert marks(axes) == points(pairs[columns]) == points(source[columns])
    assert joined.lines[-1].get_ydata()[0] == tables["fig7_downstream_singles"]["map"].max()
    np.testing.assert_allclose(pairs[["gain_low", "gain_high"]], source[["low", "high"]])
    assert pairs["letter"].tolist() == ["AB", "AC", "BC"]


def test_shift_draws_pairs_against_the_original_and_means(tables, drawn):
    figure, table = drawn["shift_inconsistency"]
    left, centre, right = figure.axes
    pairs = tables["shift_inconsistency_pairs"].set_index(["data", "model1", "model2"])
    means = tables["shift_inconsistency_means"].set_index(["measure", "data"])
    for axes, measure in ((left, "error_inconsistency"), (centre, "error_consistency")):
        values = pairs[measure].unstack("data")
        expected = points(values[["first", "second"]]) | points(values[["first", "third"]])
        of_means = means.loc[measure, "value"]
        assert marks(axes) == expected | {
            tuple(of_means[["first", data]].round(9)) for data in ("second", "third")
        }
        text = axes.texts[0].get_text()
        assert "first" in text and "second" in text
    shown = table[table["drawn"] == "mean"]
    assert heights(right) == numbers(shown.query("measure != 'error_consistency'")["value"])
    # The first data set has its own kappa and odds ratio anyway.
    counts = shown["measure"].value_counts()
    for kept in ("kappa", "odds_ratio"):
        assert counts[f"error_inconsistency_at_original_{kept}"] == 2
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"if kappa were as on first", "if odds ratio were as on first"} <= set(entries)
    assert "3 pairs of 3 models" in figure.get_supxlabel()


def test_calibration_draws_full_bins_and_every_combination(tables, drawn):
    figure, table = drawn["calibration"]
    upper, lower = figure.axes[:3], figure.axes[3:]
    bins = tables["calibration_bins"].query("n >= 20")
    for axes, variant in zip(upper, ("raw", "members_scaled"), strict=False):
        single = bins[(bins["n_members"] == 1) & (bins["variant"] == variant)]
        assert marks(axes) == points(single[["confidence", "accuracy"]])
    assert marks(upper[2]) == points(bins.query("n_members == 3")[["confidence", "accuracy"]])
    measures = tables["calibration_table"]
    for axes, measure in zip(lower, ("accuracy", "nll"), strict=False):
        differences = measures.loc[measures["measure"] == measure, "difference"]
        assert {x for x, _ in marks(axes)} == numbers(differences)
        assert sum("alone" in text.get_text() for text in axes.texts) == 3
    errors = measures[measures["measure"].str.startswith("ece")]["value"]
    assert {x for x, _ in marks(lower[2])} == numbers(errors)
    labels = [label.get_text() for label in lower[0].get_yticklabels()]
    assert labels == ["A", "B", "C", "A + B", "A + C", "B + C", "A + B + C"]
    assert len(table[table["panel"] == "reliability"]) == 2 * (3 * 2 + 3)
    assert "not an interval of the true one" in figure.get_supxlabel()


def test_names_that_look_like_numbers_or_nothing_stay_names(tables, tmp_path):
    names = {"again": "None", "wide": "007", "elsewhere": "NA", "x": "null", "base": "nan"}
    columns = ["class", "model1", "model2"]
    for name in ("angles", "classes"):
        table = tables[name].assign(**tables[name][columns].replace(names))
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    categories = {"categories": {names[model]: MODELS[model] for model in COMPARED}}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fig3_specialisation", "fig4_classes"):
            patch.setitem(OPTIONS, name, (OPTIONS[name][0], OPTIONS[name][1] | categories))
        (plane, *_), of_classes = (
            draw(name, tmp_path)[0].axes for name in ("fig3_specialisation", "fig4_classes")
        )
    labels = plane.get_xlabel(), plane.get_ylabel()
    assert labels == ("confidence of NA", "confidence of nan")
    ticks = [label.get_text() for label in of_classes[-1].get_xticklabels()]
    assert ticks == ["01\n20", "null\n20", "y\n20"]
    titles = {axes.get_title(loc="left") for axes in of_classes[::2]}
    assert titles == {"reinit: None", "architectures: 007", "datasets: NA"}
