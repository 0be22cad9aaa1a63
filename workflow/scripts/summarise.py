"""Print what a run drew and what became of each claim."""

import argparse
import signal
import textwrap
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dissent import commandline
from dissent.claims import NOT_MEASURED, measured
from dissent.commandline import InputError


def main(arguments: argparse.Namespace) -> None:
    run = arguments.run
    results = Path("results") / run
    if not results.is_dir():
        runs = sorted(folder.name for folder in results.parent.glob("*/"))
        there = f", only of {', '.join(runs)}: name one of these with --run, or" if runs else ":"
        raise InputError(f"there are no results of a run {run!r}{there} run that one first")
    print(f"\nFigures of the run {run!r} (each also as svg, pdf and csv):")
    for figure in sorted(results.glob("figures/*/*.png")):
        print(f"  {figure}")
    for path in sorted(results.glob("metrics/*/models.csv")):
        print_outside(pd.read_csv(path))
    print_verdicts("Which models are worth ensembling", results.glob("metrics/*/ensembling.txt"))
    chosen = results.glob("metrics/low_data_ensembles/*/verdict.txt")
    print_verdicts("Ensembles of fine-tuned models, task by task", chosen)
    print_verdicts("And trained again", results.glob("finetuned/*/ensemble.txt"))
    claims = results / "claims.csv"
    if claims.exists():
        print_claims(pd.read_csv(claims), claims)


def print_verdicts(title: str, paths: Iterable[Path]) -> None:
    paths = sorted(paths)
    if paths:
        print(f"\n{title}:")
    for path in paths:
        print(textwrap.indent(textwrap.fill(path.read_text(), 90), "  "))


def print_claims(table: pd.DataFrame, path: Path) -> None:
    print(f"\nClaims, judged by this run's numbers ({path}):")
    for claim in table[table["verdict"] != NOT_MEASURED].itertuples():
        print(f"  {claim.verdict.upper():14} {measured(claim)}")
        print(textwrap.indent(textwrap.fill(f"fig {claim.figure}: {claim.claim}", 90), " " * 6))
    print(f"  {(table['verdict'] == NOT_MEASURED).sum()} others are not measured by this run")


def print_outside(models: pd.DataFrame) -> None:
    """The models that are not compared with the base model, where there is one."""
    if "in_window" not in models or models["in_window"].all():
        return
    outside = models["model"][~models["in_window"]]
    print(f"\nOutside the accuracy window, {len(outside)} of {len(models)} models:")
    print(textwrap.indent(textwrap.fill(", ".join(outside), 90), "  "))


if __name__ == "__main__":
    # Whoever reads may have read enough, as `head` does.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    parser = commandline.parser(__doc__)
    parser.add_argument("--run", default="demo", help="name of the run")
    commandline.run(main, parser.parse_args())
