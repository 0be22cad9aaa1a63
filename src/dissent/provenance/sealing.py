"""Whether the results are the bytes that dvc.lock records."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

from dissent.commandline import InputError


def stages_of(results: Path) -> list[str]:
    """The stages of dvc.lock with an output under a folder; none if there is no dvc.lock."""
    lock = Path("dvc.lock")
    if not lock.exists():
        return []
    try:
        stages = yaml.safe_load(lock.read_text())["stages"]
        return [
            name
            for name, stage in stages.items()
            if any(Path(out["path"]).is_relative_to(results) for out in stage.get("outs", []))
        ]
    except (yaml.YAMLError, KeyError, TypeError):
        raise InputError("dvc.lock cannot be read: put it back with `git checkout`") from None


def unsealed(stages: list[str]) -> list[tuple[str, str]]:
    """What `dvc status` finds in stages: (path or stage, what is the matter with it)."""
    if not stages:
        return []
    command = [sys.executable, "-m", "dvc", "status", "--json", *stages]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise InputError(f"dvc status fails: {process.stderr.strip().splitlines()[-1]}")
    found = set()
    for stage, differences in json.loads(process.stdout).items():
        for difference in differences:
            if isinstance(difference, str):
                found.add((stage, f"is a stage of dvc.yaml with a {difference}"))
                continue
            paths = difference.get("changed outs", {}) | difference.get("changed deps", {})
            found |= {(path, "is not as dvc.lock records it") for path in paths}
    return sorted(found)
