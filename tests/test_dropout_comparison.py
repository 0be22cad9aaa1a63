from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dissent.dropout_comparison import (
    Method,
    comparisons,
    gains_table,
    paired_interval,
    statistics_table,
)
from dissent.dropout_metrics import (
    ALL_DOMAINS,
    curves_table,
    in_order,
    matched_table,
    methods_table,
    runs_table,
)
from dissent.welch_intervals import difference_interval
from made_dropout_runs import SIZES, VERSIONS, grid, made_examples, made_family

EXAMPLES = made_examples()
DOMAINS = tuple(dict.fromkeys(EXAMPLES.groups))
RATES = (0, 0.3, 0.5, 0.9)
FAMILIES = {
    "fine-tuning": made_family(EXAMPLES, grid(RATES)),
    # Of the three learning rates two are shared with fine-tuning.
    "higher-head-rate": made_family(
        EXAMPLES, grid((0, 0.9), (0.1, 0.2, 0.4), factor=10.0), "higher-head-rate"
    ),
    "scratch": made_family(EXAMPLES, grid((0, 0.9), seeds=(0, 1)), "scratch", start=""),
    "poorer-model": made_family(EXAMPLES, grid((0, 0.9), (0.7,)), "poorer-model", start="v"),
    "more-data": made_family(EXAMPLES, grid((0, 0.9), (0.1,)), "more-data"),
    "linear": made_family(
        EXAMPLES,
        [
            run
            for kind in ("linear", "probe")
            for run in grid((0, 0.9), (0.1, 5.0), seeds=range(4), kind=kind)
        ],
        "linear",
        together=False,
    ),
}
FILES = in_order([file for files in FAMILIES.values() for file in files], EXAMPLES)
LARGE, LEVEL = 0.9, 0.9


@pytest.fixture(scope="module")
def gains():
    return gains_table(FILES, EXAMPLES, LARGE, LEVEL)


@pytest.fixture(scope="module")
def long():
    """What each run is right on, a row an image."""
    rows = []
    for file in FILES:
        positions = file.positions_N
        for i, entry in enumerate(file.entries):
            table = pd.DataFrame(
                {"image": positions, "domain": np.array(EXAMPLES.groups)[positions]}
            )
            table["right"] = (file.predicted_EN[i] == EXAMPLES.labels[positions]) * 1.0
            table["axis"] = np.where(table["domain"] == file.held_out, "ood", "iid")
            about = {"held_out": file.held_out, "family": file.family, "kind": entry.kind}
            about |= {"version": entry.version, "rate": entry.rate}
            about |= {"seed": entry.run.seed if entry.run else -1}
            about |= {"learning_rate": entry.run.learning_rate if entry.run else -1}
            rows.append(table.assign(**about))
    return pd.concat(rows)


def method(long, family, rate, version="selected", kind="fine-tuning", rates=None):
    rows = long[(long["family"] == family) & (long["rate"] == rate)]
    rows = rows[(rows["version"] == version) & (rows["kind"] == kind)]
    return rows[rows["learning_rate"].isin(rates)] if rates else rows


BY = ["held_out", "axis", "seed", "image", "domain"]


def by_hand(a, b, level):
    """Gains over all domains and their intervals, in loops over seeds, settings and images."""
    a, b = (
        rows.groupby([name for name in BY if name != "seed" or (rows["seed"] >= 0).all()])[
            "right"
        ].mean()
        for rows in (a, b)
    )
    difference = (a - b).dropna().reset_index(name="gain")
    found = {}
    for axis, table in difference.groupby("axis"):
        n_settings = table["held_out"].nunique()
        settings_of_domain = table.groupby("domain")["held_out"].nunique()
        domains_of_setting = table.groupby("held_out")["domain"].nunique()
        parts, value = [], 0
        for _, of_setting in table.groupby("held_out"):
            seeds = [
                of_seed.groupby("domain")["gain"].mean().mean()
                for _, of_seed in of_setting.groupby("seed")
            ]
            value += np.mean(seeds) / n_settings
            parts.append((np.var(seeds, ddof=1) / len(seeds) / n_settings**2, len(seeds) - 1))
        for domain, of_domain in table.groupby("domain"):
            # Of an image, the mean over seeds and settings: a share of the whole mean.
            images = of_domain.groupby("image")["gain"].mean()
            share = settings_of_domain[domain] / domains_of_setting.iloc[0] / n_settings
            parts.append((share**2 * images.var() / len(images), len(images) - 1))
        variance = sum(part for part, _ in parts)
        freedom = variance**2 / sum(part**2 / f for part, f in parts)
        found[axis] = value, *stats.t.interval(level, freedom, value, variance**0.5)
    return found


