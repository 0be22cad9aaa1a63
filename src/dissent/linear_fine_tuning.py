"""Linear fine-tuning of a frozen network, and linear probes, with dropout.

Linear fine-tuning combines what the last residual blocks put out (arXiv 2403.00946, sections 3.2
and 4.3): y = V sum_i v_i * phi_i + b, where v_i in R^D, V and b are trained, and phi_i in R^D is
the pooled output of block i, standardised. A probe learns from the last block alone: y = V phi + b.
Dropout is of the combined features, as in fine-tuning of all weights.

The paper's blocks are the three of the last stage of a ResNet-50, all of one width. Where a network
has fewer blocks there, an earlier block's output reaches the last width by the shortcuts of the
later blocks, as it does within the network (paths of the decomposition in section 3.1). Such a
shortcut is linear and frozen, and the identity where widths agree, so that this is the paper's form
for any network. Trained maps of every width into the classes would be another: more parameters, and
no sum that dropout could act on.

The paper has the blocks' outputs normalised; in its published code that line is commented out.
Here they are standardised, as without it learning rates would not suit other networks.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dissent.classifiers import Card
from dissent.commandline import InputError
from dissent.determinism import seed_of
from dissent.domains import HeldOut
from dissent.dropout_runs import Curve, Entry, Run, Runs
from dissent.dropout_training import (
    PREDICTED_AT_ONCE,
    augmented,
    domain_batches,
    start_of,
    with_images,
)
from dissent.dropout_versions import Task, accuracies_of, row
from dissent.examples import Examples
from dissent.files import sha256
from dissent.finetuning import rate_factor, to_device
from dissent.progress import log, progress
from dissent.residual_blocks import block_outputs, residual_blocks
from dissent.training.optimise import checkpoint_steps

LINEAR, PROBE = "linear", "probe"
# Augmented copies of every training image, which stand for ever new ones.
COPIES = 4
# As batch normalisation has it. A feature that is about constant in training would otherwise be
# huge in a domain where it is not.
LEAST_VARIANCE = 1e-5


@dataclass(frozen=True)
class Frozen:
    """What the frozen network says: standardised outputs of K blocks of D features.

    `train_ANKD` are of A copies of the N training images, which are those of each domain at its
    rows in `rows`; `evaluated_NKD` of split tune of each, then of all that is reported.
    """

    train_ANKD: torch.Tensor
    labels_N: torch.Tensor
    rows: dict[str, np.ndarray]
    evaluated_NKD: torch.Tensor


@dataclass
class Outcome:
    """A run's checkpoints: steps, accuracies, whether all logits were finite; logits [N, C]."""

    steps: list[int] = field(default_factory=list)
    accuracies: list[tuple[float, float, float]] = field(default_factory=list)
    finite: list[bool] = field(default_factory=list)
    selected_step: int = 0
    selected_NC: np.ndarray | None = None
    last_NC: np.ndarray | None = None


def fit_family(
    checkpoint: Path, examples: Examples, held: HeldOut, settings: Mapping[str, Any]
) -> Runs:
    """Fit each of the settings' runs to a frozen checkpoint, without the held-out domain.

    Raises InputError if no such residual blocks are found, or if a run keeps too many features.
    """
    model, card = start_of(checkpoint, held.domain, examples.classes)
    limited = with_images(held, settings["images"])
    task = Task(examples, limited, card["preprocessing"], settings)
    blocks = residual_blocks(model, card["architecture"], settings["blocks"])
    runs = [Run(**run) for run in settings["runs"]]
    check_widths(runs, model.num_features, card)
    frozen = outputs_of_task(model, blocks, task)
    together = defaultdict(list)
    for run in runs:
        together[run.kind, run.width, run.seed].append(run)
    outcomes: dict[Run, Outcome] = {}
    for group in progress(together.values(), f"linear without {held.domain}", len(together)):
        outcomes |= zip(group, outcomes_of(group, frozen, task), strict=True)
    rows = []
    for run in runs:
        of_run = (run.rate, run.head_factor, run.kind, run.width)
        found = outcomes[run]
        selected = Entry("selected", run, *of_run, step=found.selected_step)
        rows += [
            row(selected, found.selected_NC, task),
            row(Entry("last", run, *of_run), found.last_NC, task),
        ]
    entries, predicted, true_log_probability, confidence = zip(*rows, strict=True)
    return Runs(
        family="linear",
        held_out=held.domain,
        weights_sha256=sha256(checkpoint),
        entries=entries,
        positions_N=task.reported,
        predicted_EN=np.stack(predicted),
        true_log_probability_EN=np.stack(true_log_probability),
        confidence_EN=np.stack(confidence),
        curves=tuple(curve_of(run, outcomes[run]) for run in runs),
    )


