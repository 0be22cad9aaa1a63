"""Measure networks between a checkpoint and its fine-tunings on all domains but one."""

import argparse
import json
from pathlib import Path

from dissent import commandline
from dissent.domains import leave_out
from dissent.examples import read_examples
from dissent.files import write_table
from dissent.finetuning import use
from dissent.interpolation import interpolate


def main(arguments: argparse.Namespace) -> None:
    use(arguments.threads)
    examples = read_examples(arguments.data)
    held = leave_out(examples, arguments.held_out)
    write_table(
        interpolate(arguments.checkpoint, examples, held, arguments.settings), arguments.output
    )


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file with domains")
    parser.add_argument("--held-out", required=True, help="the domain not learned from")
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument(
        "--settings",
        required=True,
        type=json.loads,
        help="JSON: {mild: {learning_rate, steps}, long: {learning_rate, steps}, points, "
        "weight_decay, batch_size, images, momentum, decays, augmentation}",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True, type=Path, help="CSV")
    commandline.run(main, parser.parse_args())
