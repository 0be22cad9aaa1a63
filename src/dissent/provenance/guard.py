"""What a run looks at before it plans: can Snakemake know what became of the results it finds?"""

import fcntl
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from dissent.commandline import InputError
from dissent.files import leftovers
from dissent.provenance.hashes import file_sha256
from dissent.provenance.ledger import Record, makers, portable, read_ledger
from dissent.provenance.snakemake_internals import (
    LOCKS,
    differences,
    existing_outputs,
    force,
    is_incomplete,
    left_alone,
    read_metadata,
    remote_jobs,
    require_version,
)

log = logging.getLogger("dissent")
HELD_BY = Path(".provenance/running")
_running: TextIO | None = None
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

    Without metadata Snakemake takes results for current whatever has been edited, and with those of
    another commit for what they are not. A file that is not what its job wrote is no result,
    whatever its times say: its job is planned, and those that depend on it. Raises InputError for
    another Snakemake, and for results of which its metadata do not tell.
    """
    require_version()
    if not _on or not workflow.is_main_process:
        return
    if is_alone() and not remote_jobs():
        clear_after_crash(results)
    share()
    made_by = makers(read_ledger(results / "provenance").values())
    outputs = [path for path in existing_outputs(workflow, results) if not is_incomplete(path)]
    moved = [path for path in outputs if path in made_by and is_moved(path, made_by[path])]
    altered = {path for path in moved if file_sha256(path) != made_by[path].outputs[path].sha256}
    # Where no record at all is left, it is not the jobs that failed to write one.
    unknown = [path for path in outputs if read_metadata(path) is None or not made_by]
    # Snakemake notes failed jobs as well, and a job's script may outlive its recorder.
    altered |= {path for path in outputs if path not in made_by} - set(unknown)
    others = [path for path in moved if path not in altered and differences(path, made_by[path])]
    if unknown := sorted({*unknown, *others}):
        last = [portable(str(path)) for path in workflow.configfiles[-1:]]
        command = " ".join(["dissent restore", *(f"--configfile {path}" for path in last)])
        raise InputError(
            f"Snakemake's metadata do not tell of {unknown[0]} and {len(unknown) - 1} other files "
            f"in {results}, as after a checkout or a pull: run `{command}`, or delete them to have "
            "them made anew"
        )
    for path in sorted(altered):
        log.warning("%s is not what its job recorded: it is made anew", path)
    force(workflow, altered)


def is_alone() -> bool:
    """Whether all other runs in this folder are known to have ended, in whatever way.

    If so, runs that start now wait until this one calls `share`.
    """
    global _running
    HELD_BY.parent.mkdir(exist_ok=True)
    _running = HELD_BY.open("a+")
    try:
        fcntl.flock(_running, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    _running.seek(0)
    hosts = _running.read().split()
    if socket.gethostname() not in hosts:
        _running.write(f"{socket.gethostname()}\n")
        _running.flush()
    # Machines may share a folder, and not see each other's locks.
    return hosts == [socket.gethostname()]


def share() -> None:
    """Hold a lock of the operating system, which other runs may hold too, until this one ends."""
    # Where a filesystem knows no locks, no run is alone.
    with suppress(OSError):
        fcntl.flock(_running, fcntl.LOCK_SH)


def clear_after_crash(results: Path) -> None:
    """Remove what a killed run left: Snakemake's lock and half-written files."""
    for path in [*LOCKS.glob("*.lock"), *leftovers(results)]:
        path.unlink(missing_ok=True)


def is_moved(path: str, record: Record) -> bool:
    """Whether something has written to a recorded output since Snakemake finished its job."""
    recorded = datetime.fromisoformat(record.end).timestamp()
    return not left_alone(path, Path(path).stat(), recorded)
