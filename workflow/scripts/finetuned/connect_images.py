"""Measure families of image classifiers at their networks and on straight lines between them."""

import argparse
import json
from pathlib import Path

from dissent import commandline
from dissent.commandline import InputError
from dissent.connections import write_connections
from dissent.determinism import use
from dissent.examples import read_examples
from dissent.image_connections import connect


def main(arguments: argparse.Namespace) -> None:
    checkpoints, models, settings = arguments.checkpoints, arguments.models, arguments.settings
    if len(checkpoints) != len(models):
        raise InputError(
            f"--models names {len(models)} models for {len(checkpoints)} --checkpoints: give one "
            f"name for each"
        )
    n_families = 1 + bool(settings["align"]) + bool(settings["branches"])
    if len(arguments.output) != n_families:
        raise InputError(
            f"--output names {len(arguments.output)} files for {n_families} families: give one of "
            f"separate, of aligned if `align`, and of one-run if there are `branches`"
        )
    use(arguments.threads, arguments.gpus)
    examples = read_examples(arguments.data)
    families = connect(dict(zip(models, checkpoints, strict=True)), examples, settings)
    for path, connections in zip(arguments.output, families, strict=True):
        write_connections(path, connections)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--checkpoints", required=True, nargs="+", type=Path, help="one of each model"
    )
    parser.add_argument("--models", required=True, nargs="+", help="ids of models")
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument(
        "--settings",
        required=True,
        type=json.loads,
        help="JSON: {examples, points, statistics_images, align, branches: {count, steps, "
        "learning_rate, batch_size} or null}",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, choices=[0, 1])
    parser.add_argument(
        "--output",
        required=True,
        nargs="+",
        type=Path,
        help="<family>_paths.safetensors of separate, aligned if asked, one-run if asked",
    )
    commandline.run(main, parser.parse_args())
