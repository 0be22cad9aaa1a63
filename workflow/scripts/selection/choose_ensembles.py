"""Choose ensembles of a task's fine-tunings, by every method, on the tune split alone."""

import argparse
from pathlib import Path

import numpy as np

from dissent import choices, commandline
from dissent.commandline import InputError
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.finetuned import read_fine_tunings
from dissent.tables import read_table


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.task)
    labels_N = examples.labels[examples.where("tune")]
    fine_tunings = {path.stem: read_fine_tunings(path, examples) for path in arguments.fine_tunings}
    true_probabilities = []
    for path in arguments.fine_tunings:
        # Tune comes first; nothing may be chosen on what is measured on.
        tune_RNC = fine_tunings[path.stem].log_probabilities_RNC[:, : len(labels_N)]
        true_probabilities.append(choices.true_probabilities(tune_RNC, labels_N))
        if np.isnan(true_probabilities[-1]).any():
            raise InputError(f"{path} has predictions that are NaN: fine-tune it again")
    options = {name: getattr(arguments, name) for name in choices.Options._fields}
    table = choices.choose(
        choices.candidate_table(fine_tunings),
        np.concatenate(true_probabilities),
        read_table(arguments.ranking, ["model", "category"]),
        read_table(arguments.costs, ["model"]).set_index("model")["multiply_adds"].to_dict(),
        choices.Options(**options | {"replacement": arguments.replacement == "true"}),
    )
    write_table(table, arguments.output)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--task", required=True, type=Path, help="data set file")
    parser.add_argument("--ranking", required=True, type=Path, help="candidates, as CSV")
    parser.add_argument("--costs", required=True, type=Path, help="of candidates, as CSV")
    parser.add_argument(
        "--fine-tunings", required=True, nargs="+", type=Path, help="fine-tunings files"
    )
    parser.add_argument(
        "--fine-tuned", required=True, type=int, help="best models of each pool, fine-tuned"
    )
    parser.add_argument("--pools", required=True, nargs="*", help="categories, if there are any")
    parser.add_argument(
        "--max-members", required=True, type=int, help="additions, also of the same again"
    )
    parser.add_argument(
        "--replacement",
        required=True,
        choices=("true", "false"),
        help="whether the method greedy may add a member again",
    )
    parser.add_argument("--stop", required=True, choices=("best", "first_rise"))
    parser.add_argument("--bags", required=True, type=int)
    parser.add_argument(
        "--bag-share", required=True, type=float, help="of the candidates, in each bag"
    )
    parser.add_argument(
        "--budgets",
        required=True,
        nargs="*",
        type=float,
        help="multiples of the multiply-adds of the best-ranked candidate",
    )
    parser.add_argument("--random-draws", required=True, type=int)
    parser.add_argument("--output", required=True, type=Path, help="a row a member of a choice")
    commandline.run(main, parser.parse_args())
