"""Figures of linear connectivity (curves to dynamics), of synthetic tables: see their cases."""

import runpy
import sys
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from scipy import stats

import made_connectivity_tables as made
from dissent import cluster_marks, figures
from dissent import connectivity_figures as shared

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "figures" / "linear_connectivity"
OPTIONS = {
    "curves": ["curves"],
    "planes": ["planes", "plane_points"],
    "gaps": ["pairs", "members"],
    "membership": ["members", "separation"],
    "dynamics": ["dynamics", "members"],
}
DRAWN = [
    *(("full", name) for name in OPTIONS),
    *(("one", name) for name in ("gaps", "dynamics")),
    *(("users", name) for name in ("curves", "gaps", "membership", "dynamics")),
    *(("few", name) for name in ("curves", "membership", "dynamics")),
    *(("none", name) for name in ("curves", "planes", "gaps", "membership")),
]
EMPTY = {("none", "curves"), ("none", "planes")}
EACH = pytest.mark.parametrize(("case", "name"), DRAWN)


def draw(name, folder, out, suffixes=("csv",)):
    """Run a script here on the tables in a folder: its figure, the table it wrote, its files."""
    outputs = [out / f"{name}.{suffix}" for suffix in suffixes]
    words = [SCRIPTS / f"{name}.py", "--run", "test", "--level", 0.9, "--output", *outputs]
    for table in OPTIONS[name]:
        words += [f"--{table.replace('_', '-')}", folder / f"{table}.csv"]
    words += ["--strategy", *made.STRATEGY] if name == "membership" else []
    kept, save = [], figures.save_figure

    def keep(figure, table, files):
        kept.append(figure)
        save(figure, table, files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save_figure", keep)
        patch.setattr(sys, "argv", list(map(str, words)))
        runpy.run_path(sys.argv[0], run_name="__main__")
    pyplot.close("all")
    table = pd.read_csv(outputs[-1], keep_default_na=False, na_values=[""])
    return SimpleNamespace(figure=kept[0], table=table, files=outputs)


@pytest.fixture(scope="module")
def tables():
    return {case: made.tables_of(case) for case in made.CASES}


@pytest.fixture(scope="module")
def folders(tables, tmp_path_factory):
    folders = {case: tmp_path_factory.mktemp(case) for case in tables}
    for case, by_name in tables.items():
        for name, table in by_name.items():
            table.to_csv(folders[case] / f"{name}.csv", index=False)
    return folders


@pytest.fixture(scope="module")
def drawn(folders, tmp_path_factory):
    return {
        (case, name): draw(name, folders[case], tmp_path_factory.mktemp(name))
        for case, name in DRAWN
    }


def last(table, family):
    rows = table[table["family"] == family]
    return rows[rows["step"] == rows["step"].max()] if "step" in rows else rows


def title(axes):
    return axes.get_title(loc="left")


def panel(figure, start):
    (axes,) = [axes for axes in figure.axes if title(axes).startswith(start)]
    return axes


def places(axes, color=None):
    """Where marks are in the axes, of one colour if given."""
    return {
        (round(float(x), 9), round(float(y), 9))
        for line in axes.lines
        if line.get_marker() not in ("None", "") and color in (None, line.get_color())
        for x, y in line.get_xydata()
    }


def cells(table, *columns):
    return {tuple(row) for row in table[list(columns)].round(9).to_numpy()}


def entries_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@EACH
def test_the_figure_says_its_run_its_n_and_its_intervals(case, name, drawn):
    note = drawn[case, name].figure.get_supxlabel()
    assert note.startswith("Run test: ")
    if name in ("gaps", "membership", "dynamics"):
        assert {
            "full": "orders: 8 models, 7 in the window; heads: 6 models, 5 in the window",
            "one": "orders: 12 models, 12 in the window",
            "users": "models: 5 models, 5 in the window",
            "few": "orders: 5 models, 3 in the window",
            "none": "orders: 3 models, 1 in the window",
        }[case] in note
    if (case, name) in EMPTY:
        assert "nothing to draw" in note
    else:
        assert "90%" in note or "o intervals" in note


@EACH
def test_no_text_is_cut_off_too_small_or_over_another(case, name, drawn):
    figure = drawn[case, name].figure
    figure.draw_without_rendering()
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    texts.append(figure._supxlabel)
    for axes in figure.axes:
        texts.append(axes._left_title)
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label]
            for labels, limits in (
                (axes.get_xticklabels(), axes.get_xlim()),
                (axes.get_yticklabels(), axes.get_ylim()),
            ):
                at = 0 if labels == axes.get_xticklabels() else 1
                low, high = sorted(limits)
                texts += [label for label in labels if low <= label.get_position()[at] <= high]
    shown = {text: text.get_window_extent() for text in texts if text.get_text()}
    page = figure.bbox.padded(1)
    for text, box in shown.items():
        assert text.get_fontsize() >= 8
        assert page.contains(*box.min) and page.contains(*box.max), text
    for (one, box), (other, other_box) in combinations(shown.items(), 2):
        assert not box.padded(-1).fully_overlaps(other_box), (one, other)


