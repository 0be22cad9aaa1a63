"""Writing files so that a crash never leaves half of one under its final name, and their tables."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name keeps the suffix, so writers that look at it (matplotlib, pandas) work.
    A killed process leaves it behind: see `leftovers`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def leftovers(folder: Path) -> Iterator[Path]:
    """What writers that were killed left under a folder; also what others write right now."""
    return folder.rglob(".*.partial*")


def write_table(table: "pd.DataFrame", path: str | os.PathLike) -> None:
    """Write a table as CSV, without its index."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)


def sha256(path: str | os.PathLike) -> str:
    """Hex sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
