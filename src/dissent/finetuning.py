"""Fine-tuning pre-trained classifiers on a task, and files of ensembles of fine-tuned ones."""

import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from dissent.classifiers import Card, Preprocessing, build, load_checkpoint, prepare, remove_head
from dissent.commandline import InputError
from dissent.devices import device_of, own_device
from dissent.files import atomic, sha256
from dissent.finetuned import FineTuning
from dissent.training.optimise import GRADIENT_NORM, shuffled_batches

# Training images from which the statistics of batch normalisation are taken in the end.
STATISTICS_IMAGES = 128
# Smaller than for training, as convolutions of this many images stay in a core's cache.
PREDICTED_AT_ONCE = 64


class Recipe(TypedDict):
    """What all fine-tunings of a run share.

    The learning rate rises over a share `warm_up` of the steps, and from each share in `decays` on
    it is a tenth of what it was.
    """

    batch_size: int
    momentum: float
    weight_decay: float
    warm_up: float
    decays: list[float]


@dataclass(frozen=True)
class Member:
    """A member of an ensemble file: the pre-trained model, its fine-tuning, and its share."""

    model: str
    fine_tuning: FineTuning
    weight: float
    card: Card
    state: dict[str, torch.Tensor]


def rate_factor(step: int, steps: int, recipe: Recipe) -> float:
    """Learning rate at `step` (from 0) as a share of its peak."""
    rising = min(1.0, (step + 1) / max(1, round(recipe["warm_up"] * steps)))
    return rising * 0.1 ** sum(step >= share * steps for share in recipe["decays"])


def fine_tuned_card(card: Card, classes: Sequence[str]) -> Card:
    """The card of a model that was fine-tuned to these classes."""
    return {**card, "classes": list(classes), "zero_shot": {}}


def seed_of(run: FineTuning, start: str) -> int:
    """Seed of torch for a run that begins with what `start` says in words."""
    digest = hashlib.sha256(start.encode()).hexdigest()
    entropy = (run.seed, run.head, int(digest, 16))
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def fine_tune(
    checkpoint: Path,
    runs: Iterable[FineTuning],
    images: np.ndarray,
    labels_N: np.ndarray,
    classes: Sequence[str],
    recipe: Recipe,
) -> Iterator[tuple[nn.Module, Card]]:
    """Fine-tune a checkpoint once for each run, on uint8 images [N, H, W] or [N, H, W, 3].

    Yields the model and its card after each run. It is the same module every time: use it before
    taking the next. All weights are trained, under a new linear head, by SGD with momentum and
    without augmentation, on batches of shuffled examples. Head and order come from seed and head
    of the run, from the checkpoint and from the task's classes: runs of several settings begin
    alike, but no two models learn from the same batches, nor does one of two tasks.
    """
    model, card = load_checkpoint(checkpoint)
    remove_head(model)
    pretrained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    card = fine_tuned_card(card, classes)
    start = f"{sha256(checkpoint)} {json.dumps(card['classes'])}"
    for run in runs:
        seed = seed_of(run, start)
        torch.manual_seed(seed)
        model.reset_classifier(len(classes))
        model.load_state_dict(pretrained, strict=False)
        model.to(own_device())
        batches = shuffled_batches(
            len(labels_N), recipe["batch_size"], torch.Generator().manual_seed(seed)
        )
        optimise(model, card, run, recipe, images, torch.from_numpy(labels_N), batches)
        # In a few steps, running averages do not get from the old statistics to the new: they are
        # taken anew with the weights as they are in the end (arXiv 1803.05407, section 3).
        last = itertools.islice(batches, math.ceil(STATISTICS_IMAGES / recipe["batch_size"]))
        update_bn((inputs_of(batch, images, card, model) for batch in last), model)
        yield model, card


