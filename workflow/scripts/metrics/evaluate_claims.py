"""Judge every claim by the run's own statistics."""

import argparse
import json
from pathlib import Path

import pandas as pd

from dissent import commandline
from dissent.claims import evaluate, numbers
from dissent.files import atomic, write_table


def main(arguments: argparse.Namespace) -> None:
    claims = pd.read_csv(arguments.claims)
    statistics = pd.concat([pd.read_csv(path) for path in arguments.statistics])
    table = evaluate(claims, statistics)
    write_table(table, arguments.table)
    with atomic(arguments.numbers) as temporary:
        temporary.write_text(json.dumps(numbers(table), indent=1) + "\n")


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--claims", required=True, type=Path, help="config/claims.csv")
    parser.add_argument("--statistics", required=True, nargs="+", type=Path)
    parser.add_argument("--table", required=True, type=Path, help="CSV to write")
    parser.add_argument("--numbers", required=True, type=Path, help="JSON to write")
    commandline.run(main, parser.parse_args())
