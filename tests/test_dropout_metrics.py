import itertools
from dataclasses import replace
from math import lcm

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score

from dissent.commandline import InputError
from dissent.confidence_bins import confidence_calibration_error
from dissent.dropout_metrics import (
    ALL_DOMAINS,
    curves_table,
    equal_weights,
    in_order,
    matched_table,
    methods_table,
    mixtures_table,
    runs_table,
)
from dissent.dropout_runs import Curve, Run
from made_dropout_runs import SIZES, grid, made_examples, made_family, made_runs

EXAMPLES = made_examples()
DOMAINS = tuple(dict.fromkeys(EXAMPLES.groups))
FILES = made_family(EXAMPLES, grid((0, 0.5, 0.9)))
TABLE = runs_table(FILES, EXAMPLES, n_bins=5)


@given(st.lists(st.sampled_from("abcd"), min_size=1))
def test_weights_give_every_domain_the_same(domains):
    weights = pd.Series(equal_weights(np.array(domains)))
    sums = weights.groupby(domains).sum()
    np.testing.assert_allclose(sums, 1 / len(sums))
    assert weights.groupby(domains).nunique().eq(1).all()


def test_quality_is_that_of_as_many_images_of_every_domain():
    """Images repeated until domains have the same number: then all images count the same."""
    for file, (_, rows) in zip(FILES, TABLE.groupby("held_out", sort=False), strict=True):
        domain_N = np.array(EXAMPLES.groups)[file.positions_N]
        seen = [d for d in DOMAINS if d != file.held_out]
        many = lcm(*(SIZES[d] for d in seen))
        iid = np.concatenate([np.resize(np.flatnonzero(domain_N == d), many) for d in seen])
        ood = np.flatnonzero(domain_N == file.held_out)
        assert (rows["n_iid"] == sum(SIZES[d] for d in seen)).all()
        assert (rows["n_ood"] == len(ood)).all()
        for i, row in enumerate(rows.itertuples()):
            for axis, columns in (("iid", iid), ("ood", ood)):
                labels = EXAMPLES.labels[file.positions_N[columns]]
                predicted = file.predicted_EN[i, columns]
                confidence = file.confidence_EN[i, columns].astype(float)
                expected = (
                    accuracy_score(labels, predicted),
                    -file.true_log_probability_EN[i, columns].astype(float).mean(),
                    confidence_calibration_error(confidence, predicted == labels, 5),
                )
                found = [getattr(row, f"{name}{axis}") for name in ("", "nll_", "ece_")]
                assert found == pytest.approx(expected)


def test_a_row_an_entry_says_what_it_is_of():
    assert list(TABLE.columns) == [
        *("held_out", "family", "kind", "width", "version", "rate", "learning_rate"),
        *("weight_decay", "head_factor", "seed", "step", "iid", "ood", "n_iid", "n_ood"),
        *("nll_iid", "nll_ood", "ece_iid", "ece_ood"),
    ]
    entries = [(file.held_out, entry) for file in FILES for entry in file.entries]
    assert len(TABLE) == len(entries)
    for row, (held_out, entry) in zip(TABLE.itertuples(), entries, strict=True):
        assert (row.held_out, row.version, row.rate) == (held_out, entry.version, entry.rate)
        if entry.run is None:
            assert pd.isna([row.learning_rate, row.seed, row.step]).all()
        else:
            assert (row.learning_rate, row.seed) == (entry.run.learning_rate, entry.run.seed)
            assert row.step == entry.step or (pd.isna(row.step) and entry.step is None)


def test_methods_are_means_and_intervals_over_seeds():
    table = methods_table(TABLE, 0.9).set_index(["version", "rate"])
    assert len(table) == 6 * 3
    for (version, rate), row in table.iterrows():
        of_method = TABLE[(TABLE["version"] == version) & (TABLE["rate"] == rate)]
        assert row["n_domains"] == 3
        assert row["n_runs"] == len(of_method)
        for axis in ("iid", "ood"):
            means, parts = [], []
            for domain in DOMAINS:
                of_domain = of_method[of_method["held_out"] == domain]
                if version.startswith("all"):
                    means.append(of_domain[axis].item())
                    continue
                by_seed = [of_domain[of_domain["seed"] == s][axis].mean() for s in range(3)]
                means.append(np.mean(by_seed))
                parts.append(np.var(by_seed, ddof=1) / 3 / 3**2)
            assert row[axis] == pytest.approx(np.mean(means))
            if not parts:
                assert np.isnan([row[f"{axis}_low"], row[f"{axis}_high"]]).all()
                continue
            freedom = sum(parts) ** 2 / sum(part**2 / 2 for part in parts)
            expected = stats.t.interval(0.9, freedom, np.mean(means), sum(parts) ** 0.5)
            assert (row[f"{axis}_low"], row[f"{axis}_high"]) == pytest.approx(expected)
        for measure in ("nll_iid", "nll_ood", "ece_iid", "ece_ood"):
            assert row[measure] == pytest.approx(of_method[measure].mean())


