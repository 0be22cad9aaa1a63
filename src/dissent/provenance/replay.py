"""Do recorded jobs again in an empty folder, and compare the bytes they make."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dissent.files import sha256
from dissent.provenance.comparison import script_on_threads
from dissent.provenance.ledger import Record
from dissent.provenance.snakemake_internals import THREAD_VARIABLES, Job

LINES_SHOWN = 3
OTHER_BYTES = "its job, done again, writes other bytes"


def replay(job: Job, record: Record) -> list[tuple[str, str]]:
    """Run a job's script with nothing but the job's inputs; (output, how it differs) for each.

    The inputs are copied from here, where their bytes are checked against the record by the caller;
    those outside the project are read where they lie. Nothing but the folder is written to.
    """
    written = [*job.outputs, *job.metadata["log"]]
    if elsewhere := [path for path in written if is_outside(path)]:
        what = f"cannot be made again, since its job writes to {elsewhere[0]}, outside the project"
        return [(job.outputs[0], what)]
    missing = [path for path in job.inputs.values() if not Path(path).exists()]
    if missing:
        return [(job.outputs[0], f"cannot be made again, since {missing[0]} is not here")]
    threads = str(record.machine.get("threads", 1))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        outside = {path for path in job.inputs.values() if is_outside(path)}
        for path in job.inputs.values():
            if path not in outside:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / path)
        # As Snakemake does before a job.
        for path in written:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        script = script_on_threads(job, threads)
        command = [str(Path(word).resolve()) if word in outside else word for word in script]
        process = subprocess.run(
            command,
            cwd=folder,
            env=_environment(threads),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if process.returncode:
            last = " / ".join(process.stdout.strip().splitlines()[-LINES_SHOWN:])
            return [(job.outputs[0], f"its job fails when it is done again: {last}")]
        return [
            (output, OTHER_BYTES)
            for output, file in record.outputs.items()
            if not (folder / output).exists() or sha256(folder / output) != file.sha256
        ]


def is_outside(path: str) -> bool:
    """Whether a path is absolute, or leads out of the folder that it is relative to."""
    return Path(path).is_absolute() or Path(os.path.normpath(path)).parts[:1] == (os.pardir,)


def _environment(threads: str) -> dict[str, str]:
    """What Snakemake and the rule's shell command set around the script."""
    return os.environ | {
        **dict.fromkeys(THREAD_VARIABLES, threads),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": "src",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
