import dataclasses

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from dissent.commandline import InputError
from dissent.dropout_runs import Run, columns, read_runs, reported_positions, write_runs
from made_dropout_runs import grid, made_examples, made_runs

EXAMPLES = made_examples()
PROBE = Run(0.5, 0.1, 1e-3, 1.0, 0, kind="probe", width=2)
RUNS = made_runs(EXAMPLES, "print", [*grid((0, 0.9)), PROBE])


def test_runs_are_read_back_as_written(tmp_path):
    write_runs(tmp_path / "x.safetensors", RUNS, EXAMPLES)
    read = read_runs(tmp_path / "x.safetensors", EXAMPLES)
    for field in dataclasses.fields(RUNS):
        found, expected = getattr(read, field.name), getattr(RUNS, field.name)
        if isinstance(expected, np.ndarray):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
        else:
            assert found == expected


def test_the_same_runs_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_runs(tmp_path / name, RUNS, EXAMPLES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_reported_are_the_report_split_of_the_others_then_the_unseen_domain():
    positions = reported_positions(EXAMPLES, "print")
    domains = np.array(EXAMPLES.groups)[positions]
    unseen = domains == "print"
    others = [domain for domain in dict.fromkeys(EXAMPLES.groups) if domain != "print"]
    assert list(dict.fromkeys(domains)) == [*others, "print"]
    assert set(EXAMPLES.splits_N[positions[~unseen]]) == {"report"}
    assert set(EXAMPLES.splits_N[positions[unseen]]) == {"train", "tune", "report"}
    assert len(set(positions)) == len(positions)


@pytest.mark.parametrize("scale", [1, 1e4])
def test_columns_are_those_of_the_softmax(scale):
    rng = np.random.default_rng(0)
    logits_NC, labels_N = scale * rng.normal(size=(30, 5)), rng.integers(5, size=30)
    predicted_N, true_N, confidence_N = columns(logits_NC.astype(np.float32), labels_N)
    probability_NC = softmax(logits_NC, axis=1)
    assert predicted_N.tolist() == probability_NC.argmax(axis=1).tolist()
    expected = log_softmax(logits_NC, axis=1)[np.arange(30), labels_N]
    np.testing.assert_allclose(true_N, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(confidence_N, probability_NC.max(axis=1), rtol=1e-4)


SWAPPED = {"tune": "report", "report": "tune"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": tuple(f"other-{id_}" for id_ in EXAMPLES.ids)}, "other examples"),
        ({"labels": np.roll(EXAMPLES.labels, 1)}, "other images or labels"),
        ({"classes": ("a", "b", "d")}, "other classes"),
        (
            {"splits_N": np.array([SWAPPED.get(split, split) for split in EXAMPLES.splits_N])},
            "other splits or domains",
        ),
        (
            {"groups": tuple(name.replace("print", "paper") for name in EXAMPLES.groups)},
            "has no domain 'print'",
        ),
    ],
    ids=["ids", "content", "classes", "splits", "domain"],
)
def test_runs_of_other_data_are_refused(change, message, tmp_path):
    write_runs(tmp_path / "x.safetensors", RUNS, EXAMPLES)
    with pytest.raises(InputError, match=message):
        read_runs(tmp_path / "x.safetensors", dataclasses.replace(EXAMPLES, **change))


def test_there_has_to_be_a_file(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_runs(tmp_path / "x.safetensors", EXAMPLES)
