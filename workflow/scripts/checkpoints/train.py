"""Train a batch of models from their recipes and write one checkpoint each."""

import argparse
import json
from pathlib import Path

from dissent import commandline
from dissent.classifiers import load_checkpoint, save_checkpoint
from dissent.determinism import use
from dissent.examples import read_examples
from dissent.progress import log
from dissent.training.recipes import train


def main(arguments: argparse.Namespace) -> None:
    use(arguments.threads)
    data = {examples.name: examples for examples in map(read_examples, arguments.data)}
    teachers = {path.stem: path for path in arguments.teachers}
    for output in arguments.output:
        entry = arguments.models[output.stem]
        log.info("%s: %s", output.stem, entry["recipe"]["framework"])
        teacher = entry["recipe"]["teacher"]
        taught_by = load_checkpoint(teachers[teacher]) if teacher else None
        trained, card = train(entry["recipe"], entry["seed"], data, taught_by)
        save_checkpoint(output, trained, card)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--models", required=True, type=json.loads, help="JSON: model id to {recipe, seed}"
    )
    parser.add_argument("--data", required=True, nargs="+", type=Path, help="data set files")
    parser.add_argument(
        "--teachers", nargs="*", type=Path, default=[], help="checkpoints that recipes distil"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--output", required=True, nargs="+", type=Path, help="checkpoints: <model id>.safetensors"
    )
    commandline.run(main, parser.parse_args())
