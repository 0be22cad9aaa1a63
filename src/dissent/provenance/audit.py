"""Does everything that the records say hold? One finding for each thing that does not."""

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dissent.commandline import InputError
from dissent.files import sha256
from dissent.provenance.comparison import changes, current_sha256
from dissent.provenance.ledger import Record
from dissent.provenance.record import pinned_versions
from dissent.provenance.sealing import stages_of, unsealed
from dissent.provenance.snakemake_internals import Job, differences, read_metadata

EDITED, LOOSE = "edited, not committed", "not in git, not pinned"
REMAKE = "delete it and run the workflow"


class Finding(NamedTuple):
    """One thing that does not hold: of which level, with which file, and how to mend it."""

    # integrity, currency, closure, consistency or replay.
    level: str
    path: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.level}: {self.path} {self.what}: {self.mend}"


def live(ledger: Mapping[Path, Record], made_by: Mapping[str, Record]) -> dict[Path, Record]:
    """The records that still tell of some output, not superseded by those of later jobs."""
    return {
        place: record
        for place, record in ledger.items()
        if any(made_by[path] is record for path in record.outputs)
    }


def subject(record: Record, made_by: Mapping[str, Record]) -> str:
    """The first output that a live record tells of."""
    return next(path for path in record.outputs if made_by[path] is record)


def integrity(records: Iterable[Record], made_by: Mapping[str, Record]) -> list[Finding]:
    """Every recorded output is here, with the recorded bytes. Reads every file."""
    found = []
    for record in records:
        for path, file in record.outputs.items():
            if made_by[path] is not record:
                continue
            back = f"`dvc checkout {path}`, or {REMAKE}"
            if not Path(path).exists():
                found.append(Finding("integrity", path, "is not here", f"`dvc pull`, or {REMAKE}"))
            elif (now := sha256(path)) != file.sha256:
                what = f"has sha256 {now[:12]}, its record says {file.sha256[:12]}"
                found.append(Finding("integrity", path, what, back))
    return found


def currency(
    records: Iterable[Record], jobs: Sequence[Job], made_by: Mapping[str, Record]
) -> list[Finding]:
    """Every recorded job is the one that the workflow here would run for the same outputs."""
    job_of = {output: job for job in jobs for output in job.outputs}
    digest = partial(current_sha256, made_by=made_by)
    found = []
    for record in records:
        first = subject(record, made_by)
        job = job_of.get(first)
        if job is None:
            what = "is recorded, but no job of this workflow makes it"
            mend = "delete it and its record, or take the change of the workflow back"
            found.append(Finding("currency", first, what, mend))
            continue
        mend = "run the workflow, or take the change back"
        differences = changes(job, record, digest)
        if set(job.outputs) != set(record.outputs):
            differences.append("the job's set of outputs changed")
        found += [Finding("currency", first, f"is out of date, {d}", mend) for d in differences]
    return found


def orphans(jobs: Sequence[Job], live_paths: Iterable[Path]) -> list[Finding]:
    """Nothing lies among the results that no job of the workflow makes.

    `live_paths` are the files of the live records.
    """
    ledger = jobs[0].ledger
    known = {output for job in jobs for output in job.outputs}
    known |= {path.as_posix() for path in live_paths}
    found = (path for path in sorted(ledger.parent.rglob("*")) if path.is_file())
    return [
        Finding("currency", path.as_posix(), "is made by no job of this workflow", "delete it")
        for path in found
        if path.as_posix() not in known
    ]


def unrecorded(jobs: Sequence[Job], made_by: Mapping[str, Record]) -> list[Finding]:
    """Every job of the workflow was done, and everything it made has a record."""
    found = []
    for job in jobs:
        missing = [path for path in job.outputs if path not in made_by]
        there = [path for path in missing if Path(path).exists()]
        found += [Finding("closure", path, "has no record", REMAKE) for path in there]
        if missing and not there:
            what = f"was not made yet, by {job.rule}"
            found.append(Finding("closure", missing[0], what, "run the workflow"))
    return found


