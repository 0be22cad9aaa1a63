"""The logits file: what one model says of one data set, with the key of everything it depends on.

A safetensors file. Its tensors, by what `key.output` says it holds:

- "features": `features` [N, D] float16, of a model whose classes are not the data set's.
- "classes": `predicted` int32 [N].
- "confidences": also `max_log_probability` float32 [N].
- "logits": also `logits` [N, C], and float32 columns [N] computed from the scores before they were
  stored: `logsumexp` and, where examples have one label each, `true_log_probability`.

Models that ran here have float16 logits, and `features` too where a later step reads them; imported
predictions have float32 logits. Metrics that compare predictions use the columns, as float16 flips
about 0.1 % of the argmaxes. A prediction that is missing, of an example no split has, is -1, and
its scores are NaN.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.files import atomic

STORED_DTYPE = "float16"
IMPORTED_DTYPE = "float32"
# What a file may hold, from least to most.
OUTPUTS = ("features", "classes", "confidences", "logits")
DTYPES = {"F16": np.float16, "F32": np.float32, "I32": np.int32}


@dataclass(frozen=True)
class Key:
    """All that decides the content of a logits file.

    `preprocessing` is resolved, not a name; `example_ids_sha256` covers ids and their order,
    `examples_sha256` images and labels; `label_map` names the classes in the order of the columns;
    `output` is one of `OUTPUTS`, `dtype` that of features and logits. Of imported predictions,
    `weights_sha256` is the digest of the file and `preprocessing` how it was read. `precision` is
    that of the model's products, where it was not float32 (autocast).
    """

    weights_sha256: str
    preprocessing: dict[str, Any]
    example_ids_sha256: str
    examples_sha256: str
    label_map: list[str]
    output: str
    dtype: str
    libraries: dict[str, str]
    precision: str = "float32"


# What to call each part of the key when it is not what the reader expects.
PARTS = {
    "weights_sha256": "other weights",
    "preprocessing": "other preprocessing",
    "example_ids_sha256": "other examples or another order of them",
    "examples_sha256": "other images or labels",
    "label_map": "another label map",
    "output": "another kind of output",
    "dtype": "another dtype",
    "libraries": "other library versions",
    "precision": "another precision",
}


@dataclass(frozen=True)
class Logits:
    """An open logits file: its key, and memory-mapped tensors by name."""

    key: Key
    tensors: dict[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.tensors[name]


def log_probability_columns(logits_NC: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The float32 columns [N] of the logits file, from float32 logits."""
    highest_N = logits_NC.max(axis=1)
    logsumexp_N = highest_N + np.log(np.exp(logits_NC - highest_N[:, None]).sum(axis=1))
    columns = {
        "predicted": logits_NC.argmax(axis=1).astype(np.int32),
        "max_log_probability": highest_N - logsumexp_N,
        "logsumexp": logsumexp_N,
    }
    if labels.ndim == 1:
        columns["true_log_probability"] = _of_labels(logits_NC, labels) - logsumexp_N
    return columns


def _of_labels(values_NC: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values_NC, labels_N[:, None], axis=1)[:, 0]


def write_logits(
    path: str | os.PathLike,
    key: Key,
    features_ND: np.ndarray,
    logits_NC: np.ndarray | None = None,
    labels_N: np.ndarray | None = None,
) -> None:
    """Write a logits file from float32 features and, for `output` "logits", float32 logits."""
    write_tensors(path, key, stored(features_ND, logits_NC, labels_N))


