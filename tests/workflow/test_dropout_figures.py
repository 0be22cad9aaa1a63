"""Figures of very large dropout, of synthetic tables with the columns of the real ones.

`full` has every family, several configurations and seeds; `small` is what a user's first run has:
one configuration, one seed, three domains, no further family but the linear one.
"""

import json
import os
import runpy
import subprocess
import sys
from itertools import combinations, product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from scipy import stats

from dissent import dropout_figures as dropout
from dissent import dropout_metrics, figures
from dissent.dropout_comparison import Method, comparisons
from dissent.dropout_figures import PLAIN

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "figures" / "very_large_dropout"
LEVEL, LARGE = 0.9, 0.9
RATES = [0.0, 0.5, 0.9, 0.95]
DIGITISED = {
    dataset: [[0.87, 0.79], [0.88, 0.8], [0.87, best], [0.86, 0.79]]
    for dataset, best in (
        ("VLCS", 0.81),
        ("OfficeHome", 0.82),
        ("PACS", 0.8),
        ("TerraIncognita", 0.83),
    )
}
# By held-out domain: accuracies without dropout, o.o.d. gain of each rate.
FULL = {
    "domains": {
        "handwritten": (0.9, 0.53, [0, 0.015, 0.02, -0.025]),
        "printed": (0.91, 0.49, [0, 0.1, 0.25, 0.24]),
        "sketched": (0.93, 0.65, [0, 0.012, 0.02, 0.006]),
        "textured": (0.88, 0.8, [0, 0.012, 0.007, -0.024]),
    },
    "configurations": [(0.005, 1e-4), (0.0025, 1e-4)],
    "seeds": 3,
    "families": {
        "fine-tuning": RATES,
        "higher-head-rate": [0.0, 0.9],
        "scratch": RATES,
        "poorer-model": [0.0, 0.9],
        "more-data": RATES,
        "linear": RATES,
    },
    "widths": [32, 128],
}
SMALL_DOMAINS = ["007", "None", "oil paintings, old ones"]
SMALL = FULL | {
    "domains": dict.fromkeys(SMALL_DOMAINS, FULL["domains"]["printed"]),
    "configurations": [(0.005, 1e-4)],
    "seeds": 1,
    "families": {"fine-tuning": [0.0, 0.8, 0.9], "linear": [0.0, 0.8, 0.9]},
    "widths": [],
}
RUNS = {"full": FULL, "small": SMALL}
IID_LOSS = {0.0: 0, 0.5: 0, 0.8: 0.02, 0.9: 0.035, 0.95: 0.095}
OF_FAMILY = {
    "higher-head-rate": (0.005, 0.012),
    "scratch": (-0.03, -0.25),
    "poorer-model": (-0.07, -0.2),
    "more-data": (0.03, 0.01),
    "linear": (-0.04, -0.01),
}
OF_VERSION = {"average": (0.002, 0.02), "ensemble": (0.006, 0.018), "last": (-0.004, 0.001)}
OF_VERSION |= {"all-average": (0.001, 0.015), "all-ensemble": (0.01, 0.02)}
SMALL_NAMES = ["fig2_methods", "fig3_rates", "fig9_linear", "gains", "matched", "calibration"]
REDRAWN = [("full", "fig3_rates"), ("full", "widths")]
# All scripts in one process, as starting one takes longer than drawing.
CALL = """
import json, runpy, sys
for command in json.load(sys.stdin):
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
"""


def entries(run):
    """What a row of runs.csv is of, for every row."""
    for domain, (family, rates) in product(run["domains"], run["families"].items()):
        kinds = [("fine-tuning", np.nan)]
        if family == "linear":
            kinds = [("linear", np.nan), ("probe", np.nan)]
            kinds += [("probe", width) for width in run["widths"]]
        for (kind, width), rate in product(kinds, rates):
            own = ["selected", "last"] + ["average", "ensemble"] * (family != "linear")
            factor = (
                10 if family == "higher-head-rate" or (family, rate) == ("poorer-model", 0.9) else 1
            )
            row = {"held_out": domain, "family": family, "kind": kind, "width": width}
            row |= {"rate": rate, "head_factor": factor}
            for version, (lr, decay), seed in product(
                own, run["configurations"], range(run["seeds"])
            ):
                of_run = {"learning_rate": lr, "weight_decay": decay, "seed": seed}
                yield row | of_run | {"version": version, "step": 120}
            if family != "linear" and len(run["configurations"]) * run["seeds"] > 1:
                for version in ["all-average"] * (family != "scratch") + ["all-ensemble"]:
                    yield row | {"version": version}


