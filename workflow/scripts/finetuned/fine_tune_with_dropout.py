"""Fine-tune a checkpoint with dropout on all domains but one; write what the networks predict."""

import argparse
import json
import shutil
from importlib.metadata import version
from pathlib import Path

from dissent import commandline
from dissent.determinism import use
from dissent.domains import leave_out
from dissent.dropout_runs import write_runs
from dissent.dropout_versions import fine_tune_family
from dissent.examples import read_examples
from dissent.files import sha256, write_table
from dissent.interpolation import interpolate
from dissent.linear_fine_tuning import fit_family
from dissent.parts import folder_of


def main(arguments: argparse.Namespace) -> None:
    device = use(arguments.threads, arguments.gpus)
    examples = read_examples(arguments.data)
    held = leave_out(examples, arguments.held_out)
    libraries = {name: version(name) for name in ("timm", "torch")}
    checkpoint = arguments.checkpoint
    of_all = (sha256(checkpoint), sha256(arguments.data), held.domain, libraries, device.type)
    kept = []
    families = zip(arguments.family, arguments.settings, arguments.output, strict=True)
    for family, settings, output in families:
        if family == "interpolation":
            write_table(interpolate(checkpoint, examples, held, settings), output)
            continue
        if family == "linear":
            runs = fit_family(checkpoint, examples, held, settings)
        else:
            kept.append(folder_of(family, settings, *of_all))
            runs = fine_tune_family(family, checkpoint, examples, held, settings, kept[-1])
        write_runs(output, runs, examples)
    # Not before: where a job fails, the files of all its families are deleted.
    for parts in kept:
        shutil.rmtree(parts, ignore_errors=True)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file with domains")
    parser.add_argument("--held-out", required=True, help="the domain that no run learns from")
    parser.add_argument(
        "--family",
        required=True,
        nargs="+",
        help="what kinds of runs: `linear` fits frozen networks, `interpolation` measures between "
        "a checkpoint and its fine-tunings, those of `scratch` take the architecture alone, and "
        "all others fine-tune the network",
    )
    parser.add_argument("--checkpoint", required=True, type=Path, help="that all runs start from")
    parser.add_argument(
        "--settings",
        required=True,
        nargs="+",
        type=json.loads,
        help="of each family, JSON: {batch_size, images, momentum, decays, augmentation} and "
        "{runs: [{rate, learning_rate, weight_decay, head_factor, seed}, ...], steps, checkpoints, "
        "masks}; `linear` has no masks, but blocks, and kind and width in a run; `interpolation` "
        "has {mild: {learning_rate, steps}, long: {learning_rate, steps}, points, weight_decay}",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, choices=[0, 1])
    parser.add_argument(
        "--output", required=True, nargs="+", type=Path, help="of each family; CSV of interpolation"
    )
    commandline.run(main, parser.parse_args())
