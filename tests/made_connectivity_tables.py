"""Synthetic tables of linear connectivity, with the columns that compare_connectivity.py writes.

`CASES` are what runs may have: `full` two arms of fine-tunings and three families of images, one
model out of the window and one that diverged; `one` a single arm; `users` models of one's own, of
one step, in no arm; `few` three models in the window, so no clusters; `none` no pair at all in it.
"""

from itertools import combinations, product

import numpy as np
import pandas as pd

IN_DOMAIN, INTERPOLATION, DIAGNOSTICS = "pairs", "mixed-pairs", ("heuristics", "word-swaps")
STRATEGY = ("heuristics", "subsequence, non-entailment")
GROUPS = {
    "heuristics": [
        f"{heuristic}, {label}"
        for heuristic in ("lexical overlap", "subsequence", "constituent")
        for label in ("entailment", "non-entailment")
    ],
    "word-swaps": ["passive", "swapped names"],
}
SHARES = np.arange(10) / 9
TEXT = {"orders": (1, 8), "heads": (6, 1)}
CASES = {
    "full": {"arms": TEXT, "steps": [75, 150], "out": 1, "diverged": 1, "images": True},
    "one": {"arms": {"orders": (1, 12)}, "steps": [50, 100, 150], "planes": ["mixed"]},
    "users": {"arms": {"models": (0, 5)}, "steps": [0], "planes": []},
    "few": {"arms": {"orders": (1, 5)}, "steps": [75, 150], "out": 2, "planes": []},
    "none": {"arms": {"orders": (1, 3)}, "steps": [150], "out": 2, "planes": []},
}
IMAGES = {"separate": 0.9, "aligned": 0.5, "one-run": 0.01}
IMAGE_MODELS = {"separate": "resnet-s{}", "aligned": "resnet-s{}", "one-run": "branch-{}"}


def tables_of(case):
    """All tables of one of the cases, by name."""
    made = CASES[case]
    rng = np.random.default_rng(len(case))
    members = members_table(made, rng)
    pairs = pairs_table(members, rng)
    tables = {
        "members": members,
        "pairs": pairs,
        "diagnostics": diagnostics_table(members, rng),
        "clusters": clusters_table(members, pairs),
        "separation": separation_table(members, rng),
        "curves": curves_table(members, pairs),
        "dynamics": dynamics_table(members),
        "checks": checks_table(members, rng),
    }
    return tables | planes_tables(members, made.get("planes", ["high", "low", "mixed"]))


def names(n_heads, n_orders):
    """Models of an arm with their seeds; of users, names that look like numbers or nothing."""
    if not n_heads:
        of_user = ["my-bert", "007", "None", "a-model-with-quite-a-long-name-1", "small"]
        return [(name, None, None) for name in of_user[:n_orders]]
    seeds = product(range(n_heads), range(n_orders))
    return [(f"head-{head}-order-{order}", head, order) for head, order in seeds]


