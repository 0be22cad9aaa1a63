"""Make one data set: of what ships with the packages, by structure, or of a folder of images."""

import argparse
import dataclasses
import json
from pathlib import Path

from dissent import commandline, datasets, domain_images, task_images
from dissent.commandline import InputError
from dissent.domain_folder import read_domain_folder
from dissent.examples import Examples, read_examples, write_examples
from dissent.hans import hans
from dissent.image_folder import read_folder
from dissent.provenance import facts

KINDS = {
    "handwritten": datasets.handwritten,
    "glyphs": datasets.glyphs,
    "letters": datasets.letters,
    "hans": hans,
    "photos": task_images.photos,
    "fonts": task_images.fonts,
    "count": task_images.count,
    "rotation": task_images.rotation,
    "domains": domain_images.domains,
    "characters": domain_images.characters,
    "plain_characters": domain_images.plain_characters,
}
APART_KINDS = {"digits": task_images.digits, "medium": task_images.medium}
FOLDER_KINDS = ("folder", "domain_folder")
SOURCES = datasets.SOURCES | task_images.SOURCES | domain_images.SOURCES


def main(arguments: argparse.Namespace) -> None:
    examples = dataclasses.replace(make(arguments), name=arguments.name)
    write_examples(arguments.output, examples)
    facts.declare(sources=SOURCES.get(arguments.kind, ()))


def make(arguments: argparse.Namespace) -> Examples:
    kind, seed, size, splits = arguments.kind, arguments.seed, arguments.size, arguments.splits
    if kind in FOLDER_KINDS:
        folder = needed(arguments.location, "--location", kind)
        if kind == "domain_folder":
            return read_domain_folder(folder, size, seed, arguments.name)
        return read_folder(folder, size, splits, seed, arguments.name)
    if kind in APART_KINDS:
        other = needed(arguments.apart_from, "--apart-from", kind)
        return APART_KINDS[kind](seed, size, splits, read_examples(other))
    return KINDS[kind](seed, size, splits)


def needed(path: Path | None, option: str, kind: str) -> Path:
    if path is None:
        raise InputError(f"kind {kind} needs {option}: give it")
    return path


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--name", required=True, help="what the config calls the data set")
    parser.add_argument("--kind", required=True, choices=[*KINDS, *APART_KINDS, *FOLDER_KINDS])
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument(
        "--size", required=True, nargs="?", type=int, help="width and height in pixels"
    )
    parser.add_argument(
        "--splits", required=True, type=json.loads, help="JSON: examples by split name"
    )
    parser.add_argument(
        "--apart-from",
        nargs="?",
        type=Path,
        help="digits, medium: data set file whose train split is left out",
    )
    parser.add_argument(
        "--location",
        nargs="?",
        type=Path,
        help="folder: a sub-folder of images a class; domain_folder: one a domain, with such in it",
    )
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
