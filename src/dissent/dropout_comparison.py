"""What large dropout gains, in paired differences, and the statistics of the claims.

Runs are paired by held-out domain, configuration and seed: those of one start share its weights,
the initial head and the order of batches. Held-out domains, configurations, initial heads and
images that were trained on are what they are; drawn anew are seeds and the images that accuracy is
measured on. Mixtures share runs, and are never taken as draws.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dissent.dropout_metrics import ALL_DOMAINS, AXES, axis_masks, equal_weights
from dissent.dropout_runs import Entry, Runs
from dissent.examples import Examples
from dissent.method_comparison import STATISTICS
from dissent.welch_intervals import variance_of_mean, welch_interval

GAINS = ["comparison", "held_out", "axis", "gain", "low", "high"]
GAINS += ["n_domains", "n_seeds", "n_configurations", "n_images"]
VERSIONS = {
    "run-average": "average",
    "run-ensemble": "ensemble",
    "all-average": "all-average",
    "all-ensemble": "all-ensemble",
}
HALF = 0.5  # the largest rate in common use


class Method(NamedTuple):
    """Entries that are compared with others: those of a family, rate, version and kind."""

    family: str
    rate: float
    version: str = "selected"
    kind: str = "fine-tuning"


class Comparison(NamedTuple):
    """Methods whose accuracies are added up, and those whose accuracies are taken away."""

    plus: tuple[Method, ...]
    minus: tuple[Method, ...]


class Difference(NamedTuple):
    """A comparison's runs that left out one domain: what they gain on each image, [S, N]."""

    held_out: str
    gain_SN: np.ndarray
    n_configurations: int


def comparisons(methods: set[Method], large: float) -> dict[str, Comparison]:
    """By name, what is compared among these methods; `large` is the rate of "large-rate"."""
    plain, dropped = Method("fine-tuning", 0), Method("fine-tuning", large)
    head, both = Method("higher-head-rate", 0), Method("higher-head-rate", large)
    poorer = Method("poorer-model", 0)
    advanced = Method("poorer-model", large, "average")
    more, more_dropped = Method("more-data", 0), Method("more-data", large)

    def of_rates(name: str, method: Method, other: Method | None = None) -> dict[str, Comparison]:
        """Each rate of a method against the same of another, or else above 0 against 0."""
        rates = sorted({m.rate for m in methods if m == method._replace(rate=m.rate)})
        return {
            f"{name}rate-{rate:g}": Comparison(
                (method._replace(rate=rate),),
                (other._replace(rate=rate) if other else method._replace(rate=0),),
            )
            for rate in rates
            if other or rate > 0
        }

    half = plain._replace(rate=HALF)
    found = of_rates("", plain)
    if half != dropped:
        found["large-rate-over-half"] = Comparison((dropped,), (half,))
    for name, version in VERSIONS.items():
        found[f"large-rate-over-{name}"] = Comparison(
            (dropped,), (plain._replace(version=version),)
        )
        found[f"{name}-on-large-rate"] = Comparison(
            (dropped._replace(version=version),), (dropped,)
        )
    found |= {
        "head-rate-on-plain": Comparison((head,), (plain,)),
        "head-rate-on-large-rate": Comparison((both,), (dropped,)),
        "large-rate-on-head-rate": Comparison((both,), (head,)),
        "large-rate-over-head-rate": Comparison((dropped,), (head,)),
        **of_rates("scratch-", Method("scratch", 0)),
        **of_rates("more-data-", more),
        "more-data-on-large-rate-gain": Comparison((more_dropped, plain), (more, dropped)),
        "naive-richer-over-advanced-poorer": Comparison((plain,), (advanced,)),
        "advanced-on-poorer": Comparison((advanced,), (poorer,)),
        "advanced-on-richer": Comparison((both._replace(version="average"),), (plain,)),
        **of_rates("linear-over-fine-tuning-", Method("linear", 0, kind="linear"), plain),
        **of_rates("probe-", Method("linear", 0, kind="probe")),
    }
    return {name: c for name, c in found.items() if {*c.plus, *c.minus} <= methods}


