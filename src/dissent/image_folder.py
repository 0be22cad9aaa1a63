"""Images of your own as a data set: a folder with a sub-folder of images for each class."""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.image_files import SUFFIXES, images_in, paths_by_class
from dissent.label_sets import proportional_splits

log = logging.getLogger("dissent")
# So that leaving one example out leaves one of its class.
LEAST_OF_A_CLASS = 2


def read_folder(
    folder: str | os.PathLike, size: int, splits: Mapping[str, int], seed: int, name: str
) -> Examples:
    """The images of a folder, RGB, resized to size x size whatever their shape.

    Classes are the sub-folders, in the order of their names; ids are paths within the folder. Every
    split has the classes in the shares of the whole, as nearly as leaves at least two examples of
    each class in train and tune together. Without "report" in `splits`, all others are in it.
    Hidden files, and those that are not named as images, are ignored. Raises InputError for what
    cannot be read so.
    """
    folder = Path(folder)
    paths = paths_by_class(folder)
    check_classes(folder, paths)
    classes = tuple(paths)
    labels_N = np.repeat(np.arange(len(classes)), list(map(len, paths.values())))
    # Before images are read, which takes long.
    splits_N = deal(folder, labels_N, classes, splits, seed)
    tell_of_absent_classes(folder, labels_N, splits_N, classes)
    flat = [path for of_class in paths.values() for path in of_class]
    used = np.flatnonzero(splits_N != "unused")
    flat = [flat[i] for i in used]
    labels_N, splits_N = labels_N[used], splits_N[used]
    images = np.stack([read_image(path, size) for path in flat])
    tell_of_duplicates(folder, digests(images), splits_N)
    return Examples(
        name=name,
        ids=tuple(path.relative_to(folder).as_posix() for path in flat),
        images_NHW=images,
        labels=labels_N,
        splits_N=splits_N,
        classes=classes,
    )


def check_classes(folder: Path, paths: Mapping[str, Sequence[Path]]) -> None:
    """Refuse a folder that does not hold a folder of images for each of at least two classes."""
    mend = "give a folder that holds a sub-folder of images for each class"
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: {mend}")
    refuse_loose_images(folder, "the sub-folder of their class")
    if not paths:
        raise InputError(f"{folder} has no sub-folders: {mend}")
    if empty := [name for name, of_class in paths.items() if not of_class]:
        raise InputError(
            f"{folder / empty[0]} holds no images ({', '.join(SUFFIXES)}): fill it or remove it"
        )
    if len(paths) == 1:
        raise InputError(f"{folder} has one sub-folder, {next(iter(paths))!r}, alone: {mend}")


def refuse_loose_images(folder: Path, place: str) -> None:
    """Refuse images that lie right in a folder; `place` says where they belong."""
    if loose := images_in(folder):
        raise InputError(
            f"{folder} holds images outside of sub-folders, such as {loose[0].name}: move them to "
            + place
        )


def deal(
    folder: Path,
    labels_N: np.ndarray,
    classes: Sequence[str],
    splits: Mapping[str, int],
    seed: int,
) -> np.ndarray:
    """Split names [N], with LEAST_OF_A_CLASS of every class in train and tune together.

    Without "report" in `splits`, all others are in it. Messages name the folder.
    """
    there, asked = len(labels_N), sum(splits.values())
    if asked + ("report" not in splits) > there:
        raise InputError(
            f"{folder}: splits ask for {asked} images"
            + ("" if "report" in splits else " besides those of report")
            + f", there are {there}: lower the sizes under `splits` or add images"
        )
    counts_C = np.bincount(labels_N)
    if counts_C.min() < LEAST_OF_A_CLASS:
        raise InputError(
            f"{folder / classes[counts_C.argmin()]} holds {counts_C.min()} image, and at least "
            f"{LEAST_OF_A_CLASS} of every class are needed in train and tune: add images"
        )
    given = sum(splits.get(split, 0) for split in ("train", "tune"))
    if given < LEAST_OF_A_CLASS * len(classes):
        raise InputError(
            f"{folder}: train and tune have {given} images together, and {LEAST_OF_A_CLASS} are "
            f"needed of each of its {len(classes)} classes: raise the sizes under `splits`"
        )
    sizes = {"report": there - asked, **splits}
    splits_N = proportional_splits(labels_N, sizes, np.random.default_rng(seed))
    splits_N = _with_enough_of_each(splits_N, labels_N)
    splits_N = _with_each_in_train(splits_N, labels_N)
    return splits_N


