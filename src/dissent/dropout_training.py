"""Fine-tuning with dropout of the penultimate features, on all domains of a task but one.

The protocol is that of arXiv 2403.00946, section 4.1, but for the batches: shuffled, where the
paper draws with replacement.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dissent.classifiers import (
    Card,
    Preprocessing,
    build,
    classify,
    features,
    head,
    load_checkpoint,
    normalise,
    prepare,
    remove_head,
    to_pixels,
)
from dissent.commandline import InputError
from dissent.determinism import seed_of
from dissent.devices import own_device
from dissent.domains import HeldOut
from dissent.dropout_runs import Run
from dissent.examples import Examples
from dissent.finetuning import fine_tuned_card, rate_factor, to_device
from dissent.training.augmentation import augment
from dissent.training.optimise import checkpoint_steps, shuffled_batches

PREDICTED_AT_ONCE = 256
Batch = tuple[torch.Tensor, torch.Tensor]


def start_of(checkpoint: Path, domain: str, classes: tuple[str, ...]) -> tuple[nn.Module, Card]:
    """A pre-trained network, under the new linear head that all runs without `domain` share."""
    model, card = load_checkpoint(checkpoint)
    remove_head(model)
    torch.manual_seed(seed_of("head", domain, list(classes)))
    model.reset_classifier(len(classes))
    return model.to(own_device()), fine_tuned_card(card, classes)


def from_scratch(card: Card, domain: str, seed: int) -> nn.Module:
    """A network without pre-training, whose weights come from the seed."""
    torch.manual_seed(seed_of("weights", domain, seed))
    return build(card).to(own_device())


def with_images(held: HeldOut, images: int | None) -> HeldOut:
    """The same with the first `images` training examples of each domain; None keeps them all.

    Data sets with domains are in an order whose beginning has the classes in the shares of the
    whole (`domains.in_turns`). Raises InputError if a domain has fewer images.
    """
    if images is None:
        return held
    for domain, positions in held.train.items():
        if images > len(positions):
            raise InputError(
                f"`images` asks for {images} training images of each domain, but {domain!r} has "
                f"{len(positions)}: lower it, or leave it out to take all"
            )
    return replace(held, train={name: found[:images] for name, found in held.train.items()})


def training_batches(
    examples: Examples,
    held: HeldOut,
    preprocessing: Preprocessing,
    settings: Mapping[str, Any],
    generator: torch.Generator,
) -> Iterator[Batch]:
    """Endless inputs and labels of `batch_size` images of each training domain, augmented."""
    for positions in domain_batches(held.train, settings["batch_size"], generator):
        images = examples.images_NHW[positions]
        inputs = augmented(images, preprocessing, settings["augmentation"], generator)
        yield inputs, torch.from_numpy(examples.labels[positions])


def domain_batches(
    train: Mapping[str, np.ndarray], batch_size: int, generator: torch.Generator
) -> Iterator[np.ndarray]:
    """Endless positions [domains * batch_size]: shuffled ones of each domain, domain by domain."""
    shuffled = [
        (positions, shuffled_batches(len(positions), batch_size, generator))
        for positions in train.values()
    ]
    while True:
        yield np.concatenate([positions[next(batches)] for positions, batches in shuffled])


def augmented(
    images_NHW: np.ndarray, preprocessing: Preprocessing, strength: str, generator: torch.Generator
) -> torch.Tensor:
    """What the model takes of stored images, float32 [N, channels, size, size], augmented."""
    pixels = augment(to_pixels(images_NHW), strength, generator)
    size = preprocessing["size"]
    if pixels.shape[-2:] != (size, size):
        pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return normalise(pixels, preprocessing)


def freeze_batch_norm(model: nn.Module) -> None:
    """Training mode, but for batch normalisation, which keeps its statistics.

    Its scales and shifts still learn.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def drop(
    features_ND: torch.Tensor, rate: float, masks: int, generator: torch.Generator
) -> torch.Tensor:
    """Inverted dropout: each feature is zero with probability `rate`, else divided by 1 - rate.

    Gives [masks * N, D], the batch under one mask after the other; but the batch itself if nothing
    is dropped. One generator gives nested masks: what a rate drops, higher rates drop too
    (section 3.1).
    """
    if not rate:
        return features_ND
    scaled_ND = features_ND / (1 - rate)
    kept_MND = torch.rand(masks, *features_ND.shape, generator=generator).ge_(rate)
    return (scaled_ND * kept_MND.to(features_ND)).flatten(0, 1)


def optimise(
    model: nn.Module,
    run: Run,
    settings: Mapping[str, Any],
    batches: Iterable[Batch],
    masks: torch.Generator,
    *,
    live: bool = False,
) -> Iterator[int]:
    """Minimise cross-entropy over batches of inputs and labels; yield the step at checkpoints.

    SGD with momentum; the rate drops to a tenth from each share in `decays` of the steps on, and
    the head's is `head_factor` times as high. The loss of an image is the mean over `masks` dropout
    masks: more than the paper's one have the same expected loss with less noise. Checkpoints are
    evenly spaced and the last is at the end: between them the model may be evaluated, not changed.
    Statistics of batch normalisation stay as they are unless `live`.
    """
    stepper = stepper_of(model, run, settings["momentum"])
    schedule = {"warm_up": 0, "decays": settings["decays"]}
    rate = torch.optim.lr_scheduler.LambdaLR(
        stepper, lambda step: rate_factor(step, settings["steps"], schedule)
    )
    start = model.train if live else lambda: freeze_batch_norm(model)
    at = checkpoint_steps(settings["steps"], settings["checkpoints"])
    start()
    for step, (inputs, labels_N) in enumerate(batches, start=1):
        inputs = to_device(inputs, model)
        features_ND = drop(features(model, inputs), run.rate, settings["masks"], masks)
        logits_NC = classify(model, features_ND)
        times = len(features_ND) // len(inputs)
        loss = F.cross_entropy(logits_NC, labels_N.to(inputs.device).repeat(times))
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        rate.step()
        if step in at:
            yield step
            start()
        if step == settings["steps"]:
            return


def stepper_of(model: nn.Module, run: Run, momentum: float) -> torch.optim.SGD:
    """SGD of all weights, where those of the head learn `head_factor` times as fast."""
    of_head = list(head(model).parameters())
    known = set(map(id, of_head))
    others = [weight for weight in model.parameters() if id(weight) not in known]
    return torch.optim.SGD(
        [
            {"params": others},
            {"params": of_head, "lr": run.learning_rate * run.head_factor},
        ],
        lr=run.learning_rate,
        momentum=momentum,
        weight_decay=run.weight_decay,
        fused=True,
    )


@torch.inference_mode()
def logits_of(
    model: nn.Module, images_NHW: np.ndarray, positions_N: np.ndarray, preprocessing: Preprocessing
) -> np.ndarray:
    """Logits, float32 [N, C], of the images at these positions."""
    model.eval()
    batches = []
    for start in range(0, len(positions_N), PREDICTED_AT_ONCE):
        images = images_NHW[positions_N[start : start + PREDICTED_AT_ONCE]]
        batches.append(model(to_device(prepare(images, preprocessing), model)).cpu())
    return torch.cat(batches).numpy()
