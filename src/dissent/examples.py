"""A data set as one file: images or sentences (if any), labels, splits, ids, in a fixed order."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from dissent.commandline import InputError
from dissent.files import atomic

# Written only where there is something to write, so that files without them stay as they are.
LATER = ("groups", "row_order", "relabels", "sentences", "image_digests")


@dataclass(frozen=True)
class Examples:
    """Examples in a fixed order.

    `images_NHW` is uint8, grey [N, H, W] or RGB [N, H, W, 3], and None where there are labels
    alone. `labels` is int64 [N] (one class each) or uint8 [N, C] (any number of classes each).
    `captions`, where there are any, hold a sentence for each example, `prompts` the sentences that
    stand for each class, and `groups` the name of the group that each example belongs to.
    `row_order` says in words what order files of predictions without ids follow; where it is empty,
    such files are refused. `relabels` names the data set whose examples, in the same order, this
    one labels anew. `sentences` hold the text of each example where that is what is classified: one
    sentence each, or two each, and no images. Images that stay encoded lie in a file beside this
    one (see `dissent.encoded_images`): `spans_N2` says from which to before which byte of it, and
    `image_digests` hold the sha256 of each.
    """

    name: str
    ids: tuple[str, ...]
    images_NHW: np.ndarray | None
    labels: np.ndarray
    splits_N: np.ndarray
    classes: tuple[str, ...]
    captions: tuple[str, ...] = ()
    prompts: tuple[tuple[str, ...], ...] = ()
    groups: tuple[str, ...] = ()
    row_order: str = ""
    relabels: str = ""
    sentences: tuple[tuple[str, ...], ...] = ()
    spans_N2: np.ndarray | None = None
    image_digests: tuple[str, ...] = ()

    def where(self, split: str) -> np.ndarray:
        """Positions [n] of the examples of one split, in order."""
        positions = np.flatnonzero(self.splits_N == split)
        if not len(positions):
            known = ", ".join(sorted(set(self.splits_N)))
            raise InputError(f"data set {self.name!r} has no split {split!r}; it has: {known}")
        return positions

    @property
    def ids_sha256(self) -> str:
        """Digest of the example ids and their order."""
        return hashlib.sha256("\n".join(self.ids).encode()).hexdigest()

    @property
    def content_sha256(self) -> str:
        """Digest of images and sentences, if there are any, and labels, in order."""
        digest = hashlib.sha256()
        for array in (self.images_NHW, self.labels):
            if array is None:
                continue
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array))
        for texts in (self.sentences, self.image_digests):
            if texts:
                digest.update(json.dumps(texts).encode())
        return digest.hexdigest()


def stratified_splits(
    labels_N: np.ndarray, sizes: dict[str, int], rng: np.random.Generator
) -> np.ndarray:
    """Assign every example to a split so that each split has the classes in equal shares.

    Splits are dealt in the order of their names, whatever the order in `sizes`. Returns the split
    names [N]; examples beyond the sizes get the name "unused".
    """
    if sum(sizes.values()) > len(labels_N):
        raise InputError(
            f"splits ask for {sum(sizes.values())} examples, there are {len(labels_N)}: "
            f"lower the sizes under `splits`"
        )
    order = rng.permutation(len(labels_N))
    rank_in_class = np.empty(len(labels_N), int)
    for label in np.unique(labels_N):
        of_class = order[labels_N[order] == label]
        rank_in_class[of_class] = np.arange(len(of_class))
    dealt = order[np.argsort(rank_in_class[order], kind="stable")]
    splits_N = np.full(len(labels_N), "unused", dtype=f"U{max(map(len, [*sizes, 'unused']))}")
    start = 0
    for split, size in sorted(sizes.items()):
        splits_N[dealt[start : start + size]] = split
        start += size
    return splits_N


def write_examples(path: str | os.PathLike, examples: Examples) -> None:
    """Write a data set file (safetensors; names, ids and splits in the header)."""
    names, codes_N = np.unique(examples.splits_N, return_inverse=True)
    header = {
        "name": examples.name,
        "classes": examples.classes,
        "splits": names.tolist(),
        "ids": examples.ids,
        "captions": examples.captions,
        "prompts": examples.prompts,
    }
    header |= {name: value for name in LATER if (value := getattr(examples, name))}
    tensors = {
        "labels": np.ascontiguousarray(examples.labels),
        "split_codes": codes_N.astype(np.uint8),
    }
    if examples.images_NHW is not None:
        tensors["images"] = np.ascontiguousarray(examples.images_NHW)
    if examples.spans_N2 is not None:
        tensors["spans"] = np.ascontiguousarray(examples.spans_N2)
    with atomic(path) as temporary:
        # One entry, since safetensors writes several in an order that changes from call to call.
        save_file(tensors, temporary, {"examples": json.dumps(header)})


def read_examples(path: str | os.PathLike) -> Examples:
    """Read a data set file written by `write_examples`."""
    if not Path(path).exists():
        raise InputError(f"there is no data set file {path}")
    with safe_open(path, "np") as file:
        header = json.loads(file.metadata()["examples"])
        names = np.array(header["splits"])
        tensors = list(file.keys())
        return Examples(
            name=header["name"],
            ids=tuple(header["ids"]),
            images_NHW=file.get_tensor("images") if "images" in tensors else None,
            labels=file.get_tensor("labels"),
            splits_N=names[file.get_tensor("split_codes")],
            classes=tuple(header["classes"]),
            captions=tuple(header["captions"]),
            prompts=tuple(map(tuple, header["prompts"])),
            groups=tuple(header.get("groups", ())),
            row_order=header.get("row_order", ""),
            relabels=header.get("relabels", ""),
            sentences=tuple(map(tuple, header.get("sentences", ()))),
            spans_N2=file.get_tensor("spans") if "spans" in tensors else None,
            image_digests=tuple(header.get("image_digests", ())),
        )
