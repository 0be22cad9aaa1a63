"""Take over a timm checkpoint somebody else trained, if its bytes are the expected ones."""

import argparse
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_data_config
from timm.models import PretrainedCfg, load_state_dict
from torch import nn

from dissent import commandline
from dissent.classifiers import Card, Preprocessing, build, load_weights, save_checkpoint
from dissent.commandline import InputError
from dissent.examples import Examples, read_examples
from dissent.files import sha256
from dissent.image_views import view_of

PICKLED = (".bin", ".pth", ".pt")


def main(arguments: argparse.Namespace) -> None:
    if not arguments.weights.exists():
        raise InputError(
            f"there is no file {arguments.weights}: mend `location` in the model table"
        )
    found = sha256(arguments.weights)
    if found != arguments.sha256:
        raise InputError(
            f"{arguments.weights} has sha256 {found}, the model table expects {arguments.sha256}: "
            f"mend the table or the file"
        )
    torch.set_num_threads(arguments.threads)
    pretrained = configuration(arguments.architecture)
    examples = read_examples(arguments.data) if arguments.data else None
    default = resolve_data_config(pretrained_cfg=pretrained.to_dict())
    card = Card(
        architecture=arguments.architecture,
        options={},
        classes=[],
        preprocessing=Preprocessing(
            size=default["input_size"][-1], mean=list(default["mean"]), std=list(default["std"])
        ),
        zero_shot={},
    )
    if examples and examples.spans_N2 is None:
        card["classes"] = list(examples.classes)
        model = build(card)
        load_weights(model, arguments.weights)
    else:
        weights = read_weights(arguments.weights)
        n_classes = classes_in(weights, pretrained)
        card["classes"] = names_of(n_classes, examples)
        model = with_weights(arguments, weights, n_classes)
    if examples and examples.spans_N2 is not None:
        card["view"] = view_of(pretrained)
    save_checkpoint(arguments.output, model, card)


def configuration(name: str) -> PretrainedCfg:
    """What timm knows of an architecture's weights, by its name with or without a tag."""
    try:
        found = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:
        # Of an unknown tag.
        found = None
    if found is None:
        raise InputError(f"timm has no architecture {name!r}: mend the model table")
    return found


def names_of(n_classes: int, examples: Examples | None) -> list[str]:
    """What the classes of weights are called: as ImageNet's are, as the data's, or by number."""
    subset = infer_imagenet_subset({"num_classes": n_classes}) if examples else None
    if subset:
        return ImageNetInfo(subset).label_names()
    if examples and len(examples.classes) == n_classes:
        return list(examples.classes)
    return [str(label) for label in range(n_classes)]


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """A state dict, of safetensors or of torch; of the latter, tensors alone are ever loaded."""
    pickled = path.name.endswith(PICKLED)
    try:
        return load_state_dict(path, weights_only=True) if pickled else load_file(path)
    except Exception as error:
        # On a damaged file, or one with more than tensors, torch raises errors of all kinds.
        if not (pickled or isinstance(error, SafetensorError)):
            raise
        what = " ".join(str(error).split())[:150]
        kind = "tensors of torch alone" if pickled else "safetensors"
        raise InputError(f"{path} cannot be read as {kind}: {what}") from None


def classes_in(weights: dict[str, torch.Tensor], pretrained: PretrainedCfg) -> int:
    """How many classes the weights tell apart; none if they have no classifier."""
    names = pretrained.classifier or ()
    first = names if isinstance(names, str) else next(iter(names), "")
    head = weights.get(f"{first}.weight")
    return 0 if head is None else len(head)


def with_weights(
    arguments: argparse.Namespace, weights: dict[str, torch.Tensor], n_classes: int
) -> nn.Module:
    """The model with these weights, every one of them, named as timm names them now or once did."""
    try:
        return timm.create_model(
            arguments.architecture,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": weights, "num_classes": n_classes},
            num_classes=n_classes,
        )
    except Exception as error:
        # On tensors of other architectures, timm's renaming raises errors of all kinds.
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"the weights in {arguments.weights} do not fit the architecture ({what[:150]}): mend "
            f"the architecture or the file"
        ) from None


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--weights", required=True, type=Path, help="state dict: safetensors, or of torch"
    )
    parser.add_argument("--sha256", required=True, help="expected digest of the weights file")
    parser.add_argument(
        "--architecture", required=True, help="timm's name, such as resnet18 or resnet18.a1_in1k"
    )
    parser.add_argument(
        "--data", nargs="?", type=Path, help="data set whose classes it knows, if they matter"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
