"""Published soups of fine-tuned models against the models, on ImageNet and where data shift."""

import argparse
from pathlib import Path

import pandas as pd

from dissent import commandline
from dissent.files import write_table
from dissent.published import IMAGES, read_soups
from dissent.soups import AXES, gain, soup_table


def main(arguments: argparse.Namespace) -> None:
    paths = {
        "individual": arguments.individual,
        "uniform soup": arguments.uniform,
        "greedy soup": arguments.greedy,
    }
    tables = {kind: read_soups(path) for kind, path in paths.items()}
    table = soup_table(tables, arguments.level)
    rows = [
        (name, *gain(table, "greedy soup", axis, arguments.level), sum(map(IMAGES.get, AXES[axis])))
        for name, axis in (
            ("greedy_soup_gain", "ImageNet"),
            ("greedy_soup_shifted_gain", "shifted"),
        )
    ]
    statistics = pd.DataFrame(rows, columns=["statistic", "value", "low", "high", "n"])
    write_table(table, arguments.output)
    write_table(statistics.assign(n_of="images"), arguments.output_statistics)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--individual", required=True, type=Path, help="accuracies, as JSON lines")
    parser.add_argument("--uniform", required=True, type=Path, help="of the average of all models")
    parser.add_argument("--greedy", required=True, type=Path, help="of the average of chosen ones")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, type=Path, help="a row a model or soup")
    parser.add_argument("--output-statistics", required=True, type=Path)
    commandline.run(main, parser.parse_args())
