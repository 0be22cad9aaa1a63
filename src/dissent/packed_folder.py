"""Images that are packed in archives or parquet files, as data sets of decoded images.

What a folder of images would be (see `image_folder` and `domain_folder`), packed: of each image,
its class is known, and of domains also its domain. Files are read twice, first to see what is
there: only the images of a split are decoded, so that a few of a large set fit into memory.
"""

import io
import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from dissent.commandline import InputError
from dissent.domain_folder import by_domain, check_domains, tell_of_domain_duplicates
from dissent.encoded_images import class_index, in_order
from dissent.examples import Examples
from dissent.image_folder import (
    deal,
    digests,
    square,
    tell_of_absent_classes,
    tell_of_duplicates,
)
from dissent.image_shards import Encoded, read_shards
from dissent.label_sets import proportional_splits
from dissent.matching import few

UNUSED = "unused"
log = logging.getLogger("dissent")


class Packed(NamedTuple):
    """A file of images, and the split that all of them are of, if the run file says so."""

    path: Path
    split: str | None


class _Listed(NamedTuple):
    """An image that is there, before it is decoded."""

    id: str
    label: int
    split: str


def read_packed(
    files: Sequence[Packed],
    size: int,
    splits: Mapping[str, int],
    seed: int,
    name: str,
    classes: Sequence[str] | None,
) -> Examples:
    """Packed images with a class each, RGB, resized to size x size whatever their shape.

    Images of files without a split are dealt as those of a folder are (`read_folder`); of a file
    with one, as many as `splits` says of it, or all. What no split asks for is left out. Ids are
    <class>/<name of the file>, of files with a split after that, since shards of a training set and
    of a test set number their images alike. Raises InputError for what cannot be read so.
    """
    listed, classes = _list(files, classes)
    labels_N = np.array([image.label for image in listed])
    of_file_N = np.array([image.split for image in listed])
    splits_N = np.full(len(listed), UNUSED, "U6")
    for split in np.unique(of_file_N):
        there = np.flatnonzero(of_file_N == split)
        if split:
            wanted = splits.get(split, len(there))
            if wanted > len(there):
                what = "%s and its like hold %d images for %s, and %d are asked for: all are taken"
                log.warning(what, files[0].path, len(there), split, wanted)
            sizes = {split: min(wanted, len(there))}
            dealt = proportional_splits(labels_N[there], sizes, np.random.default_rng(seed))
        else:
            sizes = {key: n for key, n in splits.items() if key not in of_file_N}
            dealt = deal(files[0].path, labels_N[there], classes, sizes, seed)
            if "report" in of_file_N:
                dealt[dealt == "report"] = UNUSED
        splits_N[there] = dealt
    tell_of_absent_classes(files[0].path, labels_N, splits_N, classes)
    used = np.flatnonzero(splits_N != UNUSED)
    ids = tuple(listed[i].id for i in used)
    images = _decoded(files, ids, classes, size)
    tell_of_duplicates(files[0].path, digests(images), splits_N[used])
    return Examples(
        name=name,
        ids=ids,
        images_NHW=images,
        labels=labels_N[used],
        splits_N=splits_N[used],
        classes=classes,
    )


def read_packed_domains(
    files: Sequence[Packed],
    size: int,
    seed: int,
    name: str,
    domains: Sequence[str],
    classes: Sequence[str] | None,
) -> Examples:
    """Packed images with a class and a domain each, as `domain_folder.read_domain_folder` has them.

    Ids are <domain>/<class>/<name of the file>. Raises InputError for what cannot be read so, and
    for other domains than `domains`.
    """
    listed, classes = _list(files, classes, domains)
    ids: dict[str, dict[str, list[str]]] = {domain: {} for domain in sorted(domains)}
    for image in listed:
        domain = image.id.split("/")[0]
        ids[domain].setdefault(classes[image.label], []).append(image.id)
    place = files[0].path
    check_domains(place, ids)
    flat, labels_N, splits_N, groups = by_domain(ids, classes, seed)
    images = _decoded(files, flat, classes, size, domains)
    tell_of_domain_duplicates(place, images, splits_N, np.array(groups))
    return Examples(
        name=name,
        ids=tuple(flat),
        images_NHW=images,
        labels=labels_N,
        splits_N=splits_N,
        classes=classes,
        groups=groups,
    )


def _list(
    files: Sequence[Packed], classes: Sequence[str] | None, domains: Sequence[str] = ()
) -> tuple[list[_Listed], tuple[str, ...]]:
    """What is in the files, by class and then by id, and the names of the classes."""
    found = []
    for file in files:
        for image in read_shards([file.path]):
            if image.label is None:
                raise InputError(
                    f"{file.path}: nothing says what {image.id!r} shows: put images into a folder "
                    "a class, or give parquet files with a column of labels"
                )
            if domains and image.domain not in domains:
                raise InputError(
                    f"{file.path}: {image.id!r} is of domain {image.domain!r}, and `domains` in "
                    f"the run file has {few(domains)}: mend them, or leave that image out"
                )
            # Without the image itself: all of them may be too much to hold.
            found.append((image._replace(content=b""), file.split or ""))
    names = tuple(classes or in_order({image.label for image, _ in found}))
    index = class_index(names)
    listed = []
    for image, split in found:
        if image.label not in index:
            raise InputError(
                f"{image.id!r} is labelled {image.label!r}, which is no class; the classes are "
                f"{few(names)}: mend `classes` in the run file, or leave them out"
            )
        id = _id(image, names, domains, split)
        listed.append(_Listed(id, index[image.label], split))
    listed.sort(key=lambda image: (image.label, image.id))
    for one, other in pairwise(listed):
        if one.id == other.id:
            raise InputError(f"two images are called {one.id!r}: rename one, or leave it out")
    return listed, names


def _id(image: Encoded, classes: Sequence[str], domains: Sequence[str], split: str | None) -> str:
    name = classes[class_index(classes)[image.label]]
    before = [image.domain] if domains else [split] if split else []
    return "/".join([*before, name, PurePosixPath(image.id).name])


def _decoded(
    files: Sequence[Packed],
    ids: Sequence[str],
    classes: Sequence[str],
    size: int,
    domains: Sequence[str] = (),
) -> np.ndarray:
    """The images of some ids, uint8 [N, size, size, 3], in their order."""
    at = {id: i for i, id in enumerate(ids)}
    images = np.empty((len(ids), size, size, 3), np.uint8)
    for file in files:
        for image in read_shards([file.path]):
            if (id := _id(image, classes, domains, file.split)) in at:
                images[at[id]] = square(io.BytesIO(image.content), size, id)
    return images
