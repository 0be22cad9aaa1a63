"""Which jobs would run now, and what first causes each."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from dissent.provenance.comparison import altered_outputs, changes, current_sha256
from dissent.provenance.ledger import Record
from dissent.provenance.snakemake_internals import Job


def causes(jobs: Sequence[Job], made_by: Mapping[str, Record]) -> list[tuple[Job, str]]:
    """The planned jobs in the order of the workflow, each with its first cause in words."""
    planned = [job for job in jobs if job.planned]
    anew = {output: job for job in planned for output in job.outputs}
    return [(job, first_cause(job, anew, made_by)) for job in planned]


def unplanned(jobs: Sequence[Job], made_by: Mapping[str, Record]) -> list[tuple[Job, str]]:
    """Jobs that Snakemake would not run although they differ from their records."""
    differing = ((job, own_cause(job, made_by)) for job in jobs if not job.planned)
    return [(job, cause) for job, cause in differing if cause]


def first_cause(job: Job, anew: Mapping[str, Job], made_by: Mapping[str, Record]) -> str:
    """Why a planned job runs; `anew` has the planned job of every output that is made anew."""
    if cause := own_cause(job, made_by, anew):
        return cause
    for path in job.inputs.values():
        if path in anew:
            return f"input {path} is made anew by {anew[path].rule}"
    missing = [path for path in job.outputs if not Path(path).exists()]
    return f"{missing[0]} is missing" if missing else job.reason


def own_cause(
    job: Job, made_by: Mapping[str, Record], anew: Container[str] = frozenset()
) -> str | None:
    """The first difference of a job or its outputs from the records, or None.

    What inputs that are made anew hold now does not matter.
    """
    if altered := altered_outputs(job, made_by):
        known = altered[0] in made_by
        return f"{altered[0]} {'is not what its job wrote' if known else 'has no record'}"
    record = made_by.get(job.outputs[0])
    if record is None:
        return None

    def digest(path: str) -> str | None:
        if path in anew and path in record.inputs:
            return record.inputs[path].sha256
        return current_sha256(path, made_by)

    found = changes(job, record, digest)
    return found[0] if found else None