def test_widths_kinds_and_head_factors_are_methods_of_their_own():
    probes = [Run(0.5, 0.1, 1e-3, 1.0, s, "probe", width) for s in (0, 1) for width in (None, 2)]
    runs = [*grid((0.5,), kind="linear"), *probes, *grid((0.5,), factor=10.0)]
    files = made_family(EXAMPLES, runs, "linear", together=False)
    table = runs_table(files, EXAMPLES, 5)
    methods = methods_table(table, 0.9)
    selected = methods[methods["version"] == "selected"]
    assert selected["kind"].tolist() == ["linear", "probe", "probe", "fine-tuning"]
    assert selected["width"].fillna(0).tolist() == [0, 0, 2, 0]
    assert selected["head_factor"].tolist() == [1, 1, 1, 10]
    # With one configuration there is one mixture, of the probes of all features.
    mixtures = mixtures_table(table)
    mixture = mixtures[(mixtures["kind"] == "probe") & (mixtures["version"] == "selected")]
    assert mixture["ood"].tolist() == pytest.approx(selected["ood"].tolist()[1:2])
    assert selected["ood"].iloc[1] != pytest.approx(selected["ood"].iloc[2])


def test_mixtures_are_all_ways_to_choose_configurations():
    mixtures = mixtures_table(TABLE)
    one = mixtures[(mixtures["version"] == "average") & (mixtures["rate"] == 0.5)]
    rows = TABLE[(TABLE["version"] == "average") & (TABLE["rate"] == 0.5)]
    expected = []
    for choice in itertools.product((0.1, 0.2), repeat=3):
        cells = [
            rows[(rows["held_out"] == domain) & (rows["learning_rate"] == rate)]
            for domain, rate in zip(DOMAINS, choice, strict=True)
        ]
        expected.append([np.mean([cell[axis].mean() for cell in cells]) for axis in ("iid", "ood")])
    np.testing.assert_allclose(
        np.sort(one[["iid", "ood"]].to_numpy(), axis=0), np.sort(expected, axis=0)
    )
    assert (one["n_ways"] == 8).all()
    assert set(mixtures["version"]) == {"selected", "last", "average", "ensemble"}


def table_of(n_domains, n_configurations, n_seeds, seed=0):
    """A table of one method's runs, with accuracies by chance."""
    rng = np.random.default_rng(seed)
    cells = itertools.product(range(n_domains), range(n_configurations), range(n_seeds))
    table = pd.DataFrame(cells, columns=["held_out", "learning_rate", "seed"])
    table = table.assign(
        **{"family": "fine-tuning", "kind": "fine-tuning", "version": "selected"},
        **{"rate": 0.5, "head_factor": 1.0, "weight_decay": 0.0, "width": pd.NA},
    )
    for name in ("iid", "ood", "nll_iid", "nll_ood", "ece_iid", "ece_ood"):
        table[name] = rng.random(len(table))
    return table


@settings(max_examples=25)
@given(st.integers(2, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_the_mean_of_the_mixtures_is_that_of_the_method(n_domains, n_configurations, n_seeds, seed):
    table = table_of(n_domains, n_configurations, n_seeds, seed)
    mixtures, method = mixtures_table(table), methods_table(table, 0.9).iloc[0]
    assert len(mixtures) == n_configurations**n_domains
    for axis in ("iid", "ood"):
        assert mixtures[axis].mean() == pytest.approx(method[axis])
        assert table[axis].min() <= mixtures[axis].min() <= mixtures[axis].max()


def test_of_very_many_mixtures_some_are_drawn():
    table = table_of(n_domains=5, n_configurations=6, n_seeds=1)
    mixtures = mixtures_table(table)
    assert len(mixtures) == len(mixtures.drop_duplicates()) == 1296
    assert set(mixtures["n_ways"]) == {6**5}
    # Every domain has each of its configurations in about a sixth of the points.
    error = mixtures["ood"].std() / 1296**0.5
    assert mixtures["ood"].mean() == pytest.approx(table["ood"].mean(), abs=4 * error)
    pd.testing.assert_frame_equal(mixtures, mixtures_table(table))


def test_mixtures_may_be_more_than_can_be_numbered():
    mixtures = mixtures_table(table_of(n_domains=32, n_configurations=4, n_seeds=1))
    assert len(mixtures) == len(mixtures.drop_duplicates()) == 1296
    assert set(mixtures["n_ways"]) == {4**32}


@settings(max_examples=10)
@given(st.permutations(range(6)))
def test_the_order_of_files_does_not_matter(order):
    files = [*made_family(EXAMPLES, grid((0, 0.5)), "linear"), *FILES]
    found = in_order([files[i] for i in order], EXAMPLES)
    assert found == [*files[3:], *files[:3]]


def first_changed(family="fine-tuning", **change):
    first, *rest = made_family(EXAMPLES, grid((0,)), family)
    return [replace(first, **change), *rest]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([*FILES, FILES[0]], "given twice"),
        (FILES[1:], f"'fine-tuning' has no runs that left out '{DOMAINS[0]}'"),
        (first_changed("scratch", weights_sha256="v"), "other weights"),
        ([*FILES, *first_changed("linear", weights_sha256="v")], "other weights than those of"),
        (
            [made_runs(EXAMPLES, DOMAINS[0], grid((0.1,))), *FILES[1:]],
            "other settings than those of",
        ),
    ],
    ids=["twice", "domain", "weights", "weights of families", "settings"],
)
def test_files_that_do_not_belong_together_are_refused(files, message):
    with pytest.raises(InputError, match=message):
        in_order(files, EXAMPLES)


