"""What a run looks at before it plans: can Snakemake know what became of the results it finds?"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from dissent.commandline import InputError
from dissent.provenance.hashes import file_sha256
from dissent.provenance.ledger import Record, makers, portable, read_ledger
from dissent.provenance.running import begin
from dissent.provenance.snakemake_internals import (
    adjust_plan,
    differences,
    existing_outputs,
    is_incomplete,
    left_alone,
    read_metadata,
    require_version,
)

log = logging.getLogger("dissent")
_on = True


@contextmanager
def off() -> Iterator[None]:
    """Read the workflow without looking at the results, to audit or restore them."""
    global _on
    _on = False
    try:
        yield
    finally:
        _on = True


def check(workflow: Any, results: Path) -> None:
    """Stop a run that would be blind, and have planned what Snakemake would overlook.

    Without metadata Snakemake takes results for current whatever has been edited, and with those of
    another commit for what they are not: both stop. The jobs of results are planned if these are
    not what was recorded, whatever their times say; if they are gone because a later try failed; if
    code or config is not as recorded, though it be older than the results. Raises InputError for
    another Snakemake too.
    """
    require_version()
    if not _on or not workflow.is_main_process:
        return
    outputs = [path for path in existing_outputs(workflow, results) if not is_incomplete(path)]
    noted = {path: read_metadata(path) for path in outputs}
    # Read last, since a job writes its record before Snakemake notes it: no result is without.
    made_by = makers(read_ledger(results / "provenance").values())
    moved = [path for path in outputs if path in made_by and is_moved(path, made_by[path])]
    altered = {path for path in moved if is_altered(path, made_by[path])}
    foreign = [path for path in moved if path not in altered and differences(path, made_by[path])]
    unknown = sorted({*foreign, *(path for path in outputs if noted[path] is None)})
    if unknown:
        last = [portable(str(path)) for path in workflow.configfiles[-1:]]
        command = " ".join(["dissent restore", *(f"--configfile {path}" for path in last)])
        raise InputError(
            f"Snakemake's metadata do not tell of {some(unknown, results)}, as after a checkout or "
            f"a pull: run `{command}`, or delete what it names to have it made anew"
        )
    unrecorded = {path for path in outputs if path not in made_by}
    survivors = {path for path in unrecorded if is_survivor(path, noted[path])}
    if lost := sorted(unrecorded - survivors):
        raise InputError(
            f"there is no record of {some(lost, results)}: put the records back with `dvc checkout "
            f"{results / 'provenance'}`, or delete what has none to have it made anew"
        )
    for path in sorted(altered | survivors):
        log.warning("%s is not what its job recorded: it is made anew", path)
    stale = (path for path, record in made_by.items() if is_failed(path, record))
    adjust_plan(
        workflow,
        forced={*altered, *survivors, *stale, *outdated(made_by)},
        before_run=partial(begin, results),
    )


def some(paths: list[str], results: Path) -> str:
    return paths[0] + (f" and {len(paths) - 1} more in {results}" if len(paths) > 1 else "")


def is_moved(path: str, record: Record) -> bool:
    """Whether something has written to a recorded output since Snakemake finished its job."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        # Another run has just removed it.
        return False
    return not left_alone(path, status, _ended(record))


def is_altered(path: str, record: Record) -> bool:
    """Whether an output is not what its record says."""
    try:
        return file_sha256(path) != record.outputs[path].sha256
    except FileNotFoundError:
        return False


def is_survivor(path: str, metadata: dict[str, Any]) -> bool:
    """Whether an output without a record was written after its job had failed.

    Snakemake notes failed jobs too, and the script of a killed job may live on.
    """
    return not Path(path).exists() or Path(path).stat().st_mtime != metadata.get("endtime")


def is_failed(path: str, record: Record) -> bool:
    """Whether a recorded output is gone because its job was begun again and failed.

    Snakemake has removed it, and takes what it noted of the failed job for the truth.
    """
    if Path(path).exists() or is_incomplete(path):
        return False
    metadata = read_metadata(path)
    return metadata is not None and metadata["starttime"] > _ended(record)


def outdated(made_by: dict[str, Record]) -> Iterator[str]:
    """Outputs of jobs that read code, config or data, no job's output, which are now otherwise.

    Snakemake looks only at those that are newer than the output.
    """
    digest = cache(lambda path: file_sha256(path) if Path(path).exists() else None)
    for path, record in made_by.items():
        leaves = ((leaf, file) for leaf, file in record.inputs.items() if leaf not in made_by)
        if any(digest(leaf) not in (None, file.sha256) for leaf, file in leaves):
            yield path


def _ended(record: Record) -> float:
    return datetime.fromisoformat(record.end).timestamp()
