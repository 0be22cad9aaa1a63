"""The image files of a folder, a class per sub-folder; without reading them."""

import os
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def image_files(folder: str | os.PathLike) -> list[str]:
    """Paths of the images in the sub-folders of a folder, sorted; none if there is no folder."""
    return [str(path) for paths in paths_by_class(Path(folder)).values() for path in paths]


def paths_by_class(folder: Path) -> dict[str, list[Path]]:
    """The images of each sub-folder, by its name; both sorted. Hidden files are passed over."""
    if not folder.is_dir():
        return {}
    return {inner.name: images_in(inner) for inner in _shown(folder) if inner.is_dir()}


def images_in(folder: Path) -> list[Path]:
    """The images right in a folder, sorted."""
    named = (path for path in _shown(folder) if path.suffix.lower() in SUFFIXES)
    return [path for path in named if path.is_file()]


def _shown(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