def stored(
    features_ND: np.ndarray | None, logits_NC: np.ndarray | None, labels: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The tensors of a logits file, of a model that ran here: of all its rows, or of some."""
    tensors = {} if features_ND is None else {"features": features_ND.astype(STORED_DTYPE)}
    if logits_NC is not None:
        tensors["logits"] = logits_NC.astype(STORED_DTYPE)
        tensors |= log_probability_columns(logits_NC, labels)
    return tensors


def write_predictions(
    path: str | os.PathLike,
    key: Key,
    predicted_N: np.ndarray,
    max_log_probability_N: np.ndarray | None,
    logits_NC: np.ndarray | None,
    labels: np.ndarray,
) -> None:
    """Write a logits file from predictions that were made elsewhere, as much as there is of them.

    With both `max_log_probability_N` and `logits_NC`, these are log-probabilities and are kept as
    given, though they may not sum to exactly one; float32 logits alone are normalised.
    """
    columns = {}
    if logits_NC is not None:
        columns = {"logits": np.ascontiguousarray(logits_NC, np.float32)}
        columns |= log_probability_columns(columns["logits"], labels)
        if max_log_probability_N is not None and labels.ndim == 1:
            columns["true_log_probability"] = _of_labels(columns["logits"], labels)
    if max_log_probability_N is not None:
        columns["max_log_probability"] = max_log_probability_N.astype(np.float32)
    write_tensors(path, key, columns | {"predicted": predicted_N.astype(np.int32)})


def write_tensors(path: str | os.PathLike, key: Key, tensors: dict[str, np.ndarray]) -> None:
    """Write a logits file from its tensors, as the head of this module describes them."""
    parts = asdict(key)
    # Said only where it is another, so that older files stay as they are.
    if key.precision == Key.precision:
        del parts["precision"]
    # Whatever its strides, safetensors takes an array's memory as it lies.
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"key": json.dumps(parts, sort_keys=True)})


def open_logits(path: str | os.PathLike, **expected: Any) -> Logits:
    """Open a logits file if its key has the expected parts (fields of `Key`); refuse it if not.

    Raises InputError naming the file and the part that differs, or the damage.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no logits file {path}: run the workflow up to it")
    try:
        # Opening checks the header against the file's length, so a truncated file stops here.
        with safe_open(path, "np") as file:
            header = file.metadata() or {}
        key = Key(**json.loads(header["key"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is truncated or no logits file ({error}): delete it and run again"
        ) from None
    _refuse_other(path, key, expected)
    return Logits(key, _memory_map(path))


def _refuse_other(path: Path, key: Key, expected: dict[str, Any]) -> None:
    for part, value in expected.items():
        found = getattr(key, part)
        if found != value:
            raise InputError(
                f"{path} was made with {PARTS[part]} (file: {_brief(found)}; expected: "
                f"{_brief(value)}): delete it and run again"
            )


def of_examples(examples: Examples) -> dict[str, str]:
    """The parts of the key that a reader expects of any logits file on these examples."""
    return {
        "example_ids_sha256": examples.ids_sha256,
        "examples_sha256": examples.content_sha256,
        "dtype": STORED_DTYPE,
    }


def open_predictions(
    paths: Sequence[str | os.PathLike], examples: Examples, least: str = "classes"
) -> dict[str, Logits]:
    """Logits files of several models on one data set, by model id (the file's stem).

    Refuses a file of other examples, of another order, or of another label map, and one that holds
    less than `least` (one of `OUTPUTS`). Files on examples that were labelled anew since are taken.
    """
    expected = of_examples(examples)
    # Imported files have another one.
    del expected["dtype"]
    if examples.relabels:
        del expected["examples_sha256"]
    opened = {}
    for path in map(Path, paths):
        logits = open_logits(path, **expected)
        held = logits.key.output
        if OUTPUTS.index(held) < OUTPUTS.index(least):
            raise InputError(
                f"{path} holds {held} alone, and {least} are needed: leave the model out, or give "
                f"predictions that hold more"
            )
        _refuse_other(path, logits.key, {"label_map": list(examples.classes)})
        opened[path.stem] = logits
    return opened


def _memory_map(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file, mapped rather than read (its format: huggingface docs)."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        name: np.memmap(
            path,
            DTYPES[entry["dtype"]],
            mode="r",
            offset=8 + length + entry["data_offsets"][0],
            shape=tuple(entry["shape"]),
        )
        for name, entry in header.items()
    }


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
