"""Files of what is measured between the networks of a family, on straight lines of their weights.

A family is a set of networks (M) of one architecture; its pairs (P) are those of
`itertools.combinations`, and a path has G points: share 0 of it is a pair's first network, share 1
its second. A network whose weights are not finite has NaN wherever it takes part.
The file is a safetensors file with everything else in its header.
"""

import itertools
import os
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.finetuned import check_examples, of_examples, read_tensors, write_tensors

KIND = "connections"
# Of the subsets of examples, which are the same for all families.
SEED = 0


@dataclass(frozen=True)
class Member:
    """A network of a family; `head` and `order` count what it was fine-tuned with, if it was."""

    model: str
    head: int | None = None
    order: int | None = None


@dataclass(frozen=True)
class Plane:
    """Mean loss on the plane through three networks, the first of which is the origin.

    `x_A` and `y_B` are Euclidean distances of weights, `points_32` the coordinates of the networks.
    """

    members: tuple[str, str, str]
    x_A: np.ndarray
    y_B: np.ndarray
    points_32: np.ndarray
    loss_BA: np.ndarray


@dataclass(frozen=True)
class Connections:
    """What is measured between the networks of a family, and what they say of data sets.

    loss_PGN           by step: cross-entropy (nats) of the interpolation examples on each path
    distance_P         by step: Euclidean distance of the weights
    logits_MNC         by data set, then step: what the networks say of the set's own classes
    positions_N        by data set: where the rows of its logits are in it
    path_losses_PGN    by data set: as `loss_PGN`, of other examples and the last step alone
    path_positions_N   by data set: where those examples are in it
    sharpness_M        of the last step; None if it was not measured
    Networks that were not fine-tuned here have the one step 0. `data` has what is known of each
    data set's examples, for `check_data`.
    """

    family: str
    members: tuple[Member, ...]
    steps: tuple[int, ...]
    shares_G: np.ndarray
    in_domain: str
    interpolation: str
    interpolation_positions_N: np.ndarray
    data: dict[str, dict[str, Any]]
    loss_PGN: dict[int, np.ndarray]
    distance_P: dict[int, np.ndarray]
    logits_MNC: dict[str, dict[int, np.ndarray]]
    positions_N: dict[str, np.ndarray]
    diagnostics: tuple[str, ...] = ()
    path_losses_PGN: dict[str, np.ndarray] = field(default_factory=dict)
    path_positions_N: dict[str, np.ndarray] = field(default_factory=dict)
    planes: dict[str, Plane] = field(default_factory=dict)
    sharpness_M: np.ndarray | None = None

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of members, in the order of the arrays' axis P."""
        return list(itertools.combinations(range(len(self.members)), 2))


def write_connections(path: str | os.PathLike, connections: Connections) -> None:
    """Write a connections file."""
    header = {
        "family": connections.family,
        "members": [asdict(member) for member in connections.members],
        "steps": list(connections.steps),
        "shares": np.asarray(connections.shares_G, float).tolist(),
        "in_domain": connections.in_domain,
        "interpolation": {
            "data": connections.interpolation,
            "positions": np.asarray(connections.interpolation_positions_N).tolist(),
        },
        "diagnostics": list(connections.diagnostics),
        "data": connections.data,
        "planes": {name: list(plane.members) for name, plane in connections.planes.items()},
    }
    tensors = {
        **{f"loss/{step}": loss_PGN for step, loss_PGN in connections.loss_PGN.items()},
        **{f"distance/{step}": d_P for step, d_P in connections.distance_P.items()},
        **{f"path/{data}": loss_PGN for data, loss_PGN in connections.path_losses_PGN.items()},
    }
    for data, by_step in connections.logits_MNC.items():
        tensors |= {f"logits/{data}/{step}": logits for step, logits in by_step.items()}
    for name, plane in connections.planes.items():
        parts = {"x": plane.x_A, "y": plane.y_B, "points": plane.points_32, "loss": plane.loss_BA}
        tensors |= {f"plane/{name}/{part}": array for part, array in parts.items()}
    if connections.sharpness_M is not None:
        tensors["sharpness"] = connections.sharpness_M
    tensors = {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}
    for kind in ("positions", "path_positions"):
        for data, positions_N in getattr(connections, f"{kind}_N").items():
            tensors[f"{kind}/{data}"] = np.ascontiguousarray(positions_N, np.int64)
    write_tensors(path, KIND, header, tensors)


def read_connections(path: str | os.PathLike) -> Connections:
    """Read a connections file; InputError if it is not one."""
    header, tensors = read_tensors(path, KIND)
    steps = tuple(header["steps"])
    names = list(header["data"])

    def by_data(kind: str) -> dict[str, np.ndarray]:
        return {name: tensors[f"{kind}/{name}"] for name in names if f"{kind}/{name}" in tensors}

    positions_N = by_data("positions")
    return Connections(
        family=header["family"],
        members=tuple(Member(**member) for member in header["members"]),
        steps=steps,
        shares_G=np.array(header["shares"]),
        in_domain=header["in_domain"],
        interpolation=header["interpolation"]["data"],
        interpolation_positions_N=np.array(header["interpolation"]["positions"], int),
        data=header["data"],
        loss_PGN={step: tensors[f"loss/{step}"] for step in steps},
        distance_P={step: tensors[f"distance/{step}"] for step in steps},
        logits_MNC={
            name: {step: tensors[f"logits/{name}/{step}"] for step in steps} for name in positions_N
        },
        positions_N=positions_N,
        diagnostics=tuple(header["diagnostics"]),
        path_losses_PGN=by_data("path"),
        path_positions_N=by_data("path_positions"),
        planes={
            name: Plane(
                tuple(members),
                *(tensors[f"plane/{name}/{part}"] for part in ("x", "y", "points", "loss")),
            )
            for name, members in header["planes"].items()
        },
        sharpness_M=tensors.get("sharpness"),
    )


def known_data(*data_sets: Examples) -> dict[str, dict[str, Any]]:
    """What the field `data` holds of these data sets."""
    return {examples.name: of_examples(examples) for examples in data_sets}


def check_data(path: str | os.PathLike, connections: Connections, examples: Examples) -> None:
    """InputError unless a connections file was made with these examples and classes."""
    if examples.name not in connections.data:
        raise InputError(
            f"{path} says nothing of the data set {examples.name!r}: give one of "
            f"{', '.join(sorted(connections.data))}"
        )
    check_examples(path, connections.data[examples.name], examples)


def drawn(positions_N: np.ndarray, size: int) -> np.ndarray:
    """`size` of these positions, in order; of fewer, all are among those of more."""
    return np.sort(np.random.default_rng(SEED).permutation(positions_N)[:size])
