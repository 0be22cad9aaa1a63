"""Make one data set: of what ships with the packages, by structure or grammar, or of a folder."""

import argparse
import dataclasses
import json
from pathlib import Path

from dissent import commandline, datasets, domain_images, task_images
from dissent.commandline import InputError
from dissent.domain_folder import read_domain_folder
from dissent.examples import Examples, read_examples, write_examples
from dissent.foreign_files import check_bytes
from dissent.hans import hans
from dissent.image_folder import read_folder
from dissent.label_sets import class_names
from dissent.minimal_pairs import minimal_pairs
from dissent.overlap_heuristics import overlap_heuristics
from dissent.packed_folder import Packed, read_packed, read_packed_domains
from dissent.provenance import facts
from dissent.sentence_pairs import sentence_pairs
from dissent.word_swaps import word_swaps

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
    "overlap_heuristics": overlap_heuristics,
    "word_swaps": word_swaps,
    "minimal_pairs": minimal_pairs,
}
APART_KINDS = {"digits": task_images.digits, "medium": task_images.medium}
FOLDER_KINDS = ("folder", "domain_folder")
PAIRS_KIND = "sentence_pairs"
SOURCES = datasets.SOURCES | task_images.SOURCES | domain_images.SOURCES


def main(arguments: argparse.Namespace) -> None:
    examples = dataclasses.replace(make(arguments), name=arguments.name)
    write_examples(arguments.output, examples)
    facts.declare(sources=SOURCES.get(arguments.kind, ()))


def make(arguments: argparse.Namespace) -> Examples:
    kind, seed, size, splits = arguments.kind, arguments.seed, arguments.size, arguments.splits
    if kind in FOLDER_KINDS:
        return of_folder(arguments)
    if kind in APART_KINDS:
        other = needed(arguments.apart_from, "--apart-from", kind)
        return APART_KINDS[kind](seed, size, splits, read_examples(other))
    if kind == PAIRS_KIND:
        breakers = needed(arguments.breakers, "--breakers", kind)
        return sentence_pairs(seed, size, splits, breakers)
    return KINDS[kind](seed, size, splits)


def of_folder(arguments: argparse.Namespace) -> Examples:
    """Images in a folder, or packed."""
    kind, seed, size, name = arguments.kind, arguments.seed, arguments.size, arguments.name
    files = [Packed(check(file), file["split"]) for file in arguments.files]
    classes = class_names(arguments.classes) if arguments.classes else None
    if files and kind == "domain_folder":
        return read_packed_domains(files, size, seed, name, arguments.domains, classes)
    if files:
        return read_packed(files, size, arguments.splits, seed, name, classes)
    folder = needed(arguments.location, "--location", kind)
    if kind == "domain_folder":
        return read_domain_folder(folder, size, seed, name)
    return read_folder(folder, size, arguments.splits, seed, name)


def check(file: dict[str, str]) -> Path:
    """The path of a file, which has the bytes that the run file says."""
    check_bytes(Path(file["path"]), file["sha256"], "the run file")
    return Path(file["path"])


def needed(value: Path | float | None, option: str, kind: str) -> Path | float:
    if value is None:
        raise InputError(f"kind {kind} needs {option}: give it")
    return value


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--name", required=True, help="what the config calls the data set")
    parser.add_argument(
        "--kind", required=True, choices=[*KINDS, *APART_KINDS, *FOLDER_KINDS, PAIRS_KIND]
    )
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
    parser.add_argument(
        "--files",
        type=json.loads,
        default=[],
        help="JSON: {path, sha256, split} of each file that such a folder is packed in",
    )
    parser.add_argument("--classes", type=json.loads, help="JSON: names, or how many, of --files")
    parser.add_argument("--domains", nargs="*", default=[], help="of --files (domain_folder)")
    parser.add_argument(
        "--breakers",
        nargs="?",
        type=float,
        help="sentence_pairs: share of the pairs in which overlap misleads",
    )
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
