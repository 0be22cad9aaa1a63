"""Time the ranking of candidates and the greedy selection against the usual ways, in one run."""

import argparse
import logging
import sys
import tempfile
import tracemalloc
from argparse import Namespace
from pathlib import Path

import numpy as np
from pairs import timed
from scipy.special import softmax
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from dissent.commandline import parser, run
from dissent.cross_entropy_selection import greedy
from dissent.examples import Examples, write_examples
from dissent.logits import Key, of_examples, write_logits
from dissent.neighbours import leave_one_out_accuracy
from dissent.progress import progress

sys.path.append(str(Path(__file__).parents[1] / "workflow/scripts/selection"))
import rank_candidates

log = logging.getLogger("dissent")
N_CLASSES = 20
POOL, TASKS = 2_000, 19  # what the time of a sample is scaled to


def main(arguments: argparse.Namespace) -> None:
    with threadpool_limits(1):
        compare_neighbours(1_000, 2_048)
        compare_selections(2_000, 200, 100, 15)
        time_ranking(arguments.models, 1_000, 768)


def synthetic_features(rng: np.random.Generator, labels_N: np.ndarray, n_dimensions: int):
    """Features [N, D] after a rectifier, as those of most networks, that tell classes apart a bit.

    They vary in 30 directions, so that one example in two has a neighbour of its own class.
    """
    hidden_NH = rng.normal(size=(len(labels_N), 30))
    hidden_NH += 0.6 * rng.normal(size=(N_CLASSES, 30))[labels_N]
    return np.maximum(hidden_NH @ rng.normal(size=(30, n_dimensions)), 0).astype(np.float16)


def compare_neighbours(n_examples: int, n_dimensions: int) -> None:
    """Ours begins with the float16 features of a logits file, scikit-learn with float64 ones."""
    rng = np.random.default_rng(0)
    labels_N = rng.integers(0, N_CLASSES, n_examples)
    features_ND = synthetic_features(rng, labels_N, n_dimensions)
    wide_ND = features_ND.astype(np.float64)

    def usual():
        model = KNeighborsClassifier(1, algorithm="brute")
        return model.fit(wide_ND, labels_N).score(None, labels_N)

    slow, expected = timed(15, usual)
    fast, accuracy = timed(15, leave_one_out_accuracy, features_ND, labels_N)
    assert accuracy == expected
    log.info(
        "nearest neighbours of %d x %d, one thread: %.1f ms; scikit-learn, with the equal accuracy"
        " %.3f: %.1f ms; ratio %.1f (bar: 3)",
        n_examples,
        n_dimensions,
        1e3 * fast,
        accuracy,
        1e3 * slow,
        slow / fast,
    )


def compare_selections(n_candidates: int, n_examples: int, n_classes: int, n_rounds: int) -> None:
    """Ours includes looking up the probabilities of the true classes."""
    rng = np.random.default_rng(1)
    labels_N = rng.integers(0, n_classes, n_examples)
    scores_MNC = rng.normal(size=(n_candidates, n_examples, n_classes))
    scores_MNC[:, np.arange(n_examples), labels_N] += rng.normal(3, 1.5, (n_candidates, n_examples))
    probability_MNC = softmax(scores_MNC, axis=2)

    def ours():
        return greedy(probability_MNC[:, np.arange(n_examples), labels_N], n_rounds).order

    slow, expected = timed(1, dense_greedy, probability_MNC, labels_N, n_rounds)
    fast, order = timed(5, ours)
    assert order == expected
    log.info(
        "greedy selection from %d candidates x %d examples x %d classes, %d rounds, one thread:"
        " %.1f ms; running sums over all classes, with the same choices: %.0f ms; ratio %.0f"
        " (bar: 20)",
        n_candidates,
        n_examples,
        n_classes,
        n_rounds,
        1e3 * fast,
        1e3 * slow,
        slow / fast,
    )


def dense_greedy(probability_MNC: np.ndarray, labels_N: np.ndarray, n_rounds: int) -> list[int]:
    rows_N, order = np.arange(len(labels_N)), []
    sum_NC = np.zeros_like(probability_MNC[0])
    for n_members in range(1, n_rounds + 1):
        losses = [
            -np.log((sum_NC + member_NC)[rows_N, labels_N] / n_members).mean()
            for member_NC in probability_MNC
        ]
        order.append(int(np.argmin(losses)))
        sum_NC += probability_MNC[order[-1]]
    return order


def time_ranking(n_models: int, n_examples: int, n_dimensions: int) -> None:
    """The job that ranks candidates, on a sample of models and one task."""
    rng = np.random.default_rng(2)
    labels_N = rng.integers(0, N_CLASSES, n_examples)
    examples = Examples(
        name="synthetic",
        ids=tuple(map(str, range(n_examples))),
        images_NHW=None,
        labels=labels_N,
        splits_N=np.repeat(["train", "tune"], [4 * n_examples // 5, n_examples // 5]),
        classes=tuple(map(str, range(N_CLASSES))),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_examples(folder / "task.safetensors", examples)
        files = [folder / f"model{m:03d}.safetensors" for m in range(n_models)]
        for path in progress(files, "writing synthetic features"):
            key = Key(
                path.stem,
                {},
                **of_examples(examples),
                label_map=[],
                output="features",
                libraries={},
            )
            write_logits(path, key, synthetic_features(rng, labels_N, n_dimensions))
        job = Namespace(
            task=folder / "task.safetensors",
            features=files,
            categories={path.stem: "" for path in files},
            normalised="false",
            level=0.95,
            output=folder / "ranking.csv",
        )
        seconds, _ = timed(3, rank_candidates.main, job)
        tracemalloc.start()
        rank_candidates.main(job)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    log.info(
        "ranking %d models on a task of %d x %d, files read, one thread: %.2f s, peak memory"
        " %.0f MB besides the mapped files; scaled to %d models x %d tasks: %.0f min",
        n_models,
        n_examples,
        n_dimensions,
        seconds,
        peak / 1e6,
        POOL,
        TASKS,
        seconds / n_models * POOL * TASKS / 60,
    )


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--models", type=int, default=20, help="models that ranking is timed on")
    run(main, arguments.parse_args())
