"""Families of networks with the gaps between them, who of them is compared, and their clusters.

Only networks of about equal accuracy on the split tune at the last step are compared ("kept"), a
choice that sees neither gaps nor diagnostics. Clusters see gaps alone.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dissent import basins, connectivity
from dissent.commandline import InputError
from dissent.connections import Connections, check_data, read_connections
from dissent.examples import Examples
from dissent.progress import log

WHOLE = "all"  # the group of a data set without groups
ROUNDING = 1e-9  # of differences in accuracy


class Settings(NamedTuple):
    """How families are compared; the window is in accuracy, the affinity's scale in nats."""

    window: float
    affinity_scale: float
    clusters: int
    permutations: int
    resamples: int
    level: float
    strategy: Mapping[str, str] | None = None
    seed: int = 0


@dataclass(frozen=True)
class Family:
    """A family and the data sets, by name, that its file is of."""

    connections: Connections
    data: Mapping[str, Examples]
    settings: Settings

    @property
    def name(self) -> str:
        return self.connections.family

    @property
    def last(self) -> int:
        return self.connections.steps[-1]

    @cached_property
    def strategy(self) -> tuple[str, str] | None:
        """Data set and group that tell strategies apart; None if nothing says so of this family."""
        strategy = self.settings.strategy
        if not strategy or strategy["data"] not in self.connections.diagnostics:
            return None
        data, group = strategy["data"], strategy["group"]
        if group not in (known := self.groups(data)):
            raise InputError(
                f"data set {data!r} has no group {group!r} in split report: name one of "
                f"{', '.join(map(repr, known))} in `strategy`"
            )
        return data, group

    def groups(self, data: str) -> list[str]:
        """Groups of the report examples of a data set, sorted."""
        return sorted({*self._groups_N(data)[self._of_split_N(data, "report")].tolist()})

    def right(self, data: str, step: int, split="report", group: str | None = None) -> np.ndarray:
        """Which networks classify which examples of a split or a group of it rightly, bool [M, n].

        A network that diverged, of which everything is NaN, is right on none.
        """
        chosen_N = self._of_split_N(data, split)
        if group is not None:
            chosen_N = chosen_N & (self._groups_N(data) == group)
        positions_n = self.connections.positions_N[data][chosen_N]
        logits_MnC = self.connections.logits_MNC[data][step][:, chosen_N]
        finite_Mn = np.isfinite(logits_MnC).all(axis=2)
        return finite_Mn & (logits_MnC.argmax(axis=2) == self.data[data].labels[positions_n])

    def tune(self, step: int) -> np.ndarray:
        """Accuracy of the networks on the split tune, [M]; NaN where the file has no such."""
        right_Mn = self.right(self.connections.in_domain, step, "tune")
        return right_Mn.mean(axis=1) if right_Mn.size else np.full(len(right_Mn), np.nan)

    def strategy_accuracy(self, step: int) -> np.ndarray:
        """Accuracy of the networks on the group that tells strategies apart, [M], or NaN."""
        if not self.strategy:
            return np.full(len(self.connections.members), np.nan)
        data, group = self.strategy
        return self.right(data, step, group=group).mean(axis=1)

    @cached_property
    def kept_M(self) -> np.ndarray:
        """Networks within the window of the best on tune; all where there is no strategy to test.

        None that diverged.
        """
        logits = self.connections.logits_MNC[self.connections.in_domain].values()
        finite_M = np.all([np.isfinite(of_step).all(axis=(1, 2)) for of_step in logits], axis=0)
        tune_M = self.tune(self.last)
        if not self.strategy or not finite_M.any() or np.isnan(tune_M).any():
            return finite_M
        best = tune_M[finite_M].max()
        return finite_M & (tune_M >= best - self.settings.window - ROUNDING)

    @cached_property
    def kept_P(self) -> np.ndarray:
        """Pairs of networks that are both kept."""
        return self.kept_M[np.array(self.connections.pairs)].all(axis=1)

    def _groups_N(self, data: str) -> np.ndarray:
        examples = self.data[data]
        groups = examples.groups or [WHOLE] * len(examples.ids)
        return np.array(groups)[self.connections.positions_N[data]]

    def _of_split_N(self, data: str, split: str) -> np.ndarray:
        return self.data[data].splits_N[self.connections.positions_N[data]] == split


