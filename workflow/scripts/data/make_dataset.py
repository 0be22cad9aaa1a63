"""Make one data set from what ships with scikit-learn and matplotlib, or from its structure."""

import argparse
import dataclasses
import json
from pathlib import Path

from dissent import commandline, datasets
from dissent.examples import write_examples
from dissent.hans import hans
from dissent.provenance import facts

KINDS = {
    "handwritten": datasets.handwritten,
    "glyphs": datasets.glyphs,
    "letters": datasets.letters,
    "hans": hans,
}


def main(arguments: argparse.Namespace) -> None:
    make = KINDS[arguments.kind]
    examples = make(arguments.seed, arguments.size, arguments.splits)
    write_examples(arguments.output, dataclasses.replace(examples, name=arguments.name))
    facts.declare(sources=datasets.SOURCES.get(arguments.kind, ()))


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--name", required=True, help="what the config calls the data set")
    parser.add_argument("--kind", required=True, choices=KINDS)
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument(
        "--size", required=True, nargs="?", type=int, help="width and height in pixels"
    )
    parser.add_argument(
        "--splits", required=True, type=json.loads, help="JSON: examples by split name"
    )
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