def curve_of(run: Run, outcome: Outcome) -> Curve:
    """A run's accuracies along its steps."""
    return Curve(run, tuple(outcome.steps), *zip(*outcome.accuracies, strict=True))


def check_widths(runs: Sequence[Run], n_features: int, card: Card) -> None:
    """Raise InputError if a probe is to keep more features than there are."""
    for run in runs:
        if run.width is not None and run.width > n_features:
            raise InputError(
                f"`linear.widths` has {run.width}, but architecture {card['architecture']!r} has "
                f"{n_features} features: lower it"
            )


def outputs_of_task(model: nn.Module, blocks: Sequence[nn.Module], task: Task) -> Frozen:
    """Block outputs of every image, computed once and standardised by those of training images."""
    held, strength = task.held, task.settings["augmentation"]
    changes = torch.Generator().manual_seed(seed_of("copies", held.domain))
    train = np.concatenate([*held.train.values()])
    evaluated = np.concatenate([*held.tune.values(), task.reported])

    @torch.inference_mode()
    def outputs(positions: np.ndarray, strength: str) -> torch.Tensor:
        batches = []
        for start in range(0, len(positions), PREDICTED_AT_ONCE):
            images = task.examples.images_NHW[positions[start : start + PREDICTED_AT_ONCE]]
            inputs = augmented(images, task.preprocessing, strength, changes)
            batches.append(block_outputs(model, blocks, to_device(inputs, model)).cpu())
        return torch.cat(batches)

    model.eval()
    n_copies = 1 if strength == "none" else COPIES
    train_ANKD = torch.stack([outputs(train, strength) for _ in range(n_copies)])
    evaluated_NKD = outputs(evaluated, "none")
    variance_KD, centre_KD = torch.var_mean(train_ANKD, dim=(0, 1), correction=0)
    spread_KD = (variance_KD + LEAST_VARIANCE).sqrt()
    ends = np.cumsum([len(positions) for positions in held.train.values()])
    parts = np.split(np.arange(len(train)), ends[:-1])
    return Frozen(
        train_ANKD=(train_ANKD - centre_KD) / spread_KD,
        labels_N=torch.from_numpy(task.examples.labels[train]),
        rows=dict(zip(held.train, parts, strict=True)),
        evaluated_NKD=(evaluated_NKD - centre_KD) / spread_KD,
    )


def outcomes_of(runs: Sequence[Run], frozen: Frozen, task: Task) -> list[Outcome]:
    """Fit runs of one kind, width and seed at once, and choose a checkpoint of each.

    Batches, copies of images and dropped features are the same for all runs of a seed, so that
    they can be compared in pairs; so are the features kept. All runs begin alike.
    """
    first, domain = runs[0], task.held.domain
    seen = of_run(frozen, first, domain)
    order, masks = (
        torch.Generator().manual_seed(seed_of(what, domain, first.seed))
        for what in ("order", "masks")
    )
    batches = domain_batches(seen.rows, task.settings["batch_size"], order)
    torch.manual_seed(seed_of("head", domain, list(task.examples.classes)))
    n_classes = len(task.examples.classes)
    outcomes = [Outcome() for _ in runs]
    checkpoints = learn(runs, seen, n_classes, batches, order, masks, task.settings)
    for step, weight_FRC, bias_RC in checkpoints:
        logits_NF = seen.evaluated_NKD.flatten(1) @ weight_FRC.flatten(1)
        logits_NRC = (logits_NF.unflatten(1, bias_RC.shape) + bias_RC).numpy()
        for r, outcome in enumerate(outcomes):
            add_checkpoint(outcome, step, logits_NRC[:, r], task)
    for run, outcome in zip(runs, outcomes, strict=True):
        if not all(outcome.finite):
            diverged = outcome.steps[outcome.finite.index(False)]
            log.warning("%s diverged by step %d: it counts as guessing from there", run, diverged)
    return outcomes


def add_checkpoint(outcome: Outcome, step: int, said_NC: np.ndarray, task: Task) -> None:
    """Note what a run's next checkpoint says of split tune and of what is reported.

    One that is not finite counts as a guess. The first of the most accurate on tune is selected.
    """
    finite = bool(np.isfinite(said_NC).all())
    if not finite:
        said_NC = np.zeros_like(said_NC)
    earlier = list(zip(outcome.finite, outcome.accuracies, strict=True))
    outcome.steps.append(step)
    outcome.finite.append(finite)
    outcome.accuracies.append(accuracies_of(said_NC, task))
    outcome.last_NC = said_NC[-len(task.reported) :].copy()
    quality = (finite, outcome.accuracies[-1][0])
    if all(quality > (was_finite, tune) for was_finite, (tune, *_) in earlier):
        outcome.selected_step, outcome.selected_NC = step, outcome.last_NC


