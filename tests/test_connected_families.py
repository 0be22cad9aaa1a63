import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest

from dissent import connectivity_curves as curves
from dissent import connectivity_separation as separation
from dissent import connectivity_tables as tables
from dissent.clusters import permutation_p
from dissent.commandline import InputError
from dissent.connected_families import Family, Settings, measure, read_families
from dissent.connections import write_connections
from dissent.connectivity import barrier, convexity_gap
from made_connections import BLOCKS, GROUPS, STRATEGY, made_data, made_family

SETTINGS = Settings(
    window=0.02,
    affinity_scale=1.0,
    clusters=2,
    permutations=200,
    resamples=20,
    level=0.9,
    strategy=STRATEGY,
)
DATA = made_data()
IMAGES = {"family": "separate", "blocks": (0, 1, 2), "diagnostics": (), "steps": (0,)}


def diverged(connections, models):
    """The same where everything of some networks is NaN."""
    pairs_P = np.array([bool({*pair} & {*models}) for pair in connections.pairs])
    lost = dataclasses.replace(
        connections,
        loss_PGN={step: np.copy(losses) for step, losses in connections.loss_PGN.items()},
        logits_MNC={
            data: {step: np.copy(logits) for step, logits in by_step.items()}
            for data, by_step in connections.logits_MNC.items()
        },
    )
    for losses in (*lost.loss_PGN.values(), *lost.path_losses_PGN.values()):
        losses[pairs_P] = np.nan
    for by_step in lost.logits_MNC.values():
        for logits in by_step.values():
            logits[models] = np.nan
    return lost


def family_of(settings=SETTINGS, **options):
    return Family(made_family(DATA, **options), DATA, settings)


@pytest.fixture(scope="module")
def family():
    return family_of()


@pytest.fixture(scope="module")
def measured(family):
    return [*measure(family), *measure(family_of(**IMAGES))]


def test_right_are_those_of_the_split_and_group(family):
    examples, logits = DATA["heuristics"], family.connections.logits_MNC["heuristics"][75]
    chosen = [i for i, group in enumerate(examples.groups) if group == GROUPS[1]]
    expected = [
        [model[i].argmax() == examples.labels[i] for i in chosen]  # all are of the split report
        for model in logits
    ]
    np.testing.assert_array_equal(family.right("heuristics", 75, group=GROUPS[1]), expected)
    assert family.right("pairs", 75).shape == (8, 60)
    assert family.right("pairs", 75, "tune").shape == (8, 40)


def test_kept_are_those_near_the_best_on_tune_that_did_not_diverge():
    made = made_family(DATA, in_domain=0.9, seed=3)
    family = Family(diverged(made, [0]), DATA, SETTINGS._replace(window=0.05))
    tune_M = family.tune(family.last)
    assert not family.right("heuristics", family.last)[0].any()
    expected = [i > 0 and tune >= max(tune_M[1:]) - 0.05 for i, tune in enumerate(tune_M)]
    assert [*family.kept_M] == expected
    assert 1 < sum(expected) < 7
    kept_P = [expected[i] and expected[j] for i, j in itertools.combinations(range(8), 2)]
    assert [*family.kept_P] == kept_P
    # Images have nothing that strategies could be told apart by: all pairs are looked at.
    assert family_of(in_domain=0.7, **IMAGES).kept_M.all()


def test_tables_have_a_row_for_all_that_they_are_of(measured):
    table = tables.pairs_table(measured)
    assert table.groupby(["family", "step"], sort=False).size().tolist() == [28, 28, 3]
    assert len(tables.members_table(measured)) == 8 + 8 + 3
    assert len(tables.diagnostics_table(measured)) == 8 * 2 * len(GROUPS)
    assert len(tables.clusters_table(measured)) == len(tables.checks_table(measured)) == 3
    assert set(tables.dynamics_table(measured)["family"]) == {"orders"}
    images = tables.members_table(measured).query("family == 'separate'")
    assert images[["cluster", "membership", "strategy", "sharpness"]].isna().all(axis=None)


