"""Tables of families of networks: one row a pair, network, group of examples, clustering, step."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dissent import basins, connectivity
from dissent.bootstrap import multinomial_interval, percentile_interval
from dissent.connected_families import Family, Measured

RECLUSTERED = 100  # resamples of the examples whose clusters are compared
PAIRS = ["family", "step", "first", "second", "kept", "barrier", "convexity_gap"]
PAIRS += ["convexity_gap_low", "convexity_gap_high", "area", "bump", "distance"]
MEMBERS = ["family", "step", "model", "head", "order", "tune", "in_domain", "in_domain_low"]
MEMBERS += ["in_domain_high", "n", "kept", "cluster", "membership", "strategy", "sharpness"]
DIAGNOSTICS = ["family", "step", "model", "data", "group", "accuracy", "low", "high", "n"]
CLUSTERS = ["family", "step", "n_models", "n_kept", "affinity_scale", "k", "size_large"]
CLUSTERS += ["size_small", "eigengap", "eigenvalues", "stability_examples", "stability_seeds"]
CLUSTERS += ["gap_within", "gap_between", "gap_ratio"]
DYNAMICS = ["family", "model", "step", "membership", "cluster", "strategy", "early_agrees"]
CHECKS = ["family", "step", "triangle_violations", "n_triangles", "clustering_coefficient"]


def pairs_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row a family, step and pair, with PAIRS; intervals resample examples."""
    parts = [pd.DataFrame(_pairs(here)) for here in measured]
    return pd.concat(parts)[PAIRS]


def _pairs(here: Measured) -> dict[str, Any]:
    family, connections = here.family, here.family.connections
    first_P, second_P = np.array(connections.pairs).T
    models_M = np.array([member.model for member in connections.members], dtype=object)
    curve_PG = connections.loss_PGN[here.step].mean(axis=2, dtype=np.float64)
    gap_RP = here.resampled["convexity_gap"]
    low_P, high_P = percentile_interval(gap_RP[1:], family.settings.level)
    return {
        "family": family.name,
        "step": here.step,
        "first": models_M[first_P],
        "second": models_M[second_P],
        "kept": family.kept_P,
        "barrier": here.resampled["barrier"][0],
        "convexity_gap": gap_RP[0],
        "convexity_gap_low": low_P,
        "convexity_gap_high": high_P,
        "area": connectivity.area(curve_PG),
        "bump": connectivity.bump(curve_PG),
        "distance": connections.distance_P[here.step].astype(np.float64),
    }


def members_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row a family, step and network, with MEMBERS; sharpness of the last step alone."""
    return pd.concat([pd.DataFrame(_members(here)) for here in measured])[MEMBERS]


def _members(here: Measured) -> dict[str, Any]:
    family, connections = here.family, here.family.connections
    members = connections.members
    right_Mn = family.right(connections.in_domain, here.step)
    low_M, high_M = accuracy_interval(right_Mn, family)
    sharpness_M = connections.sharpness_M if here.step == family.last else None
    return {
        "family": family.name,
        "step": here.step,
        "model": [member.model for member in members],
        "head": pd.array([member.head for member in members], dtype="Int64"),
        "order": pd.array([member.order for member in members], dtype="Int64"),
        "tune": family.tune(here.step),
        "in_domain": right_Mn.mean(axis=1),
        "in_domain_low": low_M,
        "in_domain_high": high_M,
        "n": right_Mn.shape[1],
        "kept": family.kept_M,
        "cluster": cluster_of_members(here),
        "membership": membership_of_members(here),
        "strategy": family.strategy_accuracy(here.step),
        "sharpness": np.nan if sharpness_M is None else sharpness_M.astype(np.float64),
    }


def cluster_of_members(here: Measured) -> np.ndarray:
    """Names [M] of clusters; None of networks that are in none."""
    named_M = np.full(len(here.family.kept_M), None, dtype=object)
    if here.clusters:
        named_M[here.family.kept_M] = here.clusters.named_K
    return named_M


def membership_of_members(here: Measured) -> np.ndarray:
    """Membership [M]; NaN of networks that are in no cluster."""
    membership_M = np.full(len(here.family.kept_M), np.nan)
    if here.clusters:
        membership_M[here.family.kept_M] = here.clusters.membership_K
    return membership_M


def accuracy_interval(right_Mn: np.ndarray, family: Family) -> np.ndarray:
    """Bootstrap interval of each network's accuracy over examples, [2, M]."""
    n_right_M = right_Mn.sum(axis=1)
    return multinomial_interval(
        np.stack([n_right_M, right_Mn.shape[1] - n_right_M], axis=1),
        lambda counts: counts[..., 0] / counts.sum(axis=-1),
        family.settings.resamples,
        family.settings.seed,
        family.settings.level,
    )


