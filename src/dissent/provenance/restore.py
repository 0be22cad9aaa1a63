"""After a checkout or a pull: give Snakemake back what it knew of results, from their records."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dissent.commandline import InputError
from dissent.files import sha256
from dissent.provenance.hashes import remember
from dissent.provenance.ledger import Record
from dissent.provenance.running import is_alone
from dissent.provenance.snakemake_internals import Job, restored_metadata, write_metadata

# Snakemake looks at an input's content only if it is newer than the outputs. So all results get
# one moment, older than any code: every edit is newer, and no result is newer than another.
MOMENT = 946684800


def restore(jobs: Sequence[Job], made_by: Mapping[str, Record]) -> tuple[list[str], list[str]]:
    """Write the metadata of every recorded output whose bytes are those of its record.

    Metadata of an output that is not here are written too: what has changed since it was made must
    not go unnoticed. So are those of an output without a job: Snakemake forgets jobs whose inputs
    are not here. Returns the files verified, and a sentence for each that is not as recorded.
    Raises InputError while a run is under way.
    """
    if is_alone() is False:
        raise InputError("a run is under way in this folder: restore when it has ended")
    job_of = {output: job for job in jobs for output in job.outputs}
    texts = jobs[0].texts
    verified, wrong = [], []
    for output in sorted({*job_of, *made_by}):
        path, record = Path(output), made_by.get(output)
        if record is None:
            if path.exists():
                wrong.append(f"{output} has no record: pull the records too, or delete the file")
            continue
        recorded = record.outputs[output].sha256
        if path.exists():
            if sha256(path) != recorded:
                wrong.append(
                    f"{output} is not what its job wrote: put it back with "
                    f"`dvc checkout --force {output}`, or delete it to have it made anew"
                )
                continue
            _set_moment(path)
            remember(path, recorded, path.stat())
            verified.append(output)
        write_metadata(output, restored_metadata(job_of.get(output), record, texts, MOMENT))
    return verified, wrong


def _set_moment(path: Path) -> None:
    try:
        os.utime(path, (MOMENT, MOMENT))
    except PermissionError:
        raise InputError(
            f"the times of {path} cannot be set, since another user owns it: restore in a clone of "
            "your own"
        ) from None