def optimise(
    model: nn.Module,
    card: Card,
    run: FineTuning,
    recipe: Recipe,
    images: np.ndarray,
    labels_N: torch.Tensor,
    batches: Iterator[torch.Tensor],
) -> None:
    """Minimise cross-entropy over batches of positions, for the run's steps.

    Gradients are clipped to norm 1 (as in arXiv 2010.11929, appendix B.1): without that, NFNets and
    other networks collapse at the learning rates that suit most.
    """
    stepper = torch.optim.SGD(
        model.parameters(),
        lr=run.learning_rate,
        momentum=recipe["momentum"],
        weight_decay=recipe["weight_decay"],
        fused=True,
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        stepper, lambda step: rate_factor(step, run.steps, recipe)
    )
    model.train()
    for _ in range(run.steps):
        batch = next(batches)
        inputs = inputs_of(batch, images, card, model)
        loss = F.cross_entropy(model(inputs), labels_N[batch].to(inputs.device))
        stepper.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        stepper.step()
        rate.step()


def inputs_of(
    batch: torch.Tensor, images: np.ndarray, card: Card, model: nn.Module
) -> torch.Tensor:
    """What the model takes of the images at the positions of a batch."""
    return to_device(prepare(images[batch.numpy()], card["preprocessing"]), model)


def to_device(inputs: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """Inputs where the model is."""
    return inputs.to(device_of(model))


@torch.inference_mode()
def log_probabilities(
    model: nn.Module, images: np.ndarray, preprocessing: Preprocessing
) -> np.ndarray:
    """Log-probability of each class, float32 [N, C], of uint8 images; not finite if it diverged."""
    model.eval()
    batches = []
    for start in range(0, len(images), PREDICTED_AT_ONCE):
        inputs = prepare(images[start : start + PREDICTED_AT_ONCE], preprocessing)
        batches.append(model(to_device(inputs, model)).log_softmax(dim=1).cpu())
    return torch.cat(batches).numpy()


def uniform_if_diverged(log_probabilities_NC: np.ndarray) -> np.ndarray:
    """The same, or equal probabilities of all classes if any is not a number.

    So every fine-tuning has its rows. One that diverged is as good as a guess: selection by
    cross-entropy passes it over, unless the ensemble is so sure of itself that a guess helps.
    """
    if np.isfinite(log_probabilities_NC).all():
        return log_probabilities_NC
    n_classes = log_probabilities_NC.shape[1]
    return np.full_like(log_probabilities_NC, -np.log(n_classes))


def save_ensemble(path: str | os.PathLike, members: Sequence[Member]) -> None:
    """Write the weights of all members, with their cards and shares, as one safetensors file."""
    entries: list[dict[str, Any]] = [
        {
            "model": member.model,
            "weight": member.weight,
            "card": member.card,
            "learning_rate": member.fine_tuning.learning_rate,
            "steps": member.fine_tuning.steps,
            "head": member.fine_tuning.head,
            "seed": member.fine_tuning.seed,
        }
        for member in members
    ]
    header = {"classes": members[0].card["classes"], "members": entries}
    tensors = {
        f"{i}.{name}": tensor
        for i, member in enumerate(members)
        for name, tensor in member.state.items()
    }
    with atomic(path) as temporary:
        save_file(tensors, temporary, {"ensemble": json.dumps(header, sort_keys=True)})


def load_ensemble(path: str | os.PathLike) -> list[tuple[nn.Module, Card, float]]:
    """The members of an ensemble file: models ready to predict, their cards and shares."""
    try:
        with safe_open(path, "pt") as file:
            entries = json.loads((file.metadata() or {})["ensemble"])["members"]
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, FileNotFoundError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read as an ensemble ({error}): give an ensemble.safetensors that "
            f"a run has written"
        ) from None
    members = []
    for i, entry in enumerate(entries):
        model = build(entry["card"])
        prefix = f"{i}."
        model.load_state_dict(
            {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
        )
        members.append((model.eval(), entry["card"], entry["weight"]))
    return members


def predict_ensemble(
    members: Sequence[tuple[nn.Module, Card, float]], images: np.ndarray
) -> np.ndarray:
    """Weighted mean of the members' probabilities, float64 [N, C], of uint8 images."""
    return sum(
        weight * np.exp(log_probabilities(model, images, card["preprocessing"]).astype(float))
        for model, card, weight in members
    )
