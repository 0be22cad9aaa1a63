"""Make a data set of encoded images from the files that they are published in."""

import argparse
import dataclasses
import json
from collections import Counter
from pathlib import Path

from dissent import commandline
from dissent.commandline import InputError
from dissent.encoded_images import by_label, images_beside, with_labels, write_images
from dissent.examples import write_examples
from dissent.foreign_files import check_bytes
from dissent.image_shards import read_shards
from dissent.label_sets import class_names, read_label_set


def main(arguments: argparse.Namespace) -> None:
    for path, expected in zip(arguments.images, arguments.sha256, strict=True):
        check_bytes(path, expected, "the run file")
    classes = names(arguments)
    images = read_shards(arguments.images)
    output = images_beside(arguments.output)
    if arguments.labels:
        if classes is None:
            raise InputError("a file of labels needs --classes or --class-names: give one")
        layout = arguments.layout
        check_bytes(arguments.labels, layout["sha256"], "the run file")
        labelled = read_label_set(
            *(arguments.labels, layout, classes, arguments.seed, arguments.splits, ""),
            numbered=True,
        )
        examples = with_labels(labelled, write_images(output, images, labelled.ids))
    else:
        found = write_images(output, images)
        examples = by_label(arguments.name, found, classes, arguments.splits, arguments.seed)
    write_examples(arguments.output, dataclasses.replace(examples, name=arguments.name))


def names(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The names of the classes, if anything says them beforehand."""
    if arguments.class_names:
        text = arguments.class_names.read_text(encoding="utf-8")
        found = tuple(filter(None, map(str.strip, text.splitlines())))
        for name, times in Counter(found).items():
            if times > 1:
                raise InputError(f"{arguments.class_names} holds {name!r} twice: leave one out")
        return found
    return class_names(arguments.classes) if arguments.classes else None


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--name", required=True, help="what the config calls the data set")
    parser.add_argument(
        "--images", required=True, nargs="+", type=Path, help="archives, or parquet files"
    )
    parser.add_argument("--sha256", required=True, type=json.loads, help="JSON: of each, or null")
    parser.add_argument("--labels", nargs="?", type=Path, help="file of labels by image")
    parser.add_argument(
        "--layout", type=json.loads, help="JSON: the run file's section `labels`, or null"
    )
    parser.add_argument(
        "--classes", type=json.loads, help="JSON: names of the classes, how many, or null"
    )
    parser.add_argument(
        "--class-names", nargs="?", type=Path, help="file of their names, a line each"
    )
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument(
        "--splits", required=True, type=json.loads, help="JSON: examples by split name"
    )
    parser.add_argument("--output", required=True, type=Path, help="its images go beside it")
    commandline.run(main, parser.parse_args())
