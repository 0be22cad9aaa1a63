"""Does everything that the records say hold? One finding for each thing that does not."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dissent.files import sha256
from dissent.provenance.comparison import changes, current_sha256, script_on_threads
from dissent.provenance.ledger import Record, is_pinned
from dissent.provenance.record import pinned_versions, without_machine
from dissent.provenance.sealing import unsealed
from dissent.provenance.snakemake_internals import Job, differences, read_metadata
from dissent.provenance.tree import files_in

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
            back = f"`dvc checkout --force {path}`, or {REMAKE}"
            if not Path(path).exists():
                mend = f"`dvc pull`, or `snakemake {path}`"
                found.append(Finding("integrity", path, "is not here", mend))
            elif (now := sha256(path)) != file.sha256:
                what = f"has sha256 {now[:12]}, its record says {file.sha256[:12]}"
                found.append(Finding("integrity", path, what, back))
            elif (size := Path(path).stat().st_size) != file.bytes:
                what = f"has {size} bytes, its record says {file.bytes}"
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
            found.append(_without_job(first, record, made_by, job_of))
            continue
        if job.rule != record.rule:
            what = f"was made by rule {record.rule}, which is now {job.rule}"
            found.append(Finding("currency", first, what, REMAKE))
        mend = "run the workflow, or take the change back"
        changed = changes(job, record, digest)
        if set(job.outputs) != set(record.outputs):
            changed.append("the job's set of outputs changed")
        found += [Finding("currency", first, f"is out of date, {d}", mend) for d in changed]
        # What makes up a command differs already where one of these does.
        if not changed and job.rule == record.rule and filled(job, record) != record.command:
            what = "was made by another command than its job has now"
            found.append(Finding("currency", first, what, REMAKE))
    return found


def filled(job: Job, record: Record) -> str:
    """A job's command as its record would have it, on as many threads as the recorded job had."""
    words = script_on_threads(job, str(record.machine.get("threads")))
    return without_machine(words, list(job.inputs.values()))


def _without_job(
    first: str, record: Record, made_by: Mapping[str, Record], job_of: Mapping[str, Job]
) -> Finding:
    """Of a recorded file no job of the workflow makes, as where Snakemake forgets the job.

    It does if an input is not here; then the file may be all there is, and stays.
    """
    for path, file in record.inputs.items():
        made = path in made_by or path in job_of
        if not made and not path.endswith(".py") and not Path(path).exists():
            what = f"cannot be compared, since {path} is not here"
            return Finding("currency", first, what, f"put it there (sha256 {file.sha256})")
    what = "is recorded, but no job of this workflow makes it"
    mend = "delete it and its record, or take the change of the workflow back"
    return Finding("currency", first, what, mend)


def orphans(
    jobs: Sequence[Job], live_paths: Iterable[Path], recorded: Collection[str]
) -> list[Finding]:
    """Nothing lies among the results, or beside them, that belongs to no run.

    `live_paths` are the files of the live records, `recorded` what these tell of.
    """
    ledger = jobs[0].ledger
    known = {output for job in jobs for output in job.outputs} | set(recorded)
    known |= {path.as_posix() for path in live_paths}
    found = [
        Finding("currency", path.as_posix(), "is made by no job of this workflow", "delete it")
        for path in files_in(ledger.parent)
        if path.as_posix() not in known
    ]
    runs = ledger.parent.parent
    # Without a folder for the runs, the project itself would be looked at.
    beside = sorted(runs.iterdir()) if runs != Path() else []
    return found + [
        Finding("currency", path.as_posix(), "belongs to no run", "delete it, or move it away")
        for path in beside
        if path != ledger.parent and not (path / ledger.name).is_dir()
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


def leaf_notes(
    records: Iterable[Record], made_by: Mapping[str, Record], tracked: Mapping[str, bool]
) -> dict[str, str]:
    """What holds each input that no job makes: git, a sha256 among the job's params, or neither.

    `tracked` is as from `committed.tracked_files`.
    """
    notes = {}
    for record in records:
        for path, file in record.inputs.items():
            if path in made_by:
                continue
            if is_pinned(record, file):
                notes[path] = "pinned by its sha256"
            elif path in tracked:
                notes[path] = "in git" if tracked[path] else EDITED
            else:
                notes[path] = LOOSE
    return notes


def closure(
    records: Sequence[Record], notes: Mapping[str, str], edited: Iterable[str]
) -> list[Finding]:
    """Leaves and the workflow are in git or pinned, sources have licence and pin, packages fit.

    `edited` are files that are not as they are committed, leaves or not.
    """
    notes = {**notes, **dict.fromkeys(edited, EDITED)}
    found = [
        Finding("closure", path, f"is {EDITED}", "commit it")
        for path, note in sorted(notes.items())
        if note == EDITED
    ]
    found += _loose(path for path, note in notes.items() if note == LOOSE)
    for record in records:
        first = next(iter(record.outputs))
        file = record.environment.get("file")
        if file is None:
            found.append(Finding("closure", first, "has no environment in its record", REMAKE))
        elif file not in record.inputs:
            what = f"has an environment, {file}, that is no input of its job"
            found.append(Finding("closure", first, what, REMAKE))
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


def _loose(paths: Iterable[str]) -> list[Finding]:
    """Leaves that nothing holds, those of one folder together: there may be thousands of images."""
    by_folder: dict[Path, list[str]] = {}
    for path in sorted(paths):
        by_folder.setdefault(Path(path).parent, []).append(path)
    found = []
    for first, *others in by_folder.values():
        what, mend = f"is {LOOSE}", "commit it, or give its sha256 in the config"
        if others:
            what = f"and {len(others)} more in its folder are {LOOSE}"
            mend = "commit them, or give the sha256 of each, or of one file of them, in the config"
        found.append(Finding("closure", first, what, mend))
    return found


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
            if path in made_by and made_by[path].outputs[path] != file:
                what = f"was made from another {path} than the one recorded"
                found.append(Finding("consistency", first, what, REMAKE))
        for path in record.outputs:
            if made_by[path] is record:
                found += _against_metadata(path, record)
    return found + [Finding("consistency", *fault) for fault in unsealed(results)]


def _against_metadata(path: str, record: Record) -> list[Finding]:
    if read_metadata(path) is None:
        return [Finding("consistency", path, "has no metadata of Snakemake's", "`dissent restore`")]
    differing = differences(path, record)
    what = f"has other {' and '.join(differing)} in its record than in Snakemake's metadata"
    return [Finding("consistency", path, what, "`dissent restore`")] if differing else []
