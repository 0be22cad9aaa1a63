"""A run as a Workflow Run RO-Crate: a folder to publish, which says what was made from what, how.

It follows Provenance Run Crate 0.5, and through it RO-Crate 1.1.
"""

import json
import os
import re
import shlex
import shutil
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from dissent.commandline import InputError
from dissent.files import atomic
from dissent.provenance.audit import live
from dissent.provenance.crate_entities import (
    CITATION,
    LICENCE,
    METADATA,
    SNAKEFILE,
    Job,
    blaming,
    context,
    crate_entities,
    file_entity,
    job_entities,
    media_type,
    merged,
    workflow_entities,
)
from dissent.provenance.ledger import (
    File,
    Record,
    is_pinned,
    makers,
    portable,
    read_ledger,
)
from dissent.provenance.record import content


def write_crate(run: Path, output: Path) -> None:
    """Export a finished run, such as `results/demo`, to publish: into a new or empty folder.

    The crate holds the workflow's files, the code and tables that its jobs read, the figures and
    tables that they made, and their records. Binary files (data, checkpoints, logits) and those
    that are not the project's own are described by name, size and sha256, and left out. The same
    run gives the same bytes.

    Raises InputError for a folder in use, and for records that are missing, malformed, or at odds
    with each other or with the files here.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise InputError(f"{output} is there and not empty: delete it, or name another folder")
    for path in (SNAKEFILE, CITATION, LICENCE):
        if not Path(path).is_file():
            raise InputError(
                f"there is no {path} here, and a crate has one: write it, or run dissent in the "
                "project's folder"
            )
    run = Path(portable(str(run)))
    jobs = read_jobs(run / "provenance")
    recorded = recorded_files(jobs)
    foreign = {path for job in jobs for path in job.foreign}
    kept = {path for path in recorded if media_type(path) and path not in foreign}
    check_files(recorded, kept)
    rules = included_files(SNAKEFILE)
    own = {SNAKEFILE, *rules, CITATION, LICENCE, *(job.place.as_posix() for job in jobs)}
    files = recorded | {path: content(path) for path in own}
    kept |= own
    ids = {path: quote(path) if path in kept else f"#{quote(path)}" for path in sorted(files)}
    graph = merged(
        [
            *crate_entities(run, jobs, [ids[path] for path in ids if path in kept]),
            *(file_entity(path, files[path], ids[path]) for path in ids),
            *workflow_entities(jobs, rules, ids),
            *(entity for job in jobs for entity in job_entities(job, ids)),
        ]
    )
    for path in kept:
        (output / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, output / path)
    # Last, since a folder without it is no crate.
    with atomic(output / METADATA) as temporary:
        crate = {"@context": context(graph), "@graph": graph}
        temporary.write_text(json.dumps(crate, indent=1, ensure_ascii=False) + "\n")


def read_jobs(ledger: Path) -> list[Job]:
    """The jobs that the run consists of, by when they began. Raises InputError."""
    records = read_ledger(ledger)
    made_by = makers(records.values())
    jobs = [read_job(place, record, made_by) for place, record in live(records, made_by).items()]
    if not jobs:
        raise InputError(f"there are no records in {ledger}: run the workflow")
    return sorted(jobs, key=lambda job: (datetime.fromisoformat(job.record.start), job.place))


def read_job(place: Path, record: Record, made_by: Mapping[str, Record]) -> Job:
    """Look into a record. Raises InputError if it says what no job would."""
    fetched = {source.get("sha256") for source in record.sources}
    with blaming(place):
        for path, file in (record.inputs | record.outputs).items():
            if portable(path) != path or not re.fullmatch("[0-9a-f]{64}", file.sha256):
                raise ValueError
        return Job(
            place,
            record,
            first=next(iter(record.outputs)),
            script=next(word for word in shlex.split(record.command) if word in record.inputs),
            results=[path for path in record.outputs if made_by[path] is record],
            foreign=[
                path
                for path, file in record.inputs.items()
                if path not in made_by and (path.startswith("outside/") or is_pinned(record, file))
            ]
            + [path for path, file in record.outputs.items() if file.sha256 in fetched],
        )


def recorded_files(jobs: Iterable[Job]) -> dict[str, File]:
    """The content of every file that jobs read or made. Raises InputError if they disagree."""
    found = {path: job.record.outputs[path] for job in jobs for path in job.results}
    for job in jobs:
        for path, file in job.record.inputs.items():
            if found.setdefault(path, file) != file:
                raise InputError(
                    f"{job.place}: the job read another {path} than other records tell of: run the "
                    "workflow"
                )
    return found


def check_files(recorded: Mapping[str, File], kept: Collection[str]) -> None:
    """Raise InputError for a file that is not as recorded, or not here and to be kept."""
    for path, file in recorded.items():
        if not Path(path).is_file():
            if path in kept:
                raise InputError(f"{path} is not here: `dvc pull`, or run the workflow")
        elif content(path) != file:
            raise InputError(
                f"{path} is not as recorded: take the change back, or run the workflow"
            )


def included_files(snakefile: str) -> list[str]:
    """What a Snakefile includes, and what that includes."""
    text, found = Path(snakefile).read_text(), []
    for name in re.findall(r'^\s*include:\s*"(.+)"', text, flags=re.MULTILINE):
        path = os.path.normpath(Path(snakefile).parent / name)
        found += [path, *included_files(path)]
    return found
