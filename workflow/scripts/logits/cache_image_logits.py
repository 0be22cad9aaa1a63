"""Write the logits files of models that look at the same encoded images, together."""

import argparse
import shutil
from importlib.metadata import version
from pathlib import Path

import torch

from dissent import commandline
from dissent.classifiers import load_checkpoint
from dissent.commandline import InputError
from dissent.determinism import use
from dissent.examples import Examples, read_examples
from dissent.files import sha256
from dissent.logit_cache import AUTOCAST, Member, cache_together
from dissent.logits import Key, of_examples


def main(arguments: argparse.Namespace) -> None:
    device = use(arguments.threads, arguments.gpus)
    loaded = {path: load_checkpoint(path) for path in arguments.checkpoints}
    digests = {path: sha256(path) for path in arguments.checkpoints}
    for model, _ in loaded.values():
        model.eval().to(device)
    parts = []
    for data in arguments.data:
        examples = read_examples(data)
        members = [
            member(path, *loaded[path], digests[path], examples, arguments)
            for path in arguments.checkpoints
        ]
        outputs = [arguments.output / examples.name / path.name for path in arguments.checkpoints]
        folder = cache_together(
            *(members, examples, data, outputs, device, arguments.batch_size),
            # On a GPU this process has little to do but wait for it; on a CPU it has all to do.
            workers=arguments.threads if device.type == "cuda" else 0,
            keep_features=bool(arguments.features),
        )
        parts.append(folder)
    # Not before: where a job fails, the files of all its data sets are deleted.
    for folder in parts:
        shutil.rmtree(folder, ignore_errors=True)


def member(
    path: Path,
    model: torch.nn.Module,
    card: dict,
    digest: str,
    examples: Examples,
    arguments: argparse.Namespace,
) -> Member:
    """A model and all that decides what it says of these examples."""
    if "view" not in card:
        raise InputError(
            f"{path} does not say how images are resized and cropped for it: take it over from "
            "published weights (source file)"
        )
    index = {name: i for i, name in enumerate(card["classes"])}
    unknown = [name for name in examples.classes if name not in index]
    if unknown:
        raise InputError(
            f"{path.stem} knows no class {unknown[0]!r} of data set {examples.name!r} (it knows "
            f"{len(index)}, such as {card['classes'][0]!r}): give the data set `classes` by the "
            "names that the model has for them, or leave the model out"
        )
    mean, std = card["preprocessing"]["mean"], card["preprocessing"]["std"]
    libraries = ["open_clip_torch", "timm", "torch"] if "library" in card else ["timm", "torch"]
    key = Key(
        weights_sha256=digest,
        preprocessing={**card["view"], "mean": mean, "std": std},
        **of_examples(examples),
        label_map=list(examples.classes),
        output="logits",
        libraries={name: version(name) for name in libraries},
        precision=arguments.precision,
    )
    columns_C = [index[name] for name in examples.classes]
    return Member(path.stem, model, card["view"], mean, std, columns_C, key, arguments.batch_size)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--checkpoints", required=True, nargs="+", type=Path)
    parser.add_argument("--data", required=True, nargs="+", type=Path, help="data set files")
    parser.add_argument("--batch-size", type=int, default=128, help="images at once, at most")
    parser.add_argument(
        "--precision", choices=["float32", *AUTOCAST], default="float32", help="of products"
    )
    parser.add_argument(
        "--features", type=int, default=0, choices=[0, 1], help="1: keep what the head sees as well"
    )
    parser.add_argument("--gpus", type=int, default=0, choices=[0, 1])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--output", required=True, type=Path, help="folder: <data set>/<checkpoint's name>"
    )
    commandline.run(main, parser.parse_args())
