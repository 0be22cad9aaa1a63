"""Data sets of images that stay encoded: their labels in one file, and beside it all their bytes.

Whatever they were published in, later jobs see the same two files: a data set file, which says
where in the other each image begins and ends, and that other one, which is nothing but the images
one after another. So they are decoded as each model wants them, and never all in memory.
"""

import hashlib
import io
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.files import atomic
from dissent.image_shards import Encoded
from dissent.label_sets import proportional_splits
from dissent.matching import few

SUFFIX = ".images"


def images_beside(data: str | os.PathLike) -> Path:
    """Where the images of a data set file lie."""
    return Path(data).with_suffix(SUFFIX)


def write_images(
    output: str | os.PathLike, images: Iterable[Encoded], wanted: Sequence[str] | None = None
) -> dict[str, tuple[int, int, str, str | None]]:
    """Write images one after another; by id: where it begins and ends, its sha256, its label.

    Of those not `wanted`, none is written. Raises InputError for an id that comes twice.
    """
    known = None if wanted is None else set(wanted)
    found: dict[str, tuple[int, int, str, str | None]] = {}
    end = 0
    with atomic(output) as temporary, temporary.open("wb") as file:
        for image in images:
            if known is not None and image.id not in known:
                continue
            if image.id in found:
                raise InputError(f"two images are called {image.id!r}: rename one, or leave it out")
            start, end = end, end + file.write(image.content)
            digest = hashlib.sha256(image.content).hexdigest()
            found[image.id] = start, end, digest, image.label
    return found


def with_labels(
    labelled: Examples, found: Mapping[str, tuple[int, int, str, str | None]]
) -> Examples:
    """A data set of labels, and the images written for its ids; InputError where one lacks."""
    missing = [id for id in labelled.ids if id not in found]
    if missing:
        raise InputError(
            f"there is no image of {len(missing)} of the {len(labelled.ids)} labels, such as "
            f"{missing[0]!r}: give the files that hold them, under `images` in the run file"
        )
    return _with_images(labelled, found)


def by_label(
    name: str,
    found: Mapping[str, tuple[int, int, str, str | None]],
    classes: Sequence[str] | None,
    splits: Mapping[str, int],
    seed: int,
) -> Examples:
    """A data set of the images written, by class and then by id.

    Labels are names of classes, or their numbers from 0 on. Without `classes`, these are the labels
    that there are, in their order. Without `splits`, all images are in "report". Raises InputError
    for an image without a label, or with one that is no class.
    """
    unlabelled = [id for id, (*_, label) in found.items() if label is None]
    if unlabelled:
        raise InputError(
            f"nothing says what {unlabelled[0]!r} shows: put images into a folder a class, or give "
            "a file of `labels` in the run file"
        )
    names = tuple(classes or in_order({label for *_, label in found.values()}))
    index = class_index(names)
    for id, (*_, label) in found.items():
        if label not in index:
            raise InputError(
                f"{id!r} is labelled {label!r}, which is no class; the classes are {few(names)}: "
                "mend `classes` in the run file, or leave them out"
            )
    ids = sorted(found, key=lambda id: (index[found[id][3]], id))
    labels_N = np.array([index[found[id][3]] for id in ids], np.int64)
    sizes = dict(splits) or {"report": len(ids)}
    labelled = Examples(
        name=name,
        ids=tuple(ids),
        images_NHW=None,
        labels=labels_N,
        splits_N=proportional_splits(labels_N, sizes, np.random.default_rng(seed)),
        classes=names,
    )
    return _with_images(labelled, found)


def class_index(classes: Sequence[str]) -> dict[str, int]:
    """Where a class is among its like, by its name and by its number as text."""
    numbers = {str(i): i for i in range(len(classes))}
    return numbers | {name: i for i, name in enumerate(classes)}


def in_order(labels: Collection[str]) -> list[str]:
    """Labels sorted, by their numbers if all are numbers."""
    return sorted(labels, key=int if all(label.isdecimal() for label in labels) else None)


def _with_images(
    labelled: Examples, found: Mapping[str, tuple[int, int, str, str | None]]
) -> Examples:
    spans_N2 = np.array([found[id][:2] for id in labelled.ids], np.int64)
    digests = tuple(found[id][2] for id in labelled.ids)
    return replace(labelled, spans_N2=spans_N2, image_digests=digests)


def check_whole(path: str | os.PathLike, examples: Examples) -> None:
    """InputError where the file of a data set's images is not there, or ends too early."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no file {path} with the images of {examples.name!r}: make it")
    if path.stat().st_size < examples.spans_N2.max():
        raise InputError(f"{path} is cut off: delete it and run again")


def decode(path: str | os.PathLike, span: Sequence[int], id: str) -> Image.Image:
    """An image, RGB. Raises InputError for one that is damaged."""
    start, end = map(int, span)
    with open(path, "rb") as file:
        file.seek(start)
        content = file.read(end - start)
    try:
        return Image.open(io.BytesIO(content)).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"the image {id!r} cannot be decoded ({error}): mend it or leave it out"
        ) from None
