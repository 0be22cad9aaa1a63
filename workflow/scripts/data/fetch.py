"""Fetch one published file, if its bytes are the pinned ones, from a mirror or its address."""

import argparse
from pathlib import Path

from dissent import commandline
from dissent.fetching import fetch
from dissent.provenance import facts


def main(arguments: argparse.Namespace) -> None:
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
    parser.add_argument("--sha256", required=True, help="expected digest of the file")
    parser.add_argument("--licence", required=True, help="its licence; empty if it is not known")
    parser.add_argument("--citation", nargs="?", default="", help="whom to cite")
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