def diagnostics_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row a family, step, diagnostic data set, group of it and network, with DIAGNOSTICS.

    Each report example is in one group; those of a data set without groups are in one named "all".
    """
    parts = [
        pd.DataFrame(row)
        for here in measured
        for data in here.family.connections.diagnostics
        for row in _groups(here, data)
    ]
    return _joined(parts, DIAGNOSTICS)


def _joined(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """One table of parts with these columns; of none, an empty one."""
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def _groups(here: Measured, data: str) -> Iterator[dict[str, Any]]:
    family = here.family
    for group in family.groups(data):
        right_Mn = family.right(data, here.step, group=group)
        low_M, high_M = accuracy_interval(right_Mn, family)
        yield {
            "family": family.name,
            "step": here.step,
            "model": [member.model for member in family.connections.members],
            "data": data,
            "group": group,
            "accuracy": right_Mn.mean(axis=1),
            "low": low_M,
            "high": high_M,
            "n": right_Mn.shape[1],
        }


def clusters_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row a family and step, with CLUSTERS; all but the counts empty without clusters.

    `eigengap` is the eigenvalue after the k smallest less the last of these; `gap_ratio` is empty
    if networks of a cluster have no gap at all between them.
    """
    table = pd.DataFrame([_clusters(here) for here in measured], columns=CLUSTERS)
    return table.astype(dict.fromkeys(("k", "size_large", "size_small"), "Int64"))


def _clusters(here: Measured) -> dict[str, Any]:
    family, settings = here.family, here.family.settings
    counts = {"n_models": len(family.kept_M), "n_kept": family.kept_M.sum()}
    row = {"family": family.name, "step": here.step, **counts}
    if not here.clusters:
        return row
    k, scale = settings.clusters, settings.affinity_scale
    found_K, named_K, _, eigenvalues_K = here.clusters
    within, across = basins.contrast(here.gap_KK, found_K)
    of_examples, of_seeds = basins.stability(
        here.gap_KK, here.gap_RP[1 : 1 + RECLUSTERED], scale, k, settings.seed
    )
    return row | {
        "affinity_scale": scale,
        "k": k,
        **{f"size_{name}": (named_K == name).sum() for name in basins.NAMES},
        "eigengap": eigenvalues_K[k] - eigenvalues_K[k - 1] if k < len(eigenvalues_K) else np.nan,
        "eigenvalues": " ".join(f"{max(value, 0):.12f}" for value in eigenvalues_K),
        "stability_examples": of_examples,
        "stability_seeds": of_seeds,
        "gap_within": within,
        "gap_between": across,
        "gap_ratio": across / within if within else np.nan,
    }


def dynamics_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row a family with a strategy, step and network, with DYNAMICS.

    Clusters are named as at the last step, and `early_agrees` says of the steps before it whether a
    network is in the cluster it ends in.
    """
    ends = {here.family.name: cluster_of_members(here) for here in measured}
    parts = []
    for here in measured:
        family = here.family
        if family.strategy:
            cluster_M = cluster_of_members(here)
            agrees_M = np.full(len(cluster_M), None, dtype=object)
            if here.clusters and here.step != family.last:
                agrees_M[family.kept_M] = (cluster_M == ends[family.name])[family.kept_M]
            row = {"family": family.name, "step": here.step, "cluster": cluster_M}
            row["model"] = [member.model for member in family.connections.members]
            row["membership"] = membership_of_members(here)
            row["strategy"] = family.strategy_accuracy(here.step)
            parts.append(pd.DataFrame(row | {"early_agrees": agrees_M}))
    return _joined(parts, DYNAMICS)


def checks_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row a family and step, with CHECKS of the kept networks' gaps.

    `triangle_violations` counts triangles, of `n_triangles`.
    """
    rows = []
    for here in measured:
        triangles = basins.triangle_violations(here.gap_KK)
        coefficient = basins.clustering_coefficient(here.gap_KK)
        rows.append((here.family.name, here.step, *triangles, coefficient))
    return pd.DataFrame(rows, columns=CHECKS)
