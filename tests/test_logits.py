import dataclasses

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.logits import (
    OUTPUTS,
    Key,
    of_examples,
    open_logits,
    open_predictions,
    write_logits,
    write_predictions,
)

KEY = Key(
    weights_sha256="a" * 64,
    preprocessing={"size": 32, "mean": [0.5], "std": [0.5]},
    example_ids_sha256="b" * 64,
    examples_sha256="d" * 64,
    label_map=["zero", "one", "two"],
    output="logits",
    dtype="float16",
    libraries={"torch": "1.0"},
)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "features_ND": rng.normal(size=(50, 7)).astype(np.float32),
        "logits_NC": (5 * rng.normal(size=(50, 3))).astype(np.float32),
        "labels_N": rng.integers(3, size=50),
    }


@pytest.fixture
def path(tmp_path, arrays):
    write_logits(tmp_path / "model.safetensors", KEY, **arrays)
    return tmp_path / "model.safetensors"


def test_reads_back_what_was_written(path, arrays):
    logits = open_logits(path, **dataclasses.asdict(KEY))
    assert logits.key == KEY
    np.testing.assert_array_equal(logits["logits"], arrays["logits_NC"].astype(np.float16))
    np.testing.assert_array_equal(logits["features"], arrays["features_ND"].astype(np.float16))


def test_columns_come_from_the_float32_logits(path, arrays):
    logits, labels_N = open_logits(path), arrays["labels_N"]
    log_probability_NC = log_softmax(arrays["logits_NC"].astype(np.float64), axis=1)
    np.testing.assert_array_equal(logits["predicted"], arrays["logits_NC"].argmax(axis=1))
    np.testing.assert_allclose(
        logits["max_log_probability"], log_probability_NC.max(axis=1), atol=1e-6
    )
    np.testing.assert_allclose(
        logits["true_log_probability"], log_probability_NC[np.arange(50), labels_N], atol=1e-6
    )
    np.testing.assert_allclose(
        logits["logsumexp"], logsumexp(arrays["logits_NC"], axis=1), rtol=1e-6
    )
    assert {logits[name].dtype for name in ("max_log_probability", "logsumexp")} == {np.dtype("f4")}


def test_tensors_are_mapped_not_read(path):
    assert isinstance(open_logits(path)["logits"], np.memmap)


@pytest.mark.parametrize(
    ("part", "other", "named"),
    [
        ("weights_sha256", "c" * 64, "other weights"),
        ("preprocessing", {"size": 64, "mean": [0.5], "std": [0.5]}, "other preprocessing"),
        ("example_ids_sha256", "c" * 64, "another order"),
        ("examples_sha256", "c" * 64, "other images or labels"),
        ("label_map", ["one", "zero", "two"], "another label map"),
        ("output", "features", "another kind of output"),
        ("dtype", "bfloat16", "another dtype"),
        ("libraries", {"torch": "2.0"}, "other library versions"),
    ],
)
def test_refuses_by_name_what_is_not_expected(path, part, other, named):
    with pytest.raises(InputError, match=named) as refused:
        open_logits(path, **{part: other})
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_refuses_a_truncated_file(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    with pytest.raises(InputError, match="truncated"):
        open_logits(path)


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"no logits file .*nothing\.safetensors"):
        open_logits(tmp_path / "nothing.safetensors")


@pytest.fixture
def examples(arrays):
    return Examples(
        name="toy",
        ids=tuple(f"example-{i}" for i in range(50)),
        images_NHW=np.zeros((50, 2, 2), np.uint8),
        labels=arrays["labels_N"],
        splits_N=np.full(50, "report"),
        classes=tuple(KEY.label_map),
    )


def test_predictions_combine_only_on_the_same_ordered_examples(tmp_path, arrays, examples):
    key = dataclasses.replace(KEY, **of_examples(examples))
    write_logits(tmp_path / "good.safetensors", key, **arrays)
    assert list(open_predictions([tmp_path / "good.safetensors"], examples)) == ["good"]
    shuffled = dataclasses.replace(examples, ids=examples.ids[::-1])
    with pytest.raises(InputError, match=r"good\.safetensors was made with other examples"):
        open_predictions([tmp_path / "good.safetensors"], shuffled)
    redrawn = dataclasses.replace(examples, images_NHW=examples.images_NHW + 1)
    with pytest.raises(InputError, match=r"good\.safetensors was made with other images"):
        open_predictions([tmp_path / "good.safetensors"], redrawn)
    renamed = dataclasses.replace(examples, classes=("two", "one", "zero"))
    with pytest.raises(InputError, match=r"good\.safetensors was made with another label map"):
        open_predictions([tmp_path / "good.safetensors"], renamed)


