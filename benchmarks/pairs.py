"""Time the all-pairs table and the pair ensembles against the naive ways, as ratios in one run."""

import argparse
import logging
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist
from threadpoolctl import threadpool_limits

from dissent import ensembles, pairwise
from dissent.commandline import InputError, parser, run
from dissent.files import atomic
from dissent.progress import progress

log = logging.getLogger("dissent")
NAIVE_ROWS = 64  # a block of sums that stays in the cache


def main(arguments: argparse.Namespace) -> None:
    shape = arguments.models, arguments.examples, arguments.classes
    folder = arguments.folder / "x".join(map(str, shape))
    with threadpool_limits(1):
        logits, labels_N = synthetic_logits(folder, *shape)
        predicted_MN = np.stack([predict(array) for array in progress(logits, "predictions")])
        correct_MN = predicted_MN == labels_N
        log.info(
            "%d models x %d examples x %d classes, one thread; accuracy %.3f, disagreement %.3f",
            *shape,
            correct_MN.mean(),
            pairwise.disagreement(predicted_MN).mean(),
        )
        compare_tables(correct_MN)
        temperatures_M = np.linspace(0.8, 1.25, arguments.models)
        for rule in ("mean_probability", "mean_logit"):
            compare_ensembles(logits, predicted_MN, labels_N, temperatures_M, rule, arguments.pairs)
        tracemalloc.start()
        ensembles.ensemble_counts(
            logits, predicted_MN, labels_N, temperatures_M, "mean_probability"
        )
        peak = tracemalloc.get_traced_memory()[1]
        log.info("peak memory of mean_probability: %.2f GB besides the mapped files", peak / 1e9)


def synthetic_logits(folder: Path, n_models: int, n_examples: int, n_classes: int):
    """M memory-mapped float16 [N, C] logits and labels; written to `folder` unless they are there.

    Models share what makes an example hard and which classes it resembles, and add noise of their
    own: with 1,000 classes accuracy is about 75 %, disagreement about 27 %.
    """
    paths = [folder / f"model{m:03d}.npy" for m in range(n_models)]
    missing = [m for m, path in enumerate(paths) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    needed = int(len(missing) * n_examples * n_classes * 2 * 1.1)
    if shutil.disk_usage(folder).free < needed:
        raise InputError(
            f"{folder} needs {needed / 1e9:.1f} GB free: choose another --folder or fewer --models"
        )
    rng = np.random.default_rng(0)
    labels_N = rng.integers(0, n_classes, n_examples)
    margin_N = rng.normal(13.4, 5.1, n_examples).astype(np.float32)
    if missing:
        shared_NC = 2.4 * rng.standard_normal((n_examples, n_classes), dtype=np.float32)
        shared_NC[np.arange(n_examples), labels_N] += margin_N
    for m in progress(missing, "writing synthetic logits"):
        noise_NC = np.random.default_rng([1, m]).standard_normal(
            (n_examples, n_classes), dtype=np.float32
        )
        noise_NC *= 1.6
        noise_NC += shared_NC
        with atomic(paths[m]) as temporary:
            np.save(temporary, noise_NC.astype(np.float16))
    return [np.load(path, mmap_mode="r") for path in paths], labels_N


def predict(logits_NC: np.ndarray) -> np.ndarray:
    return ensembles.scaled_logits(logits_NC, 1.0).argmax(axis=1)


def compare_tables(correct_MN: np.ndarray) -> None:
    def table():
        counts_P22 = pairwise.pair_counts(correct_MN)
        return [
            measure(counts_P22)
            for measure in (
                pairwise.error_inconsistency,
                pairwise.error_consistency,
                pairwise.q_statistic,
                pairwise.double_fault,
            )
        ]

    naive, expected_P = timed(5, pdist, correct_MN, "hamming")
    fast, measures = timed(5, table)
    np.testing.assert_allclose(measures[0], expected_P, rtol=1e-12)
    log.info(
        "error inconsistency, kappa, Q and double fault of all pairs: %.1f ms;"
        " pdist(correct, 'hamming'): %.1f ms; ratio %.1f (bar: 1)",
        1e3 * fast,
        1e3 * naive,
        naive / fast,
    )


def compare_ensembles(
    logits, predicted_MN, labels_N, temperatures_M, rule: str, n_sampled: int
) -> None:
    """Our time includes reading the files; the naive loop finds float32 values ready in memory."""
    fast, counts_P = timed(
        1, ensembles.ensemble_counts, logits, predicted_MN, labels_N, temperatures_M, rule
    )
    pairs_P2 = pairwise.all_pairs(len(logits))
    n_sampled = min(n_sampled, len(pairs_P2))
    sampled = np.random.default_rng(2).choice(len(pairs_P2), n_sampled, replace=False)
    plain = blocked = 0.0
    for p in progress(sampled, "naive loop"):
        members = []
        for m in pairs_P2[p]:
            values_NC = ensembles.scaled_logits(logits[m], temperatures_M[m])
            members.append(values_NC if rule == "mean_logit" else ensembles.softmax(values_NC))
        seconds, summed_N = timed(1, naive, *members)
        plain += seconds * len(pairs_P2) / n_sampled
        blocked += timed(1, naive_in_blocks, *members)[0] * len(pairs_P2) / n_sampled
        first_N, second_N = predicted_MN[pairs_P2[p]]
        together_N = np.where(first_N == second_N, first_N, summed_N)
        right_N3 = np.stack([first_N, second_N, together_N], axis=1) == labels_N[:, None]
        cell_N = right_N3 @ [4, 2, 1]
        found = np.bincount(cell_N, minlength=8).reshape(2, 2, 2)
        np.testing.assert_array_equal(counts_P[p], found)
    log.info(
        "%s of %d pairs: %.1f s; naive loop, scaled from %d pairs with equal counts: %.0f s,"
        " ratio %.1f (bar: 4), in cache-sized blocks %.0f s, ratio %.1f; identity within %.0e",
        rule,
        len(pairs_P2),
        fast,
        n_sampled,
        plain,
        plain / fast,
        blocked,
        blocked / fast,
        np.abs(ensembles.identity_residual(counts_P)).max(),
    )


def naive(first_NC: np.ndarray, second_NC: np.ndarray) -> np.ndarray:
    return (first_NC + second_NC).argmax(axis=1)


def naive_in_blocks(first_NC: np.ndarray, second_NC: np.ndarray) -> np.ndarray:
    starts = range(0, len(first_NC), NAIVE_ROWS)
    blocks = [slice(start, start + NAIVE_ROWS) for start in starts]
    return np.concatenate([naive(first_NC[rows], second_NC[rows]) for rows in blocks])


def timed(n_runs: int, work: Callable, *arguments):
    """Least seconds of n runs, and what the last one returned."""
    seconds = []
    for _ in range(n_runs):
        start = time.perf_counter()
        result = work(*arguments)
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--models", type=int, default=82)
    arguments.add_argument("--examples", type=int, default=50_000)
    arguments.add_argument("--classes", type=int, default=1_000)
    arguments.add_argument("--pairs", type=int, default=12, help="pairs the naive loop is timed on")
    arguments.add_argument(
        "--folder", type=Path, default=Path("build/bench"), help="where the logits are written"
    )
    run(main, arguments.parse_args())
