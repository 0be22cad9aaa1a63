"""Make a data set of labels alone from a file of labels, or relabel the examples of another."""

import argparse
import dataclasses
import json
from pathlib import Path

from dissent import commandline
from dissent.examples import read_examples, write_examples
from dissent.foreign_files import check_bytes
from dissent.label_sets import class_names, read_label_set, read_new_labels


def main(arguments: argparse.Namespace) -> None:
    layout = arguments.layout
    check_bytes(arguments.labels, layout["sha256"], "the run file")
    if arguments.relabels:
        examples = read_new_labels(arguments.labels, layout, read_examples(arguments.relabels))
    else:
        examples = read_label_set(
            arguments.labels,
            layout,
            class_names(arguments.classes),
            arguments.seed,
            arguments.splits,
            arguments.row_order,
        )
    write_examples(arguments.output, dataclasses.replace(examples, name=arguments.name))


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--name", required=True, help="what the config calls the data set")
    parser.add_argument("--labels", required=True, type=Path, help="file of labels")
    parser.add_argument(
        "--layout", required=True, type=json.loads, help="JSON: the run file's section `labels`"
    )
    parser.add_argument(
        "--classes", required=True, type=json.loads, help="JSON: names of the classes, or how many"
    )
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument(
        "--splits", required=True, type=json.loads, help="JSON: examples by split name"
    )
    parser.add_argument("--row-order", nargs="?", default="", help="order of files without ids")
    parser.add_argument(
        "--relabels", nargs="?", type=Path, help="data set file whose examples get these labels"
    )
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
