"""Files of what networks predict that were fine-tuned, with dropout, on all domains but one.

A safetensors file holds one family of runs that left one domain out. An entry is a version of a run
(its selected or last checkpoint, the average of its weights, the ensemble of its checkpoints) or of
all runs of a rate: a row of `predicted`, `true_log_probability` and `confidence` [E, N]. Columns
are the examples at `positions` [N]: the training domains' split report, then the unseen domain.
The rest is in the header.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dissent.commandline import InputError
from dissent.domains import leave_out
from dissent.examples import Examples
from dissent.finetuned import check_examples, of_examples, read_tensors, write_tensors

KIND = "dropout_runs"


@dataclass(frozen=True)
class Run:
    """One fine-tuning: a dropout rate, a configuration (learning rate, weight decay) and a seed.

    The head learns `head_factor` times as fast. In the family of frozen networks `kind` is "linear"
    (linear fine-tuning) or "probe", and `width` the number of features kept for the probe.
    """

    rate: float
    learning_rate: float
    weight_decay: float
    head_factor: float
    seed: int
    kind: str = "fine-tuning"
    width: int | None = None


@dataclass(frozen=True)
class Entry:
    """What is made of a run, or of all runs of a rate (`run` is None); `step` if it was selected.

    Versions: "selected", "last", "average" and "ensemble" of a run's checkpoints; "all-average" and
    "all-ensemble" of the selected ones of all runs.
    """

    version: str
    run: Run | None
    rate: float
    head_factor: float
    kind: str = "fine-tuning"
    width: int | None = None
    step: int | None = None


@dataclass(frozen=True)
class Curve:
    """Accuracies of a run's checkpoints, at so many steps: means over domains but for `ood`."""

    run: Run
    steps: tuple[int, ...]
    tune: tuple[float, ...]
    iid: tuple[float, ...]
    ood: tuple[float, ...]


@dataclass(frozen=True)
class Runs:
    """A family of runs that left out one domain; `weights_sha256` is "" for runs from scratch."""

    family: str
    held_out: str
    weights_sha256: str
    entries: tuple[Entry, ...]
    positions_N: np.ndarray
    predicted_EN: np.ndarray
    true_log_probability_EN: np.ndarray
    confidence_EN: np.ndarray
    curves: tuple[Curve, ...]


def columns(
    logits_NC: np.ndarray, labels_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted class, log-probability of the true one (nats), and largest probability, each [N].

    Of an ensemble give the mean of the logits: it predicts as their sum does, and its probabilities
    do not sharpen with the number of members.
    """
    logits_NC = np.asarray(logits_NC, dtype=np.float64)
    log_NC = logits_NC - logits_NC.max(axis=1, keepdims=True)
    log_NC -= np.log(np.exp(log_NC).sum(axis=1, keepdims=True))
    predicted_N = log_NC.argmax(axis=1)
    rows = np.arange(len(log_NC))
    return (
        predicted_N.astype(np.int16),
        log_NC[rows, labels_N].astype(np.float32),
        np.exp(log_NC[rows, predicted_N]).astype(np.float32),
    )


def reported_positions(examples: Examples, held_out: str) -> np.ndarray:
    """Positions [N] of what is reported: the training domains' report split, then the unseen."""
    split = leave_out(examples, held_out)
    return np.concatenate([*split.report.values(), split.unseen])


def write_runs(path: str | os.PathLike, runs: Runs, examples: Examples) -> None:
    """Write a family of runs."""
    header = {
        "family": runs.family,
        "held_out": runs.held_out,
        "weights_sha256": runs.weights_sha256,
        "entries": [asdict(entry) for entry in runs.entries],
        "curves": [asdict(curve) for curve in runs.curves],
        **of_examples(examples),
    }
    tensors = {
        "positions": np.asarray(runs.positions_N, np.int64),
        "predicted": np.ascontiguousarray(runs.predicted_EN, np.int16),
        "true_log_probability": np.ascontiguousarray(runs.true_log_probability_EN, np.float32),
        "confidence": np.ascontiguousarray(runs.confidence_EN, np.float32),
    }
    write_tensors(path, KIND, header, tensors)


def read_runs(path: str | os.PathLike, examples: Examples) -> Runs:
    """Read a family of runs; InputError if it is not of these examples, classes and splits."""
    header, tensors = read_tensors(path, KIND)
    check_examples(path, header, examples)
    if not np.array_equal(tensors["positions"], reported_positions(examples, header["held_out"])):
        raise InputError(f"{path} was made with other splits or domains: delete it and run again")
    return Runs(
        family=header["family"],
        held_out=header["held_out"],
        weights_sha256=header["weights_sha256"],
        entries=tuple(_entry(**entry) for entry in header["entries"]),
        positions_N=tensors["positions"],
        predicted_EN=tensors["predicted"],
        true_log_probability_EN=tensors["true_log_probability"],
        confidence_EN=tensors["confidence"],
        curves=tuple(curve_of(**curve) for curve in header["curves"]),
    )


def _entry(run: dict | None, **rest) -> Entry:
    return Entry(run=Run(**run) if run else None, **rest)


def curve_of(run: dict, **accuracies: Sequence[float]) -> Curve:
    """A curve from what `asdict` made of it, also by way of JSON."""
    return Curve(Run(**run), **{name: tuple(values) for name, values in accuracies.items()})
