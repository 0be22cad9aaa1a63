"""Mean losses on the paths between networks of families, and on planes through three."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dissent.connected_families import Family
from dissent.welch_intervals import variance_of_mean, welch_interval

CURVES = ["family", "data", "pairing", "share", "loss", "low", "high", "n_pairs"]
PLANES = ["family", "plane", "x", "y", "loss"]
POINTS = ["family", "plane", "model", "x", "y"]
SIDES = ("high", "low")
ALL = "all"


def curves_table(families: Sequence[Family]) -> pd.DataFrame:
    """One row a family, data set, pairing and point of the paths, with CURVES; of the last step.

    Pairs of kept networks are told apart by whether these are above or below their median strategy
    accuracy; networks at the median are in no pair, and all pairs are one ("all") where there is no
    strategy. Share 0 is the high one's end in "high-low"; other pairs are taken in both directions.
    """
    rows = [row for family in families for row in _curves(family)]
    return pd.DataFrame(rows, columns=CURVES)


def _curves(family: Family) -> Iterator[tuple]:
    connections = family.connections
    side_M = sides(family)
    losses = {connections.interpolation: connections.loss_PGN[family.last]}
    for data, loss_PGN in (losses | connections.path_losses_PGN).items():
        for pairing in pairings(side_M):
            chosen_P, oriented_PGN = paths(family, loss_PGN, side_M, pairing)
            if not chosen_P.any():
                continue
            pairs_P2 = np.array(connections.pairs)[chosen_P]
            curve = with_interval(oriented_PGN, pairs_P2, side_M, family.settings.level)
            for share, point in zip(connections.shares_G, curve, strict=True):
                yield (family.name, data, "-".join(pairing), share, *point, len(pairs_P2))


def sides(family: Family) -> np.ndarray:
    """Which side of the median strategy accuracy kept networks are on, [M]; "" of others.

    All kept ones are on one side, "all", if there is no strategy.
    """
    side_M = np.full(len(family.kept_M), "", dtype="U4")
    if not family.strategy:
        side_M[family.kept_M] = ALL
        return side_M
    accuracy_M = family.strategy_accuracy(family.last)
    if family.kept_M.any():
        median = np.median(accuracy_M[family.kept_M])
        side_M[family.kept_M & (accuracy_M > median)] = "high"
        side_M[family.kept_M & (accuracy_M < median)] = "low"
    return side_M


def pairings(side_M: np.ndarray) -> list[tuple[str, ...]]:
    """Sides of a pair's networks; one of both if there is one alone."""
    if (side_M == ALL).any():
        return [(ALL,)]
    high, low = SIDES
    return [(high, high), (high, low), (low, low)]


def paths(
    family: Family, loss_PGN: np.ndarray, side_M: np.ndarray, pairing: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs are of a pairing, bool [P], and their losses in its direction, or in both."""
    first, second = pairing[0], pairing[-1]
    sides_P2 = side_M[np.array(family.connections.pairs)]
    forward_P = (sides_P2 == (first, second)).all(axis=1)
    backward_P = (sides_P2 == (second, first)).all(axis=1)
    reversed_PGN = loss_PGN[:, ::-1].astype(np.float64)
    chosen_P = forward_P | backward_P
    if first == second:
        return chosen_P, (loss_PGN[chosen_P] + reversed_PGN[chosen_P]) / 2
    turned_PGN = np.where(backward_P[:, None, None], reversed_PGN, loss_PGN)
    return chosen_P, turned_PGN[chosen_P]


def with_interval(
    loss_PGN: np.ndarray, pairs_P2: np.ndarray, side_M: np.ndarray, level: float
) -> Iterator[tuple[float, float, float]]:
    """Mean over pairs and examples at each point of the paths, with its interval.

    Pairs that share a network are not independent: the variance over networks is that of leaving
    each out (the jackknife), of each side, and adds to that over examples, with Student's t
    (`welch_intervals.welch_interval`). The bootstrap over networks is too narrow for so few. NaN
    where no pair is left without one of the networks.
    """
    without_MG, networks = {}, np.unique(pairs_P2)
    curve_PG = loss_PGN.mean(axis=2)
    for network in networks:
        others_P = (pairs_P2 != network).all(axis=1)
        without_MG[network] = curve_PG[others_P].mean(axis=0) if others_P.any() else np.nan
    by_side = [
        np.array([without_MG[network] for network in networks if side_M[network] == side])
        for side in np.unique(side_M[networks])
    ]
    freedoms = [*(len(of_side) - 1 for of_side in by_side), loss_PGN.shape[2] - 1]
    for point, loss_PN in enumerate(loss_PGN.transpose(1, 0, 2)):
        mean = float(loss_PN.mean())
        if any(np.isnan(of_side).any() for of_side in by_side):
            yield mean, np.nan, np.nan
            continue
        variances = [_jackknife_variance(of_side[:, point]) for of_side in by_side]
        variances.append(variance_of_mean(loss_PN.mean(axis=0)))
        yield mean, *welch_interval(mean, variances, freedoms, level)


def _jackknife_variance(without_M: np.ndarray) -> float:
    """Variance of a mean from what it is without each network."""
    return (len(without_M) - 1) * without_M.var()


def planes_table(families: Sequence[Family]) -> pd.DataFrame:
    """One row a family, plane and point of its grid, with PLANES."""
    rows = [
        (family.name, name, float(x), float(y), float(plane.loss_BA[b, a]))
        for family in families
        for name, plane in family.connections.planes.items()
        for b, y in enumerate(plane.y_B)
        for a, x in enumerate(plane.x_A)
    ]
    return pd.DataFrame(rows, columns=PLANES)


def points_table(families: Sequence[Family]) -> pd.DataFrame:
    """One row a family, plane and network that it is through, with POINTS."""
    rows = [
        (family.name, name, model, float(x), float(y))
        for family in families
        for name, plane in family.connections.planes.items()
        for model, (x, y) in zip(plane.members, plane.points_32, strict=True)
    ]
    return pd.DataFrame(rows, columns=POINTS)