def gains_table(
    runs: Sequence[Runs], examples: Examples, large: float, level: float
) -> pd.DataFrame:
    """One row a comparison, held-out domain (and all of them) and axis, with GAINS.

    `runs` in the order of `in_order`. A gain is the mean over seeds of means over configurations,
    those that the compared methods share, or each method's own if they share none or fine-tune
    other weights (linear fine-tuning), and over the seeds that they share. `n_configurations` are
    those of the first. Versions of all runs have no seed: all runs of a domain are paired with its
    one, whose own luck of seeds is in no interval.
    """
    by_domain: dict[str, list[Runs]] = {}
    for file in runs:
        by_domain.setdefault(file.held_out, []).append(file)
    cells = {domain: _cells(files, examples) for domain, files in by_domain.items()}
    methods = set.intersection(*(set(of_domain) for of_domain in cells.values()))
    masks = {domain: axis_masks(files[0], examples) for domain, files in by_domain.items()}
    positions = {domain: files[0].positions_N for domain, files in by_domain.items()}
    rows = []
    for name, comparison in comparisons(methods, large).items():
        found = [_difference(domain, cells[domain], comparison) for domain in by_domain]
        for where, differences in [(ALL_DOMAINS, found), *((d.held_out, [d]) for d in found)]:
            for axis in AXES:
                of_axis = [masks[d.held_out][axis] for d in differences]
                gains = [d.gain_SN[:, on] for d, on in zip(differences, of_axis, strict=True)]
                images = [
                    positions[d.held_out][on] for d, on in zip(differences, of_axis, strict=True)
                ]
                gain, low, high = paired_interval(gains, images, examples.groups, level)
                counts = len(differences), len(gains[0]), differences[0].n_configurations
                n_images = len(np.unique(np.concatenate(images)))
                rows.append((name, where, axis, gain, low, high, *counts, n_images))
    return pd.DataFrame(rows, columns=GAINS)


def _cells(files: Sequence[Runs], examples: Examples) -> dict[Method, dict]:
    """By method, then by configuration and seed: what is right, bool [N], of all features."""
    cells: dict[Method, dict] = {}
    for file in files:
        correct_EN = file.predicted_EN == examples.labels[file.positions_N]
        for entry, correct_N in zip(file.entries, correct_EN, strict=True):
            if entry.width is None:
                method = Method(file.family, entry.rate, entry.version, entry.kind)
                cells.setdefault(method, {})[_cell(entry)] = correct_N
    return cells


def _cell(entry: Entry) -> tuple:
    run = entry.run
    return ((run.learning_rate, run.weight_decay), run.seed) if run else (None, None)


def _difference(held_out: str, cells: dict[Method, dict], comparison: Comparison) -> Difference:
    seeded = [m for m in (*comparison.plus, *comparison.minus) if (None, None) not in cells[m]]
    configurations = {m: dict.fromkeys(c for c, _ in cells[m]) for m in seeded}
    shared = set.intersection(*map(set, configurations.values()))
    if shared and len({method.kind for method in seeded}) == 1:
        configurations = dict.fromkeys(seeded, sorted(shared))
    seeds = sorted(set.intersection(*({s for _, s in cells[m]} for m in seeded)))

    def accuracy_SN(method: Method) -> np.ndarray:
        of_method = cells[method]
        if method not in seeded:
            return np.array([of_method[None, None]] * len(seeds), dtype=float)
        return np.array(
            [np.mean([of_method[c, seed] for c in configurations[method]], 0) for seed in seeds]
        )

    gain_SN = sum(map(accuracy_SN, comparison.plus)) - sum(map(accuracy_SN, comparison.minus))
    return Difference(held_out, gain_SN, len(configurations[seeded[0]]))


