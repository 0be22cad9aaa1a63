"""The files of a folder, wherever its links lead."""

from collections.abc import Iterator
from pathlib import Path


def files_in(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files in a folder, those behind links too; a link to a folder above it counts as one."""
    real = folder.resolve()
    if real in above:
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from files_in(path, (*above, real))
        else:
            yield path