def members_table(made, rng):
    rows = []
    for family, counts in made["arms"].items():
        models = names(*counts)
        n_out = made.get("out", 0) if family == next(iter(made["arms"])) else 0
        n_diverged = made.get("diverged", 0) if family == "heads" else 0
        highs = rng.permutation(len(models)) < 0.6 * len(models)
        strategies = np.where(highs, 0.8, 0.2) + rng.normal(0, 0.06, len(models))
        for step, (i, (model, head, order)) in product(made["steps"], enumerate(models)):
            left = 1 - step / made["steps"][-1] if made["steps"][-1] else 0
            kept = n_diverged <= i < len(models) - n_out
            accuracy = 0.5 if i < n_diverged else 0.995 - 0.03 * (not kept)
            row = {"family": family, "step": step, "model": model, "head": head, "order": order}
            row |= {"tune": accuracy, "in_domain": accuracy - 0.004 - 0.001 * (i % 4)}
            strategy = strategies[i] + left * (0.5 - strategies[i])
            # One of each arm changes sides after the first step.
            high = highs[i] ^ (i == 2 and step == made["steps"][0] < made["steps"][-1])
            rows.append(row | {"n": 1000, "kept": kept, "strategy": strategy, "high": high})
    for family in IMAGES if made.get("images") else ():
        for i in range(4):
            row = {"family": family, "step": 0, "model": IMAGE_MODELS[family].format(i)}
            row |= {"tune": 0.93 - 0.001 * i, "in_domain": 0.92 - 0.002 * i}
            rows.append(row | {"n": 400, "kept": True, "high": i < 3})
    table = pd.DataFrame(rows)
    table["in_domain_low"] = table["in_domain"] - 0.006
    table["in_domain_high"] = (table["in_domain"] + 0.006).clip(upper=1)
    clustered = table["kept"] & (table.groupby(["family", "step"])["kept"].transform("sum") >= 4)
    sizes = np.where(table["high"].astype(bool), "large", "small")
    table["cluster"] = pd.Series(sizes).where(clustered)
    membership = np.where(table["high"], -0.4, 0.6) + rng.normal(0, 0.1, len(table))
    table["membership"] = pd.Series(membership).where(clustered)
    last = table["step"] == table.groupby("family")["step"].transform("max")
    sharpness = np.exp(rng.normal(1 + table["high"].astype(float), 0.5))
    table["sharpness"] = pd.Series(sharpness).where(last & (table["tune"] > 0.9))
    columns = [
        *("family", "step", "model", "head", "order", "tune", "in_domain", "in_domain_low"),
        *("in_domain_high", "n", "kept", "cluster", "membership", "strategy", "sharpness"),
    ]
    return table.reindex(columns=[*columns, "high"]).drop(columns="high")


def is_image(family):
    return family in IMAGES


def apart(one, other):
    """Whether two rows of members.csv are on different sides."""
    if one.cluster in ("large", "small") and other.cluster in ("large", "small"):
        return one.cluster != other.cluster
    return abs(np.nan_to_num(one.strategy) - np.nan_to_num(other.strategy)) > 0.3


def pairs_table(members, rng):
    rows = []
    for (family, step), of_step in members.groupby(["family", "step"], sort=False):
        for one, other in combinations(of_step.itertuples(), 2):
            gap = (0.08 if apart(one, other) else 0.02) * np.exp(rng.normal(0, 0.25))
            gap = IMAGES[family] * np.exp(rng.normal(0, 0.1)) if is_image(family) else gap
            row = {"family": family, "step": step, "first": one.model, "second": other.model}
            row["kept"] = one.kept and other.kept
            gap = np.nan if min(one.tune, other.tune) < 0.9 else gap
            row |= {"barrier": 0.8 * gap, "convexity_gap": gap, "convexity_gap_low": 0.8 * gap}
            row |= {"convexity_gap_high": 1.3 * gap, "area": 0.5 * gap, "bump": 0.7 * gap}
            rows.append(row | {"distance": 3 + 10 * gap + rng.normal(0, 0.1)})
    return pd.DataFrame(rows)


def diagnostics_table(members, rng):
    rows = []
    texts = members[members["strategy"].notna()]
    for member, data in product(texts.itertuples(), DIAGNOSTICS):
        for group in GROUPS[data]:
            entailed = group.endswith(", entailment")
            accuracy = 0.95 if entailed else np.clip(rng.normal(member.strategy, 0.1), 0, 1)
            accuracy = member.strategy if (data, group) == STRATEGY else accuracy
            row = {"family": member.family, "step": member.step, "model": member.model}
            row |= {"data": data, "group": group, "accuracy": accuracy, "n": 100}
            ends = np.clip([accuracy - 0.08, accuracy + 0.08], 0, 1)
            rows.append(row | dict(zip(("low", "high"), ends, strict=True)))
    return pd.DataFrame(rows)


def clusters_table(members, pairs):
    rows = []
    for (family, step), of_step in members.groupby(["family", "step"], sort=False):
        kept = of_step[of_step["kept"].astype(bool)]
        row = {"family": family, "step": step, "n_models": len(of_step), "n_kept": len(kept)}
        rows.append(row | ({} if kept["cluster"].isna().any() else clusters_row(kept, pairs)))
    columns = [
        *("family", "step", "n_models", "n_kept", "affinity_scale", "k", "size_large"),
        *("size_small", "eigengap", "eigenvalues", "stability_examples", "stability_seeds"),
        *("gap_within", "gap_between", "gap_ratio"),
    ]
    return pd.DataFrame(rows).reindex(columns=columns)


