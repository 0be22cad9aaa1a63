"""Figures of linear connectivity by cluster, measure and kind of model, of synthetic tables."""

import json
import os
import runpy
import statistics
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from scipy import stats

import made_connectivity_tables as made
from dissent import figures

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "figures" / "linear_connectivity"
LEVEL = 0.9
TABLES = {
    "clusters": ["members", "diagnostics"],
    "metric_checks": ["checks", "pairs"],
    "sharpness": ["members", "separation"],
    "other_metrics": ["pairs"],
    "distributions": ["diagnostics", "members"],
    "images": ["curves", "pairs"],
    "eigenvalues": ["clusters"],
}
NAMES = [("full", name) for name in TABLES]
NAMES += [("users", "eigenvalues"), ("none", "metric_checks"), ("none", "other_metrics")]
NAMES += [("few", name) for name in ("clusters", "sharpness", "eigenvalues")]
REDRAWN = "images"
EACH = pytest.mark.parametrize(("case", "name"), NAMES)
CALL = """
import json, runpy, sys
for command in json.load(sys.stdin):
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
"""


def violations(pairs, family, step):
    """Triangles of models in the window, and how many of them violate the inequality."""
    rows = pairs[(pairs["family"] == family) & (pairs["step"] == step) & pairs["kept"].astype(bool)]
    gaps = {frozenset((row.first, row.second)): row.convexity_gap for row in rows.itertuples()}
    models = sorted(set(rows["first"]) | set(rows["second"]))
    found = [
        max(sides) > sum(sides) - max(sides)
        for corners in combinations(models, 3)
        for sides in [[gaps[frozenset(pair)] for pair in combinations(corners, 2)]]
    ]
    return sum(found), len(found)


def tables_of(case):
    """As compare_connectivity.py writes them: violations are counts, of families with clusters."""
    tables = made.tables_of(case)
    counts = [
        violations(tables["pairs"], row.family, row.step) for row in tables["checks"].itertuples()
    ]
    tables["checks"]["triangle_violations"] = [violated for violated, _ in counts]
    tables["checks"]["n_triangles"] = [n for _, n in counts]
    tables["separation"] = tables["separation"].dropna(subset=["r_membership"])
    return tables


def command(name, paths, outputs):
    words = [SCRIPTS / f"{name}.py", "--run", "test", "--level", LEVEL, "--output", *outputs]
    for table in TABLES[name]:
        words += [f"--{table}", paths[table]]
    words += ["--strategy", *made.STRATEGY] if name == "sharpness" else []
    return list(map(str, words))


def draw(name, paths, folder):
    """Run a script here: its figure, the table it wrote, its files."""
    outputs = [folder / "here" / f"{name}.{suffix}" for suffix in ("svg", "csv")]
    kept, save = [], figures.save_figure

    def keep(figure, table, files):
        kept.append(figure)
        save(figure, table, files if name == REDRAWN else files[1:])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save_figure", keep)
        patch.setattr(sys, "argv", command(name, paths, outputs))
        runpy.run_path(sys.argv[0], run_name="__main__")
    pyplot.close("all")
    table = pd.read_csv(outputs[-1], keep_default_na=False, na_values=[""])
    return SimpleNamespace(figure=kept[0], table=table, files=outputs)


@pytest.fixture(scope="module")
def tables():
    return {case: tables_of(case) for case in made.CASES}


@pytest.fixture(scope="module")
def paths(tables, tmp_path_factory):
    written = {}
    for case, of_case in tables.items():
        folder = tmp_path_factory.mktemp(case)
        written[case] = {name: folder / f"{name}.csv" for name in of_case}
        for name, table in of_case.items():
            table.to_csv(written[case][name], index=False)
    return written


@pytest.fixture(scope="module")
def drawn(paths, tmp_path_factory):
    return {
        (case, name): draw(name, paths[case], tmp_path_factory.mktemp(name)) for case, name in NAMES
    }


def chosen(table, **values):
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def last_kept(table):
    """Rows of the last step of each family that are in the window."""
    last = table.groupby("family")["step"].transform("max")
    return table[(table["step"] == last) & table["kept"].astype(bool)]


def marks(axes):
    """Places of all marks of an axes."""
    return sorted(
        (float(x), float(y))
        for line in axes.lines
        if line.get_marker() not in ("None", "")
        for x, y in line.get_xydata()
    )


