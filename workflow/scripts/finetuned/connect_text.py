"""Measure a family of text classifiers at its networks and on straight lines between them."""

import argparse
import json
from pathlib import Path

from dissent import commandline
from dissent.commandline import InputError
from dissent.connections import write_connections
from dissent.determinism import use
from dissent.examples import read_examples
from dissent.text_connections import connect
from dissent.text_networks import Networks, fine_tuned_networks, own_networks


def main(arguments: argparse.Namespace) -> None:
    use(arguments.threads, arguments.gpus)
    connections = connect(
        arguments.family,
        networks_of(arguments),
        read_examples(arguments.in_domain),
        read_examples(arguments.interpolation),
        [read_examples(path) for path in arguments.diagnostics],
        arguments.settings,
    )
    write_connections(arguments.output, connections)


def networks_of(arguments: argparse.Namespace) -> Networks:
    checkpoints, models = arguments.checkpoints, arguments.models
    if arguments.weights:
        (start,) = checkpoints
        return fine_tuned_networks(start, arguments.weights)
    if len(checkpoints) != len(models):
        raise InputError(
            f"--models names {len(models)} models for {len(checkpoints)} --checkpoints: give one "
            f"name for each"
        )
    return own_networks(dict(zip(models, checkpoints, strict=True)))


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--family", required=True, help="name of the family")
    parser.add_argument(
        "--checkpoints",
        required=True,
        nargs="+",
        type=Path,
        help="the one that the family was fine-tuned from, or one of each model",
    )
    parser.add_argument(
        "--weights", nargs="?", type=Path, help="the family's, if it was fine-tuned"
    )
    parser.add_argument("--models", nargs="*", default=[], help="ids of models without --weights")
    parser.add_argument("--in-domain", required=True, type=Path, help="data set file")
    parser.add_argument(
        "--interpolation", required=True, type=Path, help="data set file for losses along paths"
    )
    parser.add_argument(
        "--diagnostics", required=True, nargs="+", type=Path, help="data set files with groups"
    )
    parser.add_argument(
        "--settings",
        required=True,
        type=json.loads,
        help="JSON: {examples, points, path_examples, strategy: {data, group}, planes: {points, "
        "examples} or null, sharpness: {epsilon, steps, learning_rate, examples} or null, "
        "batch_size}",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, choices=[0, 1])
    parser.add_argument("--output", required=True, type=Path, help="<family>_paths.safetensors")
    commandline.run(main, parser.parse_args())