def accuracies(rng, row, run):
    iid, ood, gains = run["domains"][row["held_out"]]
    more_iid, more_ood = OF_FAMILY.get(row["family"], (0, 0))
    by_version = OF_VERSION.get(row["version"], (0, 0))
    shrunk = {"scratch": -0.5, "poorer-model": -0.4}.get(row["family"], 1)
    ood += more_ood + by_version[1] + shrunk * np.interp(row["rate"], RATES, gains)
    iid += more_iid + by_version[0] - IID_LOSS[row["rate"]]
    low = 0.01 * (row.get("learning_rate") == 0.0025)
    noise = rng.normal(0, (0.006, 0.02))
    return iid - low + noise[0], ood - low + noise[1]


def runs_table(run):
    rng = np.random.default_rng(0)
    rows = []
    for row in entries(run):
        iid, ood = accuracies(rng, row, run)
        row |= {"iid": iid, "ood": ood, "n_iid": 267, "n_ood": 890}
        row |= {"nll_iid": 2 * (1 - iid), "nll_ood": 3 * (1 - ood)}
        rows.append(row | {"ece_iid": 0.03, "ece_ood": 0.3 * (1 - ood) * (1 - row["rate"] / 2)})
    return pd.DataFrame(rows)


def curves_table(run, runs):
    """Accuracies that rise along each run to those of its last checkpoint."""
    rows = []
    for row in runs[runs["version"] == "last"].to_dict("records"):
        for k, step in enumerate((40, 80, 120, 160, 200)):
            left = (4 - k) ** 2 / 16
            iid = row["iid"] - left * (0.1 + 0.05 * row["rate"])
            ood = row["ood"] + left * (0.03 - 0.1 * row["rate"])
            rows.append(row | {"step": step, "tune": iid, "iid": iid, "ood": ood})
    return pd.DataFrame(rows)


def gains_table(run):
    rng = np.random.default_rng(1)
    names = [f"rate-{rate:g}" for rate in run["families"]["fine-tuning"][1:]]
    names += ["large-rate-over-run-average", "large-rate-over-run-ensemble"]
    names += ["run-average-on-large-rate", "run-ensemble-on-large-rate"]
    names += [f"linear-over-fine-tuning-rate-{r:g}" for r in run["families"]["linear"]]
    names += [f"probe-rate-{rate:g}" for rate in run["families"]["linear"][1:]]
    if len(run["families"]) > 2:
        names += ["large-rate-over-half"]
        names += ["large-rate-over-all-average", "large-rate-over-all-ensemble"]
        names += ["all-average-on-large-rate", "all-ensemble-on-large-rate"]
        names += ["head-rate-on-plain", "head-rate-on-large-rate"]
        names += ["large-rate-on-head-rate", "large-rate-over-head-rate"]
        names += [f"{arm}-rate-{r:g}" for arm in ("scratch", "more-data") for r in RATES[1:]]
        names += ["more-data-on-large-rate-gain", "naive-richer-over-advanced-poorer"]
        names += ["advanced-on-poorer", "advanced-on-richer"]
    rows = []
    for name, axis in product(names, ("iid", "ood")):
        gains = rng.normal(0.02, 0.04, len(run["domains"]))
        by_domain = dict(zip(run["domains"], gains, strict=True))
        for domain, gain in ({"all domains": gains.mean()} | by_domain).items():
            half = 0.01 if domain == "all domains" else 0.03
            row = {"comparison": name, "held_out": domain, "axis": axis, "gain": gain}
            row |= {"low": gain - half, "high": gain + half, "n_seeds": run["seeds"]}
            row |= {"n_domains": len(gains) if domain == "all domains" else 1}
            n_images = 267 if axis == "iid" else 890
            rows.append(row | {"n_configurations": 1, "n_images": n_images})
    return pd.DataFrame(rows)


