"""Whether the results are the bytes that dvc.lock records."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from dissent.commandline import InputError

RECORD = "`dvc repro` to record it"


def stages_of(results: Path) -> dict[str, str]:
    """The stages of dvc.yaml with an output among the results: name and first such output."""
    outputs = ((name, _outputs(stage)) for name, stage in _read("dvc.yaml").items())
    covering = ((name, [out for out in outs if _shares(out, results)]) for name, outs in outputs)
    return {name: outs[0] for name, outs in covering if outs}


def unsealed(results: Path) -> list[tuple[str, str, str]]:
    """What dvc.lock does not record of the results: (path or stage, what is wrong, how to mend)."""
    stages, sealed = stages_of(results), _read("dvc.lock")
    found = [
        (path, "was never sealed", "`dvc repro`")
        for name, path in stages.items()
        if name not in sealed
    ]
    return found + _status([name for name in stages if name in sealed])


def _read(file: str) -> dict[str, dict]:
    """The stages in a file of DVC's, none if there is no file. Raises InputError."""
    try:
        stages = yaml.safe_load(Path(file).read_text()).get("stages", {})
        if all(isinstance(stage, dict) for stage in stages.values()):
            return stages
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError):
        pass
    raise InputError(f"{file} cannot be read: put it back with `git checkout {file}`")


def _outputs(stage: dict) -> Iterator[str]:
    """The paths a stage makes; each is a text, or the one key of its options."""
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind) or []:
            yield from [entry] if isinstance(entry, str) else entry


def _shares(output: str, results: Path) -> bool:
    return Path(output).is_relative_to(results) or results.is_relative_to(output)


def _status(stages: list[str]) -> list[tuple[str, str, str]]:
    """What `dvc status` finds in sealed stages."""
    if not stages:
        return []
    command = [sys.executable, "-m", "dvc", "status", "--json", *stages]
    # DVC notes there what it has hashed, by size and times, which anybody can put back.
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"DVC_SITE_CACHE_DIR": cache}
        process = subprocess.run(command, capture_output=True, text=True, env=environment)
    if process.returncode:
        words = (process.stderr.strip() or f"status {process.returncode}").splitlines()[-1]
        return [("dvc.lock", f"cannot be compared, since dvc status fails ({words})", "mend that")]
    made, read, others = set(), set(), []
    for stage, differences in json.loads(process.stdout).items():
        for difference in differences:
            if isinstance(difference, str):
                others.append((stage, f"is a stage of dvc.yaml with a {difference}", RECORD))
                continue
            made |= difference.get("changed outs", {}).keys()
            read |= difference.get("changed deps", {}).keys()
    what = "is not as dvc.lock records it"
    return [
        *(
            (out, what, f"{RECORD}, or `dvc checkout --force {out}` to put it back")
            for out in sorted(made)
        ),
        *((path, what, RECORD) for path in sorted(read - made)),
        *sorted(others),
    ]
