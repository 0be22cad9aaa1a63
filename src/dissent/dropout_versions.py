"""What is made of the fine-tunings of a family: selected, averaged and ensembled networks.

Versions of a run (arXiv 2403.00946, section 4.1, whose code is not always as its text says):
selected      the checkpoint with the best accuracy on split tune, the first of equals
last          the last checkpoint
average       the mean of the checkpoints' weights (the text's; the code averages every step's)
ensemble      the sum of the checkpoints' logits (the code's; the text does not say)
Versions of all runs of a rate and head factor, whatever their learning rate, decay and seed:
all-average   the mean of the selected checkpoints' weights
all-ensemble  the sum of the selected checkpoints' logits
For a sum of logits their mean is written: it predicts the same, and its probabilities are no
sharper the more members there are.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from dissent.classifiers import Preprocessing
from dissent.determinism import seed_of
from dissent.domains import HeldOut
from dissent.dropout_runs import Curve, Entry, Run, Runs, columns
from dissent.dropout_training import (
    Batch,
    from_scratch,
    logits_of,
    optimise,
    start_of,
    training_batches,
    with_images,
)
from dissent.examples import Examples
from dissent.files import sha256
from dissent.finetuning import STATISTICS_IMAGES, to_device
from dissent.progress import log, progress
from dissent.run_outcomes import Outcome, keep, kept
from dissent.weight_averages import State, add_to_mean, copy_of

SCRATCH = "scratch"


@dataclass(frozen=True)
class Task:
    """What the runs without one domain learn from and are measured on, and how they learn."""

    examples: Examples
    held: HeldOut
    preprocessing: Preprocessing
    settings: Mapping[str, Any]

    @property
    def reported(self) -> np.ndarray:
        """Positions [N]: report of the training domains, then the unseen one."""
        return np.concatenate([*self.held.report.values(), self.held.unseen])


@dataclass
class Together:
    """The selected checkpoints of runs so far: sum of logits, mean of weights, of how many.

    A run that diverged, `runs` apart, is in neither: one would make the mean of all a guess.
    """

    runs: int = 0
    count: int = 0
    logits_NC: np.ndarray | float = 0.0
    weights: State | None = None


def fine_tune_family(
    family: str,
    checkpoint: Path,
    examples: Examples,
    held: HeldOut,
    settings: Mapping[str, Any],
    parts: Path | None = None,
) -> Runs:
    """Fine-tune a checkpoint once for each of the settings' runs, without the held-out domain.

    What comes of each run is kept in the folder `parts`, if one is given, and taken from there if
    it is there: what else decides on it must be in the folder's name (`parts.folder_of`). In the
    family `scratch` the checkpoint gives the architecture alone, and there is no
    all-average: networks that were initialised separately have no meaningful one.
    """
    scratch = family == SCRATCH
    model, card = start_of(checkpoint, held.domain, examples.classes)
    start = copy_of(model.state_dict())
    limited = with_images(held, settings["images"])
    task = Task(examples, limited, card["preprocessing"], settings)
    rows: list[tuple[Entry, np.ndarray, np.ndarray, np.ndarray]] = []
    curves: list[Curve] = []
    of_all: dict[tuple[float, float], Together] = {}
    runs = [Run(**run) for run in settings["runs"]]
    for number, run in enumerate(progress(runs, f"{family} without {held.domain}")):
        path = parts / f"{number:04d}.safetensors" if parts else None
        outcome = kept(path) if path else None
        if outcome is None:
            if scratch:
                model = from_scratch(card, held.domain, run.seed)
            else:
                model.load_state_dict(start)
            outcome = outcome_of(model, run, task, live=scratch)
            if path:
                keep(path, outcome)
        curves.append(outcome.curve)
        for version, logits_NC in outcome.logits.items():
            step = outcome.step if version == "selected" else None
            rows.append(
                row(Entry(version, run, run.rate, run.head_factor, step=step), logits_NC, task)
            )
        join(of_all.setdefault((run.rate, run.head_factor), Together()), outcome, scratch)
    for (rate, head_factor), together in of_all.items():
        for version, logits_NC in versions_of_all(together, model, task):
            rows.append(row(Entry(version, None, rate, head_factor), logits_NC, task))
    entries, predicted, true_log_probability, confidence = zip(*rows, strict=True)
    return Runs(
        family=family,
        held_out=held.domain,
        weights_sha256="" if scratch else sha256(checkpoint),
        entries=entries,
        positions_N=task.reported,
        predicted_EN=np.stack(predicted),
        true_log_probability_EN=np.stack(true_log_probability),
        confidence_EN=np.stack(confidence),
        curves=tuple(curves),
    )


def row(
    entry: Entry, logits_NC: np.ndarray, task: Task
) -> tuple[Entry, np.ndarray, np.ndarray, np.ndarray]:
    """An entry and what it says of the reported examples."""
    return entry, *columns(logits_NC, task.examples.labels[task.reported])


def join(together: Together, outcome: Outcome, scratch: bool) -> None:
    """Add a run's selected checkpoint to those of the others."""
    together.runs += 1
    if not outcome.finite:
        return
    together.count += 1
    together.logits_NC = together.logits_NC + outcome.logits["selected"]
    if not scratch:
        together.weights = add_to_mean(together.weights, outcome.weights, together.count)


