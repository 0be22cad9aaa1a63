"""Measures families of image classifiers: at their networks, and on straight lines between them.

Three families: networks that were trained apart, the same ones with their channels aligned, and
branches of one run (arXiv 1912.05671; here they part where the first network ends). Statistics of
BatchNorm are taken anew at every point of a path: those of two networks are, averaged, not those of
a network between them (arXiv 2211.08403). So are those at its ends, where the loss would else jump
for a reason other than the weights.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from dissent.classifiers import Card, load_checkpoint, prepare
from dissent.commandline import InputError
from dissent.connections import Connections, Member, drawn, known_data
from dissent.devices import moved, own_device
from dissent.examples import Examples
from dissent.finetuned import PREDICTED
from dissent.finetuning import to_device
from dissent.label_names import class_columns, to_classes
from dissent.permutation_alignment import align, channels_of
from dissent.progress import progress
from dissent.training.optimise import optimise
from dissent.weight_averages import State, copy_of
from dissent.weight_paths import distance, is_finite, load_, losses_along

SEPARATE, ALIGNED, ONE_RUN = "separate", "aligned", "one-run"
AT_ONCE = 128


class Task(NamedTuple):
    """A network to put weights into, and the images that it is measured on.

    `chosen_N` are the positions of the images on every path, `inputs` are batches of them and
    `statistics` batches of those that statistics of BatchNorm are taken from.
    """

    model: nn.Module
    card: Card
    examples: Examples
    shares_G: np.ndarray
    chosen_N: np.ndarray
    inputs: list[torch.Tensor]
    statistics: list[torch.Tensor]


def connect(
    checkpoints: Mapping[str, Path], examples: Examples, settings: Mapping[str, Any]
) -> list[Connections]:
    """Measure the networks in checkpoints, by name: "separate", "aligned" and "one-run".

    The settings are {examples, points, statistics_images, align, branches: {count, steps,
    learning_rate, batch_size} or None}; without `align` there is no "aligned", without branches no
    "one-run". Losses are of images of split report, statistics of images of train. Raises
    InputError for networks of several architectures or other classes than the data set's, a data
    set without images, a network that cannot be aligned, and where a loss is not finite.
    """
    task, states = read_task(checkpoints, examples, settings)
    members = [Member(name) for name in states]
    families = [family_of(task, SEPARATE, members, states)]
    if settings["align"]:
        families.append(aligned(task, families[0], states))
    if how := settings["branches"]:
        members = [Member(f"branch-{order}", order=order) for order in range(how["count"])]
        start, *_ = states
        trained = {each.model: branch(task, start, states, each.order, how) for each in members}
        families.append(family_of(task, ONE_RUN, members, trained))
    return families


def read_task(
    checkpoints: Mapping[str, Path], examples: Examples, settings: Mapping[str, Any]
) -> tuple[Task, dict[str, State]]:
    """What networks are measured on, and the weights of each, with new statistics."""
    cards: dict[str, Card] = {}
    states: dict[str, State] = {}
    for name, path in checkpoints.items():
        model, cards[name] = load_checkpoint(path)
        states[name] = copy_of(model.state_dict())
    card = check_alike(cards)
    if examples.images_NHW is None or examples.labels.ndim != 1:
        raise InputError(
            f"data set {examples.name!r} should have images with one class each: name another"
        )
    class_columns(card["classes"], examples.classes, f"data set {examples.name!r}")
    model = model.to(own_device())
    batches = partial(batches_of, model, card, examples)
    chosen_N = drawn(examples.where("report"), settings["examples"])
    task = Task(
        model=model,
        card=card,
        examples=examples,
        shares_G=np.linspace(0, 1, settings["points"]),
        chosen_N=chosen_N,
        inputs=[*batches(chosen_N)],
        statistics=[*batches(drawn(examples.where("train"), settings["statistics_images"]))],
    )
    return task, {name: with_statistics(task, state) for name, state in states.items()}


def check_alike(cards: Mapping[str, Card]) -> Card:
    """The card of all networks; InputError if they differ, or have a head that is not linear."""
    first, card = next(iter(cards.items()))
    for name, other in cards.items():
        if other != card:
            (key, *_) = (key for key in card if other[key] != card[key])
            raise InputError(
                f"{name!r} and {first!r} differ in {key.replace('_', '-')}, and no path joins "
                f"them: name models that differ in their weights alone"
            )
    if card["zero_shot"]:
        raise InputError(f"{first!r} has a zero-shot head: name models with a linear one")
    return card


def batches_of(
    model: nn.Module, card: Card, examples: Examples, positions_N: np.ndarray
) -> Iterator[torch.Tensor]:
    """What a network takes of the images at these positions, in parts of about one size."""
    for positions_n in np.array_split(positions_N, math.ceil(len(positions_N) / AT_ONCE)):
        inputs = prepare(examples.images_NHW[positions_n], card["preprocessing"])
        yield to_device(inputs, model)


def take_statistics(task: Task, model: nn.Module) -> None:
    """Take the statistics of BatchNorm of the weights that the model has."""
    update_bn(task.statistics, model)


def with_statistics(task: Task, state: State) -> State:
    """A network with new statistics of BatchNorm."""
    load_(task.model, state)
    take_statistics(task, task.model)
    # Where units are matched, and memory is not short.
    return moved(copy_of(task.model.state_dict()), torch.device("cpu"))


def family_of(
    task: Task, family: str, members: Sequence[Member], states: Mapping[str, State]
) -> Connections:
    """What networks say of the examples, and losses and distances between all their pairs."""
    examples = task.examples
    # A data set that nothing is chosen on has no split tune.
    splits = [split for split in PREDICTED if split in examples.splits_N]
    positions_N = np.concatenate([examples.where(split) for split in splits])
    logits_MNC = []
    for state in states.values():
        load_(task.model, state)
        inputs = batches_of(task.model, task.card, examples, positions_N)
        logits_MNC.append(logits_of(task, task.model, inputs).numpy())
    return Connections(
        family=family,
        members=tuple(members),
        steps=(0,),
        shares_G=task.shares_G,
        in_domain=examples.name,
        interpolation=examples.name,
        interpolation_positions_N=task.chosen_N,
        data=known_data(examples),
        logits_MNC={examples.name: {0: np.stack(logits_MNC)}},
        positions_N={examples.name: positions_N},
        **along(task, states, [*combinations(states, 2)]),
    )


def aligned(task: Task, separate: Connections, states: Mapping[str, State]) -> Connections:
    """The same networks, where the second of each pair has its channels near the first's.

    Alone, each network says what it did.
    """
    channels = channels_of(task.model.eval(), task.inputs[0][:1])
    states, pairs = dict(states), []
    for first, second in progress([*combinations(states, 2)], "alignments"):
        name = f"{second} (aligned with {first})"
        states[name] = align(channels, states[first], states[second])
        pairs.append((first, name))
    return replace(separate, family=ALIGNED, **along(task, states, pairs))


def along(
    task: Task, states: Mapping[str, State], pairs: Sequence[tuple[str, str]]
) -> dict[str, dict[int, np.ndarray]]:
    """Losses on the paths between pairs, and the distances of their weights, of the one step 0."""
    weights = {
        name: {weight: state[weight] for weight, _ in task.model.named_parameters()}
        for name, state in states.items()
    }
    loss_PGN = losses_along(
        task.model,
        states,
        pairs,
        task.shares_G,
        partial(losses, task),
        partial(take_statistics, task),
    )
    distance_P = [distance(weights[first], weights[second]) for first, second in pairs]
    return {"loss_PGN": {0: loss_PGN}, "distance_P": {0: np.array(distance_P)}}


@torch.inference_mode()
def logits_of(task: Task, model: nn.Module, inputs: Iterable[torch.Tensor]) -> torch.Tensor:
    """Logits [N, C] of the data set's classes."""
    model.eval()
    return as_classes(task, torch.cat([model(batch).cpu() for batch in inputs]))


