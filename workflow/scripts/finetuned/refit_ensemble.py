"""Train the members of a task's chosen ensembles again; write the final ensemble's weights.

Fine-tuning writes predictions alone, as weights of all fine-tunings would take much space. With
`--shift`, also write what the members say of shifted versions of some report examples.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from torch import nn

from dissent import commandline
from dissent.classifiers import Card
from dissent.commandline import InputError
from dissent.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from dissent.determinism import use
from dissent.examples import Examples, read_examples
from dissent.files import atomic
from dissent.finetuned import FineTuning, Shifted, ShiftedMember, write_shifted
from dissent.finetuning import (
    Member,
    fine_tune,
    load_ensemble,
    log_probabilities,
    predict_ensemble,
    save_ensemble,
    uniform_if_diverged,
)
from dissent.progress import progress
from dissent.tables import read_table

FINAL = "greedy"
METHODS = ("single", FINAL, "settings", "heads")


def main(arguments: argparse.Namespace) -> None:
    use(arguments.threads, arguments.gpus)
    examples = read_examples(arguments.task)
    # As text, since only Python reads a number back exactly as it was written.
    chosen = read_table(
        arguments.chosen, text=["method", "file", "model", "learning_rate", "weight"]
    )
    methods = METHODS if arguments.shift else (FINAL,)
    rows = full_choices(chosen, methods, arguments.chosen)
    checkpoints = {path.stem: path for path in arguments.checkpoints}
    splits = ("train", "tune") if arguments.retrain else ("train",)
    positions = np.concatenate([examples.where(split) for split in splits])
    measured = shifted_examples(examples, arguments.shift)
    names = versions_but(arguments.changed_by) if arguments.shift else ()
    versions = [corrupted(examples.images_NHW[measured], *name) for name in names]
    ensemble, members, said = [], [], []
    groups = list(rows.groupby(["file", "run"], sort=False))
    for (file, run), uses in progress(groups, "training members again"):
        row = uses.iloc[0]
        model, card = trained(row, checkpoints, examples, positions, arguments)
        weights = {of.method: float(of.weight) for of in uses.itertuples()}
        if FINAL in weights:
            ensemble.append(member(row, weights[FINAL], model, card))
        members.append(ShiftedMember(file, int(run), row.model, weights))
        said.append(
            [
                uniform_if_diverged(log_probabilities(model, images, card["preprocessing"]))
                for images in versions
            ]
        )
    save_ensemble(arguments.output_ensemble, ensemble)
    if arguments.output_verdict:
        with atomic(arguments.output_verdict) as path:
            path.write_text(verdict(examples, arguments) + "\n")
    if arguments.shift:
        # A task may have another name than its data set: that of the folder of its files.
        task = arguments.output_shifted.parent.name
        shifted = Shifted(
            task, examples.classes, tuple(members), names, np.array(said), examples.labels[measured]
        )
        write_shifted(arguments.output_shifted, shifted)


def full_choices(chosen: pd.DataFrame, methods: tuple[str, ...], path: Path) -> pd.DataFrame:
    """What these methods choose with seed 0, all models, full size and no budget; `FINAL` first."""
    rows = chosen[(chosen["seed"] == 0) & (chosen["draw"] == 0) & chosen["budget"].isna()]
    most = rows.groupby("method")[["models", "size"]].transform("max")
    full = rows[(rows[["models", "size"]] == most).all(axis=1) & rows["method"].isin(methods)]
    if FINAL not in set(full["method"]):
        raise InputError(f"{path} has no ensemble of method {FINAL!r} and seed 0: choose again")
    # Its members first, in the order of their addition.
    return full.sort_values("method", key=lambda method: method != FINAL, kind="stable")


def trained(
    row: pd.Series,
    checkpoints: dict[str, Path],
    examples: Examples,
    positions: np.ndarray,
    arguments: argparse.Namespace,
) -> tuple[nn.Module, Card]:
    """The model of a row of chosen.csv, fine-tuned on the examples at these positions."""
    if row.model not in checkpoints:
        raise InputError(
            f"{arguments.chosen} has {row.model!r}, of which no checkpoint was given: add it"
        )
    return next(
        fine_tune(
            checkpoints[row.model],
            [fine_tuning(row)],
            examples.images_NHW[positions],
            examples.labels[positions],
            examples.classes,
            arguments.recipe,
        )
    )


def fine_tuning(row: pd.Series) -> FineTuning:
    return FineTuning(float(row.learning_rate), int(row.steps), int(row["head"]), int(row.seed))


def member(row: pd.Series, weight: float, model: nn.Module, card: Card) -> Member:
    """A member of the final ensemble; InputError if its training diverged."""
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise InputError(
            f"training {row.model!r} with learning rate {row.learning_rate} diverged: lower "
            f"`learning_rates` of the run"
        )
    return Member(row.model, fine_tuning(row), weight, card, state)


def verdict(examples: Examples, arguments: argparse.Namespace) -> str:
    """What the written ensemble itself says of the report split, in a sentence."""
    report = examples.where("report")
    members = load_ensemble(arguments.output_ensemble)
    probability_NC = predict_ensemble(members, examples.images_NHW[report])
    correct_N = probability_NC.argmax(axis=1) == examples.labels[report]
    n = len(report)
    low, high = binomtest(int(correct_N.sum()), n).proportion_ci(arguments.level, "wilson")
    return (
        f"Trained again on all labelled examples, as it is in {arguments.output_ensemble.name}, it "
        f"is right on {correct_N.mean():.1%} of {n:,} test images [{100 * low:.1f}, "
        f"{100 * high:.1f}]."
    ).replace("%", " %")


def shifted_examples(examples: Examples, n: int) -> np.ndarray:
    """Positions of n report examples, evenly spaced, as they may be in the order of their class."""
    report = examples.where("report")
    return report[np.linspace(0, len(report) - 1, min(n, len(report))).round().astype(int)]


def versions_but(changed_by: list[str]) -> tuple[tuple[str, int], ...]:
    """The images as they are, then each corruption that leaves the labels right, by severity."""
    corruptions = [name for name in CORRUPTIONS if name not in changed_by]
    return ("none", 0), *((name, severity) for name in corruptions for severity in SEVERITIES)


def corrupted(images: np.ndarray, corruption: str, severity: int) -> np.ndarray:
    return corrupt(images, corruption, severity, seed=0) if severity else images


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--task", required=True, type=Path, help="data set file")
    parser.add_argument("--chosen", required=True, type=Path, help="chosen.csv of the task")
    parser.add_argument("--checkpoints", required=True, nargs="+", type=Path)
    parser.add_argument(
        "--recipe",
        required=True,
        type=json.loads,
        help="JSON: {batch_size, momentum, weight_decay, warm_up, decays}",
    )
    parser.add_argument(
        "--retrain", required=True, type=json.loads, help="true: on train and tune; false: train"
    )
    parser.add_argument("--shift", type=int, default=0, help="report examples; 0: no shifted file")
    parser.add_argument(
        "--changed-by", nargs="*", default=[], choices=CORRUPTIONS, help="shifts to leave out"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, choices=[0, 1])
    parser.add_argument("--output-ensemble", required=True, type=Path)
    parser.add_argument("--output-shifted", nargs="?", type=Path)
    parser.add_argument("--level", type=float, default=0.95, help="coverage of the interval")
    parser.add_argument("--output-verdict", nargs="?", type=Path, help="a sentence")
    commandline.run(main, parser.parse_args())