class Clusters(NamedTuple):
    """Clusters of the kept networks (K) at a step.

    `found_K` numbers them, `named_K` are their names, those at the last step as far as can be.
    """

    found_K: np.ndarray
    named_K: np.ndarray
    membership_K: np.ndarray
    eigenvalues_K: np.ndarray


class Measured(NamedTuple):
    """A family at a step: `connectivity.resampled` of all pairs, and clusters if there are any."""

    family: Family
    step: int
    resampled: dict[str, np.ndarray]
    clusters: Clusters | None

    @property
    def gap_RP(self) -> np.ndarray:
        """Convexity gaps of kept pairs, [1 + R, P]."""
        return self.resampled["convexity_gap"][:, self.family.kept_P]

    @property
    def gap_KK(self) -> np.ndarray:
        """Convexity gaps of kept networks."""
        return basins.square(self.gap_RP[0], self.family.kept_M.sum())


def read_families(
    paths: Sequence[str | os.PathLike], data_sets: Iterable[Examples], settings: Settings
) -> list[Family]:
    """Families of connections files; InputError if a data set is missing or not the file's."""
    by_name = {examples.name: examples for examples in data_sets}
    families: dict[str, Family] = {}
    for path in paths:
        connections = read_connections(path)
        if not connections.pairs:
            raise InputError(f"{path} is of one network: give a family of two or more")
        for name in sorted(connections.data):
            if name not in by_name:
                raise InputError(f"{path} is of the data set {name!r}: give its file in --data too")
            check_data(path, connections, by_name[name])
        if connections.family in families:
            raise InputError(
                f"{path}: there is another file of the family {connections.family!r}: give one"
            )
        families[connections.family] = Family(connections, by_name, settings)
    return [*families.values()]


def measure(family: Family) -> list[Measured]:
    """A family at all its steps, in their order; clusters have the names of the last."""
    seed, resamples = family.settings.seed, family.settings.resamples
    measured: list[Measured] = []
    names_K = None
    for step in reversed(family.connections.steps):
        rng = np.random.default_rng(seed)  # the same resamples of examples at all steps
        losses_PGN = family.connections.loss_PGN[step]
        here = Measured(family, step, connectivity.resampled(losses_PGN, resamples, rng), None)
        here = here._replace(clusters=cluster(here, names_K))
        if here.clusters and names_K is None:
            names_K = here.clusters.named_K
        measured.insert(0, here)
    if not measured[-1].clusters:
        log.warning(
            "family %r: no clusters, for which %d networks of it have to be compared, not %d",
            *(family.name, fewest(family), family.kept_M.sum()),
        )
    return measured


def fewest(family: Family) -> int:
    """How many networks have to be kept for clusters."""
    return max(basins.LEAST_MEMBERS, family.settings.clusters)


def cluster(measured: Measured, names_K: np.ndarray | None) -> Clusters | None:
    """Clusters of the kept networks; None if these are too few, or all in one place."""
    family, k = measured.family, measured.family.settings.clusters
    if family.kept_M.sum() < fewest(family):
        return None
    affinity_KK = basins.affinity(measured.gap_KK, family.settings.affinity_scale)
    found_K, eigenvalues_K = basins.spectral(affinity_KK, k, family.settings.seed)
    if len(np.unique(found_K)) < k:
        return None
    if names_K is None:
        tie_K = family.strategy_accuracy(measured.step)[family.kept_M]
        named_K = basins.by_size(found_K, tie_K)
    else:
        named_K = basins.as_named(found_K, names_K)
    large_K = named_K == basins.NAMES[0]
    membership_K = basins.membership(affinity_KK, large_K, family.settings.seed)
    return Clusters(found_K, named_K, membership_K, eigenvalues_K)
