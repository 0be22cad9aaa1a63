"""Ways to pre-train a backbone: each function gives the modules to train and the loss of a batch.

`pixels_N1HW` are grey images in [0, 1]; a loss takes the positions of its batch.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from dissent.classifiers import Preprocessing, features, normalise
from dissent.training import objectives
from dissent.training.augmentation import augment

Loss = Callable[[torch.Tensor], torch.Tensor]
EMBEDDING = 64
PATCH = 8
ZERO_SHOT_SCALE = 10.0


def two_views(
    model: nn.Module,
    pixels_N1HW: torch.Tensor,
    preprocessing: Preprocessing,
    generator: torch.Generator,
    compare: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> tuple[nn.Module, Loss]:
    """Compare two strongly augmented views of every image: SimCLR, Barlow Twins and SupCon.

    `compare(first [n, E], second [n, E], positions [n])` is the loss on projected features.
    """
    width = model.head_hidden_size
    projector = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, EMBEDDING))

    def loss(batch: torch.Tensor) -> torch.Tensor:
        pixels = pixels_N1HW[batch]
        views = torch.cat([augment(pixels, "strong", generator) for _ in range(2)])
        first, second = projector(features(model, normalise(views, preprocessing))).chunk(2)
        return compare(first, second, batch)

    return projector, loss


def rotation(
    model: nn.Module,
    pixels_N1HW: torch.Tensor,
    preprocessing: Preprocessing,
    generator: torch.Generator,
) -> tuple[nn.Module, Loss]:
    """Tell by how many quarter turns an image was rotated (arXiv 1803.07728)."""
    turns_head = nn.Linear(model.head_hidden_size, 4)

    def loss(batch: torch.Tensor) -> torch.Tensor:
        pixels = augment(pixels_N1HW[batch], "light", generator)
        turned = torch.cat([pixels.rot90(turns, (2, 3)) for turns in range(4)])
        targets = torch.arange(4).repeat_interleave(len(batch))
        return F.cross_entropy(
            turns_head(features(model, normalise(turned, preprocessing))), targets
        )

    return turns_head, loss


def masked_autoencoder(
    model: nn.Module,
    pixels_N1HW: torch.Tensor,
    preprocessing: Preprocessing,
    generator: torch.Generator,
    mask_ratio: float,
) -> tuple[nn.Module, Loss]:
    """Draw the hidden patches of an image from the visible ones.

    Hidden patches are blanked at the input, as in SimMIM (arXiv 2111.09886), and drawn from the
    pooled features, so that any backbone will do.
    """
    side = preprocessing["size"]
    decoder = nn.Linear(model.head_hidden_size, side * side)

    def loss(batch: torch.Tensor) -> torch.Tensor:
        pixels = augment(pixels_N1HW[batch], "light", generator)
        patches = torch.rand(len(batch), 1, side // PATCH, side // PATCH, generator=generator)
        hidden = F.interpolate(patches, (side, side)) < mask_ratio
        seen = normalise(pixels.masked_fill(hidden, 0.0), preprocessing)
        drawn = decoder(features(model, seen)).view_as(pixels)
        return F.mse_loss(drawn[hidden], pixels[hidden])

    return decoder, loss


def captions(
    model: nn.Module,
    pixels_N1HW: torch.Tensor,
    preprocessing: Preprocessing,
    generator: torch.Generator,
    sentences: Sequence[str],
    prompts: Sequence[Sequence[str]],
    strength: str,
) -> tuple[nn.Module, Loss, Callable[[], None]]:
    """Match images with their captions, words embedded and summed.

    Needs a model with a zero-shot head. Call the third result after training: it puts the embedded
    prompts into that head, averaged over the sentences of each class as CLIP does, so that the
    model classifies without any label.
    """
    vocabulary = {word: i for i, word in enumerate(sorted(set(" ".join(sentences).split())))}
    text_encoder = nn.Sequential(
        nn.EmbeddingBag(len(vocabulary), EMBEDDING, mode="sum"),
        nn.ReLU(),
        nn.Linear(EMBEDDING, EMBEDDING),
    )

    def embed(texts: Sequence[str]) -> torch.Tensor:
        words = [torch.tensor([vocabulary[word] for word in text.split()]) for text in texts]
        starts = torch.tensor([0, *(len(text) for text in words[:-1])]).cumsum(0)
        embedded = text_encoder[0](torch.cat(words), starts)
        return text_encoder[2](text_encoder[1](embedded))

    def loss(batch: torch.Tensor) -> torch.Tensor:
        pixels = augment(pixels_N1HW[batch], strength, generator)
        image_NE = model.zero_shot.projection(features(model, normalise(pixels, preprocessing)))
        text_NE = embed([sentences[i] for i in batch])
        return objectives.image_text(image_NE, text_NE, ZERO_SHOT_SCALE)

    @torch.no_grad()
    def finish() -> None:
        for i, of_class in enumerate(prompts):
            model.zero_shot.prompts_CE[i] = F.normalize(embed(of_class), dim=1).mean(dim=0)

    return text_encoder, loss, finish
