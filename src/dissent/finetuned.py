"""Files of what fine-tuned models predict.

Both kinds are safetensors files, with what their rows are in the header. A fine-tunings file holds
one pre-trained model's fine-tunings on one task: `log_probabilities` float32 [R, N, C] and
`positions` int64 [N] in the data set. A shifted file holds what the members of chosen ensembles say
of shifted versions of the same examples: `log_probabilities` float32 [R, V, N, C] and `labels`
int64 [N].
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.files import atomic

# What fine-tuned models predict, in this order: what is chosen on, then what is measured on.
PREDICTED = ("tune", "report")
# What to say of each part that must be as the reader expects.
PARTS = {
    "ids_sha256": "other examples or another order of them",
    "content_sha256": "other images or labels",
    "classes": "other classes",
}


@dataclass(frozen=True)
class FineTuning:
    """One fine-tuning of a model: `head` counts head initialisations, `seed` replicates."""

    learning_rate: float
    steps: int
    head: int
    seed: int


@dataclass(frozen=True)
class FineTunings:
    """All fine-tunings of one model at one place, and what they predict.

    `positions_N` are those of the examples of split tune, then of report. Runs are in the order of
    seeds, then heads, then settings.
    """

    model: str
    weights_sha256: str
    runs: tuple[FineTuning, ...]
    positions_N: np.ndarray
    log_probabilities_RNC: np.ndarray


@dataclass(frozen=True)
class ShiftedMember:
    """A member of chosen ensembles: run `run` of a fine-tunings file, and its weight by method."""

    file: str
    run: int
    model: str
    methods: dict[str, float]


@dataclass(frozen=True)
class Shifted:
    """What members (R) say of versions (V: corruption and severity) of the same N examples."""

    task: str
    classes: tuple[str, ...]
    members: tuple[ShiftedMember, ...]
    versions: tuple[tuple[str, int], ...]
    log_probabilities_RVNC: np.ndarray
    labels_N: np.ndarray


def predicted_positions(examples: Examples) -> np.ndarray:
    """Positions [N] of the examples that fine-tuned models predict: tune, then report."""
    return np.concatenate([examples.where(split) for split in PREDICTED])


def write_fine_tunings(
    path: str | os.PathLike, fine_tunings: FineTunings, examples: Examples
) -> None:
    """Write a fine-tunings file."""
    header = {
        "model": fine_tunings.model,
        "weights_sha256": fine_tunings.weights_sha256,
        "runs": [asdict(run) for run in fine_tunings.runs],
        **of_examples(examples),
    }
    tensors = {
        "positions": fine_tunings.positions_N.astype(np.int64),
        "log_probabilities": np.ascontiguousarray(fine_tunings.log_probabilities_RNC, np.float32),
    }
    write_tensors(path, "fine_tunings", header, tensors)


def read_fine_tunings(path: str | os.PathLike, examples: Examples) -> FineTunings:
    """Read a fine-tunings file; InputError if it is not of these examples, classes and splits."""
    header, tensors = read_tensors(path, "fine_tunings")
    check_examples(path, header, examples)
    if not np.array_equal(tensors["positions"], predicted_positions(examples)):
        raise InputError(f"{path} was made with other splits: delete it and run again")
    return FineTunings(
        model=header["model"],
        weights_sha256=header["weights_sha256"],
        runs=tuple(FineTuning(**run) for run in header["runs"]),
        positions_N=tensors["positions"],
        log_probabilities_RNC=tensors["log_probabilities"],
    )


def write_shifted(path: str | os.PathLike, shifted: Shifted) -> None:
    """Write a shifted file."""
    header = {
        "task": shifted.task,
        "classes": list(shifted.classes),
        "members": [asdict(member) for member in shifted.members],
        "versions": [list(version) for version in shifted.versions],
    }
    tensors = {
        "labels": shifted.labels_N.astype(np.int64),
        "log_probabilities": np.ascontiguousarray(shifted.log_probabilities_RVNC, np.float32),
    }
    write_tensors(path, "shifted", header, tensors)


def read_shifted(path: str | os.PathLike) -> Shifted:
    """Read a shifted file."""
    header, tensors = read_tensors(path, "shifted")
    return Shifted(
        task=header["task"],
        classes=tuple(header["classes"]),
        members=tuple(ShiftedMember(**member) for member in header["members"]),
        versions=tuple((corruption, severity) for corruption, severity in header["versions"]),
        log_probabilities_RVNC=tensors["log_probabilities"],
        labels_N=tensors["labels"],
    )


def of_examples(examples: Examples) -> dict[str, Any]:
    """What a file's header says of the examples that it is of."""
    return {
        "ids_sha256": examples.ids_sha256,
        "content_sha256": examples.content_sha256,
        "classes": list(examples.classes),
    }


def check_examples(path: str | os.PathLike, header: dict[str, Any], examples: Examples) -> None:
    """InputError unless a file's header is of these examples and classes."""
    for part, expected in of_examples(examples).items():
        if header[part] != expected:
            raise InputError(f"{path} was made with {PARTS[part]}: delete it and run again")


def write_tensors(
    path: str | os.PathLike, kind: str, header: dict[str, Any], tensors: dict[str, np.ndarray]
) -> None:
    """Write a safetensors file of one kind, with what its rows are in the header."""
    with atomic(path) as temporary:
        save_file(tensors, temporary, {kind: json.dumps(header, sort_keys=True)})


def read_tensors(
    path: str | os.PathLike, kind: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_tensors` wrote; InputError if there is none or not of this kind."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no file {path}: run the workflow up to it")
    try:
        with safe_open(path, "np") as file:
            header = json.loads((file.metadata() or {})[kind])
        return header, load_file(path)
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is truncated or holds no {kind.replace('_', '-')} ({error}): delete it and "
            f"run again"
        ) from None
