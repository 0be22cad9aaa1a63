"""Encoded images as they are published: in tar and zip archives, webdataset shards and parquet."""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from dissent.commandline import InputError
from dissent.image_files import SUFFIXES

PARQUET_ROWS = 256
# Of a webdataset sample, the members beside the image that tell its label.
LABEL_SUFFIXES = (".cls", ".json")
LABEL_KEYS = ("label", "cls")


class Encoded(NamedTuple):
    """An image as it was published.

    `id` is its file's name, after that of its class's folder if it lies in one; `label` is what it
    is labelled with, as text, and None where nothing says so. `domain` is the folder that the
    class's folder lies in, or what a parquet file's column `domain` says, if there is any.
    """

    id: str
    content: bytes
    label: str | None
    domain: str | None = None


def read_shards(paths: Iterable[Path], label: str = "label") -> Iterator[Encoded]:
    """The images of some files, in their order.

    Archives (tar, also compressed, and zip) hold images in a folder a class, or each beside a file
    of the same name that ends with .cls or .json and tells the label (webdataset), or neither. A
    parquet file has the columns `image`, of bytes or of structs with `bytes` and `path`, and
    `label`, of any name. Nothing is unpacked to the disk. Raises InputError for other files, for
    damaged ones, and where one has no images.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"there is no file {path}: mend its `location` in the run file")
        n = 0
        try:
            for encoded in _reader(path)(path, label):
                _check_image(path, encoded)
                yield encoded
                n += 1
        except (InputError, GeneratorExit):
            raise
        except Exception as error:
            # On a damaged file, readers raise errors of all kinds.
            what = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"{path} cannot be read ({what}): get another copy") from None
        if not n:
            raise InputError(f"{path} holds no images ({', '.join(SUFFIXES)}): give one that does")


def _reader(path: Path):
    if path.name.endswith(".parquet"):
        return _of_parquet
    if tarfile.is_tarfile(path):
        return _of_tar
    if zipfile.is_zipfile(path):
        return _of_zip
    raise InputError(f"{path} is no tar, zip or parquet file: pack its images into one")


def _check_image(path: Path, encoded: Encoded) -> None:
    try:
        # Reads no more than the header.
        Image.open(io.BytesIO(encoded.content)).close()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        what = f"holds {encoded.id!r}, which cannot be read as an image"
        raise InputError(f"{path} {what} ({error}): mend it or leave it out") from None


def _of_tar(path: Path, _: str) -> Iterator[Encoded]:
    # As a stream: a compressed one would be read anew for every member.
    with tarfile.open(path, "r|*") as tar:
        members = (
            (entry.name, tar.extractfile(entry).read())
            for entry in tar
            if _is_of_use(entry.name) and _is_plain(path, entry)
        )
        yield from _samples(members)


def _is_plain(path: Path, entry: tarfile.TarInfo) -> bool:
    if entry.issym() or entry.islnk():
        raise InputError(
            f"{path}: {entry.name!r} is a link: give an archive of the files themselves"
        )
    return entry.isreg()


def _of_zip(path: Path, _: str) -> Iterator[Encoded]:
    with zipfile.ZipFile(path) as packed:
        entries = [entry for entry in packed.infolist() if _is_of_use(entry.filename)]
        yield from _samples((entry.filename, packed.read(entry)) for entry in entries)


def _is_of_use(name: str) -> bool:
    file = PurePosixPath(name)
    return file.suffix.lower() in (*SUFFIXES, *LABEL_SUFFIXES) and not file.name.startswith("._")


def _samples(members: Iterable[tuple[str, bytes]]) -> Iterator[Encoded]:
    """Images with what lies beside them: of one stem, and one after another."""
    stem, images, labels = None, [], []
    for name, content in members:
        file = PurePosixPath(name)
        if file.with_suffix("") != stem:
            yield from _labelled(images, labels)
            stem, images, labels = file.with_suffix(""), [], []
        if file.suffix.lower() in SUFFIXES:
            images.append((file, content))
        else:
            labels.append((file, content))
    yield from _labelled(images, labels)


def _labelled(
    images: list[tuple[PurePosixPath, bytes]], labels: list[tuple[PurePosixPath, bytes]]
) -> Iterator[Encoded]:
    beside = next((label for label in map(_label_in, labels) if label is not None), None)
    for file, content in images:
        folder = file.parent.name
        if beside is None and folder:
            domain = file.parent.parent.name or None
            yield Encoded(f"{folder}/{file.name}", content, folder, domain)
        else:
            yield Encoded(file.name, content, beside)


def _label_in(member: tuple[PurePosixPath, bytes]) -> str | None:
    file, content = member
    text = content.decode().strip()
    if file.suffix.lower() == ".cls":
        return text
    found = json.loads(text)
    key = next((key for key in LABEL_KEYS if isinstance(found, dict) and key in found), None)
    return None if key is None else str(found[key])


def _of_parquet(path: Path, label: str) -> Iterator[Encoded]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        names = file.schema_arrow.names
        if "image" not in names:
            raise InputError(f"{path} has no column 'image', but {', '.join(names)}: rename one")
        columns = [name for name in ("image", label, "domain") if name in names]
        row = 0
        for batch in file.iter_batches(PARQUET_ROWS, columns=columns):
            for record in batch.to_pylist():
                yield _of_record(path, row, record, label)
                row += 1


def _of_record(path: Path, row: int, record: dict, label: str) -> Encoded:
    image = record["image"]
    content = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(content, bytes):
        raise InputError(
            f"{path}, row {row + 1}: has no bytes of an image: give a file that holds the images "
            "themselves"
        )
    written = image.get("path") if isinstance(image, dict) else None
    name = PurePosixPath(written).name if written else f"{path.stem}-{row:06d}"
    said = (record.get(column) for column in (label, "domain"))
    return Encoded(name, content, *(None if value is None else str(value) for value in said))
