"""Fine-tune a checkpoint with dropout on all domains but one; write what the networks predict."""

import argparse
import json
from pathlib import Path

from dissent import commandline
from dissent.domains import leave_out
from dissent.dropout_runs import write_runs
from dissent.dropout_versions import fine_tune_family
from dissent.examples import read_examples
from dissent.finetuning import use


def main(arguments: argparse.Namespace) -> None:
    use(arguments.threads)
    examples = read_examples(arguments.data)
    held = leave_out(examples, arguments.held_out)
    jobs = zip(
        *(arguments.family, arguments.checkpoint, arguments.settings, arguments.output),
        strict=True,
    )
    for family, checkpoint, settings, output in jobs:
        write_runs(output, fine_tune_family(family, checkpoint, examples, held, settings), examples)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file with domains")
    parser.add_argument("--held-out", required=True, help="the domain that no run learns from")
    parser.add_argument(
        "--family",
        required=True,
        nargs="+",
        help="what kinds of runs; those of `scratch` take the architecture alone",
    )
    parser.add_argument("--checkpoint", required=True, nargs="+", type=Path, help="of each family")
    parser.add_argument(
        "--settings",
        required=True,
        type=json.loads,
        help="JSON: of each family {runs: [{rate, learning_rate, weight_decay, head_factor, seed}, "
        "...], steps, batch_size, images, checkpoints, momentum, decays, augmentation, masks}",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="of each family")
    commandline.run(main, parser.parse_args())
