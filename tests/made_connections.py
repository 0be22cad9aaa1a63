"""Synthetic families of networks whose gaps have a known block structure, for tests."""

import itertools

import numpy as np

from dissent.connections import Connections, Member, Plane, known_data
from dissent.examples import Examples

CLASSES = ("entailment", "non-entailment")
GROUPS = ("lexical overlap, entailment", "subsequence, non-entailment")
STRATEGY = {"data": "heuristics", "group": GROUPS[1]}
# Blocks of a family, and the accuracy on the strategy's group in each.
BLOCKS = (0, 0, 0, 0, 0, 1, 1, 1)
STRATEGIES = (0.8, 0.2)
N_POINTS = 10


def made_examples(name, splits, groups=(), seed=0):
    """Labels alone, splits as dictionary, with groups in turn."""
    n = sum(splits.values())
    rng = np.random.default_rng([seed, *name.encode()])
    return Examples(
        name=name,
        ids=tuple(f"{name}-{i}" for i in range(n)),
        images_NHW=None,
        labels=rng.integers(0, len(CLASSES), n),
        splits_N=np.repeat(list(splits), list(splits.values())),
        classes=CLASSES,
        groups=tuple(groups[i % len(groups)] for i in range(n)) if groups else (),
    )


def made_data():
    """By name: in-domain pairs, pairs to interpolate on, and a diagnostic set with two groups."""
    made = (
        made_examples("pairs", {"train": 5, "tune": 40, "report": 60}),
        made_examples("mixed-pairs", {"report": 50}),
        made_examples("heuristics", {"report": 80}, GROUPS),
    )
    return {examples.name: examples for examples in made}


def made_logits(rng, labels_N, accuracy_M):
    """Logits [M, N, C] of networks that are right on about this share of the examples."""
    right_MN = rng.random((len(accuracy_M), len(labels_N))) < np.array(accuracy_M)[:, None]
    predicted_MN = np.where(right_MN, labels_N, 1 - labels_N)
    return (2 * np.eye(len(CLASSES))[predicted_MN] - 1).astype(np.float32)


def made_losses(rng, heights_P, n_examples, n_points=N_POINTS):
    """Losses [P, G, N] of paths with a bump of these heights, of examples of unequal loss."""
    shares_G = np.linspace(0, 1, n_points)
    bump_PG = 4 * np.outer(heights_P, shares_G * (1 - shares_G))
    of_examples_N = rng.exponential(1, n_examples)
    noise_PGN = rng.normal(0, 0.002, (len(heights_P), n_points, n_examples))
    return np.abs(0.02 + (bump_PG[:, :, None] + noise_PGN) * of_examples_N).astype(np.float32)


def made_family(
    data,
    family="orders",
    blocks=BLOCKS,
    within=0.005,
    across=0.06,
    steps=(75, 150),
    strategies=STRATEGIES,
    in_domain=1.0,
    diagnostics=("heuristics",),
    seed=0,
):
    """A family whose pairs have a barrier of `within` in a block and `across` between blocks.

    Networks of block b are right on `strategies[b]` of the strategy's group, whatever the step; all
    are right on the share `in_domain` of the in-domain examples. Without diagnostics, as of images.
    """
    rng = np.random.default_rng(seed)
    pairs = list(itertools.combinations(range(len(blocks)), 2))
    heights_P = np.array([within if blocks[i] == blocks[j] else across for i, j in pairs])
    heights_P = heights_P * rng.uniform(0.8, 1.2, len(pairs))
    interpolation = data["mixed-pairs"]
    pairs_of_text = data["pairs"]
    positions_N = {"pairs": np.flatnonzero(pairs_of_text.splits_N != "train")}
    positions_N |= {name: data[name].where("report") for name in diagnostics}
    logits_MNC = {name: {} for name in positions_N}
    for step in steps:
        for name, of_data_N in positions_N.items():
            accuracies = np.full(len(blocks), in_domain)
            if name != "pairs":
                accuracies = np.array([strategies[block] for block in blocks])
            labels_N = data[name].labels[of_data_N]
            logits_MNC[name][step] = made_logits(rng, labels_N, accuracies)
    strategy_N = np.flatnonzero(np.array(data["heuristics"].groups) == GROUPS[1])[:20]
    planes = {"high": made_plane(("model-0", "model-1", "model-2"), rng)} if diagnostics else {}
    return Connections(
        family=family,
        members=tuple(Member(f"model-{i}", 0, i) for i in range(len(blocks))),
        steps=tuple(steps),
        shares_G=np.linspace(0, 1, N_POINTS),
        in_domain="pairs",
        interpolation="mixed-pairs",
        interpolation_positions_N=interpolation.where("report"),
        data=known_data(*(data[name] for name in dict.fromkeys(("mixed-pairs", *positions_N)))),
        loss_PGN={
            step: made_losses(rng, heights_P, len(interpolation.where("report"))) for step in steps
        },
        distance_P={step: rng.uniform(1, 2, len(pairs)).astype(np.float32) for step in steps},
        logits_MNC=logits_MNC,
        positions_N=positions_N,
        diagnostics=tuple(diagnostics),
        path_losses_PGN={
            name: made_losses(rng, 0 * heights_P, len(strategy_N)) for name in diagnostics
        },
        path_positions_N=dict.fromkeys(diagnostics, strategy_N),
        planes=planes,
        sharpness_M=rng.exponential(1, len(blocks)).astype(np.float32) if diagnostics else None,
    )


def made_plane(members, rng):
    points_32 = np.array([[0, 0], [2, 0], [1, 1.5]])
    return Plane(members, np.arange(4.0), np.arange(3.0), points_32, rng.random((3, 4)))
