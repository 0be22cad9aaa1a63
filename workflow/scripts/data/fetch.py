"""Fetch one published file, if its bytes are the pinned ones, from a mirror or its address."""

import argparse
import re
from pathlib import Path

from dissent import commandline
from dissent.commandline import InputError
from dissent.fetching import MIRROR, fetch, in_mirror, local_path
from dissent.hub import COMMIT, unpinned
from dissent.provenance import facts


def main(arguments: argparse.Namespace) -> None:
    pin = arguments.sha256 or None
    if not (pin or arguments.page or re.fullmatch(COMMIT, arguments.url)):
        raise unpinned(arguments.url)
    if arguments.page and not in_mirror(arguments.url, pin):
        place = f"{local_path(arguments.url)} in the folder that {MIRROR} names"
        raise InputError(
            f"{arguments.url} cannot be fetched by a job: get the file from {arguments.page} and "
            f"put it at {place}" + (f"; its sha256 is {pin}" if pin else "")
        )
    fetch(arguments.url, pin, arguments.output)
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
