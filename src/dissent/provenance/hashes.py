"""sha256 of files, computed once for a large file as long as nothing has written to it."""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from dissent.files import atomic, sha256
from dissent.provenance import snakemake_internals

# Looking up a smaller file would cost as much as hashing it.
CACHED_FROM_BYTES = 2**20
# Of this copy of the project alone: inodes and times mean nothing elsewhere.
CACHE = Path(".provenance/hashes")
# The clock of file times ticks: within a tick, a file can be written to twice and show one time.
TICK_SECONDS = 0.02


def file_sha256(path: str | Path) -> str:
    """Hex sha256 of a file's bytes, from the cache if the file is large and was left alone."""
    if Path(path).stat().st_size < CACHED_FROM_BYTES:
        return sha256(path)
    status = _settled(path)
    known = _read(path)
    if known is None or not _same(path, status, known):
        known = {"sha256": sha256(path)}
    if known.get("times") != _times(status):
        remember(path, known["sha256"], status)
    return known["sha256"]


def remember(path: str | Path, digest: str, status: os.stat_result) -> None:
    """Keep a digest for as long as the file is as `status` says, if it can be kept at all."""
    if status.st_size >= CACHED_FROM_BYTES:
        # Without a cache files are only hashed more often; that is no reason to lose a job.
        with suppress(OSError), atomic(_entry(path)) as temporary:
            known = {"sha256": digest, "file": _identity(status), "times": _times(status)}
            temporary.write_text(json.dumps(known))


def _settled(path: str | Path) -> os.stat_result:
    """The status of a file, at a moment from which on every writing changes it."""
    while abs(time.time() - (status := Path(path).stat()).st_ctime) < TICK_SECONDS:
        time.sleep(TICK_SECONDS)
    return status


def _same(path: str | Path, status: os.stat_result, known: dict) -> bool:
    """Whether a file is still the one a cached digest is of.

    Only its times may differ, and only because Snakemake touched it at the end of its job. The
    change time tells writing from that: unlike the modification time, no program can set it.
    """
    if known["file"] != _identity(status):
        return False
    hashed = known["times"][1] / 1e9
    return known["times"] == _times(status) or snakemake_internals.left_alone(path, status, hashed)


def _identity(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_size]


def _times(status: os.stat_result) -> list[int]:
    return [status.st_mtime_ns, status.st_ctime_ns]


def _entry(path: str | Path) -> Path:
    return CACHE / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"


def _read(path: str | Path) -> dict | None:
    try:
        return json.loads(_entry(path).read_text())
    except (OSError, ValueError):
        return None
