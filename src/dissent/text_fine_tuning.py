"""Fine-tuning one text checkpoint many times, with other heads and other orders of the examples.

The recipe is that of BERT (arXiv 1810.04805, appendix A.2 and A.3, and its published code): AdamW,
linear warm-up and decay of the learning rate, clipped gradients, a new linear head.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from dissent.commandline import InputError
from dissent.determinism import seed_of
from dissent.devices import device_of, own_device
from dissent.examples import Examples
from dissent.files import sha256
from dissent.frozen_layers import hidden_batches, top_of
from dissent.progress import log, progress
from dissent.text_checkpoints import classifier, load_into, load_text
from dissent.text_families import Family, Member
from dissent.tokens import Tokens, batches, collate, logits_of, tokenise
from dissent.training.optimise import checkpoint_steps, shuffled_batches
from dissent.weight_paths import is_finite

# Examples that pass the frozen layers together.
AT_ONCE = 256
# From positions of examples to the keyword arguments that the trained layers take.
Feed = Callable[[Sequence[int]], dict[str, torch.Tensor]]


class Settings(TypedDict):
    """What all fine-tunings of a family share.

    The learning rate rises over the share `warm_up` of the steps, then falls to 0. `weight_decay`
    spares biases and LayerNorm. Gradients have at most the norm `clip`. A new head is drawn from
    N(0, head_std). `checkpoints` evenly spaced ones are kept, the last at the end.
    """

    layers: int | None
    frozen_layers: int
    steps: int
    batch_size: int
    learning_rate: float
    warm_up: float
    weight_decay: float
    clip: float
    head_std: float
    dropout: float
    checkpoints: int


def fine_tune_family(
    start: Path,
    examples: Examples,
    settings: Settings,
    members: Sequence[Member],
    name: str = "",
) -> Family:
    """Fine-tune a checkpoint once for each member, on split train.

    The head comes from the member's head seed alone, batches (and what dropout drops) from its
    order seed alone, and all else from the checkpoint. Every example is seen once before any is
    seen again. Frozen layers have no dropout, and are run once. A member that diverges is kept,
    with a warning. `name` is the family's. Raises InputError for examples without sentences or with
    several labels each, and where the encoder does not have the layers.
    """
    train = examples.where("train")
    check_examples(examples)
    weights, card = load_text(start)
    model = classifier(card, len(examples.classes), settings["layers"])
    body = f"{model.base_model_prefix}."
    load_into(model, {name: w for name, w in weights.items() if name.startswith(body)})
    set_dropout(model, settings["dropout"])
    model.to(own_device())
    tokens = tokenise(card, [examples.sentences[at] for at in train])
    feed = feeder(model, tokens, settings["frozen_layers"])
    labels_N = torch.from_numpy(examples.labels[train])
    top = top_of(model, settings["frozen_layers"])
    pretrained = {name: tensor.clone() for name, tensor in top.state_dict().items()}
    states = {}
    for member in members:
        top.load_state_dict(pretrained)
        new_head(top, body, member["head"], settings["head_std"])
        title = f"fine-tuning {name} {member['model']}"
        for step in optimise(top, feed, labels_N, member["order"], settings, title):
            states[member["model"], step] = weights_of(top)
        if not is_finite(weights_of(top)):
            log.warning("%s diverged: lower `learning_rate`, or leave it out", member["model"])
    return Family(
        name=name,
        start_sha256=sha256(start),
        layers=settings["layers"],
        frozen_layers=settings["frozen_layers"],
        classes=examples.classes,
        ids_sha256=examples.ids_sha256,
        content_sha256=examples.content_sha256,
        members=tuple(members),
        steps=tuple(checkpoint_steps(settings["steps"], settings["checkpoints"])),
        states=states,
    )


def check_examples(examples: Examples) -> None:
    """Raise InputError unless each example is of sentences and of one class."""
    if not examples.sentences:
        raise InputError(
            f"data set {examples.name!r} has no sentences to fine-tune on: name one of sentences "
            f"as `data`"
        )
    if examples.labels.ndim != 1:
        raise InputError(
            f"data set {examples.name!r} has several labels an example: name one with a single "
            f"class each as `data`"
        )


def set_dropout(model: nn.Module, rate: float) -> None:
    """Drop this share everywhere that the model drops anything."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate


def feeder(model: nn.Module, tokens: Sequence[Tokens], frozen: int) -> Feed:
    """What turns positions of examples into a batch for `top_of(model, frozen)`.

    A batch is padded to its own longest example.
    """
    if not frozen:
        return lambda chosen: collate([tokens[at] for at in chosen])
    hidden = {}
    for positions, batch in hidden_batches(model, batches(tokens, AT_ONCE), frozen):
        for at, states_TD, mask_T in zip(positions, batch["hidden"], batch["mask"], strict=True):
            hidden[int(at)] = states_TD[mask_T.bool()]

    def feed(chosen: Sequence[int]) -> dict[str, torch.Tensor]:
        rows = [hidden[at] for at in chosen]
        masks = [row.new_ones(len(row)) for row in rows]
        return {
            "hidden": pad_sequence(rows, batch_first=True),
            "mask": pad_sequence(masks, batch_first=True),
        }

    return feed


@torch.no_grad()
def new_head(model: nn.Module, body: str, seed: int, std: float) -> None:
    """Draw the weights outside of the encoder, of which names begin with `body`; biases are 0."""
    generator = torch.Generator().manual_seed(seed_of("head", seed))
    for name, weight in model.named_parameters():
        if not name.startswith(body):
            if weight.ndim > 1:
                weight.copy_(std * torch.randn(weight.shape, generator=generator))
            else:
                weight.zero_()


def optimise(
    model: nn.Module,
    feed: Feed,
    labels_N: torch.Tensor,
    order: int,
    settings: Settings,
    description: str,
) -> Iterator[int]:
    """Minimise cross-entropy over shuffled batches; yield the step at checkpoints."""
    stepper = stepper_of(model, settings)
    rate = torch.optim.lr_scheduler.LambdaLR(
        stepper, lambda step: rate_factor(step, settings["steps"], settings["warm_up"])
    )
    generator = torch.Generator().manual_seed(seed_of("order", order))
    shuffled = shuffled_batches(len(labels_N), settings["batch_size"], generator)
    chosen = progress(itertools.islice(shuffled, settings["steps"]), description, settings["steps"])
    at = checkpoint_steps(settings["steps"], settings["checkpoints"])
    torch.manual_seed(seed_of("dropout", order))
    model.train()
    for step, chosen_B in enumerate(chosen, start=1):
        logits_BC = logits_of(model, feed(chosen_B.tolist()))
        loss = F.cross_entropy(logits_BC, labels_N[chosen_B].to(device_of(model)))
        stepper.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings["clip"])
        stepper.step()
        rate.step()
        if step in at:
            yield step


def stepper_of(model: nn.Module, settings: Settings) -> torch.optim.AdamW:
    """AdamW that spares biases and LayerNorm, which are all weights of one axis, from decay."""
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    spared = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings["weight_decay"]},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings["learning_rate"], fused=True)


def rate_factor(step: int, steps: int, warm_up: float) -> float:
    """Learning rate at `step` (from 0) as a share of its peak."""
    rising = round(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    # The scheduler also asks for the rate after the last step.
    return (steps - step) / max(1, steps - rising)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the weights that are trained, in memory."""
    return {name: weight.detach().to("cpu", copy=True) for name, weight in model.named_parameters()}