SHARED = (0.1, 0.2)
PAIRS = {
    "rate-0.3": (("fine-tuning", 0.3), ("fine-tuning", 0)),
    "rate-0.9": (("fine-tuning", 0.9), ("fine-tuning", 0)),
    "large-rate-over-half": (("fine-tuning", 0.9), ("fine-tuning", 0.5)),
    "large-rate-over-run-average": (("fine-tuning", 0.9), ("fine-tuning", 0, "average")),
    "large-rate-over-run-ensemble": (("fine-tuning", 0.9), ("fine-tuning", 0, "ensemble")),
    "large-rate-over-all-ensemble": (("fine-tuning", 0.9), ("fine-tuning", 0, "all-ensemble")),
    "all-average-on-large-rate": (("fine-tuning", 0.9, "all-average"), ("fine-tuning", 0.9)),
    "run-ensemble-on-large-rate": (("fine-tuning", 0.9, "ensemble"), ("fine-tuning", 0.9)),
    "head-rate-on-plain": (
        ("higher-head-rate", 0, "selected", "fine-tuning", SHARED),
        ("fine-tuning", 0),
    ),
    "large-rate-on-head-rate": (("higher-head-rate", 0.9), ("higher-head-rate", 0)),
    "large-rate-over-head-rate": (
        ("fine-tuning", 0.9),
        ("higher-head-rate", 0, "selected", "fine-tuning", SHARED),
    ),
    "scratch-rate-0.9": (("scratch", 0.9), ("scratch", 0)),
    "more-data-rate-0.9": (("more-data", 0.9), ("more-data", 0)),
    "naive-richer-over-advanced-poorer": (("fine-tuning", 0), ("poorer-model", 0.9, "average")),
    "advanced-on-poorer": (("poorer-model", 0.9, "average"), ("poorer-model", 0)),
    "advanced-on-richer": (
        ("higher-head-rate", 0.9, "average", "fine-tuning", SHARED),
        ("fine-tuning", 0),
    ),
    "linear-over-fine-tuning-rate-0.9": (
        ("linear", 0.9, "selected", "linear"),
        ("fine-tuning", 0.9),
    ),
    "probe-rate-0.9": (("linear", 0.9, "selected", "probe"), ("linear", 0, "selected", "probe")),
}


@pytest.mark.parametrize("name", PAIRS)
def test_gains_and_intervals_are_those_written_out(gains, long, name):
    a, b = (method(long, *of) for of in PAIRS[name])
    expected = by_hand(a, b, LEVEL)
    rows = gains[(gains["comparison"] == name) & (gains["held_out"] == ALL_DOMAINS)]
    for row in rows.itertuples():
        assert (row.gain, row.low, row.high) == pytest.approx(expected[row.axis])
    assert set(rows["axis"]) == {"iid", "ood"}


def test_gains_of_one_held_out_domain_are_those_written_out(gains, long):
    a, b = (method(long, *of) for of in PAIRS["rate-0.9"])
    for domain in DOMAINS:
        expected = by_hand(a[a["held_out"] == domain], b[b["held_out"] == domain], LEVEL)
        rows = gains[(gains["comparison"] == "rate-0.9") & (gains["held_out"] == domain)]
        for row in rows.itertuples():
            assert (row.gain, row.low, row.high) == pytest.approx(expected[row.axis])


def test_gains_are_differences_of_the_means_of_methods(gains):
    methods = methods_table(runs_table(FILES, EXAMPLES, 5), LEVEL)
    methods = methods.set_index(["family", "kind", "version", "rate"])
    over_all = gains[gains["held_out"] == ALL_DOMAINS].set_index(["comparison", "axis"])
    for name, pair in PAIRS.items():
        if any(len(of) == 5 for of in pair) or name.startswith("linear"):
            continue  # on shared configurations or seeds alone
        (a, b) = (
            methods.loc[(of[0], *(of[3:4] or ["fine-tuning"]), *(of[2:3] or ["selected"]), of[1])]
            for of in pair
        )
        for axis in ("iid", "ood"):
            assert over_all.loc[(name, axis), "gain"] == pytest.approx(a[axis] - b[axis])


def test_more_data_changes_the_gain_by_a_difference_of_gains(gains, long):
    one = {"rates": (0.1,)}  # the learning rate that both have
    terms = [
        by_hand(method(long, family, 0.9, **one), method(long, family, 0, **one), LEVEL)["ood"][0]
        for family in ("more-data", "fine-tuning")
    ]
    rows = gains[gains["comparison"] == "more-data-on-large-rate-gain"]
    row = rows[(rows["held_out"] == ALL_DOMAINS) & (rows["axis"] == "ood")].iloc[0]
    assert row["gain"] == pytest.approx(terms[0] - terms[1])
    assert (row["n_seeds"], row["n_configurations"]) == (3, 1)


