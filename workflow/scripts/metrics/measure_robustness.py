"""How good single fine-tuned models and ensembles are on shifted images."""

import argparse
import json
from pathlib import Path

import pandas as pd

from dissent import commandline
from dissent.files import write_table
from dissent.finetuned import read_shifted
from dissent.robustness import robustness_statistics, robustness_table


def main(arguments: argparse.Namespace) -> None:
    tasks = [read_shifted(path) for path in arguments.shifted]
    tables = [robustness_table(task, arguments.groups[task.task], arguments.bins) for task in tasks]
    write_table(pd.concat(tables), arguments.output)
    write_table(robustness_statistics(tasks, arguments.level), arguments.output_statistics)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--shifted", required=True, nargs="+", type=Path, help="of each task")
    parser.add_argument("--groups", required=True, type=json.loads, help="JSON: task to its group")
    parser.add_argument("--bins", required=True, type=int, help="bins of the calibration error")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--output-statistics", required=True, type=Path)
    commandline.run(main, parser.parse_args())
