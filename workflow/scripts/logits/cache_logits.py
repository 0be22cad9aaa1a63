"""Write the logits files of a batch of models on one or more data sets."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn

from dissent import commandline
from dissent.classifiers import Card, load_checkpoint, predict
from dissent.commandline import InputError
from dissent.determinism import use
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
    device = use(arguments.threads, arguments.gpus)
    for checkpoint in progress(arguments.checkpoints, "caching logits"):
        model, card = load_checkpoint(checkpoint)
        model = model.to(device)
        weights = sha256(checkpoint)
        for examples in data:
            output = arguments.output / examples.name / checkpoint.name
            cache(output, model, card, weights, examples, arguments.splits)


def cache(
    output: Path,
    model: nn.Module,
    card: Card,
    weights_sha256: str,
    examples: Examples,
    splits: Sequence[str],
) -> None:
    """One model on one data set; logits only where the model's classes are the data set's.

    With `splits`, features alone, so that no metric takes rows that were not looked at for errors;
    those are NaN.
    """
    classes_fit = tuple(card["classes"]) == examples.classes and examples.labels.ndim == 1
    classify = classes_fit and not splits
    key = Key(
        weights_sha256=weights_sha256,
        preprocessing=card["preprocessing"],
        **of_examples(examples),
        label_map=card["classes"],
        output="logits" if classify else "features",
        libraries={"timm": timm.__version__, "torch": torch.__version__},
    )
    rows = rows_of(splits, examples)
    batches = list(predict(model, examples.images_NHW[rows], card["preprocessing"]))
    features_nD, logits_nC = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))
    if classify:
        write_logits(output, key, features_nD, logits_nC, examples.labels)
    else:
        features_ND = np.full((len(examples.ids), features_nD.shape[1]), np.nan, np.float32)
        features_ND[rows] = features_nD
        write_logits(output, key, features_ND)


def rows_of(splits: Sequence[str], examples: Examples) -> np.ndarray:
    """Positions of the examples of these splits, or of all without any, in order."""
    if not splits:
        return np.arange(len(examples.ids))
    return np.unique(np.concatenate([examples.where(split) for split in splits]))


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--checkpoints", required=True, nargs="+", type=Path)
    parser.add_argument("--data", required=True, nargs="+", type=Path, help="data set files")
    parser.add_argument(
        "--splits", nargs="*", default=(), help="look at these alone, for features; default: all"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, choices=[0, 1])
    parser.add_argument(
        "--output", required=True, type=Path, help="folder: <data set>/<checkpoint's name>"
    )
    commandline.run(main, parser.parse_args())