def test_a_pair_has_the_measures_of_its_mean_curve(measured):
    table = tables.pairs_table(measured)
    for here in measured:
        of_step = table[(table["family"] == here.family.name) & (table["step"] == here.step)]
        curve_PG = here.family.connections.loss_PGN[here.step].astype(float).mean(axis=2)
        np.testing.assert_allclose(of_step["barrier"], barrier(curve_PG))
        np.testing.assert_allclose(of_step["convexity_gap"], convexity_gap(curve_PG))
        assert (of_step["convexity_gap_low"] <= of_step["convexity_gap_high"]).all()
    first = table.iloc[7]
    assert (first["first"], first["second"]) == ("model-1", "model-2")


def test_clusters_are_the_blocks_and_named_by_size(measured):
    table = tables.members_table(measured[:2])
    expected = ["small" if block else "large" for block in BLOCKS]
    for _, of_step in table.groupby("step"):
        assert of_step["cluster"].tolist() == expected
        assert (of_step["membership"] > 0).tolist() == [name == "large" for name in expected]
    assert table["sharpness"].notna().tolist() == [False] * 8 + [True] * 8
    row = tables.clusters_table(measured).iloc[1]
    assert (row["size_large"], row["size_small"], row["stability_seeds"]) == (5, 3, 1)
    assert row["gap_ratio"] == pytest.approx(12, rel=0.3)
    assert row["eigengap"] == pytest.approx(
        np.subtract(*map(float, row["eigenvalues"].split()[2:0:-1])), abs=1e-9
    )


def test_early_clusters_have_the_names_of_the_last_and_say_who_stays():
    early, late = (made_family(DATA, blocks=blocks) for blocks in ((0,) * 3 + (1,) * 5, BLOCKS))
    losses = {75: early.loss_PGN[75], 150: late.loss_PGN[150]}
    moved = Family(dataclasses.replace(late, loss_PGN=losses), DATA, SETTINGS)
    table = tables.dynamics_table(measure(moved))
    first, last = (table[table["step"] == step] for step in (75, 150))
    # The last large cluster is 0 to 4; early on 0 to 2 were alone, and 3 and 4 with the others.
    assert first["cluster"].tolist() == ["large"] * 3 + ["small"] * 5
    assert first["early_agrees"].tolist() == [True] * 3 + [False] * 2 + [True] * 3
    assert last["early_agrees"].isna().all()


def test_separation_is_of_kept_networks(measured):
    table = separation.separation_table(measured).query("step == 150").set_index("group")
    family = measured[1].family
    accuracy_M = family.right("heuristics", 150, group=GROUPS[1]).mean(axis=1)
    large_M = np.array(BLOCKS) == 0
    row = table.loc[GROUPS[1]]
    assert row["large"] == pytest.approx(accuracy_M[large_M].mean())
    assert row["difference"] == pytest.approx(row["large"] - row["small"])
    assert row["low"] < row["difference"] < row["high"]
    assert row["p"] == permutation_p(accuracy_M, large_M, 200, 0)
    membership_M = measured[1].clusters.membership_K
    assert row["r_membership"] == pytest.approx(np.corrcoef(membership_M, accuracy_M)[0, 1])
    sharpness_M = family.connections.sharpness_M
    assert row["r_sharpness"] == pytest.approx(np.corrcoef(sharpness_M, accuracy_M)[0, 1])
    assert row["p_membership"] < 0.1
    assert row["mantel_p"] < 0.1
    # All are right on all in-domain examples.
    assert table.loc["all", "difference"] == 0
    assert table.loc["all", ["low", "r_membership", "p_membership"]].isna().all()


