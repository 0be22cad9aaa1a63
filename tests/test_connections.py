import dataclasses

import numpy as np
import pytest

from dissent.commandline import InputError
from dissent.connections import (
    Connections,
    Member,
    Plane,
    check_data,
    known_data,
    read_connections,
    write_connections,
)
from dissent.examples import Examples

RNG = np.random.default_rng(0)
PAIRS = Examples(
    name="pairs",
    ids=tuple("abcdef"),
    images_NHW=None,
    labels=np.array([0, 1, 0, 1, 0, 1]),
    splits_N=np.array(["tune", "tune", "report", "report", "report", "train"]),
    classes=("entailment", "non-entailment"),
)
HEURISTICS = dataclasses.replace(PAIRS, name="heuristics", ids=tuple("ghijkl"))


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def made() -> Connections:
    """Three members, at two steps."""
    return Connections(
        family="orders",
        members=tuple(Member(f"head-0-order-{k}", 0, k) for k in range(3)),
        steps=(75, 150),
        shares_G=np.linspace(0, 1, 4),
        in_domain="pairs",
        interpolation="pairs",
        interpolation_positions_N=np.array([2, 4]),
        data=known_data(PAIRS, HEURISTICS),
        loss_PGN={step: numbers(3, 4, 2) for step in (75, 150)},
        distance_P={step: numbers(3) for step in (75, 150)},
        logits_MNC={
            "pairs": {step: numbers(3, 5, 2) for step in (75, 150)},
            "heuristics": {step: numbers(3, 3, 2) for step in (75, 150)},
        },
        positions_N={"pairs": np.arange(5), "heuristics": np.array([2, 3, 4])},
        diagnostics=("heuristics",),
        path_losses_PGN={"heuristics": numbers(3, 4, 1)},
        path_positions_N={"heuristics": np.array([3])},
        planes={
            "mixed": Plane(
                ("head-0-order-0", "head-0-order-2", "head-0-order-1"),
                numbers(5),
                numbers(4),
                numbers(3, 2),
                numbers(4, 5),
            )
        },
        sharpness_M=numbers(3),
    )


def users() -> Connections:
    """Two models of the user's, measured on one data set alone."""
    return Connections(
        family="models",
        members=(Member("a"), Member("b")),
        steps=(0,),
        shares_G=np.array([0, 0.5, 1]),
        in_domain="pairs",
        interpolation="pairs",
        interpolation_positions_N=np.array([2]),
        data=known_data(PAIRS),
        loss_PGN={0: numbers(1, 3, 1)},
        distance_P={0: numbers(1)},
        logits_MNC={"pairs": {0: numbers(2, 5, 2)}},
        positions_N={"pairs": np.arange(5)},
    )


@pytest.mark.parametrize("make", [made, users])
def test_connections_are_read_back_as_written(tmp_path, make):
    connections = make()
    write_connections(tmp_path / "x.safetensors", connections)
    read = read_connections(tmp_path / "x.safetensors")
    np.testing.assert_equal(dataclasses.asdict(read), dataclasses.asdict(connections))
    write_connections(tmp_path / "again.safetensors", connections)
    again, first = ((tmp_path / f"{n}.safetensors").read_bytes() for n in ("again", "x"))
    assert again == first


def test_pairs_are_in_the_order_of_members():
    assert made().pairs == [(0, 1), (0, 2), (1, 2)]


def test_not_a_connections_file(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*run the workflow"):
        read_connections(tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="truncated or holds no connections"):
        read_connections(tmp_path / "x.safetensors")


def test_data_sets_are_checked():
    check_data("x.safetensors", made(), PAIRS)
    with pytest.raises(InputError, match="other images or labels"):
        check_data("x", made(), dataclasses.replace(PAIRS, labels=1 - PAIRS.labels))
    with pytest.raises(
        InputError, match="x says nothing of the data set 'swaps': give one of heur"
    ):
        check_data("x", made(), dataclasses.replace(PAIRS, name="swaps"))