def test_families_of_other_starts_may_start_elsewhere():
    files = [*FILES, *made_family(EXAMPLES, grid((0,)), "poorer-model", start="v")]
    files += made_family(EXAMPLES, grid((0,)), "scratch", start="")
    assert len(in_order(files, EXAMPLES)) == 9


def curves_of(rows):
    """Files with one curve each from (held out, rate, seed, learning rate) to [(iid, ood), ...]."""
    files = {}
    for (held_out, rate, seed, learning_rate), points in rows.items():
        iid, ood = zip(*points, strict=True)
        run = Run(rate, learning_rate, 0.0, 1.0, seed)
        curve = Curve(run, tuple(range(1, len(iid) + 1)), iid, iid, ood)
        file = files.setdefault(held_out, replace(FILES[0], held_out=held_out, curves=()))
        files[held_out] = replace(file, curves=(*file.curves, curve))
    return curves_table(list(files.values()))


def test_a_row_a_checkpoint():
    table = curves_table(FILES)
    assert len(table) == sum(len(curve.steps) for file in FILES for curve in file.curves)
    curve = FILES[1].curves[4]
    rows = table[(table["held_out"] == FILES[1].held_out) & (table["rate"] == curve.run.rate)]
    rows = rows[(rows["seed"] == curve.run.seed)]
    rows = rows[rows["learning_rate"] == curve.run.learning_rate]
    for name in ("tune", "iid", "ood"):
        assert tuple(rows[name]) == getattr(curve, name)
    assert tuple(rows["step"]) == curve.steps


def test_rates_are_matched_where_the_worse_one_ends():
    """Plain ends at 0.8 i.i.d.; a checkpoint no better than one before it is passed over."""
    table = matched_table(
        curves_of(
            {
                ("x", 0.0, 0, 0.1): [(0.6, 0.5), (0.55, 0.1), (0.9, 0.3)],
                ("x", 0.9, 0, 0.1): [(0.5, 0.4), (0.7, 0.6)],
                ("x", 0.0, 1, 0.1): [(0.6, 0.5), (0.8, 0.5)],
                ("x", 0.9, 1, 0.1): [(0.7, 0.4), (0.9, 0.8)],
                # the mean of two configurations: (0.5, 0.2), (0.8, 0.6)
                ("y", 0.0, 0, 0.1): [(0.4, 0.2), (0.7, 0.6)],
                ("y", 0.0, 0, 0.2): [(0.6, 0.2), (0.9, 0.6)],
                ("y", 0.9, 0, 0.1): [(0.8, 0.7)],
                ("y", 0.9, 0, 0.2): [(0.6, 0.5)],
                ("y", 0.0, 1, 0.1): [(0.5, 0.2), (0.9, 0.6)],
                ("y", 0.9, 1, 0.1): [(0.5, 0.4)],
            }
        ),
        0.95,
    ).set_index("held_out")
    # Of x, seed 0 is matched at 0.7, a third of the way from 0.6 to 0.9; seed 1 at 0.8.
    plain, other = [0.5 - 0.2 / 3, 0.5], [0.6, 0.6]
    found = table.loc["x", ["iid", "ood_plain", "ood_rate", "difference"]].tolist()
    gain = np.subtract(other, plain)
    assert found == pytest.approx([0.75, np.mean(plain), 0.6, np.mean(gain)])
    interval = stats.ttest_1samp(gain, 0).confidence_interval(0.95)
    assert (table.loc["x", "low"], table.loc["x", "high"]) == pytest.approx(tuple(interval))
    # Of y, seed 0 at 0.7, two thirds of the way from 0.5 to 0.8; seed 1 at 0.5.
    gains_y = [0.6 - (0.2 + 0.4 * 2 / 3), 0.4 - 0.2]
    assert table.loc["y", "difference"] == pytest.approx(np.mean(gains_y))
    overall = table.loc[ALL_DOMAINS]
    assert overall["difference"] == pytest.approx((np.mean(gain) + np.mean(gains_y)) / 2)
    assert overall["n_seeds"] == 2


def test_there_is_no_match_below_the_first_checkpoint():
    table = matched_table(
        curves_of(
            {
                ("x", 0.0, 0, 0.1): [(0.8, 0.5), (0.9, 0.5)],
                ("x", 0.9, 0, 0.1): [(0.5, 0.4), (0.7, 0.6)],
            }
        ),
        0.95,
    )
    assert table[["ood_plain", "difference", "low", "high"]].isna().all(axis=None)


def test_without_other_rates_nothing_is_matched():
    assert matched_table(curves_of({("x", 0.0, 0, 0.1): [(0.8, 0.5)]}), 0.95).empty
    assert matched_table(curves_table(made_family(EXAMPLES, grid((0,)), "scratch")), 0.95).empty
