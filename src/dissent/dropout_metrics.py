"""Tables of runs with dropout that left one domain out: accuracies, calibration, mixtures, curves.

Accuracy on the domains that a run saw (i.i.d.) is the unweighted mean of the accuracies on their
report splits, whatever their sizes; that on the unseen domain (o.o.d.) is on all its examples.
Negative log-likelihood and calibration error weigh examples so too. `runs` is the table of
`runs_table`, `curves` that of `curves_table`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from math import prod

import numpy as np
import pandas as pd

from dissent.commandline import InputError
from dissent.confidence_bins import confidence_bin
from dissent.domains import domains
from dissent.dropout_runs import Entry, Runs
from dissent.examples import Examples
from dissent.welch_intervals import seeds_interval

ALL_DOMAINS = "all domains"
FAMILIES = (
    *("fine-tuning", "higher-head-rate", "scratch"),
    *("poorer-model", "more-data", "linear"),
)
# Families that start from the same network: comparisons of them say nothing else.
ONE_START = ("fine-tuning", "higher-head-rate", "more-data", "linear")
AXES = ("iid", "ood")
MEASURES = [f"{name}{axis}" for name in ("", "nll_", "ece_") for axis in AXES]
CONFIGURATION = ["learning_rate", "weight_decay"]
METHOD = ["family", "kind", "width", "version", "rate", "head_factor"]
COUNTS = {"width": "Int64", "seed": "Int64", "step": "Int64"}  # whole numbers, some missing
N_MIXTURES = 1296


def in_order(runs: Sequence[Runs], examples: Examples) -> list[Runs]:
    """The files by family, then by held-out domain, in an order that no caller chooses.

    Raises InputError for a family given twice for a domain or without one of the domains, and where
    domains of a family differ in the weights they start from or in their runs.
    """
    of = {(file.family, file.held_out): file for file in runs}
    if len(of) < len(runs):
        raise InputError("the runs of a family that left out one domain are given twice: once each")
    families = sorted({file.family for file in runs}, key=FAMILIES.index)
    for family in families:
        for domain in domains(examples):
            if (family, domain) not in of:
                raise InputError(
                    f"the family {family!r} has no runs that left out {domain!r}: give the file"
                )
    made = [of[family, domain] for family in families for domain in domains(examples)]
    for file in made:
        first = of[file.family, made[0].held_out]
        start = made[0] if {file.family, made[0].family} <= set(ONE_START) else first
        _check_alike(file, start, file.weights_sha256 == start.weights_sha256, "weights")
        _check_alike(file, first, _settings(file) == _settings(first), "settings")
    return made


def _check_alike(file: Runs, other: Runs, alike: bool, what: str) -> None:
    if not alike:
        raise InputError(
            f"the runs of {file.family!r} that left out {file.held_out!r} have other {what} than "
            f"those of {other.family!r} that left out {other.held_out!r}: delete both and run again"
        )


def _settings(file: Runs) -> list[Entry]:
    return [replace(entry, step=None) for entry in file.entries]


def equal_weights(domain_N: np.ndarray) -> np.ndarray:
    """Weights [N] that sum to one, with which each domain counts as much as any other."""
    _, domain_N, n_D = np.unique(domain_N, return_inverse=True, return_counts=True)
    return 1 / (len(n_D) * n_D[domain_N])


def axis_masks(file: Runs, examples: Examples) -> dict[str, np.ndarray]:
    """Which columns of a file are of domains that were seen (iid) and of the unseen (ood), [N]."""
    unseen_N = np.array(examples.groups)[file.positions_N] == file.held_out
    return {"iid": ~unseen_N, "ood": unseen_N}


def runs_table(runs: Sequence[Runs], examples: Examples, n_bins: int) -> pd.DataFrame:
    """One row an entry: accuracy, negative log-likelihood (nats), expected calibration error."""
    rows = []
    for file in runs:
        masks = axis_masks(file, examples)
        for i, entry in enumerate(file.entries):
            measured = {f"n_{axis}": mask_N.sum() for axis, mask_N in masks.items()}
            for axis, mask_N in masks.items():
                measured |= _quality(file, i, mask_N, axis, examples, n_bins)
            rows.append(_about(file, entry) | measured)
    columns = ["held_out", *METHOD[:4], "rate", *CONFIGURATION, "head_factor", "seed", "step"]
    columns += [*AXES, "n_iid", "n_ood", *MEASURES[2:]]
    return pd.DataFrame(rows)[columns].astype(COUNTS)


def _about(file: Runs, entry: Entry) -> dict:
    of_run = dict.fromkeys([*CONFIGURATION, "seed"])
    if entry.run:
        of_run = {name: getattr(entry.run, name) for name in of_run}
    of_entry = {name: value for name, value in asdict(entry).items() if name != "run"}
    return {"held_out": file.held_out, "family": file.family} | of_run | of_entry


def _quality(
    file: Runs, i: int, mask_N: np.ndarray, axis: str, examples: Examples, n_bins: int
) -> dict[str, float]:
    positions_N = file.positions_N[mask_N]
    weight_N = equal_weights(np.array(examples.groups)[positions_N])
    correct_N = file.predicted_EN[i, mask_N] == examples.labels[positions_N]
    confidence_N = file.confidence_EN[i, mask_N].astype(float)
    gap_B = np.bincount(
        confidence_bin(confidence_N, n_bins), weights=weight_N * (confidence_N - correct_N)
    )
    return {
        axis: weight_N @ correct_N,
        f"nll_{axis}": -weight_N @ file.true_log_probability_EN[i, mask_N].astype(float),
        f"ece_{axis}": np.abs(gap_B).sum(),
    }


def curves_table(runs: Sequence[Runs]) -> pd.DataFrame:
    """One row a checkpoint of a run: accuracy on the tune split, and i.i.d. and o.o.d. accuracy."""
    columns = ["held_out", "family", "kind", "width", "rate", *CONFIGURATION]
    columns += ["head_factor", "seed", "step", "tune", *AXES]
    rows = [
        {"held_out": file.held_out, "family": file.family}
        | asdict(curve.run)
        | {"step": step, "tune": tune, "iid": iid, "ood": ood}
        for file in runs
        for curve in file.curves
        for step, tune, iid, ood in zip(curve.steps, curve.tune, curve.iid, curve.ood, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns).astype(COUNTS)


def methods_table(runs: pd.DataFrame, level: float) -> pd.DataFrame:
    """One row a method: means over configurations, then seeds, then held-out domains.

    `low` and `high` of accuracies are intervals over seeds (`seeds_interval`), with these images,
    this pre-trained network and these configurations; NaN for one seed, or for versions of all
    runs.
    """
    rows = []
    for method, entries in _grouped(runs, METHOD):
        by_seed = _grouped(entries, ["held_out", "seed"])[MEASURES].mean()
        by_domain = by_seed.groupby("held_out", sort=False)
        mean = by_domain.mean().mean()
        row = dict(zip(METHOD, method, strict=True))
        row |= {"n_domains": len(by_domain), "n_runs": len(entries)}
        for axis in AXES:
            low, high = seeds_interval([of_d.to_numpy() for _, of_d in by_domain[axis]], level)
            row |= {axis: mean[axis], f"{axis}_low": low, f"{axis}_high": high}
        rows.append(row | mean[MEASURES[2:]].to_dict())
    return pd.DataFrame(rows).astype({"width": "Int64"})


def _grouped(table: pd.DataFrame, by: list[str]):
    return table.groupby(by, sort=False, dropna=False)


def mixtures_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Each way to take one configuration a held-out domain: means over the domains (section 4.1).

    A configuration's accuracies are means over seeds. Of more than 1,296 ways, as many are drawn;
    `n_ways` says of how many. These points share their runs, so that no interval may be computed
    from them. Probes of fewer features are left out.
    """
    keys = [name for name in METHOD if name != "width"]
    of_runs = runs[runs["seed"].notna() & runs["width"].isna()]
    tables = []
    for method, entries in _grouped(of_runs, keys):
        cells = _grouped(entries, ["held_out", *CONFIGURATION])[list(AXES)].mean()
        by_domain = [of_d.to_numpy() for _, of_d in cells.groupby("held_out", sort=False)]
        ways_WD, n_ways = _ways([len(cells_C2) for cells_C2 in by_domain])
        points_W2 = np.mean(
            [cells_C2[way_W] for cells_C2, way_W in zip(by_domain, ways_WD.T, strict=True)], axis=0
        )
        table = pd.DataFrame(points_W2, columns=list(AXES)).assign(n_ways=n_ways)
        tables.append(table.assign(**dict(zip(keys, method, strict=True))))
    return pd.concat(tables)[[*keys, *AXES, "n_ways"]]


