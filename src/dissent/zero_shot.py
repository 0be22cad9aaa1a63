"""Models of images and text (CLIP and its like) as classifiers that no label has trained.

Of an open_clip model, what stays is what looks at images, and the embedding of each class: the mean
of the embeddings of sentences about it (Radford et al. 2021, arXiv 2103.00020, section 3.1.4).
"""

from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from torch import nn
from torch.nn import functional as F

from dissent.commandline import InputError
from dissent.config_text import suggestion
from dissent.image_views import View

LIBRARY = "open_clip"
CLASSES_PER_BATCH = 10
# How open_clip resizes, in timm's terms.
CROP_MODES = {"shortest": "center", "squash": "squash", "longest": "border"}


class ZeroShot(nn.Module):
    """What looks at images, and a linear layer of the classes' embeddings, as timm's models are.

    Features [N, E] are normalised; logits [N, C] are their cosines with the classes, scaled.
    """

    def __init__(self, visual: nn.Module, n_classes: int, embedding: int):
        super().__init__()
        self.visual = visual
        self.classifier = nn.Linear(embedding, n_classes, bias=False)

    def forward_features(self, inputs: torch.Tensor) -> torch.Tensor:
        """Normalised embeddings [N, E] of images."""
        return F.normalize(self.visual(inputs), dim=-1)

    def forward_head(self, features_NE: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Logits [N, C]; with `pre_logits` the features as they are."""
        return features_NE if pre_logits else self.classifier(features_NE)

    def get_classifier(self) -> nn.Linear:
        """The layer that turns features into logits."""
        return self.classifier

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits [N, C] of images."""
        return self.forward_head(self.forward_features(inputs))


def published(name: str) -> tuple[str, dict]:
    """An architecture and what open_clip knows of its weights, by name and tag: ViT-B-32/openai.

    Raises InputError for what it does not know, and for models whose tokenizer is not in its
    package.
    """
    architecture, _, tag = name.partition("/")
    known = {f"{model}/{tag}" for model, tag in open_clip.list_pretrained()}
    if name not in known:
        raise InputError(
            f"open_clip {open_clip.__version__} knows no weights {name!r}"
            f"{suggestion(name, known)}: open_clip.list_pretrained() names all, as ARCHITECTURE/TAG"
        )
    config = open_clip.get_model_config(architecture)
    if "multimodal_cfg" in config:
        raise InputError(f"{name!r} writes captions, and is read by no rule here: leave it out")
    text = config["text_cfg"]
    if text.get("hf_tokenizer_name") or text.get("hf_model_name"):
        raise InputError(
            f"the tokenizer of {name!r} is not part of open_clip, and is not fetched: leave it out"
        )
    return architecture, open_clip.get_pretrained_cfg(architecture, tag)


def view_of(architecture: str, known: dict) -> tuple[View, list[float], list[float]]:
    """How images are resized and cropped for published weights, and their mean and std."""
    size = open_clip.get_model_config(architecture)["vision_cfg"]["image_size"]
    mode = CROP_MODES[known["resize_mode"]]
    mean = list(known["mean"])
    view = View(
        size=[size, size] if isinstance(size, int) else list(size),
        interpolation=known["interpolation"],
        crop_pct=1.0,
        crop_mode=mode,
        fill=mean if mode == "border" else [],
    )
    return view, mean, list(known["std"])


def from_weights(name: str, weights: Path, classes: Sequence[str]) -> ZeroShot:
    """The classifier of some classes, by their names in words, that published weights make.

    The sentences are the 80 that open_clip has for ImageNet. Raises InputError where the weights do
    not fit.
    """
    architecture, known = published(name)
    try:
        model = open_clip.create_model(
            architecture,
            pretrained=str(weights),
            weights_only=True,
            force_quick_gelu=known.get("quick_gelu", False),
            pretrained_image=False,
            pretrained_text=False,
        ).eval()
    except Exception as error:
        # On tensors of other architectures, open_clip raises errors of all kinds.
        what = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        raise InputError(
            f"the weights in {weights} do not fit {name!r} ({what}): mend the architecture or the "
            "file"
        ) from None
    prompts_EC = open_clip.build_zero_shot_classifier(
        model,
        open_clip.get_tokenizer(architecture),
        classes,
        open_clip.OPENAI_IMAGENET_TEMPLATES,
        CLASSES_PER_BATCH,
    )
    made = ZeroShot(model.visual, len(classes), len(prompts_EC))
    with torch.no_grad():
        made.classifier.weight.copy_(model.logit_scale.exp() * prompts_EC.T)
    return made


def build(name: str, n_classes: int) -> ZeroShot:
    """The same with weights still to be loaded."""
    architecture, known = published(name)
    model = open_clip.create_model(
        architecture,
        load_weights=False,
        force_quick_gelu=known.get("quick_gelu", False),
        pretrained_image=False,
        pretrained_text=False,
    )
    embedding = open_clip.get_model_config(architecture)["embed_dim"]
    return ZeroShot(model.visual, n_classes, embedding)