def test_predictions_go_with_other_labels_of_the_same_examples_and_classes(
    tmp_path, arrays, examples
):
    key = dataclasses.replace(KEY, **of_examples(examples))
    path = tmp_path / "good.safetensors"
    write_logits(path, key, **arrays)
    labels = {"labels": np.ones((50, 3), np.uint8), "images_NHW": None, "relabels": "toy"}
    relabelled = dataclasses.replace(examples, **labels)
    assert list(open_predictions([path], relabelled)) == ["good"]
    for change in ({"ids": examples.ids[::-1]}, {"classes": ("one", "zero", "two")}):
        with pytest.raises(InputError, match=r"was made with (other examples|another label map)"):
            open_predictions([path], dataclasses.replace(relabelled, **change))


def write_holding(path, output, examples, arrays):
    """A file that holds as much as `output` says."""
    key = dataclasses.replace(KEY, **of_examples(examples), output=output)
    logits_NC = arrays["logits_NC"]
    confidence_N = log_softmax(logits_NC, axis=1).max(axis=1)
    if output == "features":
        write_logits(path, key, arrays["features_ND"])
        return
    write_predictions(
        path,
        dataclasses.replace(key, dtype="float32"),
        logits_NC.argmax(axis=1),
        confidence_N if output == "confidences" else None,
        logits_NC if output == "logits" else None,
        examples.labels,
    )


@pytest.mark.parametrize("held", range(4))
@pytest.mark.parametrize("least", range(1, 4))
def test_predictions_hold_at_least_what_is_asked_for(tmp_path, arrays, examples, held, least):
    path = tmp_path / "mine.safetensors"
    write_holding(path, OUTPUTS[held], examples, arrays)
    if held >= least:
        (logits,) = open_predictions([path], examples, least=OUTPUTS[least]).values()
        np.testing.assert_array_equal(logits["predicted"], arrays["logits_NC"].argmax(axis=1))
        assert logits["predicted"].dtype == np.int32
        assert ("max_log_probability" in logits.tensors) == (held >= 2)
        assert ("logits" in logits.tensors) == (held == 3)
    else:
        sentence = f"{OUTPUTS[held]} alone, and {OUTPUTS[least]} are needed"
        with pytest.raises(InputError, match=rf"mine\.safetensors holds {sentence}"):
            open_predictions([path], examples, least=OUTPUTS[least])


def test_imported_logits_keep_float32_and_have_the_same_columns(tmp_path, arrays, examples):
    path = tmp_path / "mine.safetensors"
    write_holding(path, "logits", examples, arrays)
    (imported,) = open_predictions([path], examples).values()
    np.testing.assert_array_equal(imported["logits"], arrays["logits_NC"])
    write_logits(tmp_path / "own.safetensors", KEY, **arrays)
    own = open_logits(tmp_path / "own.safetensors")
    assert own.tensors.keys() - imported.tensors.keys() == {"features"}
    for column in ("predicted", "max_log_probability", "true_log_probability", "logsumexp"):
        np.testing.assert_array_equal(imported[column], own[column])


def test_probabilities_are_kept_as_given(tmp_path, arrays, examples):
    # A row that sums to 0.9995, by rounding.
    given_NC = np.exp(log_softmax(arrays["logits_NC"].astype(float), axis=1)) * 0.9995
    log_NC = np.log(given_NC).astype(np.float32)
    path = tmp_path / "mine.safetensors"
    highest_N = np.log(given_NC.max(axis=1))
    write_predictions(path, KEY, given_NC.argmax(axis=1), highest_N, log_NC, examples.labels)
    stored = open_logits(path)
    np.testing.assert_array_equal(stored["max_log_probability"], highest_N.astype(np.float32))
    true_N = log_NC[np.arange(50), examples.labels]
    np.testing.assert_array_equal(stored["true_log_probability"], true_N)
    np.testing.assert_allclose(stored["logsumexp"], np.log(0.9995), atol=1e-6)


def test_several_accepted_classes_have_no_one_true_probability(tmp_path, arrays, examples):
    several = dataclasses.replace(examples, labels=np.ones((50, 3), np.uint8))
    for output in ("confidences", "logits"):
        path = tmp_path / f"{output}.safetensors"
        write_holding(path, output, several, arrays)
        assert "true_log_probability" not in open_logits(path).tensors