def test_counts(gains):
    table = gains.set_index(["comparison", "held_out", "axis"])
    counts = ["n_domains", "n_seeds", "n_configurations", "n_images"]
    n_report = sum(SIZES.values())
    n_used = sum(split != "unused" for split in EXAMPLES.splits_N)
    for (name, axis), expected in {
        ("rate-0.9", "iid"): [3, 3, 2, n_report],
        ("rate-0.9", "ood"): [3, 3, 2, n_used],
        ("large-rate-over-all-ensemble", "iid"): [3, 3, 2, n_report],
        ("head-rate-on-plain", "iid"): [3, 3, 2, n_report],
        ("large-rate-on-head-rate", "iid"): [3, 3, 3, n_report],
        ("scratch-rate-0.9", "iid"): [3, 2, 2, n_report],
        ("naive-richer-over-advanced-poorer", "iid"): [3, 3, 2, n_report],
    }.items():
        assert table.loc[(name, ALL_DOMAINS, axis), counts].tolist() == expected
    row = table.loc[("rate-0.9", "hand", "iid"), counts]
    assert row.tolist() == [1, 3, 2, n_report - SIZES["hand"]]
    assert (gains["low"] < gains["gain"]).all()
    assert (gains["gain"] < gains["high"]).all()


def test_runs_in_another_order_gain_the_same(gains):
    rng = np.random.default_rng(0)
    order = rng.permutation(len(FILES))
    files = in_order([FILES[i] for i in order], EXAMPLES)
    pd.testing.assert_frame_equal(gains_table(files, EXAMPLES, LARGE, LEVEL), gains)


def test_what_a_run_lacks_is_not_compared():
    files = FAMILIES["fine-tuning"] + FAMILIES["linear"]
    found = gains_table(in_order(files, EXAMPLES), EXAMPLES, LARGE, LEVEL)
    names = set(found["comparison"])
    assert {"rate-0.9", "linear-over-fine-tuning-rate-0", "probe-rate-0.9"} <= names
    assert not any(
        name.startswith(("head", "scratch", "more", "naive", "advanced")) for name in names
    )
    alone = gains_table(FAMILIES["scratch"], EXAMPLES, LARGE, LEVEL)
    assert set(alone["comparison"]) == {"scratch-rate-0.9"}
    probes = {Method("linear", 0.5, version, "probe") for version in VERSIONS}
    assert comparisons(probes, LARGE) == {}


def test_a_large_rate_of_a_half_is_not_compared_with_itself():
    methods = {Method("fine-tuning", rate) for rate in (0, 0.5, 0.9)}
    assert "large-rate-over-half" not in comparisons(methods, 0.5)
    assert "large-rate-over-half" in comparisons(methods, 0.9)


