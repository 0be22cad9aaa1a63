"""Fetch one published file, if its bytes are the pinned ones, from a mirror or its address."""

import argparse
from pathlib import Path

from dissent import commandline
from dissent.commandline import InputError
from dissent.fetching import MIRROR, fetch, in_mirror, local_path
from dissent.provenance import facts


def main(arguments: argparse.Namespace) -> None:
    if not arguments.sha256:
        raise InputError(
            f"{arguments.url} is not pinned yet: 'python -m dissent.timm_rows --pin TABLE' asks "
            "the hub which bytes it has now, and writes that into the model table TABLE"
        )
    if arguments.page and not in_mirror(arguments.url, arguments.sha256):
        place = f"{local_path(arguments.url)} in the folder that {MIRROR} names"
        raise InputError(
            f"{arguments.url} cannot be fetched by a job: get the file from {arguments.page} and "
            f"put it at {place}; its sha256 is {arguments.sha256}"
        )
    fetch(arguments.url, arguments.sha256, arguments.output)
    source = {
        "name": arguments.url,
        "licence": arguments.licence,
        "citation": arguments.citation,
        "sha256": arguments.sha256,
    }
    facts.declare(sources=[{name: text for name, text in source.items() if text}])


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--url", required=True, help="its address")
    parser.add_argument("--sha256", nargs="?", default="", help="expected digest of the file")
    parser.add_argument("--licence", nargs="?", default="", help="its licence, if it is known")
    parser.add_argument("--citation", nargs="?", default="", help="whom to cite")
    parser.add_argument("--page", nargs="?", default="", help="where people get it by hand")
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