def test_drawn_again_the_files_are_the_same(folders, tmp_path):
    suffixes = ("svg", "csv")
    one, other = (
        draw("dynamics", folders["one"], tmp_path / where, suffixes) for where in ("one", "other")
    )
    for first, second in zip(one.files, other.files, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_families_have_one_look_whichever_others_there_are():
    looks = shared.family_looks(["my arm", "heads", "orders"])
    assert looks["heads"] == shared.family_looks(["heads"])["heads"]
    assert {"orders", "heads", "my arm"} <= set(looks)
    for key in ("color", "marker", "linestyle"):
        of_runs = [str(looks[family][key]) for family in shared.FAMILIES]
        assert key == "linestyle" or len(set(of_runs)) == len(of_runs)
    light = [
        np.dot(to_rgb(looks[name]["color"]), (0.3, 0.59, 0.11)) for name in ("orders", "heads")
    ]
    assert looks["orders"]["linestyle"] != looks["heads"]["linestyle"] or np.ptp(light) > 0.2


def test_clusters_come_in_order_and_members_of_none_last():
    members = pd.DataFrame({"cluster": ["small", None, "large", "small"]})
    found = [(name, list(rows.index)) for name, _, rows in shared.by_cluster(members)]
    assert found == [("large cluster", [2]), ("small cluster", [0, 3]), ("in no cluster", [1])]
    members["cluster"] = ["cluster 3", None, "small", "cluster 4"]
    names = ["small cluster", "cluster 3", "cluster 4", "in no cluster"]
    assert [name for name, _, _ in shared.by_cluster(members)] == names
    assert len({str(look) for _, look, _ in shared.by_cluster(members)}) == 4


def test_curves_draw_a_line_a_family_with_its_chord_and_no_images(drawn, tables):
    result, source = drawn["full", "curves"], tables["full"]["curves"]
    looks = shared.family_looks(["orders", "heads"])
    assert entries_of(result.figure) == ["orders", "heads", "straight line between the ends"]
    assert len(result.figure.axes) == 6
    for data in (made.INTERPOLATION, "heuristics"):
        for pairing, spelt in shared.PAIRINGS.items():
            if pairing == "all":
                continue
            axes = panel(result.figure, f"{data}: {spelt}")
            for family in ("orders", "heads"):
                at = (source["family"] == family) & (source["data"] == data)
                rows = source[at & (source["pairing"] == pairing)]
                (line,) = [
                    line for line in axes.lines if line.get_color() == looks[family]["color"]
                ]
                np.testing.assert_allclose(line.get_xydata(), rows[["share", "loss"]])
                chords = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 2]
                assert [rows["loss"].iloc[0], rows["loss"].iloc[-1]] in [list(c) for c in chords]
    assert set(result.table["pairing"]) == {"high-high", "high-low", "low-low"}
    assert "orders: 3 pairs both high, 12 pairs high to low, 6 pairs both low" in (
        result.figure.get_supxlabel()
    )


