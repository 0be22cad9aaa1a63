"""Write what one prediction of each model costs, but for its head: each task has one of its own."""

import argparse
import json
from pathlib import Path

import pandas as pd

from dissent import commandline
from dissent.classifiers import build, read_card, remove_head
from dissent.costs import Cost, cost
from dissent.files import write_table


def main(arguments: argparse.Namespace) -> None:
    # Weights make no difference, and many models share a card.
    counted: dict[str, Cost] = {}
    rows = []
    for path in arguments.checkpoints:
        card = read_card(path)
        key = json.dumps(card, sort_keys=True)
        if key not in counted:
            model = build(card)
            remove_head(model)
            counted[key] = cost(model, card)
        rows.append({"model": path.stem, **counted[key]._asdict()})
    write_table(pd.DataFrame(rows), arguments.output)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--checkpoints", required=True, nargs="+", type=Path)
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
