"""Where a job as the workflow now has it differs from the record of how its outputs were made."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from dissent.provenance.hashes import file_sha256
from dissent.provenance.ledger import Record
from dissent.provenance.record import SEPARATOR
from dissent.provenance.snakemake_internals import Job

LONGEST_VALUE = 60
# Characters shown around a difference.
CONTEXT = 15


def current_sha256(path: str, made_by: Mapping[str, Record]) -> str | None:
    """Digest of a file, or of a result that is not here by its record; None if there is neither."""
    if Path(path).exists():
        return file_sha256(path)
    return made_by[path].outputs[path].sha256 if path in made_by else None


def altered_outputs(job: Job, made_by: Mapping[str, Record]) -> list[str]:
    """The job's outputs that exist and have no record, or another content than the recorded."""
    return [
        path
        for path in job.outputs
        if Path(path).exists()
        and (path not in made_by or file_sha256(path) != made_by[path].outputs[path].sha256)
    ]


def script_on_threads(job: Job, threads: str) -> list[str]:
    """The words of a job's script call, on other threads than the rule gives it.

    A recorded job may have had fewer, and sums in another order may differ in a last bit.
    """
    words = shlex.split(job.metadata["shellcmd"].partition(SEPARATOR)[2])
    pairs = zip(["", *words], words, strict=False)
    return [threads if before == "--threads" else word for before, word in pairs]


def changes(job: Job, record: Record, digest: Callable[[str], str | None]) -> list[str]:
    """A phrase for every difference in rule text, params and inputs; empty if there is none.

    The rule's name is none, since Snakemake does not run a job again for it.
    `digest` gives the sha256 of a path's content now, or None.
    """
    found = []
    if job.text_sha256 != record.text_sha256:
        found.append("the rule's shell command changed")
    for name in sorted(job.params.keys() | record.params.keys()):
        now, then = job.params.get(name), record.params.get(name)
        if now != then:
            found.append(f"param {name} changed: {' -> '.join(where_differing(then, now))}")
    found += [f"input {path} is new" for path in job.inputs if path not in record.inputs]
    for path, file in record.inputs.items():
        if path not in job.inputs:
            found.append(f"input {path} is no longer used")
        elif (now := digest(job.inputs[path])) != file.sha256:
            kind = "code" if path.endswith(".py") else "input"
            how = "is missing" if now is None else "changed: its content differs from the record"
            found.append(f"{kind} {path} {how}")
    return found


def where_differing(then: str | None, now: str | None) -> tuple[str, str]:
    """Two values for reading; of long ones just the part in which they differ."""
    then, now = (value if value is not None else "absent" for value in (then, now))
    if max(len(then), len(now)) <= LONGEST_VALUE:
        return then, now
    start = _shared(then, now)
    end = _shared(then[start:][::-1], now[start:][::-1])
    return _cut(then, start, end), _cut(now, start, end)


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _cut(value: str, start: int, end: int) -> str:
    """The part of a value without `start` characters before it and `end` behind, with some more."""
    first, last = max(start - CONTEXT, 0), len(value) - max(end - CONTEXT, 0)
    part = value[first:last]
    if len(part) > LONGEST_VALUE:
        part, last = part[:LONGEST_VALUE], first + LONGEST_VALUE
    return ("…" if first else "") + part + ("…" if last < len(value) else "")
