"""Take over weights of open_clip as a classifier of a data set's classes, by their names alone."""

import argparse
from pathlib import Path

import open_clip
from timm.data import ImageNetInfo

from dissent import commandline, zero_shot
from dissent.classifiers import Card, Preprocessing, save_checkpoint
from dissent.commandline import InputError
from dissent.determinism import use
from dissent.examples import read_examples
from dissent.foreign_files import check_bytes


def main(arguments: argparse.Namespace) -> None:
    check_bytes(arguments.weights, arguments.sha256, "the model table")
    use(arguments.threads)
    examples = read_examples(arguments.data)
    if examples.spans_N2 is None:
        raise InputError(
            f"models of source open_clip look at images as they were published, and "
            f"{examples.name!r} is not of kind images: compare models on such a data set"
        )
    architecture, known = zero_shot.published(arguments.architecture)
    view, mean, std = zero_shot.view_of(architecture, known)
    classes, words = named(examples.classes)
    model = zero_shot.from_weights(arguments.architecture, arguments.weights, words)
    card = Card(
        architecture=arguments.architecture,
        options={},
        classes=classes,
        preprocessing=Preprocessing(size=view["size"][0], mean=mean, std=std),
        zero_shot={},
        view=view,
        library=zero_shot.LIBRARY,
    )
    save_checkpoint(arguments.output, model, card)


def named(classes: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Classes, and their names in words: all of ImageNet's if they are of these, else their own."""
    imagenet = ImageNetInfo().label_names()
    if set(classes) <= set(imagenet):
        return imagenet, list(open_clip.IMAGENET_CLASSNAMES)
    return list(classes), [name.replace("_", " ") for name in classes]


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--weights", required=True, type=Path, help="state dict of the whole model")
    parser.add_argument("--sha256", required=True, help="expected digest of the weights file")
    parser.add_argument(
        "--architecture", required=True, help="open_clip's name and tag, such as ViT-B-32/openai"
    )
    parser.add_argument("--data", required=True, type=Path, help="data set whose classes it tells")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