def versions_of_all(
    together: Together, model: nn.Module, task: Task
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what is made of several runs, and its logits [N, C]; of one alone, nothing."""
    if together.runs < 2 or not together.count:
        return
    if together.weights is not None:
        model.load_state_dict(together.weights)
        yield "all-average", logits_or_guess(model, task, task.reported)[0]
    yield "all-ensemble", together.logits_NC / together.count


def outcome_of(model: nn.Module, run: Run, task: Task, *, live: bool) -> Outcome:
    """Fine-tune `model` from the weights it has, and make the run's versions.

    Batches and masks come from seed and held-out domain: those of all rates and configurations are
    the same, so that their runs can be compared in pairs. `live`: see `optimise`.
    """
    order, masks = (
        torch.Generator().manual_seed(seed_of(what, task.held.domain, run.seed))
        for what in ("order", "masks")
    )
    batches = training_batches(task.examples, task.held, task.preprocessing, task.settings, order)
    tune = np.concatenate([*task.held.tune.values()])
    measured = np.concatenate([tune, task.reported])
    steps, accuracies, diverged = [], [], []
    best, mean, total = None, None, 0.0
    for step in optimise(model, run, task.settings, batches, masks, live=live):
        said_NC, finite = logits_or_guess(model, task, measured)
        if not finite:
            diverged.append(step)
        steps.append(step)
        accuracies.append(accuracies_of(said_NC, task))
        logits_NC = said_NC[len(tune) :]
        total = total + logits_NC
        mean = add_to_mean(mean, model.state_dict(), len(steps))
        quality = (finite, accuracies[-1][0])
        if best is None or quality > best:
            best, selected = quality, (step, logits_NC, copy_of(model.state_dict()))
    model.load_state_dict(mean)
    if live:
        take_statistics(model, batches, task)
    average_NC, _ = logits_or_guess(model, task, task.reported)
    if diverged:
        log.warning(
            "without %s, a run diverged by step %d: from there on it counts as guessing%s (%s)",
            *(task.held.domain, diverged[0], "" if best[0] else ", and no average has it", run),
        )
    selected_step, selected_NC, selected_weights = selected
    logits = {
        "selected": selected_NC,
        "last": logits_NC,
        "average": average_NC,
        "ensemble": total / len(steps),
    }
    curve = Curve(run, tuple(steps), *zip(*accuracies, strict=True))
    return Outcome(curve, selected_step, logits, selected_weights, finite=best[0])


def take_statistics(model: nn.Module, batches: Iterator[Batch], task: Task) -> None:
    """Take the statistics of batch normalisation anew, from a few batches.

    Averaged statistics are not those of averaged weights (arXiv 1803.05407, section 3).
    """
    batch_size = task.settings["batch_size"] * len(task.held.train)
    few = itertools.islice(batches, math.ceil(STATISTICS_IMAGES / batch_size))
    update_bn((to_device(inputs, model) for inputs, _ in few), model)


def logits_or_guess(
    model: nn.Module, task: Task, positions_N: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Logits [N, C], and whether they are finite; if one is not, all are 0, as of a guess."""
    logits_NC = logits_of(model, task.examples.images_NHW, positions_N, task.preprocessing)
    finite = bool(np.isfinite(logits_NC).all())
    return (logits_NC if finite else np.zeros_like(logits_NC)), finite


def accuracies_of(logits_NC: np.ndarray, task: Task) -> tuple[float, float, float]:
    """Accuracy on tune, report (both unweighted means over the training domains) and unseen."""
    held = task.held
    parts = [*held.tune.values(), *held.report.values(), held.unseen]
    right_N = logits_NC.argmax(axis=1) == task.examples.labels[np.concatenate(parts)]
    ends = np.cumsum([len(part) for part in parts])
    *seen, unseen = (float(right.mean()) for right in np.split(right_N, ends[:-1]))
    n = len(held.tune)
    return float(np.mean(seen[:n])), float(np.mean(seen[n:])), unseen
