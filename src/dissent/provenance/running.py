"""Whether a run is under way in this folder, and what a killed one left."""

import fcntl
import socket
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from dissent.files import leftovers
from dissent.provenance.snakemake_internals import LOCKS, remote_jobs

HELD_BY = Path(".provenance/running")
# safetensors writes beside the file that it was told to, and renames (from 0.8 on).
OF_SAFETENSORS = ".tmp??????"
_running: TextIO | None = None


def begin(results: Path) -> None:
    """Hold a lock of the operating system, shared with other runs, until this process ends.

    The only run first removes what those before it left, if they were all on this machine (others
    may not see its locks) and left no jobs on a cluster.
    """
    if is_alone() and _always_here() and not remote_jobs():
        half_written = [*leftovers(results), *results.rglob(OF_SAFETENSORS)]
        for path in [*LOCKS.glob("*.lock"), *half_written]:
            path.unlink(missing_ok=True)
    # Where a filesystem knows no locks, no run is alone.
    with suppress(OSError):
        fcntl.flock(_running, fcntl.LOCK_SH)


def is_alone() -> bool | None:
    """Whether no other run is under way here, and none can begin until this process ends.

    None where the filesystem knows no locks.
    """
    global _running
    HELD_BY.parent.mkdir(exist_ok=True)
    _running = HELD_BY.open("a+")
    try:
        fcntl.flock(_running, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _always_here() -> bool:
    """Whether all runs since Snakemake was last without a lock were on this machine, as this is."""
    here, locked = socket.gethostname(), any(LOCKS.glob("*.lock"))
    _running.seek(0)
    hosts = {*_running.read().split()}
    if not locked and hosts != {here}:
        # Nothing depends on it now, should this process be killed before it writes.
        _running.truncate(0)
        hosts = set()
    if here not in hosts:
        _running.write(f"\n{here}" if hosts else here)
        _running.flush()
    return not locked or hosts == {here}