def test_statistics_say_what_was_made(measured, monkeypatch):
    monkeypatch.setattr(separation, "SHUFFLES", 19)
    table = separation.statistics_table(measured).set_index("statistic")
    assert (table["low"].isna() | (table["low"] <= table["value"])).all()
    assert (table["high"].isna() | (table["high"] >= table["value"])).all()
    assert table.loc["orders_gap_beyond_chance", "low"] > 0
    assert table.loc["orders_strategy_difference", "value"] == pytest.approx(0.6, abs=0.15)
    assert table.loc["orders_membership_r_over_sharpness_r", "value"] > 0
    assert table.loc["orders_early_membership_r", "value"] > 0.9
    gaps = measured[1].gap_RP[0]
    assert table.loc["orders_largest_gap", "value"] == gaps.max()
    assert table.loc["orders_smallest_gap", "value"] == gaps.min()
    images = {name for name in table.index if name.startswith("separate")}
    ends = itertools.product(("smallest", "largest"), ("barrier", "gap"))
    assert images == {f"separate_{which}_{measure}" for which, measure in ends}
    assert set(table.loc[sorted(images), "n"]) == {3}


def test_what_is_drawn_is_drawn_again_alike(measured, monkeypatch):
    monkeypatch.setattr(separation, "SHUFFLES", 3)
    again = measure(family_of())
    for make in (tables.clusters_table, separation.separation_table, separation.statistics_table):
        pd.testing.assert_frame_equal(make(measured[:2]), make(again), check_exact=True)


def test_strategies_count_the_same_whichever_cluster_is_large(monkeypatch):
    monkeypatch.setattr(separation, "SHUFFLES", 3)
    found = []
    for strategies in ((0.8, 0.2), (0.2, 0.8)):
        made = measure(family_of(strategies=strategies, steps=(0,)))
        table = separation.statistics_table(made).set_index("statistic")
        row = table.loc["orders_strategy_difference"]
        assert 0 < row["low"] < row["value"] < row["high"]
        found.append(separation.separation_table(made).set_index("group").loc[GROUPS[1]])
    assert found[0]["difference"] > 0 > found[1]["difference"]


@pytest.mark.parametrize("lost", [range(8), range(7), range(5)])
def test_few_networks_that_did_not_diverge_make_tables_without_clusters(lost, caplog):
    made = diverged(made_family(DATA), [*lost])
    family = Family(made, DATA, SETTINGS)
    here = measure(family)
    assert "no clusters" in caplog.text
    assert tables.members_table(here)["cluster"].isna().all()
    assert tables.clusters_table(here)["n_kept"].tolist() == [8 - len(lost)] * 2
    assert tables.pairs_table(here)["convexity_gap"].notna().sum() == (6 if len(lost) == 5 else 0)
    assert len(separation.separation_table(here)) == 0
    statistics = separation.statistics_table(here)
    assert len(statistics) == (4 if len(lost) == 5 else 0)
    assert statistics.notna().all(axis=None)
    assert len(tables.checks_table(here)) == 2
    assert tables.dynamics_table(here)["early_agrees"].isna().all()
    curves.curves_table([family])


def test_families_are_read_with_the_data_they_are_of(tmp_path):
    made = made_family(DATA)
    write_connections(path := tmp_path / "a.safetensors", made)
    (family,) = read_families([path], DATA.values(), SETTINGS)
    pd.testing.assert_frame_equal(
        tables.pairs_table(measure(family)), tables.pairs_table(measure(family_of()))
    )
    with pytest.raises(InputError, match="of the data set 'mixed-pairs': give its file"):
        read_families([path], [DATA["pairs"], DATA["heuristics"]], SETTINGS)
    with pytest.raises(InputError, match="another file of the family 'orders'"):
        read_families([path, path], DATA.values(), SETTINGS)
    relabelled = dataclasses.replace(DATA["pairs"], labels=1 - DATA["pairs"].labels)
    with pytest.raises(InputError, match="other images or labels: delete it"):
        read_families([path], (DATA | {"pairs": relabelled}).values(), SETTINGS)
    write_connections(path, made_family(DATA, blocks=(0,)))
    with pytest.raises(InputError, match="is of one network: give a family of two"):
        read_families([path], DATA.values(), SETTINGS)
    unknown = SETTINGS._replace(strategy={"data": "heuristics", "group": "x"})
    with pytest.raises(InputError, match="has no group 'x' in split report: name one of 'lexical"):
        _ = family_of(unknown).strategy
