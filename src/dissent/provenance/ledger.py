"""The ledger: one JSON file for every finished job, which says what it made, from what and how.

The record of a job lies in `results/<run>/provenance/` under the name of the job's first output.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from dissent.commandline import InputError
from dissent.files import atomic, leftovers

FORMAT = 1
MADE_ANEW = "delete it and the output it is named after, and run the workflow"


class File(NamedTuple):
    """The content of a file: hex sha256 and size in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Record:
    """What one job did. Fields a job did not know are empty.

    Paths are relative to the project; those outside it are shortened by `portable`.
    """

    rule: str
    # Of the rule's shell command, before its placeholders are filled.
    text_sha256: str
    # The script as it was called.
    command: str
    # By name, as Python literals.
    params: dict[str, str]
    inputs: dict[str, File]
    outputs: dict[str, File]
    logs: list[str]
    # `file` (its pins), `python`, `platform`, `packages` (version by name, of those pinned).
    environment: dict[str, object]
    # `device`, `processor`, `threads`.
    machine: dict[str, object]
    # ISO 8601, UTC.
    start: str
    end: str
    # `commit`, and `dirty`: whether any file that git tracks had been edited.
    git: dict[str, object] = field(default_factory=dict)
    # Data from outside the project, as in facts.declare.
    sources: list[dict[str, str]] = field(default_factory=list)


def portable(path: str) -> str:
    """A path that tells nothing of the machine: of one outside the project, the name alone."""
    relative = Path(os.path.relpath(path))
    if ".." not in relative.parts:
        return relative.as_posix()
    return f"outside/{relative.name}"


def is_pinned(record: Record, file: File) -> bool:
    """Whether the params of a job name the sha256 of a file."""
    return any(file.sha256 in value for value in record.params.values())


def record_path(ledger: Path, outputs: Iterable[str]) -> Path:
    """Where the record of the job with these outputs lies."""
    first = Path(next(iter(outputs)))
    name = first.relative_to(ledger.parent) if first.is_relative_to(ledger.parent) else first
    return ledger / f"{name}.json"


def write_record(ledger: Path, record: Record) -> Path:
    """Write a record, in place of that of an earlier job with the same first output."""
    content = {"format": FORMAT} | asdict(record)
    for name in ("inputs", "outputs"):
        content[name] = {path: file._asdict() for path, file in getattr(record, name).items()}
    path = record_path(ledger, record.outputs)
    with atomic(path) as temporary:
        temporary.write_text(json.dumps({k: v for k, v in content.items() if v}, indent=1) + "\n")
    return path


def read_record(path: Path) -> Record:
    """Raises InputError for a file that is not a record of this format."""
    try:
        content = json.loads(path.read_text())
        if content.pop("format") != FORMAT:
            raise InputError(f"{path}: not of format {FORMAT}; {MADE_ANEW}")
        empty = {"params": {}, "inputs": {}, "logs": [], "environment": {}, "machine": {}}
        content = empty | content
        for name in ("inputs", "outputs"):
            content[name] = {file: File(**facts) for file, facts in content[name].items()}
        return _checked(Record(**content))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: not a record of a job; {MADE_ANEW}") from None


def _checked(record: Record) -> Record:
    """Raises TypeError or ValueError for a record whose fields are not what they should be."""
    texts = [record.rule, record.text_sha256, record.command, *record.params.values()]
    files = [*record.inputs.values(), *record.outputs.values()]
    facts = [record.environment, record.machine, record.git, *record.sources]
    for start_or_end in (record.start, record.end):
        if datetime.fromisoformat(start_or_end).utcoffset() != timedelta(0):
            raise ValueError
    if not (
        record.outputs
        and isinstance(record.logs, list)
        and all(isinstance(text, str) for text in [*texts, *record.logs])
        and all(isinstance(file.sha256, str) and isinstance(file.bytes, int) for file in files)
        and all(isinstance(fact, dict) for fact in facts)
    ):
        raise TypeError
    return record


def read_ledger(ledger: Path) -> dict[Path, Record]:
    """Every record of a run by where it lies. Raises InputError for the first bad one."""
    found = {path for path in ledger.rglob("*.json") if path.is_file()}
    records = {path: read_record(path) for path in sorted(found - set(leftovers(ledger)))}
    for path, record in records.items():
        # Elsewhere it would stand beside the genuine one, and supersede it by a later end.
        if path != (place := record_path(ledger, record.outputs)):
            raise InputError(f"{path}: a record of these outputs lies at {place}; delete this one")
    return records


def makers(records: Iterable[Record]) -> dict[str, Record]:
    """For every output, the record of the job that made it last."""
    return {
        output: record
        for record in sorted(records, key=lambda record: record.end)
        for output in record.outputs
    }
