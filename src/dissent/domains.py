"""Data sets whose examples come from several domains, of which one at a time is left out.

`Examples.groups` names the domain of each example. The protocol is that of section 4.1 of
"Fine-tuning with Very Large Dropout" (Zhang and Bottou 2024, arXiv 2403.00946): training sees all
domains but one.
"""

from dataclasses import dataclass

import numpy as np

from dissent.commandline import InputError
from dissent.examples import Examples

LEAST_DOMAINS = 2


@dataclass(frozen=True)
class HeldOut:
    """Positions of examples where one domain is left out.

    `train`, `tune` and `report` hold, by the name of each training domain, the positions int64 [n]
    of its examples in that split; `unseen` those of all examples of the domain left out.
    """

    domain: str
    train: dict[str, np.ndarray]
    tune: dict[str, np.ndarray]
    report: dict[str, np.ndarray]
    unseen: np.ndarray


def domains(examples: Examples) -> tuple[str, ...]:
    """The domains of a data set, in order of first appearance.

    Raises InputError if there are fewer than two.
    """
    names = tuple(dict.fromkeys(examples.groups))
    if len(names) < LEAST_DOMAINS:
        has = f"one domain, {names[0]!r}, alone" if names else "no domains"
        raise InputError(
            f"data set {examples.name!r} has {has}: name one of kind domains or domain_folder"
        )
    return names


def leave_out(examples: Examples, domain: str) -> HeldOut:
    """Where the examples are that a run sees, and those of the domain that it does not see.

    Examples of the split "unused" are in none. Raises InputError if the data set has no such
    domain, if nothing of it is used, or if another domain has an empty split or lacks a class in
    train.
    """
    names = domains(examples)
    if domain not in names:
        raise InputError(
            f"data set {examples.name!r} has no domain {domain!r}: name one of {', '.join(names)}"
        )
    groups_N = np.array(examples.groups)
    unseen = np.flatnonzero((groups_N == domain) & (examples.splits_N != "unused"))
    if not len(unseen):
        raise InputError(
            f"data set {examples.name!r}: no example of domain {domain!r} is in any split: raise "
            "the sizes under `splits`"
        )

    def of_split(split: str) -> dict[str, np.ndarray]:
        in_split_N = examples.splits_N == split
        return {
            other: np.flatnonzero((groups_N == other) & in_split_N)
            for other in names
            if other != domain
        }

    held_out = HeldOut(domain, of_split("train"), of_split("tune"), of_split("report"), unseen)
    _check(examples, held_out)
    return held_out


def in_turns(labels_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order, int64 [N], in which classes take turns as often as they are frequent.

    Every stretch from the beginning so has the classes in the shares of the whole, which lets
    training take the first so many.
    """
    order = rng.permutation(len(labels_N))
    order = order[np.argsort(labels_N[order], kind="stable")]
    _, class_N, counts_C = np.unique(labels_N[order], return_inverse=True, return_counts=True)
    rank_N = np.arange(len(order)) - (np.cumsum(counts_C) - counts_C)[class_N]
    return order[np.argsort((rank_N + 0.5) / counts_C[class_N], kind="stable")]


def _check(examples: Examples, held_out: HeldOut) -> None:
    mend = "add images of it, or raise the sizes under `splits`"
    for split in ("train", "tune", "report"):
        for domain, positions in getattr(held_out, split).items():
            if not len(positions):
                raise InputError(
                    f"data set {examples.name!r}: domain {domain!r} has no example in {split}: "
                    + mend
                )
    for domain, positions in held_out.train.items():
        counts_C = np.bincount(examples.labels[positions], minlength=len(examples.classes))
        if not counts_C.all():
            raise InputError(
                f"data set {examples.name!r}: domain {domain!r} has no example of class "
                f"{examples.classes[counts_C.argmin()]!r} in train: {mend}"
            )