def as_classes(task: Task, logits_NK: torch.Tensor) -> torch.Tensor:
    """Logits [N, C] of the data set's classes, from those of the model's."""
    return to_classes(logits_NK, task.card["classes"], task.examples.classes)


def losses(task: Task, model: nn.Module) -> np.ndarray:
    """Cross-entropy [N], in nats, of the images on every path."""
    labels_N = torch.from_numpy(task.examples.labels[task.chosen_N])
    return F.cross_entropy(logits_of(task, model, task.inputs), labels_N, reduction="none").numpy()


def branch(
    task: Task, start: str, states: Mapping[str, State], order: int, how: Mapping[str, Any]
) -> State:
    """A network after `steps` more, with AdamW and no decay, on split train in one of many orders.

    The learning rate rises over the first tenth of the steps, then stays. `how` is {steps,
    learning_rate, batch_size}. Raises InputError if the network diverges.
    """
    load_(task.model, states[start])
    task.model.train()
    examples = task.examples
    train_N = examples.where("train")

    def loss_of(chosen_n: torch.Tensor) -> torch.Tensor:
        positions_n = train_N[chosen_n]
        inputs = prepare(examples.images_NHW[positions_n], task.card["preprocessing"])
        logits_nC = as_classes(task, task.model(to_device(inputs, task.model)))
        labels_n = torch.from_numpy(examples.labels[positions_n])
        return F.cross_entropy(logits_nC, labels_n.to(logits_nC.device))

    optimise(
        task.model.parameters(),
        loss_of,
        len(train_N),
        torch.Generator().manual_seed(order),
        steps=how["steps"],
        batch_size=how["batch_size"],
        learning_rate=how["learning_rate"],
        optimizer="adamw",
        weight_decay=0.0,
        schedule="constant",
        description=f"branch {order} of {start}",
    )
    trained = with_statistics(task, copy_of(task.model.state_dict()))
    if not is_finite(trained):
        raise InputError(f"branch {order} of {start!r} diverged: lower `branches.learning_rate`")
    return trained
