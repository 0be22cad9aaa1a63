from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from dissent import votes
from dissent.calibration import fit_temperature
from dissent.commandline import InputError
from dissent.ensembles import ensemble_counts
from dissent.examples import Examples
from dissent.logits import Logits


def said(output, **tensors):
    return Logits(SimpleNamespace(output=output), tensors)


def scores(logits_NC, dtype=np.float32):
    predicted_N = logits_NC.argmax(axis=1).astype(np.int32)
    return said("logits", logits=logits_NC.astype(dtype), predicted=predicted_N)


def confidences(predicted_N, confidence_N):
    log_N = np.log(confidence_N).astype(np.float32)
    return said("confidences", predicted=np.int32(predicted_N), max_log_probability=log_N)


def classes(predicted_N):
    return said("classes", predicted=np.int32(predicted_N))


@given(
    st.integers(2, 7),
    st.lists(st.tuples(st.integers(0, 6), st.floats(0.001, 1)), min_size=1, max_size=9),
    st.sampled_from(["confidences", "classes"]),
)
def test_what_is_missing_is_shared_by_the_other_classes(n_classes, given_N, output):
    predicted_N = np.array([k % n_classes for k, _ in given_N])
    confidence_N = np.array([p for _, p in given_N])
    accuracy = confidence_N[0]
    if output == "confidences":
        logits = confidences(predicted_N, confidence_N)
    else:
        logits, confidence_N = classes(predicted_N), np.full(len(given_N), accuracy)
    rows = np.arange(len(given_N))[::-1]
    found = votes.completed(logits, rows, n_classes, accuracy)
    assert found.shape == (len(given_N), n_classes)
    assert found[:].dtype == np.float32
    probability_NC = np.exp(found[:].astype(np.float64))
    np.testing.assert_allclose(probability_NC.sum(axis=1), 1, rtol=1e-5)
    for place, row in enumerate(rows):
        top = min(max(confidence_N[row], 1 / n_classes), 1 - 1e-6)
        for k in range(n_classes):
            one = top if k == predicted_N[row] else (1 - top) / (n_classes - 1)
            assert probability_NC[place, k] == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_scores_are_as_stored(dtype):
    logits_NC = np.random.default_rng(0).normal(size=(6, 4))
    rows = np.array([5, 0, 3])
    found = votes.completed(scores(logits_NC, dtype), rows, 4, 0.5)
    assert found.shape == (3, 4)
    assert found[:].dtype == np.float32
    np.testing.assert_array_equal(found[:], logits_NC.astype(dtype)[rows])


@pytest.mark.parametrize(
    "logits",
    [
        scores(np.eye(4)),
        confidences([0, 3, 2, 1], [0.4, 0.9, 0.7, 0.3]),
        classes([0, 3, 2, 1]),
    ],
    ids=["scores", "confidences", "classes"],
)
@pytest.mark.parametrize("part", [slice(1, 3), np.array([2, 0]), np.array([True, False, True]), 1])
def test_a_part_is_the_part_of_the_whole(logits, part):
    found = votes.completed(logits, np.array([3, 1, 2]), 4, 0.8)
    np.testing.assert_array_equal(found[part], found[:][part])


def pair_counts(first, second, labels_N, accuracies=(0.5, 0.5)):
    rows = np.arange(len(labels_N))
    members = [
        votes.completed(logits, rows, 5, accuracy)
        for logits, accuracy in zip((first, second), accuracies, strict=True)
    ]
    predicted_2N = np.stack([first["predicted"], second["predicted"]])
    return ensemble_counts(members, predicted_2N, labels_N, [1, 1], "mean_probability")[0]


def counted(first_N, second_N, chosen_N, labels_N):
    counts = np.zeros((2, 2, 2), int)
    for first, second, chosen, label in zip(first_N, second_N, chosen_N, labels_N, strict=True):
        counts[int(first == label), int(second == label), int(chosen == label)] += 1
    return counts


