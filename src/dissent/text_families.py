"""Files of families of text classifiers that were fine-tuned from one checkpoint.

A safetensors file holds the trained weights of all members: tensors `<model>/<step>/<weight>`,
float32, where weights have the names that they have in the full model. The rest is in the header.
"""

import os
from dataclasses import dataclass
from typing import TypedDict

import torch

from dissent.finetuned import read_tensors, write_tensors

KIND = "text_family"
# What a header says as `Family` has it; `members` and the lists need more.
PLAIN = ("start_sha256", "layers", "frozen_layers", "ids_sha256", "content_sha256")


class Member(TypedDict):
    """A fine-tuning: its name, and the seeds of its head and of the order of its batches."""

    model: str
    head: int
    order: int


@dataclass(frozen=True)
class Family:
    """Networks fine-tuned from one checkpoint, by the steps after which they were kept.

    Each has the first `layers` encoder layers of the start (None: all), of which embeddings and
    `frozen_layers` are the start's. `states` has, by name of the member and step, the weights that
    were trained; those of a member that diverged are not finite. The digests are of the data set.
    """

    name: str
    start_sha256: str
    layers: int | None
    frozen_layers: int
    classes: tuple[str, ...]
    ids_sha256: str
    content_sha256: str
    members: tuple[Member, ...]
    steps: tuple[int, ...]
    states: dict[tuple[str, int], dict[str, torch.Tensor]]


def write_family(path: str | os.PathLike, family: Family) -> None:
    """Write a family file."""
    header = {
        "kind": KIND,
        "family": family.name,
        "classes": list(family.classes),
        "members": [dict(member) for member in family.members],
        "steps": list(family.steps),
        **{leaf: getattr(family, leaf) for leaf in PLAIN},
    }
    tensors = {
        f"{model}/{step}/{weight}": tensor.numpy()
        for (model, step), state in family.states.items()
        for weight, tensor in state.items()
    }
    write_tensors(path, KIND, header, tensors)


def read_family(path: str | os.PathLike) -> Family:
    """Read a family file; InputError if there is none or it is of another kind."""
    header, tensors = read_tensors(path, KIND)
    states: dict[tuple[str, int], dict[str, torch.Tensor]] = {}
    for name, array in tensors.items():
        model, step, weight = name.split("/")
        states.setdefault((model, int(step)), {})[weight] = torch.from_numpy(array)
    return Family(
        name=header["family"],
        classes=tuple(header["classes"]),
        members=tuple(Member(**member) for member in header["members"]),
        steps=tuple(header["steps"]),
        states=states,
        **{leaf: header[leaf] for leaf in PLAIN},
    )