def leaf_notes(records: Iterable[Record], made_by: Mapping[str, Record]) -> dict[str, str]:
    """What holds each input that no job makes: git, a sha256 among the job's params, or neither."""
    tracked, edited = _git_files()
    notes = {}
    for record in records:
        pins = " ".join(record.params.values())
        for path, file in record.inputs.items():
            if path in made_by:
                continue
            if file.sha256 in pins:
                notes[path] = "pinned by its sha256"
            elif path in edited:
                notes[path] = EDITED
            else:
                notes[path] = "in git" if path in tracked else LOOSE
    return notes


def _git_files() -> tuple[set[str], set[str]]:
    """The files of the commit checked out, and those that differ from it. Raises InputError."""
    try:
        tracked = _git("ls-tree", "-r", "-z", "--name-only", "HEAD")
        edited = _git("diff", "-z", "--name-only", "--relative", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        raise InputError(
            "no commit is checked out here, so code cannot be traced: audit in a clone made by "
            "`git clone`"
        ) from None
    return tracked, edited


def _git(*arguments: str) -> set[str]:
    process = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
    return set(filter(None, process.stdout.split("\0")))


def closure(records: Sequence[Record], notes: Mapping[str, str]) -> list[Finding]:
    """Every leaf is in git or pinned, every source has licence and pin, packages are as pinned."""
    mends = {
        EDITED: "commit it",
        LOOSE: "commit it, or give its sha256 in the config",
    }
    found = [
        Finding("closure", path, f"is {note}", mends[note])
        for path, note in sorted(notes.items())
        if note in mends
    ]
    for record in records:
        first = next(iter(record.outputs))
        packages = record.environment.get("packages", {})
        for source in record.sources:
            name = source.get("name", "without a name")
            if not source.get("licence"):
                what = f"comes from {name}, whose licence is not stated"
                found.append(Finding("closure", first, what, "state it where the job declares it"))
            if source.get("package") not in packages and not source.get("sha256"):
                what = f"comes from {name}, which nothing pins"
                found.append(Finding("closure", first, what, "pin its package, or give its sha256"))
    return found + _other_packages(records)


def _other_packages(records: Sequence[Record]) -> list[Finding]:
    """Packages that jobs had in a version which their environment's file does not pin."""
    made: dict[str, list[str]] = {}
    for record in records:
        file = str(record.environment.get("file"))
        pins = pinned_versions(Path(file))
        for name, version in record.environment.get("packages", {}).items():
            if name in pins and version not in pins[name]:
                what = f"was made with {name} {version}, {file} pins {' or '.join(pins[name])}"
                made.setdefault(what, []).append(next(iter(record.outputs)))
    return [
        Finding(
            "closure",
            paths[0],
            what + (f" (so were {len(paths) - 1} others)" if len(paths) > 1 else ""),
            f"set the environment up anew, then {REMAKE}",
        )
        for what, paths in made.items()
    ]


def consistency(
    records: Iterable[Record], made_by: Mapping[str, Record], results: Path
) -> list[Finding]:
    """Records agree with each other, with Snakemake's metadata, and results with dvc.lock."""
    found = []
    for record in records:
        first = next(iter(record.outputs))
        for path, file in record.inputs.items():
            if path in made_by and made_by[path].outputs[path].sha256 != file.sha256:
                what = f"was made from another {path} than the one recorded"
                found.append(Finding("consistency", first, what, REMAKE))
        for path in record.outputs:
            if made_by[path] is record:
                found += _against_metadata(path, record)
    mend = "`dvc repro` to record it, or `dvc checkout` to put the recorded bytes back"
    return found + [
        Finding("consistency", path, what, mend) for path, what in unsealed(stages_of(results))
    ]


def _against_metadata(path: str, record: Record) -> list[Finding]:
    if read_metadata(path) is None:
        return [Finding("consistency", path, "has no metadata of Snakemake's", "`dissent restore`")]
    differing = differences(path, record)
    what = f"has other {' and '.join(differing)} in its record than in Snakemake's metadata"
    return [Finding("consistency", path, what, "`dissent restore`")] if differing else []
