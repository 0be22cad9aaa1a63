"""The networks of a family of text classifiers: fine-tuned from one checkpoint, or the user's."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import nn

from dissent.commandline import InputError
from dissent.connections import Member
from dissent.files import sha256
from dissent.text_checkpoints import TextCard, classifier, load_into, load_text
from dissent.text_families import read_family
from dissent.weight_paths import State, is_finite

# What may differ in the configs of networks that compute the same with the same weights, besides
# what no card has.
WITHOUT_EFFECT = ("finetuning_task", "gradient_checkpointing", "initializer_range", "use_cache")


@dataclass(frozen=True)
class Networks:
    """Networks of one architecture: `model` becomes each of them by loading its state.

    `states` has them by step, then by name in the order of `members`: all weights, or those above
    the first `frozen` layers, in which all networks are equal.
    """

    members: tuple[Member, ...]
    steps: tuple[int, ...]
    classes: tuple[str, ...]
    card: TextCard
    model: nn.Module
    frozen: int
    states: dict[int, dict[str, State]]


def fine_tuned_networks(start: Path, weights: Path) -> Networks:
    """The networks that were fine-tuned from a checkpoint, whose weights are in a family's file.

    Raises InputError if they were fine-tuned from another.
    """
    family = read_family(weights)
    if family.start_sha256 != sha256(start):
        raise InputError(f"{weights} was fine-tuned from another {start}: delete it and run again")
    pretrained, card = load_text(start)
    model = classifier(card, len(family.classes), family.layers)
    # A head that the start may have is for other classes, and each network has one of its own.
    body = f"{model.base_model_prefix}."
    load_into(model, {name: w for name, w in pretrained.items() if name.startswith(body)})
    names = [member["model"] for member in family.members]
    return Networks(
        members=tuple(Member(**member) for member in family.members),
        steps=family.steps,
        classes=family.classes,
        card=card,
        model=model,
        frozen=family.frozen_layers,
        states={step: {name: family.states[name, step] for name in names} for step in family.steps},
    )


def own_networks(checkpoints: Mapping[str, Path]) -> Networks:
    """The user's classifiers, by name.

    Raises InputError unless they have one architecture, vocabulary and list of classes, and where
    weights are not finite.
    """
    read = {name: load_text(path) for name, path in checkpoints.items()}
    cards = {name: card for name, (_, card) in read.items()}
    check_alike(cards)
    (card, *_) = cards.values()
    model = classifier(card)
    states = {}
    for name, (weights, _) in read.items():
        load_into(model, weights)
        # As numbers of the model's precision: some are published in half of it.
        states[name] = {key: weights[key].to(own.dtype) for key, own in model.state_dict().items()}
        if not is_finite(states[name]):
            raise InputError(
                f"{name!r} has weights that are no finite numbers: leave it out, or save it anew"
            )
    return Networks(
        members=tuple(Member(name) for name in checkpoints),
        steps=(0,),
        classes=tuple(card["classes"]),
        card=card,
        model=model,
        frozen=0,
        states={0: states},
    )


def check_alike(cards: Mapping[str, TextCard]) -> None:
    """InputError unless weights of models with these cards can be mixed, one by one."""
    (first, card), *others = cards.items()
    for name, of in cards.items():
        if not of["classes"]:
            raise InputError(
                f"{name!r} has no classifier: name models that were fine-tuned to classes"
            )
    for name, other in others:
        if differing := architecture_difference(card["config"], other["config"]):
            raise InputError(
                f"{first!r} and {name!r} are of different architectures, {differing}: name models "
                f"of one architecture"
            )
        if vocabulary(card) != vocabulary(other):
            raise InputError(
                f"{first!r} and {name!r} have different vocabularies or tokenisers, so that one "
                f"weight means different words: name models of one tokeniser"
            )
        if card["classes"] != other["classes"]:
            raise InputError(
                f"{first!r} has the classes {', '.join(card['classes'])} and {name!r} "
                f"{', '.join(other['classes'])}: name models with one "
                f"`id2label` in config.json"
            )


def architecture_difference(config: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first setting of transformers that makes other networks of the same weights, if any."""
    for name in sorted({*config, *other} - set(WITHOUT_EFFECT)):
        one, two = config.get(name), other.get(name)
        if one != two and "dropout" not in name:
            return f"with `{name}` {one} and {two}"
    return ""


def vocabulary(card: TextCard) -> str:
    """A tokeniser in one spelling, without the lengths that it cuts and pads to."""
    tokenizer = Tokenizer.from_str(card["tokenizer"])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer.to_str()