def tell_of_absent_classes(
    folder: Path, labels_N: np.ndarray, splits_N: np.ndarray, classes: Sequence[str]
) -> None:
    """Refuse classes that cannot be learned; warn of those that are not chosen or measured by."""
    for split in ("train", "tune", "report"):
        counts_C = np.bincount(labels_N[splits_N == split], minlength=len(classes))
        absent = [name for name, count in zip(classes, counts_C, strict=True) if not count]
        if absent and split == "train":
            raise InputError(
                f"{folder}: no image of class {absent[0]!r} is in train: add images of it, raise "
                "the size of train under `splits`, or try another `seed`"
            )
        if absent:
            log.warning("%s: no image of %s is in %s", folder, ", ".join(absent), split)


def _with_enough_of_each(splits_N: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    """Swap examples of rare classes with some of the most frequent one in train and tune."""
    splits_N = splits_N.copy()
    for label in np.unique(labels_N):
        while True:
            chosen_N = np.isin(splits_N, ["train", "tune"])
            counts_C = np.bincount(labels_N[chosen_N], minlength=labels_N.max() + 1)
            if counts_C[label] >= LEAST_OF_A_CLASS:
                break
            comes = np.flatnonzero((labels_N == label) & ~chosen_N)[0]
            goes = np.flatnonzero((labels_N == counts_C.argmax()) & chosen_N)[0]
            splits_N[[comes, goes]] = splits_N[[goes, comes]]
    return splits_N


def _with_each_in_train(splits_N: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    """Swap an example in tune of each class that train lacks with one of train's most frequent."""
    splits_N = splits_N.copy()
    for label in np.unique(labels_N):
        counts_C = np.bincount(labels_N[splits_N == "train"], minlength=labels_N.max() + 1)
        in_tune = np.flatnonzero((labels_N == label) & (splits_N == "tune"))
        if not counts_C[label] and counts_C.max() > 1 and len(in_tune):
            goes = np.flatnonzero((labels_N == counts_C.argmax()) & (splits_N == "train"))[0]
            splits_N[[in_tune[0], goes]] = splits_N[[goes, in_tune[0]]]
    return splits_N


def read_image(path: Path, size: int) -> np.ndarray:
    """`square` of a file."""
    return square(path, size, str(path))


def square(source: Path | BinaryIO, size: int, name: str) -> np.ndarray:
    """uint8 [size, size, 3], turned as its EXIF orientation says, aspect not kept.

    Raises InputError for what is no image of 8 bits; it calls it by its name.
    """
    try:
        with Image.open(source) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(
                    f"{name} has more than 8 bits a channel: save it with 8, or remove it"
                )
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{name} cannot be read as an image ({error}): mend it or remove it"
        ) from None
    return np.asarray(upright.resize((size, size), Image.Resampling.BILINEAR))


def digests(images: np.ndarray) -> np.ndarray:
    """One for each image [N], the same where all pixels are."""
    return np.array([hashlib.sha256(image).hexdigest() for image in images])


def tell_of_duplicates(folder: Path, digests_N: np.ndarray, splits_N: np.ndarray) -> None:
    """Warn of images that are both measured on and chosen or trained on."""
    chosen_N = np.isin(splits_N, ["train", "tune"])
    n = np.isin(digests_N[splits_N == "report"], digests_N[chosen_N]).sum()
    if n:
        logging.warning(
            "%s: of the images in report, %d are in train or tune as well, pixel by pixel: scores "
            "will look better than they are",
            folder,
            n,
        )
