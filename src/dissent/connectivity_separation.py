"""How clusters of networks differ in what they generalise to, and the statistics of the claims.

Clusters and membership are found from gaps alone, so that accuracies can be dealt anew among
networks: p values are of that. Intervals are for new networks of the same recipe, those of gaps for
new examples and these networks.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from dissent import associations, basins, connectivity
from dissent.associations import oriented, pearson, pearson_interval
from dissent.clusters import permutation_p
from dissent.connected_families import WHOLE, Measured
from dissent.method_comparison import STATISTICS
from dissent.progress import progress

SHUFFLES = 199  # of the gaps, to see what clusters there are by chance
SEPARATION = ["family", "step", "data", "group", "large", "small", "difference", "low", "high", "p"]
SEPARATION += ["r_membership", "r_low", "r_high", "p_membership"]
SEPARATION += ["r_sharpness", "r_sharpness_low", "r_sharpness_high", "r_in_domain"]
SEPARATION += ["mantel_r", "mantel_p"]
relabellings = cache(associations.relabellings)


def separation_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row a family with clusters, step, data set and group of it, with SEPARATION.

    The first row is the in-domain set (group "all"): clusters of equal accuracy do not differ in
    it. Correlations are Pearson's, with the accuracy of kept networks on the group.
    """
    rows = []
    for here in progress(measured, "testing clusters", len(measured)):
        if here.clusters:
            connections = here.family.connections
            rows.append(_row(here, connections.in_domain, None))
            for data in connections.diagnostics:
                rows += [_row(here, data, group) for group in here.family.groups(data)]
    return pd.DataFrame(rows, columns=SEPARATION)


def _row(here: Measured, data: str, group: str | None) -> dict[str, Any]:
    family, settings = here.family, here.family.settings
    right_Kn = family.right(data, here.step, group=group)[family.kept_M]
    accuracy_K = right_Kn.mean(axis=1)
    index_RK = relabellings(len(accuracy_K), settings.permutations, settings.seed)
    membership_K = here.clusters.membership_K
    r = pearson(membership_K, accuracy_K)
    r_low, r_high = pearson_interval(r, len(accuracy_K), settings.level)
    mantel_r, mantel_p = associations.mantel(here.gap_RP[0], accuracy_K, index_RK)
    row = {
        **{"family": family.name, "step": here.step, "data": data, "group": group or WHOLE},
        **clusters_apart(here, right_Kn),
        **{"r_membership": r, "r_low": r_low, "r_high": r_high},
        "p_membership": associations.pearson_p(membership_K, accuracy_K, index_RK),
        "r_in_domain": pearson(in_domain(here).mean(axis=1), accuracy_K),
        **{"mantel_r": mantel_r, "mantel_p": mantel_p},
    }
    if (sharpness_K := sharpness(here)) is not None:
        r = pearson(sharpness_K, accuracy_K)
        low, high = pearson_interval(r, len(accuracy_K), settings.level)
        row |= {"r_sharpness": r, "r_sharpness_low": low, "r_sharpness_high": high}
    return row


def clusters_apart(here: Measured, right_Kn: np.ndarray) -> dict[str, float]:
    """Mean accuracy of the large and the small cluster, and how they differ."""
    settings, named_K = here.family.settings, here.clusters.named_K
    large_K, small_K = (named_K == name for name in basins.NAMES)
    accuracy_K = right_Kn.mean(axis=1)
    value, low, high = associations.difference(right_Kn, large_K, small_K, settings.level)
    either_K = large_K | small_K
    return {
        "large": accuracy_K[large_K].mean(),
        "small": accuracy_K[small_K].mean(),
        **{"difference": value, "low": low, "high": high},
        "p": permutation_p(
            accuracy_K[either_K], large_K[either_K], settings.permutations, settings.seed
        ),
    }


def in_domain(here: Measured) -> np.ndarray:
    """Which kept networks classify which in-domain report examples rightly, bool [K, n]."""
    family = here.family
    return family.right(family.connections.in_domain, here.step)[family.kept_M]


