"""Snakemake and `dissent` in forks of a process that has loaded the packages they import.

To load them takes longer than to plan a run. Of the project itself nothing is loaded before, so
that a copy of it runs its own code.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

MODULES = {"snakemake": "snakemake", "dissent": "dissent.provenance.main"}
PACKAGES = ("pandas", "requests", "smart_open", "yte")
PARTS = ("cli", "report.html_reporter", "storage")
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([*PACKAGES, *(f"snakemake.{part}" for part in PARTS)])


def forked(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess:
    """What `subprocess.run` gives of a command in a folder, with both its outputs as text."""
    with tempfile.TemporaryDirectory() as temporary:
        outputs = [Path(temporary) / name for name in ("stdout", "stderr")]
        process = FORKS.Process(target=begin, args=(command, folder, environment, outputs))
        process.start()
        process.join()
        return subprocess.CompletedProcess(
            command, process.exitcode, *(path.read_text() for path in outputs)
        )


def begin(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], outputs: Sequence[Path]
) -> None:
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, str(folder / "src"))
    sys.argv = [*map(str, command)]
    runpy.run_module(MODULES[command[0]], run_name="__main__", alter_sys=True)
