"""How methods of choosing ensembles compare over all tasks, and the statistics of the claims."""

import argparse
from pathlib import Path

import pandas as pd

from dissent import commandline, method_comparison
from dissent.choice_metrics import is_full, read_scores
from dissent.files import write_table
from dissent.tables import read_table

TEXT = ["task", "group", "method", "source", "file", "model", "category"]


def main(arguments: argparse.Namespace) -> None:
    methods = [read_table(path, TEXT) for path in arguments.methods]
    choices = pd.concat([of_task[is_full(of_task)] for of_task in methods])
    write_table(method_comparison.method_table(choices, arguments.level), arguments.output_methods)
    differences = method_comparison.difference_table(
        [read_scores(path) for path in arguments.scores], arguments.level
    )
    write_table(differences, arguments.output_differences)
    fine_tuned = pd.concat([read_table(path, TEXT) for path in arguments.fine_tuned])
    ranking = method_comparison.ranking_table(fine_tuned, arguments.fine_tuned_models)
    write_table(ranking, arguments.output_ranking)
    diversity = pd.concat([read_table(path, TEXT) for path in arguments.diversity])
    statistics = method_comparison.statistics_table(
        differences, diversity, ranking, arguments.level
    )
    write_table(statistics, arguments.output_statistics)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--methods", required=True, nargs="+", type=Path, help="choices of each task, as CSV"
    )
    parser.add_argument("--diversity", required=True, nargs="+", type=Path, help="of each task")
    parser.add_argument("--fine-tuned", required=True, nargs="+", type=Path, help="of each task")
    parser.add_argument("--scores", required=True, nargs="+", type=Path, help="of each task")
    parser.add_argument(
        "--fine-tuned-models", required=True, type=int, help="best models that are fine-tuned"
    )
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output-methods", required=True, type=Path, help="a row a method")
    parser.add_argument("--output-differences", required=True, type=Path)
    parser.add_argument("--output-ranking", required=True, type=Path, help="a row a task")
    parser.add_argument("--output-statistics", required=True, type=Path)
    commandline.run(main, parser.parse_args())
