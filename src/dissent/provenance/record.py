"""Run a job's command and, once it has succeeded, write the job's record into the ledger.

Rules call it through `recorded`. It needs the standard library alone, so that it runs in every
rule's environment, and is no input of the rules: it sees the results but never shapes them.
"""

import argparse
import ast
import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from dissent.provenance import facts
from dissent.provenance.hashes import file_sha256
from dissent.provenance.ledger import File, Record, portable, write_record

# On a line of its own, so that what a rule runs is easy to see.
SEPARATOR = " -- \\\n"
# It is part of every rule's text: any edit of it runs all jobs again.
RECORDER = (
    "PYTHONPATH=src python -m dissent.provenance.record --rule {{rule}} --text {text}"
    " --ledger {ledger} --environment {{input.environment:q}} --threads {{threads}}"
    " --inputs {{input:q}} --outputs {{output:q}} --logs {{log:q}}"
    " --params {{params!r:q}} --names {{params._names!r:q}}"
)


def recorded(command: str, ledger: str) -> str:
    """A rule's shell command that runs `command` and writes the record of the job.

    `command` holds Snakemake's placeholders; the rule has an input named `environment`.
    """
    unstamped = RECORDER.format(text="", ledger=ledger) + SEPARATOR + command
    text = hashlib.sha256(unstamped.encode()).hexdigest()
    return RECORDER.format(text=text, ledger=ledger) + SEPARATOR + command


def main(arguments: argparse.Namespace) -> None:
    start = datetime.now(UTC)
    params = named(arguments.params, arguments.names)
    refuse_namesakes(arguments.inputs)
    checked_out = commit()
    before = {path: written_at(path) for path in arguments.inputs}
    inputs = {path: content(path) for path in arguments.inputs}
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "facts"
        told.touch()
        environment = os.environ | {facts.VARIABLE: str(told)}
        status = subprocess.run(arguments.command, env=environment).returncode
        if status:
            # As a shell gives on the signal that ended a command.
            sys.exit(status if status > 0 else 128 - status)
        own = facts.declared(told)
    for path, file in inputs.items():
        gone = not Path(path).exists()
        if gone or (written_at(path) != before[path] and content(path) != file):
            changed = f"{path} was changed while the job that reads it ran"
            if not path.endswith(".py"):
                sys.exit(f"error: {changed}: run it again")
            # Code was read at the start, and the next run compares the record with what is here.
            print(f"warning: {changed}: the record has it as it was", file=sys.stderr)
    for path in arguments.outputs:
        if not Path(path).exists():
            sys.exit(f"error: the job ended well but did not write {path}: mend its script")
    outputs = {path: content(path) for path in arguments.outputs}
    record = Record(
        rule=arguments.rule,
        text_sha256=arguments.text,
        command=without_machine(arguments.command, arguments.inputs),
        params=params,
        inputs={portable(path): file for path, file in inputs.items()},
        outputs=outputs,
        logs=[portable(path) for path in arguments.logs],
        environment=installed(arguments.environment),
        machine={
            "device": own.get("device", "cpu"),
            "processor": processor(),
            "threads": arguments.threads,
        },
        start=start.isoformat(timespec="milliseconds"),
        end=datetime.now(UTC).isoformat(timespec="milliseconds"),
        git=checked_out,
        sources=own.get("sources", []),
    )
    write_record(arguments.ledger, record)


def refuse_namesakes(inputs: list[str]) -> None:
    """Two inputs that a record could not tell apart are an error."""
    told: dict[str, str] = {}
    for path in inputs:
        other = told.setdefault(portable(path), path)
        if not Path(other).samefile(path):
            sys.exit(
                f"error: {other} and {path} would have one name in the record, {portable(path)}: "
                "rename one of them"
            )


def written_at(path: str) -> tuple[int, int]:
    """What every writing to a file changes; unlike its mtime, no program can set it."""
    status = Path(path).stat()
    return status.st_ino, status.st_ctime_ns


def content(path: str | Path) -> File:
    """What a file holds now."""
    return File(file_sha256(path), Path(path).stat().st_size)


def named(values: str, names: str) -> dict[str, str]:
    """A rule's params by name, from the representations of Snakemake's list and of its names."""
    try:
        literals = ast.literal_eval(values)
    except (ValueError, SyntaxError):
        sys.exit(f"error: a rule's params have to be Python literals, not as in {values}")
    places = {name: index for name, (index, _) in ast.literal_eval(names).items()}
    for index, value in enumerate(literals):
        if index not in places.values():
            sys.exit(f"error: a rule's params have to be named, as in name={value!r}")
    return {name: repr(literals[index]) for name, index in places.items()}


def without_machine(command: list[str], inputs: list[str]) -> str:
    """A command line that tells nothing of the machine: inputs are named as in the record."""
    given = set(inputs)
    return shlex.join(portable(word) if word in given else shortened(word) for word in command)


def shortened(word: str) -> str:
    """A word in which the project's folder is a dot, and the user's home a tilde."""
    home = os.environ.get("HOME", "").rstrip(os.sep)
    for folder, sign in ((str(Path.cwd()), "."), (home, "~"), (os.path.realpath(home), "~")):
        if folder.strip(os.sep):
            word = re.sub(rf"{re.escape(folder)}(?![\w.-])", sign, word)
    return word


def installed(pins: str) -> dict[str, object]:
    """The interpreter, and the versions here of the packages that an environment file pins."""
    versions = {}
    for name in pinned_versions(Path(pins)):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # Pins hold for every system; some packages are for another one.
            continue
    return {
        "file": portable(pins),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": versions,
    }


def pinned_versions(pins: Path) -> dict[str, list[str]]:
    """What a conda environment file pins of each pip package: one version for each marker."""
    text = pins.read_text() if pins.exists() else ""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^ +- ([\w.-]+)==([^\s;]+)", text, flags=re.MULTILINE):
        versions.setdefault(name, []).append(version)
    return versions


def processor() -> str:
    """The processor's name as Linux tells it, or its kind."""
    described = Path("/proc/cpuinfo")
    text = described.read_text() if described.exists() else ""
    name = re.search(r"^model name\s*: (.*)$", text, flags=re.MULTILINE)
    return name[1].strip() if name else platform.machine()


def commit() -> dict[str, object]:
    """The commit checked out, and whether tracked files had been edited; empty without git.

    dvc.lock does not count: it changes with each phase that DVC records.
    """
    try:
        head = git("rev-parse", "HEAD").strip()
        # Without its optional lock, which would stop a `git commit` of the user at that moment.
        edited = git("--no-optional-locks", "status", "-s", "-uno", "--", ".", ":!dvc.lock")
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": head, "dirty": bool(edited)}


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rule", required=True)
    parser.add_argument("--text", required=True, help="sha256 of the rule's shell command")
    parser.add_argument("--ledger", required=True, type=Path, help="folder of the run's records")
    parser.add_argument("--environment", required=True, help="the file that pins the packages")
    parser.add_argument("--threads", required=True, type=int)
    parser.add_argument("--inputs", required=True, nargs="+")
    parser.add_argument("--outputs", required=True, nargs="+")
    parser.add_argument("--logs", required=True, nargs="+")
    parser.add_argument("--params", required=True, help="Python list of the rule's params")
    parser.add_argument("--names", required=True, help="Python dict from name to (index, _)")
    parser.add_argument("command", nargs="+", help="after --")
    main(parser.parse_args())