def paired_interval(
    gains: Sequence[np.ndarray],
    images: Sequence[np.ndarray],
    groups: Sequence[str],
    level: float,
) -> tuple[float, float, float]:
    """Mean over held-out domains of gains [S, N] on images at positions [N], with its interval.

    The gain that left out one domain is the unweighted mean over the domains its images are of
    (`groups`, by position). Variances over seeds, of each held-out domain, and over images, of each
    domain, add up as in `welch_intervals.difference_interval`. A report image serves in all
    settings that train on its domain, where runs share the start and much of their training images,
    so that its gains are correlated: they are added up first, and images are the draws. With one
    seed, images alone: for new images and these runs. NaN if there is no spread, or one image of a
    domain.
    """
    domain_I = np.array(groups)
    parts_I = np.zeros(len(domain_I))  # what each image adds to the mean
    seeds = []
    for gain_SN, positions_N in zip(gains, images, strict=True):
        gain_SN = gain_SN * equal_weights(domain_I[positions_N]) / len(gains)
        parts_I[positions_N] += gain_SN.mean(axis=0)
        seeds.append(gain_SN.sum(axis=1))
    used_I = np.unique(np.concatenate(images))
    of_domains = [
        parts_I[used_I[domain_I[used_I] == domain]] for domain in np.unique(domain_I[used_I])
    ]
    # A sum of n parts has n**2 times the variance of their mean.
    variances = [len(parts_n) ** 2 * variance_of_mean(parts_n) for parts_n in of_domains]
    freedoms = [len(parts_n) - 1 for parts_n in of_domains]
    if len(gains[0]) > 1:
        variances += [variance_of_mean(sum_S) for sum_S in seeds]
        freedoms += [len(sum_S) - 1 for sum_S in seeds]
    value = float(parts_I.sum())
    return value, *welch_interval(value, variances, freedoms, level)


def statistics_table(gains: pd.DataFrame, matched: pd.DataFrame, large: float) -> pd.DataFrame:
    """The statistics of claims, with STATISTICS; those that the run has no runs for are left out.

    Gains over all held-out domains. The interval of the gain at matched i.i.d. accuracy is over
    seeds alone (`dropout_metrics.matched_table`), the others' over seeds and images.
    """
    over_all = gains[gains["held_out"] == ALL_DOMAINS].set_index(["comparison", "axis"])
    rows = [
        (statistic, *over_all.loc[of, ["gain", "low", "high", "n_domains"]])
        for statistic, of in _statistics(large).items()
        if of in over_all.index
    ]
    if (of := ("large-rate-over-run-ensemble", "iid")) in over_all.index:
        gain, low, high, n = over_all.loc[of, ["gain", "low", "high", "n_domains"]]
        rows.append(("run_ensemble_over_large_rate_iid", -gain, -high, -low, n))
    for row in matched[matched["rate"] == large].itertuples():
        if row.held_out == ALL_DOMAINS:
            n = matched["held_out"].nunique() - 1
            gain = row.difference, row.low, row.high
            rows.append(("matched_gain_of_large_rate_ood", *gain, n))
    table = pd.DataFrame([(*row, "domains") for row in rows], columns=STATISTICS)
    return table.astype({"n": int})


def _statistics(large: float) -> dict[str, tuple[str, str]]:
    """The comparison and axis of each statistic."""
    rate = f"rate-{large:g}"
    return {
        "ood_gain_of_large_rate": (rate, "ood"),
        "ood_gain_of_large_over_half": ("large-rate-over-half", "ood"),
        "scratch_ood_gain_of_large_rate": (f"scratch-{rate}", "ood"),
        **{
            f"large_rate_over_{name.replace('-', '_')}_ood": (f"large-rate-over-{name}", "ood")
            for name in VERSIONS
        },
        "ensemble_on_large_rate_ood": ("run-ensemble-on-large-rate", "ood"),
        "average_on_large_rate_ood": ("run-average-on-large-rate", "ood"),
        "head_rate_on_large_rate_ood": ("head-rate-on-large-rate", "ood"),
        "large_rate_over_head_rate_ood": ("large-rate-over-head-rate", "ood"),
        "richer_naive_over_poorer_advanced_ood": ("naive-richer-over-advanced-poorer", "ood"),
        "more_data_changes_gain_ood": ("more-data-on-large-rate-gain", "ood"),
        "linear_over_fine_tuning_ood": (f"linear-over-fine-tuning-{rate}", "ood"),
        "linear_over_fine_tuning_iid": (f"linear-over-fine-tuning-{rate}", "iid"),
    }