@given(st.integers(1, 4), st.integers(2, 4), st.integers(0, 99))
@settings(max_examples=20)
def test_images_of_one_setting_each_are_those_of_tasks(n_seeds, n_domains, seed):
    """Unseen images are like those of tasks that have nothing in common."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 9, n_domains)
    gains = [rng.normal(size=(n_seeds, size)) for size in sizes]
    groups = np.repeat(np.arange(n_domains), sizes)
    images = [np.flatnonzero(groups == domain) for domain in range(n_domains)]
    found = paired_interval(gains, images, groups, 0.9)
    assert found == pytest.approx(difference_interval(gains, 0.9))


def test_without_spread_there_is_no_interval():
    images = [np.array([0, 1]), np.array([2, 3])]
    same = [np.ones((2, 2))] * 2
    value, low, high = paired_interval(same, images, tuple("aabb"), 0.9)
    assert value == pytest.approx(1)
    assert np.isnan([low, high]).all()


def test_intervals_cover_what_images_and_seeds_share():
    """I.i.d. gains: each image serves in two of three settings, where its gains are correlated."""
    rng, sizes = np.random.default_rng(1), (30, 60, 40)
    groups = np.repeat([0, 1, 2], sizes)
    settings_of = [np.flatnonzero(groups != unseen) for unseen in range(3)]
    covered, as_if_apart = [], []
    for _ in range(500):
        image_I = rng.normal(0, 0.3, len(groups))
        gains = [
            image_I[positions]
            + rng.normal(0, 0.02, (3, 1))  # a seed of a setting
            + rng.normal(0, 0.3, (3, len(positions)))
            for positions in settings_of
        ]
        _, low, high = paired_interval(gains, settings_of, groups, 0.95)
        covered.append(low <= 0 <= high)
        _, low, high = difference_interval(gains, 0.95)
        as_if_apart.append(low <= 0 <= high)
    assert 0.92 < np.mean(covered) < 0.99
    # Had an image's gains in two settings counted as two images', they would cover too seldom.
    assert np.mean(as_if_apart) < np.mean(covered) - 0.02


def test_one_seed_has_intervals_over_images(long):
    files = made_family(EXAMPLES, grid((0, 0.9), seeds=(0,)))
    rows = gains_table(files, EXAMPLES, LARGE, LEVEL)
    row = rows[(rows["held_out"] == "hand") & (rows["axis"] == "ood")].iloc[0]
    (file,) = [file for file in files if file.held_out == "hand"]
    unseen = np.array(EXAMPLES.groups)[file.positions_N] == "hand"
    right = (file.predicted_EN == EXAMPLES.labels[file.positions_N])[:, unseen]
    means = {
        rate: np.mean(
            [
                of_entry
                for of_entry, entry in zip(right, file.entries, strict=True)
                if entry.version == "selected" and entry.rate == rate
            ],
            axis=0,
        )
        for rate in (0, 0.9)
    }
    expected = stats.ttest_rel(means[0.9], means[0]).confidence_interval(LEVEL)
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected))
    assert row["n_seeds"] == 1


STATISTICS = {
    "ood_gain_of_large_rate": ("rate-0.9", "ood", 1),
    "ood_gain_of_large_over_half": ("large-rate-over-half", "ood", 1),
    "scratch_ood_gain_of_large_rate": ("scratch-rate-0.9", "ood", 1),
    "large_rate_over_run_average_ood": ("large-rate-over-run-average", "ood", 1),
    "large_rate_over_run_ensemble_ood": ("large-rate-over-run-ensemble", "ood", 1),
    "large_rate_over_all_average_ood": ("large-rate-over-all-average", "ood", 1),
    "large_rate_over_all_ensemble_ood": ("large-rate-over-all-ensemble", "ood", 1),
    "ensemble_on_large_rate_ood": ("run-ensemble-on-large-rate", "ood", 1),
    "average_on_large_rate_ood": ("run-average-on-large-rate", "ood", 1),
    "head_rate_on_large_rate_ood": ("head-rate-on-large-rate", "ood", 1),
    "large_rate_over_head_rate_ood": ("large-rate-over-head-rate", "ood", 1),
    "richer_naive_over_poorer_advanced_ood": ("naive-richer-over-advanced-poorer", "ood", 1),
    "more_data_changes_gain_ood": ("more-data-on-large-rate-gain", "ood", 1),
    "linear_over_fine_tuning_ood": ("linear-over-fine-tuning-rate-0.9", "ood", 1),
    "linear_over_fine_tuning_iid": ("linear-over-fine-tuning-rate-0.9", "iid", 1),
    "run_ensemble_over_large_rate_iid": ("large-rate-over-run-ensemble", "iid", -1),
}


def test_statistics_are_gains_over_all_domains(gains):
    matched = matched_table(curves_table(FILES), LEVEL)
    table = statistics_table(gains, matched, LARGE)
    assert list(table.columns) == ["statistic", "value", "low", "high", "n", "n_of"]
    assert table["statistic"].is_unique
    table = table.set_index("statistic")
    assert set(table.index) == {*STATISTICS, "matched_gain_of_large_rate_ood"}
    for statistic, (comparison, axis, sign) in STATISTICS.items():
        rows = gains[(gains["comparison"] == comparison) & (gains["axis"] == axis)]
        row = rows[rows["held_out"] == ALL_DOMAINS].iloc[0]
        expected = sorted(sign * row[["low", "gain", "high"]])
        assert table.loc[statistic, ["low", "value", "high"]].tolist() == expected
    assert set(table["n"]) == {3}
    assert set(table["n_of"]) == {"domains"}
    values = matched[(matched["rate"] == 0.9) & (matched["held_out"] == ALL_DOMAINS)].iloc[0]
    np.testing.assert_equal(
        table.loc["matched_gain_of_large_rate_ood", ["value", "low", "high"]].tolist(),
        values[["difference", "low", "high"]].tolist(),
    )


def test_statistics_without_runs_are_left_out():
    gains = gains_table(FAMILIES["scratch"], EXAMPLES, LARGE, LEVEL)
    matched = matched_table(curves_table(FAMILIES["scratch"]), LEVEL)
    table = statistics_table(gains, matched, LARGE)
    assert table["statistic"].tolist() == ["scratch_ood_gain_of_large_rate"]
    assert all(a < b for a, b in pairwise(table.loc[0, ["low", "value", "high"]]))
