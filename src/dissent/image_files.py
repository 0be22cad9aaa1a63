"""The image files in the sub-folders of a folder, one a class or a domain; without reading them."""

import os
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def image_files(folder: str | os.PathLike, levels: int = 1) -> list[str]:
    """Paths of the images so many folders down a folder, sorted; none if there is no folder."""
    if levels == 0:
        return [str(path) for path in images_in(Path(folder))]
    return [path for inner in folders_in(Path(folder)) for path in image_files(inner, levels - 1)]


def paths_by_class(folder: Path) -> dict[str, list[Path]]:
    """The images of each sub-folder, by its name; both sorted. Hidden files are passed over."""
    return {inner.name: images_in(inner) for inner in folders_in(folder)}


def folders_in(folder: Path) -> list[Path]:
    """The sub-folders that are not hidden, sorted; none if there is no folder."""
    return [inner for inner in _shown(folder) if inner.is_dir()] if folder.is_dir() else []


def images_in(folder: Path) -> list[Path]:
    """The images right in a folder, sorted."""
    named = (path for path in _shown(folder) if path.suffix.lower() in SUFFIXES)
    return [path for path in named if path.is_file()]


def _shown(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
