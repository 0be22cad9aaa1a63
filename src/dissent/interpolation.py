"""The way from a pre-trained network to a fine-tuned one, through weights and representations.

If fine-tuning is a small step, the network is about linear in its weights, and a mixture of the
weights does what the same mixture of the representations does (arXiv 2403.00946, section 3.2 and
figure 1). Statistics of batch normalisation are frozen, hence equal at both ends, and need nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from dissent.classifiers import features, linear_head, prepare
from dissent.determinism import seed_of
from dissent.devices import own_device
from dissent.domains import HeldOut
from dissent.dropout_runs import Run
from dissent.dropout_training import (
    PREDICTED_AT_ONCE,
    logits_of,
    optimise,
    start_of,
    training_batches,
    with_images,
)
from dissent.dropout_versions import Task
from dissent.examples import Examples
from dissent.finetuning import to_device
from dissent.progress import log
from dissent.training.recipes import fit_linear_head
from dissent.weight_averages import State, copy_of
from dissent.weight_paths import is_finite

FINE_TUNINGS = ("mild", "long")


def interpolate(
    checkpoint: Path, examples: Examples, held: HeldOut, settings: Mapping[str, Any]
) -> pd.DataFrame:
    """Accuracies between a checkpoint under a fitted head and its fine-tunings without dropout.

    One row for each fine-tuning (mild, long), path (weights, representations) and share of the
    fine-tuned network: `iid` is the mean over the training domains of the accuracy on report, of
    `n_iid` images in all, `ood` the accuracy on the held-out domain. What diverges counts
    as guessing.
    """
    model, card = start_of(checkpoint, held.domain, examples.classes)
    limited = with_images(held, settings["images"])
    task = Task(examples, limited, card["preprocessing"], settings)
    train = np.concatenate([*limited.train.values()])
    # That function computes on the CPU alone.
    fit_linear_head(
        model.cpu(), examples.images_NHW[train], examples.labels[train], card["preprocessing"]
    )
    start = copy_of(model.to(own_device()).state_dict())
    shares = [i / (settings["points"] - 1) for i in range(settings["points"])]
    rows = []
    for name in FINE_TUNINGS:
        model.load_state_dict(start)
        fine_tune(model, task, **settings[name])
        end = copy_of(model.state_dict())
        if not is_finite(end):
            log.warning(
                "`interpolation.%s` diverged with learning rate %g without domain %r: it counts "
                "as guessing; lower it",
                *(name, settings[name]["learning_rate"], held.domain),
            )
        paths = {
            "weights": along_weights(model, start, end, shares, task),
            "representations": along_representations(model, start, end, shares, task),
        }
        for path, all_logits in paths.items():
            for share, logits_NC in zip(shares, all_logits, strict=True):
                iid, ood = accuracies(logits_NC, task)
                rows.append((held.domain, name, path, share, iid, ood))
    table = pd.DataFrame(rows, columns=["held_out", "fine_tuning", "path", "share", "iid", "ood"])
    return table.assign(n_iid=len(task.reported) - len(held.unseen), n_ood=len(held.unseen))


def fine_tune(model: nn.Module, task: Task, learning_rate: float, steps: int) -> None:
    """Fine-tune a network without dropout, from the weights it has, as runs of seed 0 are."""
    run = Run(0.0, learning_rate, task.settings["weight_decay"], head_factor=1.0, seed=0)
    order = torch.Generator().manual_seed(seed_of("order", task.held.domain, run.seed))
    batches = training_batches(task.examples, task.held, task.preprocessing, task.settings, order)
    settings = {**task.settings, "steps": steps, "checkpoints": 1, "masks": 1}
    for _ in optimise(model, run, settings, batches, masks=order):
        pass


def along_weights(
    model: nn.Module, start: State, end: State, shares: Sequence[float], task: Task
) -> Iterator[np.ndarray]:
    """Logits [N, C] of the reported examples, of networks with mixed weights, share by share."""
    for share in shares:
        model.load_state_dict(
            {
                name: mixed(tensor, end[name], share) if tensor.is_floating_point() else tensor
                for name, tensor in start.items()
            }
        )
        yield logits_of(model, task.examples.images_NHW, task.reported, task.preprocessing)


def along_representations(
    model: nn.Module, start: State, end: State, shares: Sequence[float], task: Task
) -> Iterator[np.ndarray]:
    """The same of mixed representations under mixed heads."""
    starts, ends = (representations(model, state, task) for state in (start, end))
    for share in shares:
        parts = [mixed(a, b, share) for a, b in zip(starts, ends, strict=True)]
        yield F.linear(*parts).cpu().numpy()


def mixed(start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    """The mixture with a share of `end`; the start is itself even if the end is not finite."""
    return torch.lerp(start, end, share) if share else start


@torch.inference_mode()
def representations(
    model: nn.Module, state: State, task: Task
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features [N, D] of the reported examples, and weights [C, D] and bias [C] of the head."""
    model.load_state_dict(state)
    model.eval()
    batches = []
    for start in range(0, len(task.reported), PREDICTED_AT_ONCE):
        images = task.examples.images_NHW[task.reported[start : start + PREDICTED_AT_ONCE]]
        batches.append(features(model, to_device(prepare(images, task.preprocessing), model)))
    weight_CD, bias_C = linear_head(model)
    return torch.cat(batches), weight_CD.clone(), bias_C.clone()


def accuracies(logits_NC: np.ndarray, task: Task) -> tuple[float, float]:
    """Accuracy on report, the unweighted mean over training domains, and on the unseen domain.

    Logits [N, C] are of the reported examples; if one is not finite, all are as of a guess.
    """
    if not np.isfinite(logits_NC).all():
        logits_NC = np.zeros_like(logits_NC)
    right_N = logits_NC.argmax(axis=1) == task.examples.labels[task.reported]
    ends = np.cumsum([len(positions) for positions in task.held.report.values()])
    *seen, unseen = (float(right.mean()) for right in np.split(right_N, ends))
    return float(np.mean(seen)), unseen
