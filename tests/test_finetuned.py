import dataclasses

import numpy as np
import pytest

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.finetuned import (
    FineTuning,
    FineTunings,
    Shifted,
    ShiftedMember,
    read_fine_tunings,
    read_shifted,
    write_fine_tunings,
    write_shifted,
)

SPLITS = ["report", "tune", "train", "tune", "report", "report"]
EXAMPLES = Examples(
    name="task",
    ids=tuple("abcdef"),
    images_NHW=np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2),
    labels=np.array([0, 1, 0, 1, 0, 1]),
    splits_N=np.array(SPLITS),
    classes=("no", "yes"),
)
RUNS = tuple(FineTuning(rate, 12, head=0, seed=1) for rate in (0.1, 0.01))
FINE_TUNINGS = FineTunings(
    model="resnet-s0",
    weights_sha256="a" * 64,
    runs=RUNS,
    # tune, then report, each in the order of the data set
    positions_N=np.array([1, 3, 0, 4, 5]),
    log_probabilities_RNC=np.random.default_rng(0).normal(size=(2, 5, 2)).astype(np.float32),
)
SHIFTED = Shifted(
    task="digits",
    classes=("no", "yes"),
    members=(
        ShiftedMember("architectures-1", 2, "resnet-s0", {"greedy": 0.25, "single": 1.0}),
        ShiftedMember("more-heads", 0, "resnet-s0", {"heads": 1.0}),
    ),
    versions=(("none", 0), ("noise", 1), ("noise", 2)),
    log_probabilities_RVNC=np.random.default_rng(1).normal(size=(2, 3, 4, 2)).astype(np.float32),
    labels_N=np.array([0, 1, 1, 0]),
)


def test_fine_tunings_are_read_back_as_written(tmp_path):
    write_fine_tunings(tmp_path / "x.safetensors", FINE_TUNINGS, EXAMPLES)
    read = read_fine_tunings(tmp_path / "x.safetensors", EXAMPLES)
    assert_same(read, FINE_TUNINGS)


def test_shifted_predictions_are_read_back_as_written(tmp_path):
    write_shifted(tmp_path / "x.safetensors", SHIFTED)
    assert_same(read_shifted(tmp_path / "x.safetensors"), SHIFTED)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_fine_tunings(tmp_path / name, FINE_TUNINGS, EXAMPLES)
        write_shifted(tmp_path / f"shifted-{name}", SHIFTED)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "shifted-one").read_bytes() == (tmp_path / "shifted-two").read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ids": tuple("abcdeg")}, "other examples or another order"),
        ({"labels": np.array([0, 1, 0, 1, 0, 0])}, "other images or labels"),
        ({"classes": ("yes", "no")}, "other classes"),
        ({"splits_N": np.array(SPLITS[::-1])}, "other splits"),
    ],
)
def test_fine_tunings_of_other_examples_are_refused(tmp_path, change, sentence):
    write_fine_tunings(tmp_path / "x.safetensors", FINE_TUNINGS, EXAMPLES)
    with pytest.raises(InputError, match=rf"x\.safetensors was made with {sentence}"):
        read_fine_tunings(tmp_path / "x.safetensors", dataclasses.replace(EXAMPLES, **change))


def test_missing_damaged_and_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_shifted(tmp_path / "x.safetensors")
    write_shifted(tmp_path / "x.safetensors", SHIFTED)
    with pytest.raises(InputError, match="holds no fine-tunings"):
        read_fine_tunings(tmp_path / "x.safetensors", EXAMPLES)
    content = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(content[:-9])
    with pytest.raises(InputError, match="truncated"):
        read_shifted(tmp_path / "x.safetensors")


def assert_same(one, other) -> None:
    """Every field of two dataclasses is equal, arrays too in dtype."""
    for field in dataclasses.fields(other):
        found, expected = getattr(one, field.name), getattr(other, field.name)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(found, expected, strict=True)
        else:
            assert found == expected