def interpolation_table(run):
    rows = []
    for (i, domain), path in product(enumerate(run["domains"]), ("weights", "representations")):
        for (name, reach), k in product([("mild", 0.03), ("long", 0.1)], range(11)):
            share = k / 10
            sag = share * (1 - share) * reach * (2 if path == "weights" and name == "long" else 0.3)
            iid = 0.8 + 0.01 * i + reach * share - 2 * sag
            ood = 0.55 + 0.05 * i - reach * share * (share - 0.6) + sag
            row = {"held_out": domain, "fine_tuning": name, "path": path, "share": share}
            rows.append(row | {"iid": iid, "ood": ood, "n_iid": 267, "n_ood": 890})
    return pd.DataFrame(rows)


def tables_of(run):
    """The tables of metrics, by option."""
    runs = runs_table(run)
    curves = curves_table(run, runs)
    digitised = [
        {"dataset": dataset, "rate": rate, "iid": iid, "ood": ood}
        for dataset, means in DIGITISED.items()
        for rate, (iid, ood) in zip(RATES, means, strict=True)
    ]
    return {
        "runs": runs,
        "curves": curves,
        "methods": dropout_metrics.methods_table(runs, LEVEL),
        "mixtures": dropout_metrics.mixtures_table(runs),
        "matched": dropout_metrics.matched_table(curves, LEVEL),
        "gains": gains_table(run),
        "interpolation": interpolation_table(run),
        "digitised": pd.DataFrame(digitised),
    }


CLOUDS = ["runs", "methods", "mixtures"]
CURVES = ["runs", "methods"]
OPTIONS = {
    "fig1_interpolation": ["interpolation"],
    "fig2_methods": [*CLOUDS, "large_rate"],
    "fig3_rates": [*CLOUDS, "digitised"],
    "fig4_more_data": ["runs"],
    "fig5_scratch": CURVES,
    "fig6_head_rate": ["runs", "large_rate"],
    "fig7_additions": [*CLOUDS, "large_rate"],
    "fig8_pretraining": ["runs"],
    "fig9_linear": CURVES,
    "fig10_linear_last": CURVES,
    "gains": ["gains", "large_rate"],
    "matched": ["curves", "matched"],
    "calibration": ["runs"],
    "widths": CURVES,
}
NAMES = [("full", name) for name in OPTIONS] + [("small", name) for name in SMALL_NAMES]


def command(name, paths, outputs):
    """The command line of a script."""
    options = {option: paths.get(option, LARGE) for option in OPTIONS[name]}
    options |= {"run": "test", "level": LEVEL}
    words = [SCRIPTS / f"{name}.py", "--output", *outputs]
    for option, value in options.items():
        words += [f"--{option.replace('_', '-')}", value]
    return list(map(str, words))


