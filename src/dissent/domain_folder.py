"""Images of your own in several domains: a folder of domains, each with a folder for each class."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dissent.commandline import InputError
from dissent.domains import LEAST_DOMAINS, in_turns
from dissent.examples import Examples
from dissent.image_files import folders_in, paths_by_class
from dissent.image_folder import (
    check_classes,
    digests,
    read_image,
    refuse_loose_images,
    tell_of_duplicates,
)

log = logging.getLogger("dissent")
# Of each class of each domain, this share is reported on; of the rest, again this share is tune.
SHARE = 0.2
# One to train on, one to choose checkpoints by and one to report on.
LEAST_OF_A_CLASS = 3

# By domain and by class: paths, or what else stands for images.
Images = Mapping[str, Mapping[str, Sequence]]


def read_domain_folder(folder: str | os.PathLike, size: int, seed: int, name: str) -> Examples:
    """The images in folder/<domain>/<class>, RGB, resized to size x size whatever their shape.

    Groups are the domains; ids are paths within the folder. Of each class of each domain, 20 % are
    in report, and 20 % of the rest in tune, at least one each; all others are in train. In each
    domain, every stretch from the beginning of a split has the classes in the shares of the whole.
    Hidden files, and those that are not named as images, are ignored. Raises InputError for what
    cannot be read so.
    """
    folder = Path(folder)
    paths = {domain.name: paths_by_class(domain) for domain in folders_in(folder)}
    # Before images are read, which takes long.
    _check(folder, paths)
    classes = tuple(next(iter(paths.values())))
    flat, labels_N, splits_N, groups = by_domain(paths, classes, seed)
    images = np.stack([read_image(path, size) for path in flat])
    tell_of_domain_duplicates(folder, images, splits_N, np.array(groups))
    return Examples(
        name=name,
        ids=tuple(path.relative_to(folder).as_posix() for path in flat),
        images_NHW=images,
        labels=labels_N,
        splits_N=splits_N,
        classes=classes,
        groups=groups,
    )


def by_domain(
    images: Images, classes: Sequence[str], seed: int
) -> tuple[list, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images, labels [N], split names [N] and groups, domain by domain, as a data set has them.

    What `images` holds of each domain and class, in the order of `classes`, may be anything.
    """
    flat, labels, splits, groups = [], [], [], []
    for domain, by_class in images.items():
        # A stream of its own, so that the other domains' images change nothing here.
        rng = np.random.default_rng([seed, *domain.encode()])
        of_class = [by_class.get(name, ()) for name in classes]
        of_domain = [image for images in of_class for image in images]
        labels_n = np.repeat(np.arange(len(classes)), list(map(len, of_class)))
        splits_n = _splits(labels_n, rng)
        order = _order(labels_n, splits_n, rng)
        flat += [of_domain[i] for i in order]
        labels.append(labels_n[order])
        splits.append(splits_n[order])
        groups += [domain] * len(order)
    return flat, np.concatenate(labels), np.concatenate(splits), tuple(groups)


def _check(folder: Path, paths: Images) -> None:
    mend = "give a folder that holds, for each domain, a folder with a sub-folder for each class"
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: {mend}")
    refuse_loose_images(folder, "the sub-folder of their domain and class")
    if not paths:
        raise InputError(f"{folder} has no sub-folders: {mend}")
    if len(paths) < LEAST_DOMAINS:
        raise InputError(f"{folder} has one domain, {next(iter(paths))!r}, alone: {mend}")
    for domain, by_class in paths.items():
        refuse_loose_images(folder / domain, "the sub-folder of their class")
        if not by_class:
            raise InputError(
                f"{folder / domain} is a domain without images: give it a sub-folder of images for "
                "each class, or remove it"
            )
    for domain, by_class in paths.items():
        check_classes(folder / domain, by_class)
    check_domains(folder, paths)


def check_domains(folder: Path, images: Images) -> None:
    """Refuse domains without a class that others have, or with too few images of one."""
    _refuse_absent_classes(folder, images)
    for domain, by_class in images.items():
        for name, of_class in by_class.items():
            if len(of_class) < LEAST_OF_A_CLASS:
                raise InputError(
                    f"{folder / domain / name} holds too few images, {len(of_class)}, and "
                    f"{LEAST_OF_A_CLASS} of each class of a domain are needed, for train, tune and "
                    "report: add images"
                )


def _refuse_absent_classes(folder: Path, paths: Images) -> None:
    homes = {name: domain for domain, by_class in paths.items() for name in by_class}
    for domain, by_class in paths.items():
        for absent in sorted(homes.keys() - by_class.keys()):
            raise InputError(
                f"{folder}: domain {domain!r} has no class {absent!r}, which domain "
                f"{homes[absent]!r} has: add images of it in {folder / domain / absent}, or remove "
                "the class from the other domains"
            )


def _splits(labels_n: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Split names [n] of the images of one domain."""
    splits_n = np.full(len(labels_n), "train", "U6")
    for label in np.unique(labels_n):
        of_class = rng.permutation(np.flatnonzero(labels_n == label))
        report = _held_back(len(of_class))
        tune = _held_back(len(of_class) - report)
        splits_n[of_class[:report]] = "report"
        splits_n[of_class[report : report + tune]] = "tune"
    return splits_n


def _held_back(n: int) -> int:
    return max(1, round(SHARE * n))


def _order(labels_n: np.ndarray, splits_n: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Split after split, and in each the classes in turns."""
    splits = [np.flatnonzero(splits_n == split) for split in np.unique(splits_n)]
    return np.concatenate([split[in_turns(labels_n[split], rng)] for split in splits])


def tell_of_domain_duplicates(
    folder: Path, images: np.ndarray, splits_N: np.ndarray, groups_N: np.ndarray
) -> None:
    digests_N = digests(images)
    tell_of_duplicates(folder, digests_N, splits_N)
    of_domains = [np.unique(digests_N[groups_N == domain]) for domain in np.unique(groups_N)]
    found, in_domains = np.unique(np.concatenate(of_domains), return_counts=True)
    n = np.isin(digests_N, found[in_domains > 1]).sum()
    if n:
        log.warning(
            "%s: %d images are in another domain as well, pixel by pixel: scores on the domain "
            "that is held out will look better than they are",
            folder,
            n,
        )
