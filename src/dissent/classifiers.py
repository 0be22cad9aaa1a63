"""Image classifiers: timm models, and checkpoint files that say how to rebuild and feed them."""

import json
import os
from collections.abc import Iterator
from typing import Any, NotRequired, TypedDict

import numpy as np
import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from dissent.commandline import InputError
from dissent.devices import device_of
from dissent.files import atomic

# Weights of red, green and blue in ITU-R BT.601, section 2.5.1.
LUMINANCE = (0.299, 0.587, 0.114)


class Preprocessing(TypedDict):
    """How stored images become a model's input: bilinear resize, channels, then (x - mean) / std.

    `mean` and `std` refer to pixels in [0, 1], one value a channel. Grey images fill all channels;
    of RGB ones, a model with one channel sees the luminance.
    """

    size: int
    mean: list[float]
    std: list[float]


class Card(TypedDict):
    """What a checkpoint file says of itself.

    `options` go to timm beside the architecture; `zero_shot` has ZeroShotHead's sizes or is empty.
    `view`, of weights that were published, is how encoded images are resized and cropped for them
    (`dissent.image_views.View`), and `library` says who builds the architecture if not timm.
    """

    architecture: str
    options: dict[str, int | list[int]]
    classes: list[str]
    preprocessing: Preprocessing
    zero_shot: dict[str, float]
    view: NotRequired[dict[str, Any]]
    library: NotRequired[str]


class ZeroShotHead(nn.Module):
    """Cosine similarity between a projected image and the embedded prompt of each class.

    Maps features [N, D] to logits [N, C] = scale * cos(projection(features), prompts_CE).
    """

    def __init__(self, features: int, classes: int, embedding: int, scale: float):
        super().__init__()
        self.projection = nn.Linear(features, embedding, bias=False)
        self.prompts_CE = nn.Parameter(torch.zeros(classes, embedding))
        self.scale = scale

    def forward(self, features_ND: torch.Tensor) -> torch.Tensor:
        """Logits [N, C]."""
        images_NE = F.normalize(self.projection(features_ND), dim=1)
        return self.scale * images_NE @ F.normalize(self.prompts_CE, dim=1).T


def build(card: Card, drop_rate: float = 0.0) -> nn.Module:
    """A model as the card describes it, initialised from torch's random state.

    Raises InputError where timm has no such architecture, or the architecture no such options.
    """
    # Convolutions are up to twice as fast in this format, whatever that of their inputs.
    return _built(card, drop_rate).to(memory_format=torch.channels_last)


def _built(card: Card, drop_rate: float) -> nn.Module:
    if "library" in card:
        # Takes a second to import, and few models need it.
        from dissent import zero_shot

        return zero_shot.build(card["architecture"], len(card["classes"]))
    try:
        model = timm.create_model(
            card["architecture"],
            in_chans=len(card["preprocessing"]["mean"]),
            num_classes=len(card["classes"]),
            drop_rate=drop_rate,
            **card["options"],
        )
    except Exception as error:
        # On options that an architecture does not take, timm raises errors of all kinds.
        if not (card["options"] or isinstance(error, RuntimeError)):
            raise
        what = str(error) or repr(error)
        raise InputError(f"timm cannot build {described(card)} ({what}): mend the recipe") from None
    if card["zero_shot"]:
        model.reset_classifier(0)
        width = model.head_hidden_size
        model.zero_shot = ZeroShotHead(width, len(card["classes"]), **card["zero_shot"])
    return model


def described(card: Card) -> str:
    """The architecture of a card in words, and what it is built with beside its usual self."""
    options = f" with the options {card['options']}" if card["options"] else ""
    return f"{card['architecture']!r}{options}"


