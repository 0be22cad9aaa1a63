"""Small images in the formats that data sets are published in."""

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow.parquet import write_table


def encoded(rng: np.random.Generator, kind: str = "JPEG") -> bytes:
    """A picture of smooth noise, of any shape."""
    height, width = rng.integers(90, 200, 2)
    rough = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    file = io.BytesIO()
    rough.resize((int(width), int(height)), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w") -> Path:
    """A tar archive of files by name, in this order."""
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    """A zip archive of files by name, in this order."""
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def write_parquet(
    path: Path,
    images: Mapping[str, bytes] | Sequence[tuple[str, bytes]],
    labels: list,
    domains: list | None = None,
) -> Path:
    """Images as the hub's data sets have them, with their names, and a label each."""
    named = images.items() if isinstance(images, Mapping) else images
    columns = {"image": [{"bytes": content, "path": name} for name, content in named]}
    columns |= {"domain": domains} if domains else {}
    write_table(pa.table(columns | {"label": labels}), path, row_group_size=4)
    return path
