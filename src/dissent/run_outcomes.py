"""What came of a fine-tuning with dropout, in memory and kept on the disk while its family is made.

A file of safetensors: logits and selected weights, with the curve in the header.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dissent.devices import moved, own_device
from dissent.dropout_runs import Curve, curve_of
from dissent.files import atomic
from dissent.weight_averages import State

LOGITS, WEIGHTS = "logits.", "weights."


@dataclass(frozen=True)
class Outcome:
    """A run's accuracies at its checkpoints, what its versions say, and its selected weights.

    `logits` [N, C] are of the reported examples; `step` is that of the selected checkpoint, and
    `finite` says whether its logits are numbers.
    """

    curve: Curve
    step: int
    logits: dict[str, np.ndarray]
    weights: State
    finite: bool


def keep(path: Path, outcome: Outcome) -> None:
    """Write an outcome."""
    header = {
        "curve": asdict(outcome.curve),
        "step": outcome.step,
        "finite": outcome.finite,
        # A file of safetensors has an order of its own.
        "versions": list(outcome.logits),
    }
    logits = {LOGITS + name: torch.from_numpy(said) for name, said in outcome.logits.items()}
    weights = {WEIGHTS + name: tensor for name, tensor in outcome.weights.items()}
    # Cloned, as safetensors takes no two that share memory, and "selected" may be "last".
    tensors = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in (logits | weights).items()
    }
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"outcome": json.dumps(header)})


def kept(path: Path) -> Outcome | None:
    """The outcome at `path`, or None if nothing is there, or half of it."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["outcome"])
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except SafetensorError:
        return None

    logits = {name: tensors[LOGITS + name].numpy() for name in header.pop("versions")}
    weights = {
        name.removeprefix(WEIGHTS): tensor
        for name, tensor in tensors.items()
        if name.startswith(WEIGHTS)
    }
    curve = curve_of(**header.pop("curve"))
    return Outcome(curve=curve, logits=logits, weights=moved(weights, own_device()), **header)