def clusters_row(kept, pairs):
    of_cluster = dict(zip(kept["model"], kept["cluster"], strict=True))
    at = (pairs["family"] == kept["family"].iloc[0]) & (pairs["step"] == kept["step"].iloc[0])
    inside = pairs[at & pairs["kept"].astype(bool)]
    across = inside["first"].map(of_cluster) != inside["second"].map(of_cluster)
    gaps = inside["convexity_gap"]
    within, between = gaps[~across].mean(), gaps[across].mean()
    eigenvalues = [0, *np.linspace(0.93, 0.999, len(kept) - 1)]
    return {
        **{"affinity_scale": 1.0, "k": 2, "gap_within": within, "gap_between": between},
        **{"gap_ratio": between / within, "eigengap": eigenvalues[2] - eigenvalues[1]},
        "eigenvalues": " ".join(map(str, eigenvalues)),
        **{"stability_examples": 0.83, "stability_seeds": 1.0},
        **{f"size_{name}": (kept["cluster"] == name).sum() for name in ("large", "small")},
    }


def separation_table(members, rng):
    rows = []
    columns = [
        *("family", "step", "data", "group", "large", "small", "difference", "low", "high", "p"),
        *("r_membership", "r_low", "r_high", "p_membership", "r_sharpness", "r_sharpness_low"),
        *("r_sharpness_high", "r_in_domain", "mantel_r", "mantel_p"),
    ]
    texts = members[members["strategy"].notna()]
    for (family, step), of_step in texts.groupby(["family", "step"], sort=False):
        clustered = of_step[of_step["cluster"].notna()]
        groups = [(data, group) for data in DIAGNOSTICS for group in GROUPS[data]]
        for of in [(IN_DOMAIN, "all"), *groups] if len(clustered) else ():
            row = {"family": family, "step": step, "data": of[0], "group": of[1]}
            rows.append(row | separation_row(clustered, of, rng))
    return pd.DataFrame(rows).reindex(columns=columns)


def separation_row(clustered, of, rng):
    means = clustered.groupby("cluster")["strategy"].mean() if of == STRATEGY else {}
    large, small = (means.get(name, 0.5 + rng.normal(0, 0.1)) for name in ("large", "small"))
    r = clustered["membership"].corr(clustered["strategy"]) if of == STRATEGY else -0.2
    found = {"large": large, "small": small, "difference": large - small, "p": 0.0123}
    found |= {"low": large - small - 0.1, "high": large - small + 0.1}
    found |= {"r_membership": r, "r_low": max(r - 0.1, -1), "r_high": min(r + 0.3, 1)}
    found |= {"p_membership": 0.0002, "r_in_domain": 0.11, "mantel_r": 0.64, "mantel_p": 0.003}
    if clustered["sharpness"].isna().all():
        return found
    return found | {"r_sharpness": 0.21, "r_sharpness_low": -0.3, "r_sharpness_high": 0.61}


def curves_table(members, pairs):
    """Mean losses of pairs in the window, by whether both have a high strategy accuracy."""
    rows = []
    last = members[members["step"] == members.groupby("family")["step"].transform("max")]
    for family, of_family in last[last["kept"].astype(bool)].groupby("family", sort=False):
        high = of_family.set_index("model")["strategy"]
        high = high > high.median()
        for data in ["handwritten"] if is_image(family) else [INTERPOLATION, *DIAGNOSTICS[:1]]:
            at_least = {"high-high": 0, "high-low": 0, "low-low": 0}
            for one, other in combinations(high, 2):
                at_least["-".join(sorted(["high" if x else "low" for x in (one, other)]))] += 1
            found = {"all": len(high)} if is_image(family) else at_least
            for pairing, n_pairs in found.items():
                if n_pairs:
                    rows += curve(family, data, pairing, n_pairs)
    columns = ["family", "data", "pairing", "share", "loss", "low", "high", "n_pairs"]
    return pd.DataFrame(rows, columns=columns)