def segments(axes):
    return sorted(
        tuple(map(float, np.ravel(path))) for one in axes.collections for path in one.get_segments()
    )


def title(axes):
    return axes.get_title(loc="left")


def panels(result):
    return [axes for axes in result.figure.axes if axes.axison]


def words(result):
    """All text in the panels of a figure that say why they are empty."""
    return " ".join(text.get_text() for axes in result.figure.axes for text in axes.texts)


def test_another_process_with_other_settings_draws_the_same_bytes(drawn, paths, tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nfigure.facecolor: red\n")
    here = drawn["full", REDRAWN].files
    there = [tmp_path / path.name for path in here]
    settings = {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CALL],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | settings,
        input=json.dumps([command(REDRAWN, paths["full"], there)]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for one, other in zip(here, there, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@EACH
def test_the_figure_says_its_run_and_its_intervals(case, name, drawn):
    note = drawn[case, name].figure.get_supxlabel()
    assert note.startswith("Run test: ")
    if name in ("distributions", "images"):
        assert "90%" in note
    else:
        assert "o interval" in note or "90% intervals" in note


@EACH
def test_no_text_is_cut_off_too_small_or_over_another(case, name, drawn):
    figure = drawn[case, name].figure
    figure.draw_without_rendering()
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    texts.append(figure._supxlabel)
    for axes in figure.axes:
        texts += [axes._left_title, *axes.texts]
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label]
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                low, high = sorted(limits)
                # Axes that share ticks have no labels of their own.
                places = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=False)
                texts += [label for place, label in places if low <= place <= high]
    shown = {text: text.get_window_extent() for text in texts if text.get_text()}
    page = figure.bbox.padded(1)
    for text, box in shown.items():
        assert text.get_fontsize() >= 8
        assert page.contains(*box.min) and page.contains(*box.max), text
    for (one, box), (other, other_box) in combinations(shown.items(), 2):
        assert not box.padded(-1).fully_overlaps(other_box), (one, other)


def test_clusters_shows_models_over_a_table_of_their_statistics(drawn, tables):
    source = tables["full"]
    kept = last_kept(source["members"])
    axes = iter(panels(drawn["full", "clusters"]))
    for family in ("orders", "heads"):
        members = chosen(kept, family=family)
        of_model = {"in domain": members["in_domain"], "strategy group": members["strategy"]}
        for data in made.DIAGNOSTICS:
            means = []
            for model, step in zip(members["model"], members["step"], strict=True):
                rows = chosen(source["diagnostics"], family=family, step=step, model=model)
                rows = chosen(rows, data=data)
                means.append(np.average(rows["accuracy"], weights=rows["n"]))
            of_model[data] = pd.Series(means, members.index)
        for measure, accuracies in of_model.items():
            panel = next(axes)
            assert title(panel) == (measure if family == "orders" else "")
            assert [y for _, y in marks(panel)] and sorted(y for _, y in marks(panel)) == (
                pytest.approx(sorted(accuracies))
            )
            labels = [label.get_text().split("\n") for label in panel.get_xticklabels()]
            for label, cluster in zip(labels, ("large", "small"), strict=True):
                own = list(100 * accuracies[members["cluster"] == cluster])
                numbers = statistics.mean(own), statistics.stdev(own), max(own)
                assert label == [cluster, f"{len(own)}", *(f"{n:.1f}" for n in numbers)]
    assert next(axes, None) is None


def test_without_clusters_models_are_in_none(drawn, tables):
    (panel, *_) = panels(drawn["few", "clusters"])
    accuracies = 100 * last_kept(tables["few"]["members"])["in_domain"]
    (label,) = panel.get_xticklabels()
    assert label.get_text().split("\n")[:3] == ["none", "3", f"{accuracies.mean():.1f}"]


def test_distributions_draws_each_model_of_the_window_with_its_interval(drawn, tables):
    source, result = tables["full"], drawn["full", "distributions"]
    kept = last_kept(source["members"])[["family", "step", "model", "cluster"]]
    expected = source["diagnostics"].merge(kept)
    labels = [label.get_text() for label in result.figure.axes[0].get_yticklabels()]
    assert labels == [word for data, groups in made.GROUPS.items() for word in (data, *groups)]
    for axes, family in zip(result.figure.axes, ("orders", "heads"), strict=True):
        assert title(axes) == family
        own = chosen(expected, family=family)
        for place, group in enumerate(labels):
            rows = chosen(own, group=group)
            at = [x for x, y in marks(axes) if round(y) == place]
            assert at == pytest.approx(sorted(rows["accuracy"]))
            lines = [one for one in segments(axes) if round((one[1] + one[3]) / 2) == place]
            whiskers = sorted((one[0], one[2]) for one in lines if one[1] == one[3])
            ends = sorted(zip(rows["low"], rows["high"], strict=True))
            np.testing.assert_allclose(whiskers, np.reshape(ends, (-1, 2)).tolist())
            means = sorted(one[0] for one in lines if one[1] != one[3])
            by_cluster = rows.groupby("cluster")["accuracy"].mean()
            assert means == pytest.approx(sorted(by_cluster))


def test_metric_checks_counts_every_triangle_of_the_window(drawn, tables):
    source, result = tables["full"], drawn["full", "metric_checks"]
    *histograms, violated, coefficient = panels(result)
    expected = []
    for axes, family in zip(histograms, ("orders", "heads", *made.IMAGES), strict=True):
        steps = sorted(chosen(source["checks"], family=family)["step"])
        counts = [violations(source["pairs"], family, step) for step in steps]
        n_violated, n_triangles = counts[-1]
        assert title(axes) == f"{family}\ntriangles: {n_triangles}"
        bars = {round(bar.get_x(), 9): bar.get_height() for bar in axes.patches}
        assert sum(bars.values()) == n_triangles
        assert sum(height for x, height in bars.items() if x >= 1) == n_violated
        expected += [n / of for n, of in counts]
    assert any(expected)
    assert [x for x, _ in marks(violated)] == pytest.approx(sorted(expected))
    assert [x for x, _ in marks(coefficient)] == pytest.approx(
        sorted(source["checks"]["clustering_coefficient"])
    )
    assert "No triangle of models" in words(drawn["none", "metric_checks"])


def test_a_triangle_far_from_the_inequality_is_in_the_last_bar(paths, tmp_path):
    gaps = {("a", "b"): 0.0, ("a", "c"): 0.0, ("b", "c"): 3.0, ("a", "d"): 0.0}
    gaps |= {("b", "d"): 3.0, ("c", "d"): 3.0}
    rows = [{"first": first, "second": second, "g": gap} for (first, second), gap in gaps.items()]
    pairs = pd.DataFrame(rows).rename(columns={"g": "convexity_gap"})
    pairs.assign(family="f", step=0, kept=True).to_csv(tmp_path / "pairs.csv", index=False)
    checks = {"family": ["f"], "step": 0, "triangle_violations": 3, "n_triangles": 4}
    pd.DataFrame(checks | {"clustering_coefficient": 1.0}).to_csv(
        tmp_path / "checks.csv", index=False
    )
    own = {name: tmp_path / f"{name}.csv" for name in ("pairs", "checks")}
    axes = panels(draw("metric_checks", own, tmp_path))[0]
    heights = [bar.get_height() for bar in axes.patches]
    # a is next to all others, which are far from one another: of these, an equilateral triangle.
    assert heights[0] == 1 and heights[-1] == 3 and sum(heights) == 4


def test_sharpness_draws_both_predictors_and_the_size_of_each_r(drawn, tables):
    source, result = tables["full"], drawn["full", "sharpness"]
    kept = last_kept(source["members"])
    data, group = made.STRATEGY
    tests = chosen(source["separation"], data=data, group=group)
    rows = np.reshape(result.figure.axes, (2, 3))
    for axes, family in zip(rows, ("orders", "heads"), strict=True):
        members = chosen(kept, family=family)
        for panel, predictor in zip(axes, ("membership", "sharpness"), strict=False):
            expected = sorted(zip(members[predictor], members["strategy"], strict=True))
            np.testing.assert_allclose(marks(panel), expected)
        (test,) = chosen(tests, family=family, step=150).itertuples()
        assert test.r_membership < 0
        assert sorted(marks(axes[2]), key=lambda mark: mark[1]) == [
            pytest.approx((abs(r), place))
            for place, r in enumerate((test.r_membership, test.r_sharpness, test.r_in_domain))
        ]
        spans = {one[1]: (one[0], one[2]) for one in segments(axes[2]) if one}
        assert spans[0] == pytest.approx((-test.r_high, -test.r_low))
        assert spans[1] == pytest.approx((test.r_sharpness_low, test.r_sharpness_high))
    assert "No membership" in words(drawn["few", "sharpness"])
    assert "No correlation" in words(drawn["few", "sharpness"])


def test_other_metrics_ranks_each_measure_against_the_gap(drawn, tables):
    pairs = last_kept(tables["full"]["pairs"])
    grid = np.reshape(drawn["full", "other_metrics"].figure.axes, (5, 4))
    for row, family in zip(grid, ("orders", "heads", *made.IMAGES), strict=True):
        own = chosen(pairs, family=family)
        for axes, measure in zip(row, ("barrier", "bump", "area", "distance"), strict=True):
            expected = sorted(zip(own["convexity_gap"], own[measure], strict=True))
            np.testing.assert_allclose(marks(axes), expected)
            rho = stats.spearmanr(own["convexity_gap"], own[measure]).statistic
            spelt = f"{rho:.2f}".replace("-", "\N{MINUS SIGN}")
            assert title(axes).endswith(f"\N{GREEK SMALL LETTER RHO} = {spelt}")
    assert "no pair" in words(drawn["none", "other_metrics"])


def test_images_draws_the_paths_and_every_pair_of_image_classifiers_alone(drawn, tables):
    source = tables["full"]
    path, barrier, gap = drawn["full", "images"].figure.axes
    curves = chosen(source["curves"], pairing="all")
    expected = sorted(zip(curves["share"], curves["loss"], strict=True))
    np.testing.assert_allclose(marks(path), expected)
    pairs = source["pairs"][source["pairs"]["family"].isin(list(made.IMAGES))]
    for axes, measure in ((barrier, "barrier"), (gap, "convexity_gap")):
        assert [label.get_text() for label in axes.get_xticklabels()] == list(made.IMAGES)
        flat = {round(one[0] + 0.4): one[1] for one in segments(axes) if one[1] == one[3]}
        for place, family in enumerate(made.IMAGES):
            own = chosen(pairs, family=family)[measure]
            at = [y for x, y in marks(axes) if round(x) == place]
            assert sorted(at) == pytest.approx(sorted(own))
            assert flat[place] == pytest.approx(own.mean())
    whiskers = sorted((one[1], one[3]) for one in segments(gap) if one[0] == one[2])
    ends = sorted(zip(pairs["convexity_gap_low"], pairs["convexity_gap_high"], strict=True))
    np.testing.assert_allclose(whiskers, ends)


@pytest.mark.parametrize("case", ["full", "users"])
def test_eigenvalues_leaves_out_the_first_and_marks_the_gap(case, drawn, tables):
    clusters = tables[case]["clusters"]
    last = clusters[clusters["step"] == clusters.groupby("family")["step"].transform("max")]
    *spectra, stability = panels(drawn[case, "eigenvalues"])
    for axes, row in zip(spectra, last.itertuples(), strict=True):
        values = [float(value) for value in row.eigenvalues.split()]
        assert marks(axes) == [(rank, values[rank - 1]) for rank in range(2, len(values) + 1)]
        assert f"{values[2] - values[1]:.2g}" in title(axes)
        (step,) = axes.patches
        assert step.get_y() == pytest.approx(values[1])
        assert step.get_height() == pytest.approx(values[2] - values[1])
    found = clusters.dropna(subset=["stability_examples"])
    assert len(stability.get_yticklabels()) == len(found)
    both = [*found["stability_examples"], *found["stability_seeds"]]
    assert [x for x, _ in marks(stability)] == pytest.approx(sorted(both))


def test_eigenvalues_says_where_there_are_no_clusters(drawn):
    result = drawn["few", "eigenvalues"]
    assert "not measured" in words(result)
    assert "orders: no clusters, 3 models in the window" in result.figure.get_supxlabel()


@pytest.mark.parametrize("name", ["clusters", "distributions", "images"])
def test_a_figure_without_any_model_says_so(name, paths, tables, tmp_path):
    empty = {
        "members": tables["users"]["members"].assign(kept=False),
        "curves": tables["users"]["curves"],
        "pairs": tables["users"]["pairs"],
    }
    for table, rows in empty.items():
        rows.to_csv(tmp_path / f"{table}.csv", index=False)
    own = paths["users"] | {table: tmp_path / f"{table}.csv" for table in empty}
    result = draw(name, own, tmp_path)
    assert words(result).startswith("No ")
    assert result.table.empty
