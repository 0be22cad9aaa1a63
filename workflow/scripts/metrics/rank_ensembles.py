"""Which models are worth ensembling: chosen on some examples, reported on others, in a sentence."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline
from dissent.commandline import InputError
from dissent.ensembling import halves, rank, verdict
from dissent.examples import read_examples
from dissent.files import atomic, write_table
from dissent.logits import open_predictions
from dissent.votes import VOTE_OF_OUTPUT, votes_on_halves


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    if len(arguments.logits) < 2:
        raise InputError(
            f"ensembles on data set {examples.name!r} need the predictions of two models or more: "
            "add a row to the model table"
        )
    choose, report = halves(examples, arguments.tune_split, arguments.report_split, arguments.seed)
    predictions = open_predictions(arguments.logits, examples)
    models = pd.DataFrame(
        {
            "model": list(predictions),
            "vote": [VOTE_OF_OUTPUT[logits.key.output] for logits in predictions.values()],
            "cost": [arguments.costs.get(model, np.nan) for model in predictions],
        }
    )
    table = rank(
        models,
        *votes_on_halves(predictions, examples, choose, report),
        arguments.max_members,
        arguments.resamples,
        arguments.seed,
        arguments.level,
    )
    write_table(table, arguments.output)
    with atomic(arguments.output_verdict) as path:
        path.write_text(verdict(table, examples.name, arguments.level) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument("--logits", required=True, nargs="+", type=Path, help="logits files")
    parser.add_argument(
        "--costs", required=True, type=json.loads, help="JSON: model id to cost, of some or none"
    )
    parser.add_argument("--max-members", required=True, type=int, help="most models in an ensemble")
    parser.add_argument(
        "--tune-split", required=True, help="where ensembles are chosen, if there is such a split"
    )
    parser.add_argument(
        "--report-split", required=True, help="where they are reported, else halved for both"
    )
    parser.add_argument("--resamples", required=True, type=int)
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--output-verdict", required=True, type=Path)
    commandline.run(main, parser.parse_args())