def curve(family, data, pairing, n_pairs):
    """Rows of one mean curve, after the shapes that the paper shows."""
    bump = {"high-high": 0.01, "high-low": 0.09, "low-low": 0.03, "all": 0.3}[pairing]
    bump *= 0.3 + 0.7 * (family != "orders")
    losses = 0.05 + bump * 4 * SHARES * (1 - SHARES)
    if data in DIAGNOSTICS:
        first, last = (0.4 if side == "high" else 2.5 for side in pairing.split("-"))
        losses = first + (last - first) * SHARES**2 + (family == "heads") * 0.2
        losses -= 0.3 * SHARES * (1 - SHARES)
    half = np.nan if n_pairs == 1 else 0.2 * losses
    ends = {"low": losses - half, "high": losses + half}
    table = pd.DataFrame({"share": SHARES, "loss": losses} | ends)
    of = {"family": family, "data": data, "pairing": pairing, "n_pairs": n_pairs}
    return table.assign(**of).to_dict("records")


def planes_tables(members, planes):
    losses, points = [], []
    for family, of_family in members[members["strategy"].notna()].groupby("family", sort=False):
        ranked = of_family[of_family["step"] == of_family["step"].max()]
        ranked = ranked[ranked["tune"] > 0.9].sort_values("strategy", kind="stable")["model"]
        if len(ranked) < 3:
            continue
        chosen = {"high": ranked[-3:], "low": ranked[:3], "mixed": [*ranked[-2:], ranked.iloc[0]]}
        for plane in planes:
            corners = np.array([(0, 0), (2.4, 0), (0.8, 2.1)])
            x, y = np.linspace(-0.6, 3, 9), np.linspace(-0.5, 2.6, 9)
            ridge = 0.6 if plane == "mixed" else 0.05
            for b, a in product(range(9), range(9)):
                place = np.array([x[a], y[b]])
                away = np.linalg.norm(place - corners, axis=1).min()
                loss = 0.05 + ridge * np.exp(-((place[1] - 1.1) ** 2) / 0.2) + 0.1 * away**2
                row = {"family": family, "plane": plane, "x": x[a], "y": y[b]}
                losses.append(row | {"loss": loss})
            for model, (x_of, y_of) in zip(chosen[plane], corners, strict=True):
                row = {"family": family, "plane": plane, "model": model}
                points.append(row | {"x": x_of, "y": y_of})
    return {
        "planes": pd.DataFrame(losses, columns=["family", "plane", "x", "y", "loss"]),
        "plane_points": pd.DataFrame(points, columns=["family", "plane", "model", "x", "y"]),
    }


def dynamics_table(members):
    texts = members[members["strategy"].notna()]
    last = texts[texts["step"] == texts.groupby("family")["step"].transform("max")]
    at_end = last.set_index(["family", "model"])["cluster"]
    ends = pd.MultiIndex.from_frame(texts[["family", "model"]]).map(at_end)
    agrees = (texts["cluster"] == ends).where(texts["cluster"].notna())
    agrees = agrees.where(texts["step"] < texts.groupby("family")["step"].transform("max"))
    columns = ["family", "model", "step", "membership", "cluster", "strategy", "early_agrees"]
    return texts.assign(early_agrees=agrees)[columns]


def checks_table(members, rng):
    rows = []
    for (family, step), of_step in members.groupby(["family", "step"], sort=False):
        n = of_step["kept"].sum()
        n_triangles = n * (n - 1) * (n - 2) // 6
        row = {"family": family, "step": step, "n_triangles": n_triangles}
        row["triangle_violations"] = rng.integers(0, n_triangles // 10 + 1)
        row["clustering_coefficient"] = rng.uniform(0.4, 0.9) if n >= 3 else np.nan
        rows.append(row)
    columns = ["family", "step", "triangle_violations", "n_triangles", "clustering_coefficient"]
    return pd.DataFrame(rows)[columns]