def sharpness(here: Measured) -> np.ndarray | None:
    """Sharpness [K] of kept networks, which is of the last step alone; None if not measured."""
    sharpness_M = here.family.connections.sharpness_M
    if sharpness_M is None or here.step != here.family.last:
        return None
    return sharpness_M[here.family.kept_M].astype(np.float64)


def statistics_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """The statistics of claims, with STATISTICS, of each family's last step; names begin with it.

    smallest_barrier, largest_barrier, smallest_gap, largest_gap
        Of all kept pairs, in nats, with an interval over examples that is of all pairs at once.
    gap_beyond_chance
        Convexity gap across less that within clusters, less the median of the same where gaps are
        shuffled (`basins.shuffled_contrasts`); the interval is the spread of these.
    strategy_difference, in_domain_difference
        Between the clusters' accuracies, with the sign that makes the former positive.
    membership_r, membership_r_over_sharpness_r
        |r| of membership with the accuracy that tells strategies apart, and less that of sharpness.
    early_membership_r
        |r| of membership at the first step with that at the last.
    """
    rows = []
    firsts = {here.family.name: here for here in reversed(measured)}
    for here in measured:
        if here.step == here.family.last:
            prefix = here.family.name.replace("-", "_")
            found = _statistics(here, firsts[here.family.name])
            rows += [(f"{prefix}_{name}", *row) for name, row in found.items()]
    return pd.DataFrame(rows, columns=STATISTICS)


def _statistics(here: Measured, first: Measured) -> dict[str, tuple]:
    level, kept_P = here.family.settings.level, here.family.kept_P
    found: dict[str, tuple] = {}
    if kept_P.any():
        for name, measure in (("barrier", "barrier"), ("gap", "convexity_gap")):
            ends = connectivity.extremes(here.resampled[measure][:, kept_P], level)
            for which, values in ends.items():
                found[f"{which}_{name}"] = (*values, kept_P.sum(), "pairs")
    if not here.clusters:
        return found
    count = len(here.clusters.named_K), "models"
    found["gap_beyond_chance"] = (*gap_beyond_chance(here), *count)
    membership_K = here.clusters.membership_K
    if here.family.strategy:
        found |= {name: (*row, *count) for name, row in _of_strategy(here).items()}
    if first.step != here.step and first.clusters:
        r = abs(pearson(first.clusters.membership_K, membership_K))
        found["early_membership_r"] = (r, *pearson_interval(r, count[0], level), *count)
    return found


def gap_beyond_chance(here: Measured) -> tuple[float, float, float]:
    """How much further apart clusters are than those of shuffled gaps, and its interval."""
    settings = here.family.settings
    within, across = basins.contrast(here.gap_KK, here.clusters.found_K)
    chance_R = basins.shuffled_contrasts(
        here.gap_KK, settings.affinity_scale, settings.clusters, SHUFFLES, settings.seed
    )
    tail = (1 - settings.level) / 2
    low, middle, high = np.quantile(chance_R, [tail, 0.5, 1 - tail])
    return across - within - middle, across - within - high, across - within - low


def _of_strategy(here: Measured) -> dict[str, tuple[float, float, float]]:
    family, level = here.family, here.family.settings.level
    data, group = family.strategy
    right_Kn = family.right(data, here.step, group=group)[family.kept_M]
    large_K, small_K = (here.clusters.named_K == name for name in basins.NAMES)
    apart = associations.difference(right_Kn, large_K, small_K, level)
    before = associations.difference(in_domain(here), large_K, small_K, level)
    if apart[0] < 0:
        before = -before[0], -before[2], -before[1]
    accuracy_K, membership_K = right_Kn.mean(axis=1), here.clusters.membership_K
    r = abs(pearson(membership_K, accuracy_K))
    found = {
        "strategy_difference": oriented(*apart),
        "in_domain_difference": before,
        "membership_r": (r, *pearson_interval(r, len(accuracy_K), level)),
    }
    if (sharpness_K := sharpness(here)) is not None:
        found["membership_r_over_sharpness_r"] = associations.stronger(
            accuracy_K, membership_K, sharpness_K, level
        )
    return found