def of_run(frozen: Frozen, run: Run, domain: str) -> Frozen:
    """What a run learns from: all blocks, or of the last one the features that a probe keeps.

    Of one seed, a narrower probe keeps some of the features of a wider one.
    """
    if run.kind == LINEAR:
        return frozen
    n_features = frozen.train_ANKD.shape[-1]
    generator = torch.Generator().manual_seed(seed_of("width", domain, run.seed))
    kept = torch.randperm(n_features, generator=generator)[: run.width].sort().values
    return Frozen(
        train_ANKD=frozen.train_ANKD[:, :, -1:, kept],
        labels_N=frozen.labels_N,
        rows=frozen.rows,
        evaluated_NKD=frozen.evaluated_NKD[:, -1:, kept],
    )


def learn(
    runs: Sequence[Run],
    seen: Frozen,
    n_classes: int,
    batches: Iterator[np.ndarray],
    order: torch.Generator,
    masks: torch.Generator,
    settings: Mapping[str, Any],
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Minimise each run's cross-entropy on the same batches; yield step, weights and bias.

    Yields at checkpoints, what maps block outputs to logits: weights [K * D, R, C], which are v_i
    times V, and bias [R, C]. SGD as in `dropout_training.optimise`, one learning rate and decay a
    run. Begins with what torch's random state gives: V and b of a linear layer, v_i from N(0, 1) as
    in the paper's code. A probe has no v_i.
    """
    n_copies, _, n_blocks, n_features = seen.train_ANKD.shape
    rate_R11, learning_R11, decay_R11, factor_R11 = (
        torch.tensor([getattr(run, leaf) for run in runs])[:, None, None]
        for leaf in ("rate", "learning_rate", "weight_decay", "head_factor")
    )
    start = nn.Linear(n_features, n_classes)
    head_RDC, bias_R1C = (
        weight.detach().repeat(len(runs), 1, 1).requires_grad_()
        for weight in (start.weight.T, start.bias)
    )
    blocks_RKD = torch.ones(len(runs), 1, n_features)
    speeds = [(head_RDC, learning_R11 * factor_R11), (bias_R1C, learning_R11 * factor_R11)]
    if runs[0].kind == LINEAR:
        blocks_RKD = torch.randn(n_blocks, n_features).repeat(len(runs), 1, 1).requires_grad_()
        speeds.append((blocks_RKD, learning_R11))
    velocities = [torch.zeros_like(weight) for weight, _ in speeds]
    schedule = {"warm_up": 0, "decays": settings["decays"]}
    at = checkpoint_steps(settings["steps"], settings["checkpoints"])
    for step, batch in enumerate(itertools.islice(batches, settings["steps"])):
        copies_B = torch.randint(n_copies, (len(batch),), generator=order)
        outputs_BKD = seen.train_ANKD[copies_B, torch.from_numpy(batch)]
        # As in `dropout_training.drop`: what a rate drops, higher rates drop too.
        kept_RBD = torch.rand(len(batch), n_features, generator=masks) >= rate_R11
        combined_RBD = torch.einsum("bkd,rkd->rbd", outputs_BKD, blocks_RKD)
        logits_RBC = combined_RBD * (kept_RBD / (1 - rate_R11)) @ head_RDC + bias_R1C
        labels_RB = seen.labels_N[batch].repeat(len(runs))
        # Mean over the batch, sum over runs: no run's gradient depends on another run.
        loss = F.cross_entropy(logits_RBC.flatten(0, 1), labels_RB, reduction="sum") / len(batch)
        gradients = torch.autograd.grad(loss, [weight for weight, _ in speeds])
        share = rate_factor(step, settings["steps"], schedule)
        with torch.no_grad():
            for (weight, speed_R11), velocity, gradient in zip(
                speeds, velocities, gradients, strict=True
            ):
                velocity.mul_(settings["momentum"]).add_(gradient + decay_R11 * weight)
                weight -= share * speed_R11 * velocity
        if step + 1 in at:
            weight_RKDC = (blocks_RKD[..., None] * head_RDC[:, None]).detach()
            yield (
                step + 1,
                weight_RKDC.flatten(1, 2).transpose(0, 1),
                bias_R1C.detach()[:, 0].clone(),
            )
