"""Fine-tune a text checkpoint once for each member of a family; write the trained weights."""

import argparse
import json
from pathlib import Path

from dissent import commandline
from dissent.determinism import use
from dissent.examples import read_examples
from dissent.text_families import write_family
from dissent.text_fine_tuning import fine_tune_family


def main(arguments: argparse.Namespace) -> None:
    use(arguments.threads, arguments.gpus)
    family = fine_tune_family(
        arguments.checkpoint,
        read_examples(arguments.data),
        arguments.settings,
        arguments.members,
        arguments.family,
    )
    write_family(arguments.output, family)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file of sentences")
    parser.add_argument("--checkpoint", required=True, type=Path, help="what all members start as")
    parser.add_argument("--family", required=True, help="name of the family")
    parser.add_argument(
        "--members", required=True, type=json.loads, help="JSON: [{model, head, order}, ...]"
    )
    parser.add_argument(
        "--settings",
        required=True,
        type=json.loads,
        help="JSON: {layers, frozen_layers, steps, batch_size, learning_rate, warm_up, "
        "weight_decay, clip, head_std, dropout, checkpoints}",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, choices=[0, 1])
    parser.add_argument("--output", required=True, type=Path)
    commandline.run(main, parser.parse_args())