def draw(name, paths, folder, suffixes=("csv",)):
    """Run a script here: its figure, the table it wrote, its files."""
    outputs = [folder / "here" / f"{name}.{suffix}" for suffix in suffixes]
    kept, save = [], figures.save_figure

    def keep(figure, table, files):
        kept.append(figure)
        save(figure, table, files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save_figure", keep)
        patch.setattr(sys, "argv", command(name, paths, outputs))
        runpy.run_path(sys.argv[0], run_name="__main__")
    pyplot.close("all")
    table = pd.read_csv(outputs[-1], keep_default_na=False, na_values=[""])
    return SimpleNamespace(figure=kept[0], table=table, files=outputs)


@pytest.fixture(scope="module")
def tables():
    return {kind: tables_of(run) for kind, run in RUNS.items()}


@pytest.fixture(scope="module")
def paths(tables, tmp_path_factory):
    made = {}
    for kind, by_option in tables.items():
        folder = tmp_path_factory.mktemp(kind)
        made[kind] = {option: folder / f"{option}.csv" for option in by_option}
        for option, table in by_option.items():
            table.to_csv(made[kind][option], index=False)
    return made


@pytest.fixture(scope="module")
def drawn(paths, tmp_path_factory):
    """Of `full` in the vector format too; tests of `dissent.figures` see to the others."""
    return {
        (kind, name): draw(
            *(name, paths[kind], tmp_path_factory.mktemp(name)),
            ("svg", "csv") if (kind, name) in REDRAWN else ("csv",),
        )
        for kind, name in NAMES
    }


EACH = pytest.mark.parametrize(("kind", "name"), NAMES)
AXES = ("iid", "ood")


def cells(table, *columns):
    """Rows of those columns as a set, NaN left out."""
    return {tuple(row) for row in table[list(columns)].dropna().round(9).to_numpy()}


def marks(axes, least=0.0):
    """Places of all marks in the axes that are at least so large."""
    lines = [
        line
        for line in axes.lines
        if line.get_marker() not in ("None", "") and line.get_markersize() >= least
    ]
    return {
        (round(float(x), 9), round(float(y), 9))
        for line in lines
        for x, y in line.get_xydata()
        if np.isfinite([x, y]).all()
    }


def heights(axes):
    return {y for _, y in marks(axes)}


def chosen(table, **values):
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def entries_of(figure):
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def test_another_process_with_other_settings_draws_the_same_bytes(drawn, paths, tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nfigure.facecolor: red\n")
    commands, compared = [], []
    for kind, name in reversed(REDRAWN):
        here = drawn[kind, name].files
        there = [tmp_path / path.name for path in here]
        compared += zip(here, there, strict=True)
        commands.append(command(name, paths[kind], there))
    settings = {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CALL],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | settings,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for one, other in compared:
        assert one.read_bytes() == other.read_bytes(), one.name


@EACH
def test_the_figure_says_its_run_its_n_and_its_intervals(kind, name, drawn):
    note = drawn[kind, name].figure.get_supxlabel()
    assert note.startswith("Run test: ")
    assert f"{len(RUNS[kind]['domains'])} held-out domains" in note
    if name == "fig1_interpolation":
        assert "90% normal" in note
    elif name == "gains":
        assert ("seeds and images" if kind == "full" else "images, for one seed") in note
    elif kind == "full":
        assert "2 configurations" in note and "3 seeds" in note and "90% t" in note
    else:
        assert "1 configuration" in note and "1 seed" in note
        assert note.count("No intervals: one seed") == 1
    if name != "matched":
        assert "267 images i.i.d." in note and "890 images o.o.d." in note


@EACH
def test_no_text_is_cut_off_too_small_or_over_another(kind, name, drawn):
    figure = drawn[kind, name].figure
    figure.draw_without_rendering()
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    texts = [text for one in legends if one for text in (*one.get_texts(), one.get_title())]
    texts.append(figure._supxlabel)
    for axes in figure.axes:
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label, axes._left_title]
            low, high = sorted(axes.get_xlim())
            texts += [
                label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high
            ]
    shown = {text: text.get_window_extent() for text in texts if text.get_text()}
    page = figure.bbox.padded(1)
    for text, box in shown.items():
        assert text.get_fontsize() >= 8
        assert page.contains(*box.min) and page.contains(*box.max), text
    for (one, box), (other, other_box) in combinations(shown.items(), 2):
        assert not box.padded(-1).fully_overlaps(other_box), (one, other)


def test_rates_have_one_look_in_all_figures_the_darker_the_higher(drawn):
    looks = dropout.rate_looks([0.0, 0.9])
    assert looks == dropout.rate_looks(RATES)
    light = [np.dot(to_rgb(looks[rate]["color"]), (0.3, 0.59, 0.11)) for rate in RATES]
    assert min(-np.diff(light)) > 0.1
    assert len({look["marker"] for look in looks.values()}) == len(looks)
    for name in ("fig2_methods", "fig3_rates", "fig6_head_rate", "fig7_additions", "matched"):
        found = {
            (line.get_color(), line.get_marker())
            for axes in drawn["full", name].figure.axes
            for line in axes.lines
        }
        assert {(looks[rate]["color"], looks[rate]["marker"]) for rate in (0.0, 0.9)} <= found


@pytest.mark.parametrize("name", ["fig2_methods", "fig3_rates", "fig6_head_rate", "fig7_additions"])
def test_clouds_are_the_mixtures_and_whiskers_the_intervals_of_means(name, drawn, tables):
    result = drawn["full", name]
    axes, source = result.figure.axes[0], tables["full"]
    means, clouds = (result.table[result.table["drawn"] == kind] for kind in ("mean", "mixture"))
    assert marks(axes) == cells(means, *AXES) | cells(clouds, *AXES)
    assert marks(axes, least=6) == cells(means, *AXES)
    assert clouds[["iid_low", "ood_high"]].isna().all(axis=None)
    whiskers = {
        tuple(np.round(np.ravel(path), 9))
        for one in axes.collections
        for path in one.get_segments()
    }
    intervals = means.dropna(subset=["ood_low"])
    assert len(intervals)
    for row in intervals.itertuples():
        ends = (row.iid, row.ood_low, row.iid, row.ood_high)
        assert tuple(np.round(ends, 9)) in whiskers
        ends = (row.iid_low, row.ood, row.iid_high, row.ood)
        assert tuple(np.round(ends, 9)) in whiskers
    columns = [f"{axis}{end}" for axis in AXES for end in ("", "_low", "_high")]
    assert cells(intervals, *columns) <= cells(source["methods"], *columns)
    # 2 configurations for each of 4 domains.
    assert (clouds.groupby("method").size() == 2**4).all()


def test_fig2_ranks_every_version_without_dropout_and_the_large_rate(drawn, tables):
    runs = tables["full"]["runs"]
    expected = {}
    for label, version, rate in [
        ("plain fine-tuning", "selected", 0),
        ("weight average of a run", "average", 0),
        ("ensemble of a run", "ensemble", 0),
        ("weight average of all runs", "all-average", 0),
        ("ensemble of all runs", "all-ensemble", 0),
        ("dropout 0.9", "selected", 0.9),
    ]:
        rows = chosen(runs, family="fine-tuning", version=version, rate=rate)
        expected[label] = rows["ood"].mean(), rows["iid"].mean()
    texts = entries_of(drawn["full", "fig2_methods"].figure)
    assert texts == [
        f"{label}\n{100 * ood:.1f} / {100 * iid:.1f}"
        for label, (ood, iid) in sorted(expected.items(), key=lambda item: -item[1][0])
    ]
    alone = entries_of(drawn["small", "fig2_methods"].figure)
    assert not any("all runs" in text for text in alone)


def test_dotted_lines_cross_at_plain_fine_tuning(drawn, tables):
    plain = chosen(tables["full"]["runs"], family="fine-tuning", version="selected", rate=0)
    for name in ("fig2_methods", "fig3_rates", "fig6_head_rate", "fig7_additions"):
        axes = drawn["full", name].figure.axes[0]
        dotted = [line.get_xydata() for line in axes.lines if line.get_linestyle() == ":"]
        assert [dotted[0][0, 0], dotted[1][0, 1]] == pytest.approx(list(plain[[*AXES]].mean()))


def test_a_thinned_cloud_says_of_how_many_it_is(drawn, paths, tables, tmp_path):
    thinned = tmp_path / "mixtures.csv"
    tables["full"]["mixtures"].assign(n_ways=6**4).to_csv(thinned, index=False)
    figure = draw("fig2_methods", paths["full"] | {"mixtures": thinned}, tmp_path).figure
    assert "16 of 1,296 choices of one configuration" in figure.get_supxlabel()
    whole = drawn["full", "fig2_methods"].figure
    assert "every choice of one configuration" in whole.get_supxlabel()


def test_fig3_joins_rates_in_order_and_shows_the_papers_means_apart(drawn, tables):
    result = drawn["full", "fig3_rates"]
    own = result.figure.axes[0]
    runs = chosen(tables["full"]["runs"], family="fine-tuning", version="selected")
    expected = runs.groupby("rate")[[*AXES]].mean()
    (joined,) = [line for line in own.lines if len(line.get_xydata()) == len(RATES)]
    np.testing.assert_allclose(joined.get_xydata(), expected)
    panels = {
        axes.get_title(loc="left"): axes
        for axes in result.figure.axes
        if axes.get_title(loc="left").startswith("paper: ")
    }
    for dataset, means in DIGITISED.items():
        axes = panels.pop(f"paper: {dataset}\n(digitised)")
        assert marks(axes) == {tuple(mean) for mean in means}
        (line,) = [line for line in axes.lines if len(line.get_xydata()) == len(RATES)]
        np.testing.assert_allclose(line.get_xydata(), means)
    assert not panels
    assert "read off the paper's figure 3" in result.figure.get_supxlabel()


def test_fig3_names_every_rate_that_it_shows(drawn):
    for kind, alone in (("full", []), ("small", ["0.5", "0.95"])):
        entries = entries_of(drawn[kind, "fig3_rates"].figure)
        shown = {entry.split("\n")[0] for entry in entries}
        assert shown == {f"rate {rate:g}" for rate in {*RATES, *RUNS[kind]["families"][PLAIN]}}
        assert [e for e in entries if "paper" in e] == [f"rate {r}\n(paper alone)" for r in alone]


def test_fig6_marks_of_the_faster_head_are_hollow(drawn, tables):
    axes = drawn["full", "fig6_head_rate"].figure.axes[0]
    hollow = {
        tuple(line.get_xydata()[0])
        for line in axes.lines
        if line.get_markerfacecolor() == "white" and line.get_markersize() >= 6
    }
    methods = chosen(tables["full"]["methods"], family="higher-head-rate", version="selected")
    assert {tuple(np.round(place, 9)) for place in hollow} == cells(methods, *AXES)


def test_fig8_compares_naive_with_the_run_average_of_advanced(drawn, tables):
    result = drawn["full", "fig8_pretraining"]
    means = result.table[result.table["drawn"] == "mean"].set_index("method")
    runs = tables["full"]["runs"]
    for method, family, version, rate in [
        ("richer, naive", "fine-tuning", "selected", 0),
        ("richer, advanced", "higher-head-rate", "average", 0.9),
        ("poorer, naive", "poorer-model", "selected", 0),
        ("poorer, advanced", "poorer-model", "average", 0.9),
    ]:
        expected = chosen(runs, family=family, version=version, rate=rate)["ood"].mean()
        assert means.loc[method, "ood"] == pytest.approx(expected)
    title = result.figure.axes[0].get_title(loc="left")
    assert "dropout 0.9, faster head (10 times)" in title


ARMS_OF = {
    "fig4_more_data": ("selected", {"fine-tuning": None, "more-data": None}),
    "fig5_scratch": ("selected", {"fine-tuning": None, "scratch": None}),
    "fig9_linear": ("selected", {"fine-tuning": None, "linear": "linear", "probe": "probe"}),
    "fig10_linear_last": ("last", {"fine-tuning": None, "linear": "linear", "probe": "probe"}),
}


@pytest.mark.parametrize("name", ARMS_OF)
def test_rate_curves_draw_each_arm_and_ring_its_best_rate(name, drawn, tables):
    version, arms = ARMS_OF[name]
    runs = chosen(tables["full"]["runs"], version=version)
    runs = runs[runs["width"].isna()]
    for panel, axis in zip(drawn["full", name].figure.axes, AXES, strict=True):
        rings = sorted(
            (round(line.get_xdata()[0]), round(line.get_ydata()[0], 9))
            for line in panel.lines
            if line.get_markersize() == 10
        )
        expected_rings, expected = [], set()
        for family, kind in arms.items():
            rows = chosen(runs, kind=kind) if kind else chosen(runs, family=family)
            means = [rows.loc[rows["rate"] == rate, axis].mean().round(9) for rate in RATES]
            expected |= set(means)
            expected_rings.append((int(np.argmax(means)), max(means)))
        assert rings == sorted(expected_rings)
        assert heights(panel) == expected
        assert [label.get_text() for label in panel.get_xticklabels()] == [
            "0",
            "0.5",
            "0.9",
            "0.95",
        ]


def test_widths_draw_a_line_each_with_all_features_last(drawn, tables):
    result = drawn["full", "widths"]
    names = ["32 features", "128 features", "all features", "highest of its line"]
    assert entries_of(result.figure) == names
    probes = chosen(tables["full"]["methods"], kind="probe", version="selected")
    shown = result.table.fillna({"width": -1})
    assert cells(shown, "width", "rate", *AXES) == cells(
        probes.assign(width=probes["width"].astype(float).fillna(-1)), "width", "rate", *AXES
    )
    assert len(shown) == 3 * len(RATES)


def test_gains_stand_under_headings_with_their_domains_beside(drawn, tables):
    result = drawn["full", "gains"]
    ood, iid = result.figure.axes
    labels = [label.get_text() for label in ood.get_yticklabels()]
    bold = [label.get_text() for label in ood.get_yticklabels() if label.get_weight() == "bold"]
    assert labels[:6] == [
        *("dropout over none", "rate 0.5", "rate 0.9", "rate 0.95"),
        *("0.9 over 0.5", "dropout 0.9 over plain"),
    ]
    source = tables["full"]["gains"]
    assert len(labels) - len(bold) == source["comparison"].nunique()
    rows = {
        "rate-0.5": 1,
        "large-rate-over-run-average": 6,
        "linear-over-fine-tuning-rate-0.95": len(labels) - 1,
    }
    for axes, axis in ((ood, "ood"), (iid, "iid")):
        of_axis = chosen(source, axis=axis)
        assert {x for x, _ in marks(axes)} == set(of_axis["gain"].round(9))
        means = chosen(of_axis, held_out="all domains").set_index("comparison")
        for comparison, row in rows.items():
            assert (round(means.loc[comparison, "gain"], 9), row) in marks(axes, least=6)
        for x, y in marks(axes):
            (one,) = of_axis[of_axis["gain"].round(9) == x].itertuples()
            if one.comparison in rows:
                assert round(y) == rows[one.comparison]


def test_the_tables_here_have_every_comparison_that_is_made():
    methods = {
        Method(family, rate, version)
        for family, rates in FULL["families"].items()
        for rate, version in product(rates, ("selected", *OF_VERSION))
    }
    methods |= {Method("linear", r, kind=kind) for r, kind in product(RATES, ("linear", "probe"))}
    assert set(comparisons(methods, LARGE)) == set(gains_table(FULL)["comparison"])


def test_matched_draws_runs_by_domain_and_the_gain_at_equal_iid(drawn, tables):
    result = drawn["full", "matched"]
    source, curves = tables["full"]["matched"], tables["full"]["curves"]
    curves = chosen(curves, family="fine-tuning")
    *panels, gains = result.figure.axes
    for axes, domain in zip(panels, FULL["domains"], strict=True):
        assert axes.get_title(loc="left") == f"held out: {domain}"
        means = chosen(curves, held_out=domain).groupby(["rate", "step"])[[*AXES]].mean()
        assert marks(axes) == cells(means, *AXES)
        rows = chosen(source, held_out=domain).dropna()
        lines = [np.ravel(path) for one in axes.collections for path in one.get_segments()]
        expected = rows[["iid", "ood_plain", "iid", "ood_rate"]].to_numpy()
        np.testing.assert_allclose(sorted(map(tuple, lines)), sorted(map(tuple, expected)))
    assert heights(gains) == set(source["difference"].dropna().round(9))
    large = {y for _, y in marks(gains, least=6)}
    assert large == set(chosen(source, held_out="all domains")["difference"].dropna().round(9))


def test_matched_is_drawn_where_nothing_is_matched(paths, tables, tmp_path):
    nothing = tmp_path / "matched.csv"
    empty = ["ood_plain", "ood_rate", "difference", "low", "high"]
    tables["small"]["matched"].assign(**dict.fromkeys(empty, np.nan)).to_csv(nothing, index=False)
    *panels, gains = draw("matched", paths["small"] | {"matched": nothing}, tmp_path).figure.axes
    assert all(marks(axes) for axes in panels)
    assert marks(gains) == set()


def test_calibration_has_the_interval_over_seeds_of_each_version(drawn, tables):
    result = drawn["full", "calibration"]
    runs = chosen(tables["full"]["runs"], family="fine-tuning")
    table = result.table.set_index(["measure", "axis", "version", "rate"]).sort_index()
    assert len(table) == 4 * 5 * len(RATES)
    rows = chosen(runs, version="selected", rate=0.5)
    seeds = rows.groupby(["held_out", "seed"])["nll_ood"].mean().unstack()
    parts = seeds.var(axis=1, ddof=1) / 3 / 4**2
    freedom = parts.sum() ** 2 / (parts**2 / 2).sum()
    interval = stats.t.interval(LEVEL, freedom, seeds.to_numpy().mean(), parts.sum() ** 0.5)
    got = table.loc["nll", "ood", "selected", 0.5]
    assert got["value"] == pytest.approx(rows["nll_ood"].mean())
    assert (got["low"], got["high"]) == pytest.approx(interval)
    all_runs = table.loc["ece", "ood", "all-ensemble", 0.9]
    expected = chosen(runs, version="all-ensemble", rate=0.9)["ece_ood"].mean()
    assert all_runs["value"] == pytest.approx(expected)
    assert np.isnan(all_runs["low"])
    panels = product(("nll", "ece"), AXES)
    for axes, place in zip(result.figure.axes, panels, strict=True):
        assert heights(axes) == set(table.loc[place, "value"].round(9))


def test_fig1_draws_both_paths_of_both_fine_tunings_and_their_means(drawn, tables):
    result = drawn["full", "fig1_interpolation"]
    source = tables["full"]["interpolation"]
    mean, *panels = result.figure.axes
    averaged = source.groupby(["fine_tuning", "path", "share"])[[*AXES]].mean()
    assert marks(mean) == cells(averaged, *AXES)
    for axes, domain in zip(panels, FULL["domains"], strict=True):
        assert marks(axes) == cells(chosen(source, held_out=domain), *AXES)
    for (fine_tuning, path), rows in averaged.groupby(level=[0, 1]):
        color = {"mild": "#0072B2", "long": "#D55E00"}[fine_tuning]
        found = [
            line
            for line in mean.lines
            if len(line.get_xdata()) == 11
            and line.get_color() == color
            and (line.get_linestyle() == "--") == (path == "weights")
        ]
        np.testing.assert_allclose(found[0].get_xydata(), rows)
        assert len(found) == 1
    largest = [
        np.sqrt((rows["ood"] * (1 - rows["ood"]) / 890).sum()) / 4
        for _, rows in source.groupby(["fine_tuning", "path", "share"])
    ]
    reach = 100 * stats.norm.ppf(0.95) * max(largest)
    assert f"and {reach:.1f} (o.o.d.) points" in result.figure.get_supxlabel()


def test_fig1_has_no_entry_for_a_half_way_that_it_does_not_show(drawn, paths, tables, tmp_path):
    assert "half-way" in entries_of(drawn["full", "fig1_interpolation"].figure)
    without = tables["full"]["interpolation"].query("share != 0.5")
    without.to_csv(tmp_path / "interpolation.csv", index=False)
    changed = paths["full"] | {"interpolation": tmp_path / "interpolation.csv"}
    assert "half-way" not in entries_of(draw("fig1_interpolation", changed, tmp_path).figure)


def test_names_that_look_like_numbers_or_nothing_stay_names(drawn):
    titles = [axes.get_title(loc="left") for axes in drawn["small", "matched"].figure.axes]
    assert titles[:3] == [f"held out: {domain}" for domain in SMALL_DOMAINS]
    assert "held out: None" in entries_of(drawn["small", "gains"].figure)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_figure_has_a_caption(name):
    text = (ROOT / "workflow" / "report" / f"dropout_{name}.rst").read_text()
    assert ".csv``" in text
