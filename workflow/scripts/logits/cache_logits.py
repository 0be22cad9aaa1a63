"""Write the logits files of a batch of models on one or more data sets."""

import argparse
from pathlib import Path

import timm
import torch
from torch import nn

from dissent import commandline
from dissent.classifiers import Card, load_checkpoint, predict
from dissent.commandline import InputError
from dissent.examples import Examples, read_examples
from dissent.files import sha256
from dissent.logits import Key, of_examples, write_logits
from dissent.progress import progress


def main(arguments: argparse.Namespace) -> None:
    data = [read_examples(path) for path in arguments.data]
    for examples in data:
        if examples.images_NHW is None:
            raise InputError(
                f"data set {examples.name!r} has labels and no images for models to look at: give "
                f"one with images, or import predictions of this one"
            )
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    for checkpoint in progress(arguments.checkpoints, "caching logits"):
        model, card = load_checkpoint(checkpoint)
        weights = sha256(checkpoint)
        for examples in data:
            output = arguments.output / examples.name / checkpoint.name
            cache(output, model, card, weights, examples)


def cache(
    output: Path, model: nn.Module, card: Card, weights_sha256: str, examples: Examples
) -> None:
    """One model on one data set; logits only where the model's classes are the data set's."""
    classify = tuple(card["classes"]) == examples.classes and examples.labels.ndim == 1
    key = Key(
        weights_sha256=weights_sha256,
        preprocessing=card["preprocessing"],
        **of_examples(examples),
        label_map=card["classes"],
        output="logits" if classify else "features",
        libraries={"timm": timm.__version__, "torch": torch.__version__},
    )
    batches = list(predict(model, examples.images_NHW, card["preprocessing"]))
    features_ND, logits_NC = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))
    if classify:
        write_logits(output, key, features_ND, logits_NC, examples.labels)
    else:
        write_logits(output, key, features_ND)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--checkpoints", required=True, nargs="+", type=Path)
    parser.add_argument("--data", required=True, nargs="+", type=Path, help="data set files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--output", required=True, type=Path, help="folder: <data set>/<checkpoint's name>"
    )
    commandline.run(main, parser.parse_args())
