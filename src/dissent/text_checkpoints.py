"""Text classifiers: transformers models, and checkpoint files that say how to rebuild them.

transformers is imported where a model is built, so that what only reads a checkpoint need not wait.
"""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from dissent.commandline import InputError
from dissent.files import atomic

if TYPE_CHECKING:
    import torch
    from torch import nn

KIND = "text"


class TextCard(TypedDict):
    """What a text checkpoint says of itself.

    `config` is the complete one of transformers, `tokenizer` the text of a tokenizer.json.
    `classes` are in the order of the logits; there are none where the weights have no classifier.
    """

    kind: str
    config: dict[str, Any]
    tokenizer: str
    classes: list[str]


def save_text(path: str | os.PathLike, weights: "dict[str, torch.Tensor]", card: TextCard) -> None:
    """Write weights, by the names that they have in `classifier(card)`, and card as one file."""
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    with atomic(path) as temporary:
        save_file(weights, temporary, {"card": json.dumps(card, sort_keys=True)})


def read_text_card(path: str | os.PathLike) -> TextCard:
    """The card of a text checkpoint.

    Raises InputError for no file, no safetensors, and the checkpoint of an image classifier.
    """
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
    except FileNotFoundError:
        raise InputError(f"there is no file {path}: run the workflow up to it") from None
    except SafetensorError as error:
        raise InputError(
            f"{path} cannot be read as safetensors ({error}): delete it and run again"
        ) from None
    if "card" not in header:
        raise InputError(f"{path} has no card in its header: make it with the checkpoint rules")
    card = json.loads(header["card"])
    if card.get("kind") != KIND:
        raise InputError(
            f"{path} is a classifier of images, not of sentences: name a model of source "
            f"`transformers`"
        )
    return card


def load_text(path: str | os.PathLike) -> "tuple[dict[str, torch.Tensor], TextCard]":
    """The weights by name and the card of a text checkpoint; raises as `read_text_card` does."""
    card = read_text_card(path)
    return load_file(path), card


def classifier(
    card: TextCard, n_classes: int | None = None, layers: int | None = None
) -> "nn.Module":
    """A classifier as the card describes it, initialised from torch's random state.

    It has the checkpoint's classes or `n_classes`, and all layers of the encoder or the first
    `layers`. Raises InputError for a card without classes if `n_classes` is not given, and for
    more layers than there are.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    if n_classes is None and not card["classes"]:
        raise InputError(
            "the checkpoint has no classifier: name a fine-tuned model in the model table, or "
            "fine-tune it"
        )
    config = AutoConfig.for_model(**card["config"])
    config.num_labels = n_classes or len(card["classes"])
    model = AutoModelForSequenceClassification.from_config(config)
    if layers is not None:
        _keep_first(model, layers)
    return model


def _keep_first(model: "nn.Module", layers: int) -> None:
    """Leave the first encoder layers of a model; its config still counts all."""
    stack = _stack(model)
    if layers > len(stack):
        what = f"has {len(stack)} layers" if stack else "is not built like BERT's"
        raise InputError(f"the encoder {what}: mend `layers` in the config, which is {layers}")
    model.base_model.encoder.layer = stack[:layers]


def _stack(model: "nn.Module") -> "Sequence[nn.Module]":
    """The encoder layers of a model that is built like BERT; of others, none."""
    return getattr(getattr(model.base_model, "encoder", None), "layer", ())


def load_into(model: "nn.Module", weights: "dict[str, torch.Tensor]") -> None:
    """Load a text checkpoint's weights into a model made by `classifier`.

    Those of layers that `classifier` left out are passed over. Without a classifier among the
    weights, the model's own stays. Raises InputError if names or shapes are otherwise not the
    model's.
    """
    expected = model.state_dict()
    head = head_names(model)
    if head.isdisjoint(weights):
        expected = {name: tensor for name, tensor in expected.items() if name not in head}
    kept = {name: tensor for name, tensor in weights.items() if not _is_left_out(name, model)}
    wrong = {
        "missing": [name for name in expected if name not in kept],
        "unexpected": [name for name in kept if name not in expected],
        "of another shape": [
            name for name in expected if name in kept and kept[name].shape != expected[name].shape
        ],
    }
    told = [f"{len(names)} {what} (first: {names[0]})" for what, names in wrong.items() if names]
    if told:
        raise InputError(
            f"the weights and the model are of different architectures: {', '.join(told)}; name "
            "models of one architecture"
        )
    model.load_state_dict(kept, strict=False)


def head_names(model: "nn.Module") -> set[str]:
    """The names of the weights that come after the encoder."""
    encoder = f"{model.base_model_prefix}."
    return {name for name in model.state_dict() if not name.startswith(encoder)}


def _is_left_out(name: str, model: "nn.Module") -> bool:
    """Whether a weight is of a layer that the config has, but not the model."""
    before = f"{model.base_model_prefix}.encoder.layer."
    if not name.startswith(before):
        return False
    layer = int(name.removeprefix(before).partition(".")[0])
    return bool(_stack(model)) and len(_stack(model)) <= layer < model.config.num_hidden_layers