def test_of_two_confidences_the_larger_wins_and_of_two_classes_the_more_accurate():
    rng = np.random.default_rng(1)
    labels_N, first_N, second_N = rng.integers(0, 5, (3, 200))
    first_p, second_p = rng.uniform(0.3, 1, (2, 200))
    chosen_N = np.where(first_p > second_p, first_N, second_N)
    np.testing.assert_array_equal(
        pair_counts(confidences(first_N, first_p), confidences(second_N, second_p), labels_N),
        counted(first_N, second_N, chosen_N, labels_N),
    )
    np.testing.assert_array_equal(
        pair_counts(classes(first_N), classes(second_N), labels_N, (0.6, 0.61)),
        counted(first_N, second_N, second_N, labels_N),
    )


@pytest.mark.parametrize("temperature", [1, 0.5, 3])
def test_confidence_is_the_largest_tempered_probability(temperature, monkeypatch):
    monkeypatch.setattr(votes, "TILE_ELEMENTS", 3 * 4)
    logits_NC = np.random.default_rng(2).normal(0, 3, (11, 4)).astype(np.float16)
    rows = np.array([10, 2, 3, 7, 0, 1, 9])
    probability_NC = scipy.special.softmax(logits_NC[rows].astype(float) / temperature, axis=1)
    found = votes.confidence(scores(logits_NC, np.float16), rows, temperature)
    np.testing.assert_allclose(found, probability_NC.max(axis=1), rtol=1e-5)


def test_a_published_confidence_stays_and_a_class_has_none():
    rows = np.array([2, 0])
    found = votes.confidence(confidences([1, 1, 1], [0.25, 0.5, 0.75]), rows)
    np.testing.assert_allclose(found, [0.75, 0.25], rtol=1e-6)
    with pytest.raises(InputError, match="classes alone have no confidence"):
        votes.confidence(classes([1, 1, 1]), rows)


@pytest.fixture
def on_halves():
    rng = np.random.default_rng(3)
    n, half = 400, 200
    labels_N = rng.integers(0, 3, n)
    # Four times too sure in the first half, rightly so in the second.
    logits_NC = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels_N]
    logits_NC[:half] *= 4
    predicted_N = np.where(np.arange(n) < half, labels_N, 0)
    predicted_N[: half // 4] = (labels_N[: half // 4] + 1) % 3
    examples = Examples("e", (), None, labels_N, np.array(["all"] * n), ("a", "b", "c"))
    predictions = {
        "scores": scores(logits_NC),
        "confidences": confidences(predicted_N, rng.uniform(0.4, 1, n)),
        "classes": classes(predicted_N),
    }
    return predictions, examples, np.arange(half), np.arange(half, n)


def test_temperature_and_accuracy_are_of_the_examples_to_choose_on(on_halves):
    predictions, examples, choose, report = on_halves
    choosing, reporting = votes.votes_on_halves(*on_halves)
    expected = fit_temperature(predictions["scores"]["logits"][choose], examples.labels[choose])
    for half, rows in ((choosing, choose), (reporting, report)):
        np.testing.assert_allclose(half.temperatures_M, [expected, 1, 1])
        np.testing.assert_array_equal(half.labels_N, examples.labels[rows])
        for m, logits in enumerate(predictions.values()):
            np.testing.assert_array_equal(half.predicted_MN[m], logits["predicted"][rows])
        # Right on three in four of the first half, whichever half is asked.
        np.testing.assert_allclose(np.exp(half.logits[2][:].max(axis=1)), 0.75, rtol=1e-6)


def test_a_temperature_of_many_scores_is_fitted_to_some_of_them(on_halves, monkeypatch):
    exact = votes.votes_on_halves(*on_halves)[0].temperatures_M[0]
    monkeypatch.setattr(votes, "TEMPERATURE_ELEMENTS", 300)
    rough = votes.votes_on_halves(*on_halves)[0].temperatures_M[0]
    predictions, examples, choose, _ = on_halves
    some = choose[::2]
    expected = fit_temperature(predictions["scores"]["logits"][some], examples.labels[some])
    assert rough == expected != exact
    assert rough == pytest.approx(exact, rel=0.2)


def test_the_model_whose_scores_are_no_numbers_is_named(on_halves):
    predictions, *others = on_halves
    predictions["scores"]["logits"][3, 1] = np.nan
    with pytest.raises(InputError, match="model 'scores': cannot fit a temperature"):
        votes.votes_on_halves(predictions, *others)
