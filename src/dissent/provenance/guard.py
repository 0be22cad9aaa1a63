"""What a run looks at before it plans: can Snakemake know what became of the results it finds?"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dissent.commandline import InputError
from dissent.provenance.hashes import file_sha256
from dissent.provenance.ledger import makers, read_ledger
from dissent.provenance.snakemake_internals import (
    existing_outputs,
    force,
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
    """Stop a run that would be blind, and have altered results made anew.

    Without metadata Snakemake takes results for current whatever has been edited. A file that is
    not what its job wrote is no result, whatever its times say: its job is planned, and those that
    depend on it. Raises InputError for another Snakemake and for results without metadata.
    """
    require_version()
    if not _on or not workflow.is_main_process:
        return
    outputs = existing_outputs(workflow, results)
    bare = [path for path in outputs if read_metadata(path) is None and not is_incomplete(path)]
    if bare:
        option = f" --configfile {workflow.configfiles[-1]}"
        raise InputError(
            f"{bare[0]} and {len(bare) - 1} other files are there without Snakemake's metadata, as "
            f"after a checkout or a pull: run `dissent restore{option}`, or delete them to have "
            "them made anew"
        )
    altered = [path for path in altered_outputs(outputs, results) if not is_incomplete(path)]
    for path in altered:
        log.warning("%s is not what its job wrote: it is made anew", path)
    force(workflow, altered)


def altered_outputs(outputs: Iterable[str], results: Path) -> Iterator[str]:
    """Those of these existing files whose content is not that of their record.

    A file nothing has written to since Snakemake finished its job is not read.
    """
    made_by = makers(read_ledger(results / "provenance").values())
    for path in outputs:
        known = path in made_by and not left_alone(path, Path(path).stat())
        if known and file_sha256(path) != made_by[path].outputs[path].sha256:
            yield path
