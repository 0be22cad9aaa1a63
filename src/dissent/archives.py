"""Single files of zip and tar archives."""

import difflib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

from dissent import files
from dissent.commandline import InputError
from dissent.fetching import not_kept

Read = TypeVar("Read")


def read_member(file: Path, member: str | None, read: Callable[[Path], Read]) -> Read:
    """What `read` makes of one file of an archive; without `member`, of the file itself.

    Raises InputError as `unpack_member` and `read` do, of the place in the archive.
    """
    if member is None:
        return read(file)
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / PurePosixPath(member).name
        unpack_member(file, member, unpacked)
        try:
            return read(unpacked)
        except InputError as error:
            raise InputError(str(error).replace(str(unpacked), f"{file} ({member})")) from None


def unpack_member(archive: str | os.PathLike, member: str, output: str | os.PathLike) -> None:
    """Write one file of a zip or tar (also gz, bz2, xz) archive to `output`.

    No name in the archive says where anything is written. Raises InputError where `member` is not
    a plain file within the archive, or the archive cannot be read.
    """
    if PurePosixPath(member).is_absolute() or ".." in PurePosixPath(member).parts:
        raise InputError(f"{archive}: {member!r} leads out of the archive: name a file in it")
    try:
        with (
            _opened(archive, member) as stream,
            files.atomic(output) as temporary,
            temporary.open("wb") as file,
        ):
            shutil.copyfileobj(stream, file)
    except InputError:
        raise
    except Exception as error:
        # On a damaged archive, its readers raise errors of all kinds, of the disk with a number.
        if isinstance(error, OSError) and error.errno:
            raise not_kept(output, error) from None
        raise InputError(
            f"{archive} cannot be unpacked ({error}): give a zip or tar archive, not encrypted, "
            "that is whole"
        ) from None


@contextmanager
def _opened(archive: str | os.PathLike, member: str) -> Iterator[IO[bytes]]:
    # Tar first, since a tar of a zip may look like a zip.
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            plain = {entry.name: entry if entry.isreg() else None for entry in tar}
            yield tar.extractfile(_among(plain, archive, member))
    else:
        with zipfile.ZipFile(archive) as packed:
            plain = {
                entry.filename: entry if _is_plain(entry) else None for entry in packed.infolist()
            }
            with packed.open(_among(plain, archive, member)) as stream:
                yield stream


def _is_plain(entry: zipfile.ZipInfo) -> bool:
    return not entry.is_dir() and stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)


def _among(plain: Mapping[str, Any], archive: str | os.PathLike, member: str) -> Any:
    """An archive's entry by its name; `plain` has None for those that are no plain files."""
    if entry := plain.get(member):
        return entry
    if member in plain:
        raise InputError(f"{archive}: {member!r} is a link, folder or device: name a plain file")
    near = difflib.get_close_matches(member, plain, cutoff=0.3) or list(plain)[:3]
    has = " and ".join(map(repr, near)) or "nothing"
    raise InputError(f"{archive}: has no {member!r}, but {has}: name a file in it")
