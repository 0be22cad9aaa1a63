"""Small data sets with domains and families of runs on them, for tests of what reads these."""

import numpy as np

from dissent.dropout_runs import Curve, Entry, Run, Runs, reported_positions
from dissent.examples import Examples

# Domains differ in size, so that a mean over domains is not a mean over images.
SIZES = {"hand": 5, "print": 12, "sketch": 7}
VERSIONS = ("selected", "last", "average", "ensemble")
CLASSES = ("a", "b", "c")


def made_examples(sizes=None, seed=0, name="domains"):
    """Examples of `sizes` report images a domain, as many of train, and fewer of tune, shuffled."""
    rng = np.random.default_rng(seed)
    rows = [
        (domain, split, i % len(CLASSES))
        for domain, n in (sizes or SIZES).items()
        for split, n_split in (("train", max(n, 3)), ("tune", 2), ("report", n), ("unused", 1))
        for i in range(n_split)
    ]
    groups, splits, labels = zip(*(rows[i] for i in rng.permutation(len(rows))), strict=True)
    return Examples(
        name=name,
        ids=tuple(f"{name}-{i}" for i in range(len(rows))),
        images_NHW=None,
        labels=np.array(labels),
        splits_N=np.array(splits),
        classes=CLASSES,
        groups=groups,
    )


def grid(rates, learning_rates=(0.1, 0.2), seeds=(0, 1, 2), factor=1.0, kind="fine-tuning"):
    return [
        Run(rate, learning_rate, 1e-4, factor, seed, kind)
        for rate in rates
        for learning_rate in learning_rates
        for seed in seeds
    ]


def made_runs(examples, held_out, runs, family="fine-tuning", start="w", seed=0, together=True):
    """Runs that are right by chance, the more so the higher the rate, with increasing curves."""
    rng = np.random.default_rng([seed, *held_out.encode(), *family.encode()])
    positions_N = reported_positions(examples, held_out)
    steps = {"selected": 10 * len(held_out)}  # each held-out domain may select another
    entries = [
        Entry(version, run, run.rate, run.head_factor, run.kind, run.width, steps.get(version))
        for run in runs
        for version in VERSIONS
    ]
    if together:
        entries += [
            Entry(version, None, *of_all)
            for version in ("all-average", "all-ensemble")
            for of_all in dict.fromkeys((run.rate, run.head_factor, run.kind) for run in runs)
        ]
    shape = len(entries), len(positions_N)
    skill_E1 = np.array([[0.4 + 0.3 * entry.rate] for entry in entries])
    labels_N = examples.labels[positions_N]
    wrong_EN = (labels_N + rng.integers(1, len(CLASSES), shape)) % len(CLASSES)
    curves = []
    for run in runs:
        accuracies = np.sort(rng.random((3, 4)), axis=1).tolist()
        curves.append(Curve(run, (10, 20, 30, 40), *map(tuple, accuracies)))
    return Runs(
        family=family,
        held_out=held_out,
        weights_sha256=start,
        entries=tuple(entries),
        positions_N=positions_N,
        predicted_EN=np.where(rng.random(shape) < skill_E1, labels_N, wrong_EN).astype(np.int16),
        true_log_probability_EN=np.log(rng.random(shape)).astype(np.float32),
        confidence_EN=rng.uniform(1 / 3, 1, shape).astype(np.float32),
        curves=tuple(curves),
    )


def made_family(examples, runs, family="fine-tuning", **options):
    """The family's files, one a held-out domain."""
    return [
        made_runs(examples, domain, runs, family, **options)
        for domain in dict.fromkeys(examples.groups)
    ]
