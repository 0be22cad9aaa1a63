"""Fine-tune the models at some places of a task's ranking; write what they predict."""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline
from dissent.commandline import InputError
from dissent.determinism import use
from dissent.examples import Examples, read_examples
from dissent.files import sha256
from dissent.finetuned import FineTuning, FineTunings, predicted_positions, write_fine_tunings
from dissent.finetuning import fine_tune, log_probabilities, uniform_if_diverged
from dissent.progress import log, progress
from dissent.tables import read_table

MORE_SETTINGS, MORE_HEADS = "more-settings", "more-heads"


def main(arguments: argparse.Namespace) -> None:
    use(arguments.threads, arguments.gpus)
    examples = read_examples(arguments.task)
    ranking = read_table(arguments.ranking, text=["model", "category"])
    checkpoints = {path.stem: path for path in arguments.checkpoints}
    for output in arguments.output:
        row = model_at(output.stem, ranking, arguments.ranking)
        if row.model not in checkpoints:
            raise InputError(
                f"{arguments.ranking} has {row.model!r} at place {output.stem!r}, of which no "
                f"checkpoint was given: add it"
            )
        checkpoint = checkpoints[row.model]
        weights = sha256(checkpoint)
        if weights != row.weights_sha256:
            raise InputError(
                f"{checkpoint} has other weights than those that {arguments.ranking} ranked: "
                f"rank again"
            )
        runs = runs_of(output.stem, arguments)
        positions_N = predicted_positions(examples)
        log.info("%s: %s", output.stem, row.model)
        said_RNC = predictions(checkpoint, runs, examples, positions_N, arguments.recipe)
        fine_tunings = FineTunings(row.model, weights, runs, positions_N, said_RNC)
        write_fine_tunings(output, fine_tunings, examples)


def model_at(place: str, ranking: pd.DataFrame, path: Path) -> pd.Series:
    """The row of the model at a place: the k-th of a pool, or the best of all for `more-*`."""
    pool, _, k = place.rpartition("-")
    if place in (MORE_SETTINGS, MORE_HEADS):
        found = ranking[ranking["rank"] == 1]
    elif pool == "all":
        found = ranking[ranking["rank"].astype(str) == k]
    else:
        found = ranking[(ranking["category"] == pool) & (ranking["place"].astype(str) == k)]
    if len(found) != 1:
        raise InputError(
            f"{path} has no model at place {place!r}: lower `fine_tuned`, or add models to the "
            f"model table"
        )
    return found.iloc[0]


def runs_of(place: str, arguments: argparse.Namespace) -> tuple[FineTuning, ...]:
    """The fine-tunings of a place, by seed, then head, then setting."""
    more = place == MORE_SETTINGS
    settings = arguments.more_settings if more else arguments.settings
    heads = range(1, arguments.heads) if place == MORE_HEADS else [0]
    return tuple(
        FineTuning(setting["learning_rate"], setting["steps"], head, seed)
        for seed, head, setting in itertools.product(range(arguments.seeds), heads, settings)
    )


def predictions(
    checkpoint: Path,
    runs: tuple[FineTuning, ...],
    examples: Examples,
    positions_N: np.ndarray,
    recipe: dict,
) -> np.ndarray:
    """Log-probabilities [R, N, C] of each run's model, after training on split train."""
    train = examples.where("train")
    models = fine_tune(
        checkpoint,
        progress(runs, f"fine-tuning {checkpoint.stem}"),
        examples.images_NHW[train],
        examples.labels[train],
        examples.classes,
        recipe,
    )
    images = examples.images_NHW[positions_N]
    rows = []
    for run, (model, card) in zip(runs, models, strict=True):
        said = log_probabilities(model, images, card["preprocessing"])
        rows.append(uniform_if_diverged(said))
        if rows[-1] is not said:
            log.warning(
                "%s diverged (learning rate %g, %d steps, head %d, seed %d): it counts as guessing",
                *(checkpoint.stem, run.learning_rate, run.steps, run.head, run.seed),
            )
    return np.stack(rows)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--task", required=True, type=Path, help="data set file")
    parser.add_argument("--ranking", required=True, type=Path, help="ranking.csv of the task")
    parser.add_argument("--checkpoints", required=True, nargs="+", type=Path)
    parser.add_argument(
        "--settings", required=True, type=json.loads, help="JSON: [{learning_rate, steps}, ...]"
    )
    parser.add_argument(
        "--more-settings", type=json.loads, default=[], help="those of the place more-settings"
    )
    parser.add_argument("--heads", type=int, default=1, help="0 is the sweep's, others more-heads'")
    parser.add_argument("--seeds", required=True, type=int, help="replicates of every fine-tuning")
    parser.add_argument(
        "--recipe",
        required=True,
        type=json.loads,
        help="JSON: {batch_size, momentum, weight_decay, warm_up, decays}",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, choices=[0, 1])
    parser.add_argument(
        "--output",
        required=True,
        nargs="+",
        type=Path,
        help="<pool>-<k>.safetensors, more-settings.safetensors, more-heads.safetensors",
    )
    commandline.run(main, parser.parse_args())
