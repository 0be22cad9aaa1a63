import itertools

import numpy as np
import pytest
from scipy import stats

from dissent import connectivity_curves as curves
from dissent.connected_families import Family, Settings
from made_connections import STRATEGY, made_data, made_family

SETTINGS = Settings(0.02, 1.0, 2, permutations=1, resamples=1, level=0.9, strategy=STRATEGY)
DATA = made_data()
IMAGES = {"family": "separate", "diagnostics": (), "steps": (0,)}


@pytest.fixture(scope="module")
def family():
    return Family(made_family(DATA), DATA, SETTINGS)


def test_high_low_paths_begin_at_the_high_network(family):
    data, group = family.strategy
    accuracy_M = family.right(data, family.last, group=group).mean(axis=1)
    median = np.median(accuracy_M)
    losses = {"mixed-pairs": family.connections.loss_PGN[family.last]}
    losses |= family.connections.path_losses_PGN
    table = curves.curves_table([family]).set_index(["data", "pairing"])
    for data, loss_PGN in losses.items():
        expected = {"high-high": [], "high-low": [], "low-low": []}
        for (i, j), loss_GN in zip(family.connections.pairs, loss_PGN, strict=True):
            curve_G = loss_GN.astype(float).mean(axis=1)
            if median in (accuracy_M[i], accuracy_M[j]):
                continue
            if (accuracy_M[i] > median) == (accuracy_M[j] > median):
                name = "high-high" if accuracy_M[i] > median else "low-low"
                expected[name] += [curve_G, curve_G[::-1]]
            else:
                forward = accuracy_M[i] > median
                expected["high-low"].append(curve_G if forward else curve_G[::-1])
        for pairing, found in expected.items():
            np.testing.assert_allclose(table.loc[(data, pairing), "loss"], np.mean(found, axis=0))
            both = 1 if pairing == "high-low" else 2
            assert set(table.loc[(data, pairing), "n_pairs"]) == {len(found) // both}


def test_curves_of_images_are_of_all_pairs_and_two_networks_have_no_interval():
    for blocks, n_pairs in (((0, 0, 1), 3), ((0, 1), 1)):
        images = Family(made_family(DATA, blocks=blocks, **IMAGES), DATA, SETTINGS)
        table = curves.curves_table([images])
        assert set(table["pairing"]) == {"all"}
        assert set(table["n_pairs"]) == {n_pairs}
        assert (table[["low", "high"]].isna() == (n_pairs == 1)).all(axis=None)


@pytest.mark.parametrize("side_M", [np.full(8, "all"), np.array(["high", "low"] * 4)])
def test_intervals_of_curves_mind_that_pairs_share_networks(side_M):
    """Loss of a pair is the sum of its networks' own, and of its examples'."""
    rng = np.random.default_rng(0)
    pairs = itertools.combinations(range(8), 2)
    pairs_P2 = np.array([(i, j) for i, j in pairs if side_M[i] == "all" or side_M[i] != side_M[j]])
    held = naive = 0
    for _ in range(300):
        own_P = rng.normal(0, 1, 8)[pairs_P2].sum(axis=1)
        loss_PGN = (own_P[:, None] + rng.normal(0, 3, 40))[:, None]
        ((mean, low, high),) = curves.with_interval(loss_PGN, pairs_P2, side_M, 0.9)
        assert mean == pytest.approx(loss_PGN.mean())
        held += low <= 0 <= high
        naive += abs(mean) <= 1.645 * loss_PGN.std() / np.sqrt(loss_PGN.size)
    assert naive / 300 < 0.5
    assert held / 300 == pytest.approx(0.9, abs=0.06)


def test_the_jackknife_of_a_mean_is_its_variance():
    """With one network on the one side, the mean is over those of the other."""
    rng = np.random.default_rng(0)
    own_M = rng.normal(size=6)
    loss_PGN = np.tile(own_M[:, None, None], (1, 1, 5))
    pairs_P2 = np.array([(6, i) for i in range(6)] + [(7, i) for i in range(6)])
    side_M = np.array(["low"] * 6 + ["high"] * 2)
    ((mean, low, high),) = curves.with_interval(np.tile(loss_PGN, (2, 1, 1)), pairs_P2, side_M, 0.9)
    expected = stats.t.interval(0.9, 5, own_M.mean(), stats.sem(own_M))
    np.testing.assert_allclose((mean, low, high), (own_M.mean(), *expected))


def test_planes_are_tables_of_their_grid_and_corners(family):
    plane = family.connections.planes["high"]
    table = curves.planes_table([family])
    wide = table.pivot(index="y", columns="x", values="loss")
    np.testing.assert_allclose(wide.to_numpy(), plane.loss_BA)
    assert (wide.columns == plane.x_A).all()
    assert (wide.index == plane.y_B).all()
    points = curves.points_table([family])
    assert points["model"].tolist() == list(plane.members)
    np.testing.assert_allclose(points[["x", "y"]], plane.points_32)