def test_planes_mark_their_models_and_share_a_scale(drawn, tables):
    result, source = drawn["full", "planes"], tables["full"]["plane_points"]
    scales = set()
    for family in ("orders", "heads"):
        for plane, spelt in (("high", "three of high"), ("low", "three of low"), ("mixed", "two")):
            axes = panel(result.figure, f"{family}: {spelt}")
            rows = source[(source["family"] == family) & (source["plane"] == plane)]
            assert places(axes) == cells(rows, "x", "y")
            names = [f"{letter}: {name}" for letter, name in zip("ABC", rows["model"], strict=True)]
            assert title(axes).split("\n")[1:] == names
            by_letter = {text.get_text(): text.xy for text in axes.texts}
            assert by_letter == {
                letter: (row.x, row.y) for letter, row in zip("ABC", rows.itertuples(), strict=True)
            }
            scales.add(axes.collections[0].get_clim())
    losses = tables["full"]["planes"]["loss"]
    (scale,) = scales
    assert scale == pytest.approx((losses.min(), losses.max()))
    assert len(result.table) == len(losses) + len(source)


@pytest.mark.parametrize(("case", "families"), [("full", ["orders", "heads"]), ("one", ["orders"])])
def test_gaps_are_symmetric_and_in_order_of_strategy_accuracy(case, families, drawn, tables):
    result, source = drawn[case, "gaps"], tables[case]
    for family in families:
        axes = panel(result.figure, family)
        members = last(source["members"], family)
        members = members[members["kept"]].sort_values("strategy", ascending=False)
        labels = [label.get_text() for label in axes.get_yticklabels()]
        assert labels == [
            f"{row.model} ({100 * row.strategy:.0f}%)" for row in members.itertuples()
        ]
        gaps_MM = np.ma.filled(axes.images[0].get_array().astype(float), np.nan)
        pairs = last(source["pairs"], family).set_index(["first", "second"])["convexity_gap"]
        for i, one in enumerate(members["model"]):
            assert np.isnan(gaps_MM[i, i])
            for j, other in enumerate(members["model"]):
                if i != j:
                    pair = (one, other) if (one, other) in pairs.index else (other, one)
                    assert gaps_MM[i, j] == pairs[pair]
        for cluster, look in cluster_marks.LOOKS.items():
            expected = {i for i, name in enumerate(members["cluster"]) if name == cluster}
            assert {x for x, _ in places(axes, look["color"])} == expected
    scales = {axes.images[0].get_clim() for axes in result.figure.axes if axes.images}
    assert len(scales) == 1
    n_pairs = sum(n * (n - 1) // 2 for n in ({"full": [7, 5], "one": [12]}[case]))
    assert len(result.table) == n_pairs


def test_names_of_users_models_stay_text_and_are_cut_where_long(drawn):
    labels = [
        label.get_text()
        for label in panel(drawn["users", "gaps"].figure, "models").get_yticklabels()
    ]
    names = {label.rsplit(" (", 1)[0] for label in labels}
    assert names == {"my-bert", "007", "None", "a-model-with-quit\N{HORIZONTAL ELLIPSIS}", "small"}


def test_many_models_have_no_names(tables, folders, tmp_path):
    runs = pd.concat([tables["one"]["members"].assign(model=f"m{i}") for i in range(2)])
    runs["model"] += runs["order"].astype(str)
    (tmp_path / "tables").mkdir()
    runs.to_csv(tmp_path / "tables" / "members.csv", index=False)
    tables["one"]["pairs"].assign(first="m00", second="m01").to_csv(
        tmp_path / "tables" / "pairs.csv", index=False
    )
    figure = draw("gaps", tmp_path / "tables", tmp_path).figure
    assert not panel(figure, "orders").get_yticklabels()
    assert panel(figure, "orders").images[0].get_array().shape == (24, 24)


@pytest.mark.parametrize(
    ("case", "family"), [("full", "orders"), ("full", "heads"), ("users", "models")]
)
def test_membership_has_the_points_the_fit_and_the_tests_of_the_strategy(
    case, family, drawn, tables
):
    result, source = drawn[case, "membership"], tables[case]
    axes = panel(result.figure, f"{family}: r")
    members = last(source["members"], family)
    members = members[members["kept"]]
    for cluster, look in cluster_marks.LOOKS.items():
        rows = members[members["cluster"] == cluster]
        assert places(axes, look["color"]) == cells(rows, "membership", "strategy")
    fit = stats.linregress(members["membership"], members["strategy"])
    (line,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    x, y = line.get_xdata(), line.get_ydata()
    np.testing.assert_allclose(y, fit.intercept + fit.slope * x)
    assert (x[0], x[-1]) == (members["membership"].min(), members["membership"].max())
    r = stats.pearsonr(members["membership"], members["strategy"]).statistic
    assert f"r = \N{MINUS SIGN}{-r:.2f} (" in title(axes) and "p = 0.0002" in title(axes)
    histogram = result.figure.axes[result.figure.axes.index(axes) + 1]
    bars = sum(bar.get_width() for bar in histogram.patches)
    assert bars == len(members)
    means = members.groupby("cluster")["strategy"].mean()
    assert f"{100 * (means['large'] - means['small']):.0f} (" in title(histogram)


def test_dynamics_join_the_steps_of_each_model_and_dash_those_that_change(drawn, tables):
    result, source = drawn["full", "dynamics"], tables["full"]["dynamics"]
    for family, stays in (("orders", "6 of 7"), ("heads", "4 of 5")):
        axes = panel(result.figure, family)
        assert title(axes) == f"{family}: {stays} stay in their cluster"
        rows = source[source["family"] == family].dropna(subset="membership")
        assert places(axes) == cells(rows, "membership", "strategy")
        ends = {
            tuple(np.round([*text.xyann, *text.xy], 9)): text.arrow_patch.get_linestyle()
            for text in axes.texts
        }
        expected = {}
        for _, path in rows.groupby("model"):
            first, second = path.sort_values("step").itertuples()
            key = (first.membership, first.strategy, second.membership, second.strategy)
            expected[tuple(np.round(key, 9))] = first.cluster == second.cluster
        assert {key: style in ("-", "solid") for key, style in ends.items()} == expected


def test_three_steps_make_two_arrows_and_one_step_none(drawn):
    assert len(panel(drawn["one", "dynamics"].figure, "orders").texts) == 2 * 12
    users = drawn["users", "dynamics"].figure
    assert not panel(users, "models").texts
    assert "One step: no arrows" in users.get_supxlabel()
    assert entries_of(users) == ["large cluster", "small cluster"]


@pytest.mark.parametrize("name", ["membership", "dynamics"])
def test_too_few_models_for_clusters_are_said(name, drawn):
    axes = panel(drawn["few", name].figure, "orders")
    assert [text.get_text().replace("\n", " ") for text in axes.texts] == [
        "No clusters: too few models in the window, or all in one place"
    ]


def test_without_clusters_accuracies_are_still_counted(drawn):
    histogram = drawn["few", "membership"].figure.axes[1]
    assert sum(bar.get_width() for bar in histogram.patches) == 3
    assert entries_of(drawn["few", "membership"].figure) == ["in no cluster"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("curves", "No pair of models in the window, above or below their median"),
        ("planes", "Too few models for a plane"),
        ("gaps", "Fewer than two models in the window"),
    ],
)
def test_a_run_without_pairs_says_so(name, reason, drawn):
    texts = [
        text.get_text().replace("\n", " ") for text in drawn["none", name].figure.axes[0].texts
    ]
    assert texts == [reason]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_figure_of_connectivity_has_a_caption(name):
    text = (ROOT / "workflow" / "report" / f"connectivity_{name}.rst").read_text()
    assert all(f"``{table}.csv``" in text for table in OPTIONS[name])