def features(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Penultimate representation [N, D]: what the head sees."""
    return model.forward_head(model.forward_features(inputs), pre_logits=True)


def head(model: nn.Module) -> nn.Module:
    """The module that turns features [N, D] into logits [N, C].

    Raises InputError where an architecture has several.
    """
    found = model.zero_shot if hasattr(model, "zero_shot") else model.get_classifier()
    if isinstance(found, tuple | nn.ModuleList):
        raise InputError(
            f"{type(model).__name__} networks of timm have {len(found)} heads, and this needs one: "
            "choose another architecture"
        )
    return found


def classify(model: nn.Module, features_ND: torch.Tensor) -> torch.Tensor:
    """Logits [N, C] of features [N, D]."""
    found = head(model)
    if isinstance(found, nn.Conv2d):
        return found(features_ND[:, :, None, None]).flatten(start_dim=1)
    return found(features_ND)


def linear_head(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [C, D] and bias [C] of a linear head; of a 1 x 1 convolution too. They are views.

    Raises InputError for a head of another kind.
    """
    found = head(model)
    if type(found) not in (nn.Linear, nn.Conv2d):
        raise InputError(
            f"the head of timm's {type(model).__name__} networks is a {type(found).__name__}, and "
            "this needs a linear layer: choose another architecture"
        )
    return found.weight.flatten(start_dim=1), found.bias


def remove_head(model: nn.Module) -> None:
    """Leave of a model what computes its features."""
    if hasattr(model, "zero_shot"):
        del model.zero_shot
    model.reset_classifier(0)


def prepare(images_NHW: np.ndarray, preprocessing: Preprocessing) -> torch.Tensor:
    """Stored uint8 images, grey [N, H, W] or RGB [N, H, W, 3], to what the model takes.

    That is float32 [N, channels, size, size].
    """
    pixels = to_pixels(images_NHW)
    size = preprocessing["size"]
    if pixels.shape[-2:] != (size, size):
        pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return normalise(pixels, preprocessing)


def to_pixels(images_NHW: np.ndarray) -> torch.Tensor:
    """uint8 [N, H, W] or [N, H, W, 3] to float32 [N, 1 or 3, H, W] in [0, 1]."""
    images = torch.from_numpy(images_NHW)
    channels_first = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return channels_first.float() / 255


def normalise(pixels_NKHW: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Grey or RGB pixels in [0, 1] to normalised channels."""
    mean = torch.tensor(preprocessing["mean"])[:, None, None]
    std = torch.tensor(preprocessing["std"])[:, None, None]
    if len(mean) == 1 and pixels_NKHW.shape[1] == 3:
        weights = torch.tensor(LUMINANCE)[:, None, None]
        pixels_NKHW = (weights * pixels_NKHW).sum(dim=1, keepdim=True)
    return (pixels_NKHW - mean) / std


@torch.inference_mode()
def predict(
    model: nn.Module, images_NHW: np.ndarray, preprocessing: Preprocessing, batch_size: int = 256
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield features [n, D] and logits [n, C], float32 on the CPU, batch by batch in order."""
    model.eval()
    for start in range(0, len(images_NHW), batch_size):
        inputs = prepare(images_NHW[start : start + batch_size], preprocessing)
        maps = model.forward_features(inputs.to(device_of(model)))
        batch = model.forward_head(maps, pre_logits=True)
        # A head may be a convolution that takes unpooled maps: timm knows its way through it.
        zero_shot = hasattr(model, "zero_shot")
        said = model.zero_shot(batch) if zero_shot else model.forward_head(maps)
        yield batch.cpu(), said.cpu()


def save_checkpoint(path: str | os.PathLike, model: nn.Module, card: Card) -> None:
    """Write weights and card as one safetensors file."""
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    seen: set[int] = set()
    for name, tensor in weights.items():
        # Some architectures have one tensor under two names, which safetensors refuses.
        if tensor.data_ptr() in seen:
            weights[name] = tensor.clone()
        seen.add(tensor.data_ptr())
    with atomic(path) as temporary:
        save_file(weights, temporary, {"card": json.dumps(card, sort_keys=True)})


def read_card(path: str | os.PathLike) -> Card:
    """The card of a checkpoint file."""
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, FileNotFoundError) as error:
        raise InputError(f"{path} cannot be read as safetensors: {error}") from None
    if "card" not in header:
        raise InputError(f"{path} has no card in its header: make it with the checkpoint rules")
    return json.loads(header["card"])


def load_checkpoint(path: str | os.PathLike) -> tuple[nn.Module, Card]:
    """Rebuild the model a checkpoint file holds; every weight must be there and fit."""
    card = read_card(path)
    model = build(card)
    load_weights(model, path)
    return model, card


def load_weights(model: nn.Module, path: str | os.PathLike) -> None:
    """Load a safetensors state dict into `model`; names and shapes must be the model's."""
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read as safetensors: {error}") from None
    expected = model.state_dict()
    wrong = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "of another shape": [
            name
            for name in expected
            if name in weights and weights[name].shape != expected[name].shape
        ],
    }
    told = [f"{len(names)} {what} (first: {names[0]})" for what, names in wrong.items() if names]
    if told:
        raise InputError(
            f"the weights in {path} do not fit the architecture: {', '.join(told)}; "
            "mend the architecture or the file"
        )
    model.load_state_dict(weights)