def _ways(sizes: Sequence[int]) -> tuple[np.ndarray, int]:
    """Which configuration of each domain [W, D], and how many ways there are in all."""
    n_ways = prod(sizes)
    rng = np.random.default_rng(0)
    if n_ways > np.iinfo(np.int64).max:
        # Too many to be numbered, or to be drawn twice.
        return rng.integers(sizes, size=(N_MIXTURES, len(sizes))), n_ways
    numbers = np.arange(min(n_ways, N_MIXTURES))
    if n_ways > N_MIXTURES:
        # Every so-manieth way would tie the last domain's configuration to the first one's.
        numbers = np.sort(rng.choice(n_ways, N_MIXTURES, replace=False))
    return np.stack(np.unravel_index(numbers, sizes), axis=1), n_ways


def matched_table(curves: pd.DataFrame, level: float) -> pd.DataFrame:
    """O.o.d. accuracy of a rate less that of rate 0 at equal i.i.d. accuracy, along fine-tuning.

    A seed's curve is the mean over its configurations. The i.i.d. accuracy is the highest that both
    rates reach; the o.o.d. accuracies there are interpolated between checkpoints that are better
    i.i.d. than all before them. NaN if a seed's first checkpoint is above that accuracy already.
    Intervals are over seeds alone (`seeds_interval`), with these images. Learning rates fall along
    a run, so that a rate that learns fast is matched at a higher learning rate than one that learns
    slowly.
    """
    own = curves[curves["family"] == FAMILIES[0]]
    means = own.groupby(["rate", "held_out", "seed", "step"], sort=False)[list(AXES)].mean()
    rows = []
    for rate in (rate for rate in own["rate"].unique() if rate > 0):
        by_domain = dict(_matched_seeds(means.loc[0.0], means.loc[rate]))
        groups = {ALL_DOMAINS: list(by_domain.values())}
        for held_out, seeds in (groups | {d: [of_d] for d, of_d in by_domain.items()}).items():
            mean = np.mean([of_domain_S3.mean(axis=0) for of_domain_S3 in seeds], axis=0)
            differences = [of_domain_S3[:, 2] - of_domain_S3[:, 1] for of_domain_S3 in seeds]
            interval = seeds_interval(differences, level)
            rows.append((held_out, rate, *mean, mean[2] - mean[1], *interval, len(seeds[0])))
    columns = ["held_out", "rate", "iid", "ood_plain", "ood_rate", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "n_seeds"])


def _matched_seeds(plain: pd.DataFrame, other: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """By held-out domain: i.i.d. accuracy, and o.o.d. accuracy of both there, [S, 3]."""
    for held_out in plain.index.unique("held_out"):
        matched = []
        for seed in plain.loc[held_out].index.unique("seed"):
            both = [table.loc[held_out, seed].to_numpy() for table in (plain, other)]
            iid = min(curve_K2[:, 0].max() for curve_K2 in both)
            matched.append([iid, *(_ood_at(iid, curve_K2) for curve_K2 in both)])
        yield held_out, np.array(matched)


def _ood_at(iid: float, curve_K2: np.ndarray) -> float:
    best_K = np.maximum.accumulate(curve_K2[:, 0])
    records_K = np.concatenate([[True], best_K[1:] > best_K[:-1]])
    return np.interp(iid, *curve_K2[records_K].T, left=np.nan)
