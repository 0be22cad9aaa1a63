import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dissent import ensembles
from dissent.commandline import InputError
from dissent.pairwise import all_pairs, pair_counts

counts_222 = arrays(np.int64, (2, 2, 2), elements=st.integers(0, 40)).filter(lambda c: c.sum() > 0)


def loop_counts(logits, predicted_MN, labels_N, temperatures_M, rule, pairs_P2):
    """Every sum of every pair in full, one example after the other; softmax of the module."""
    counts = np.zeros((len(pairs_P2), 2, 2, 2), dtype=int)
    for p, (i, j) in enumerate(pairs_P2):
        first_NC, second_NC = (
            ensembles.scaled_logits(logits[m], temperatures_M[m]) for m in (i, j)
        )
        if rule == "mean_probability":
            first_NC, second_NC = ensembles.softmax(first_NC), ensembles.softmax(second_NC)
        for n, label in enumerate(labels_N):
            first, second = predicted_MN[i, n], predicted_MN[j, n]
            chosen = first if first == second else np.argmax(first_NC[n] + second_NC[n])
            counts[p, int(first == label), int(second == label), int(chosen == label)] += 1
    return counts


def loop_most_confident(confidence_MN, correct_MN, pairs_P2):
    counts = np.zeros((len(pairs_P2), 2, 2, 2), dtype=int)
    for p, (i, j) in enumerate(pairs_P2):
        for n in range(correct_MN.shape[1]):
            surer = i if confidence_MN[i, n] >= confidence_MN[j, n] else j
            counts[p, *(int(correct_MN[m, n]) for m in (i, j, surer))] += 1
    return counts


def zoo(seed, n_models=5, n_examples=70, n_classes=40, spread=2.0):
    """Arguments of ensemble_counts but the rule; float16 has other largest classes here and there.

    Its steps are made as coarse as 1/4 for that.
    """
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, n_classes, n_examples)
    shared_NC = rng.normal(0, spread, (n_examples, n_classes)) + 4 * np.eye(n_classes)[labels_N]
    own_MNC = rng.normal(0, spread / 2, (n_models, n_examples, n_classes))
    logits_MNC = shared_NC + own_MNC
    stored = list((4 * logits_MNC).round().astype(np.float16) / 4)
    return stored, logits_MNC.argmax(axis=2), labels_N, rng.uniform(0.5, 2, n_models)


@pytest.fixture(params=["mean_probability", "mean_logit"])
def rule(request):
    return request.param


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(ensembles, "TILE_ELEMENTS", 5 * 40 * 16)
    monkeypatch.setattr(ensembles, "PAIR_ELEMENTS", 3 * 16)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("n_classes", [1, 2, 3, 10, 33, 101])
def test_counts_equal_the_full_sums(rule, n_classes):
    given = zoo(n_classes, n_classes=n_classes)
    np.testing.assert_array_equal(
        ensembles.ensemble_counts(*given, rule), loop_counts(*given, rule, all_pairs(5))
    )


@settings(max_examples=150)
@given(
    st.integers(0, 2**32),
    st.integers(1, 80),
    st.sampled_from([[0.0], [0, 1], [0, 1, 1.001], [0, 6e-8, 1.2e-7, 2.4e-7], [-60, 0, 60]]),
)
def test_counts_equal_the_full_sums_with_ties_everywhere(seed, n_classes, values):
    rng = np.random.default_rng(seed)
    logits = list(rng.choice(np.array(values, np.float16), (3, 6, n_classes)))
    labels_N = rng.integers(0, n_classes, 6)
    predicted_MN = np.where(
        rng.random((3, 6)) < 0.5, np.argmax(logits, axis=2), rng.integers(0, n_classes, (3, 6))
    )
    temperatures_M = rng.choice([0.5, 1, 1.7], 3)
    for rule in ("mean_probability", "mean_logit"):
        given = logits, predicted_MN, labels_N, temperatures_M, rule
        counts = ensembles.ensemble_counts(*given)
        np.testing.assert_array_equal(counts, loop_counts(*given, all_pairs(3)))
        np.testing.assert_array_equal(counts.sum(axis=3), pair_counts(predicted_MN == labels_N))
        np.testing.assert_allclose(ensembles.identity_residual(counts), 0, atol=1e-12)


@pytest.mark.parametrize("n_classes", [5, 71])
def test_a_class_neither_member_predicts_can_win_wherever_it_stands(n_classes):
    """Class 0 is true and what the first predicts, 1 what the second does; a third outdoes both."""
    third_N = np.arange(2, n_classes)
    row_N = np.arange(len(third_N))
    first_NC = np.full((len(third_N), n_classes), -9.0)
    second_NC = first_NC.copy()
    first_NC[:, 0], second_NC[:, 0], second_NC[:, 1] = 1, -8, 1
    first_NC[row_N, third_N] = second_NC[row_N, third_N] = 0.9
    labels_N = np.zeros(len(third_N), int)
    predicted_2N = np.array([labels_N, labels_N + 1])
    for rule in ("mean_probability", "mean_logit"):
        logits = [first_NC, second_NC]
        counts = ensembles.ensemble_counts(logits, predicted_2N, labels_N, [1, 1], rule)
        assert counts[0, 1, 0].tolist() == [len(third_N), 0]


@pytest.mark.parametrize(("predicted", "right"), [(0, 1), (1, 0)])
def test_what_both_members_predict_stands_although_float16_puts_another_class_first(
    rule, predicted, right
):
    """The true class is 0; as stored, classes 0 and 1 are equal or the other one is larger."""
    for stored in ([0.5, 0.5], [0.25, 0.5] if predicted == 0 else [0.5, 0.25]):
        logits = np.tile(np.float16(stored), (2, 1, 1))
        predicted_21 = np.full((2, 1), predicted)
        counts = ensembles.ensemble_counts(logits, predicted_21, np.array([0]), [1, 1], rule)
        assert counts[0, right, right, right] == 1


def test_counts_agree_with_scipy_in_double_precision():
    logits, predicted_MN, labels_N, temperatures_M = zoo(0, n_examples=400)
    scaled_MNC = np.stack(logits).astype(np.float64) / temperatures_M[:, None, None]
    probability_MNC = scipy.special.softmax(scaled_MNC, axis=2)
    for i, j in all_pairs(5):
        predicted = {
            "mean_probability": (probability_MNC[i] + probability_MNC[j]).argmax(axis=1),
            "mean_logit": (scaled_MNC[i] + scaled_MNC[j]).argmax(axis=1),
        }
        agree_N = predicted_MN[i] == predicted_MN[j]
        for rule, predicted_N in predicted.items():
            counts = ensembles.ensemble_counts(
                logits, predicted_MN, labels_N, temperatures_M, rule, np.array([[i, j]])
            )
            right_N = np.where(agree_N, predicted_MN[i], predicted_N) == labels_N
            assert ensembles.ensemble_accuracy(counts)[0] == pytest.approx(right_N.mean())


def test_pair_prediction_makes_the_ensembles_of_the_counts(rule):
    logits, predicted_MN, labels_N, temperatures_M = zoo(3)
    pairs_P2 = all_pairs(len(logits))
    expected = loop_counts(logits, predicted_MN, labels_N, temperatures_M, rule, pairs_P2)
    for pair, counts in zip(pairs_P2, expected, strict=True):
        members = (ensembles.scaled_logits(logits[m], temperatures_M[m]) for m in pair)
        found_N = ensembles.pair_prediction(*members, predicted_MN[pair], rule)
        assert (found_N == labels_N).sum() == counts[..., 1].sum()


def test_members_are_right_where_their_given_predictions_are(rule):
    logits, predicted_MN, labels_N, temperatures_M = zoo(3)
    correct_MN = predicted_MN == labels_N
    assert (correct_MN != (np.argmax(logits, axis=2) == labels_N)).any()
    counts = ensembles.ensemble_counts(logits, predicted_MN, labels_N, temperatures_M, rule)
    np.testing.assert_array_equal(counts.sum(axis=3), pair_counts(correct_MN))
    np.testing.assert_allclose(ensembles.identity_residual(counts), 0, atol=1e-12)


def test_given_pairs_keep_their_order(rule):
    given = zoo(4)
    pairs_P2 = np.array([[4, 1], [2, 2], [0, 3]])
    np.testing.assert_array_equal(
        ensembles.ensemble_counts(*given, rule, pairs_P2), loop_counts(*given, rule, pairs_P2)
    )


@given(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.sampled_from([[0.5], [0.5, 1], [1, np.nextafter(np.float32(1), 0)], np.arange(100) / 99]),
)
def test_most_confident_counts_equal_a_loop(seed, n_examples, values):
    rng = np.random.default_rng(seed)
    confidence_MN = rng.choice(np.float32(values), (4, n_examples))
    correct_MN = rng.random((4, n_examples)) < 0.6
    found = ensembles.most_confident_counts(confidence_MN, correct_MN)
    expected = loop_most_confident(confidence_MN, correct_MN, all_pairs(4))
    np.testing.assert_array_equal(found, expected)
    assert (found[:, 0, 0, 1] == 0).all()
    np.testing.assert_allclose(ensembles.identity_residual(found), 0, atol=1e-12)


def test_most_confident_counts_of_given_pairs_keep_their_order():
    rng = np.random.default_rng(4)
    given = rng.integers(0, 4, (5, 70)) / 4, rng.random((5, 70)) < 0.6
    pairs_P2 = np.array([[4, 1], [2, 2], [1, 4], [0, 3]])
    np.testing.assert_array_equal(
        ensembles.most_confident_counts(*given, pairs_P2), loop_most_confident(*given, pairs_P2)
    )


def test_most_confident_follows_the_first_model_on_a_tie():
    pairs_P2 = np.array([[0, 1], [1, 0]])
    correct_21 = np.array([[True], [False]])
    counts = ensembles.most_confident_counts(np.full((2, 1), 0.7), correct_21, pairs_P2)
    assert counts[0, 1, 0, 1] == 1
    assert counts[1, 0, 1, 0] == 1


def test_most_confident_takes_confidences_of_the_same_answers():
    with pytest.raises(ValueError, match="confidences"):
        ensembles.most_confident_counts(np.ones((2, 3)), np.ones((2, 4), bool))


class Slices:
    """Stands for a file: hands out a few rows at a time and remembers how many."""

    def __init__(self, array_NC):
        self.array_NC, self.shape, self.lengths = array_NC, array_NC.shape, []

    def __getitem__(self, rows: slice):
        part = self.array_NC[rows]
        self.lengths.append(len(part))
        return part


@pytest.mark.usefixtures("small_parts")
def test_every_file_is_read_once_and_a_few_rows_at_a_time(rule):
    logits, *others = zoo(5)
    files = [Slices(array_NC) for array_NC in logits]
    counts = ensembles.ensemble_counts(files, *others, rule)
    np.testing.assert_array_equal(counts, ensembles.ensemble_counts(logits, *others, rule))
    for file in files:
        assert sum(file.lengths) == 70
        assert max(file.lengths) <= 16


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(rule, bad):
    logits, *others = zoo(6)
    logits[2][9, 3] = bad
    with pytest.raises(InputError, match="model 3 of 5"):
        ensembles.ensemble_counts(logits, *others, rule)


def test_arguments_that_do_not_fit_are_refused():
    logits, predicted_MN, labels_N, temperatures_M = zoo(7)
    for changed, message in (
        ((predicted_MN, labels_N[:-1], temperatures_M, "mean_logit"), "labels"),
        ((predicted_MN, labels_N - 40, temperatures_M, "mean_logit"), "labels"),
        ((predicted_MN[:, 1:], labels_N, temperatures_M, "mean_logit"), "predictions"),
        ((predicted_MN, labels_N, temperatures_M[:-1], "mean_logit"), "temperatures"),
        ((predicted_MN, labels_N, temperatures_M, "most_confident"), "rule"),
    ):
        with pytest.raises(ValueError, match=message):
            ensembles.ensemble_counts(logits, *changed)
    with pytest.raises(ValueError, match="rule"):
        ensembles.pair_prediction(*logits[:2], predicted_MN[:2], "most_confident")


def test_measures_of_a_worked_example():
    """20 examples: 8 both right, 4 + 2 one right (3 + 1 converted), 6 both wrong (1 rescued)."""
    counts = np.zeros((2, 2, 2), dtype=int)
    counts[1, 1] = 0, 8
    counts[1, 0] = 1, 3
    counts[0, 1] = 1, 1
    counts[0, 0] = 5, 1
    assert ensembles.member_accuracies(counts) == (0.6, 0.5)
    assert ensembles.ensemble_accuracy(counts) == pytest.approx(13 / 20)
    assert ensembles.ensemble_gain(counts) == pytest.approx(0.10)
    assert ensembles.conversion_rate(counts) == pytest.approx(4 / 6)
    assert ensembles.rescue_fraction(counts) == pytest.approx(1 / 6)
    assert ensembles.identity_residual(counts) == pytest.approx(0)


def test_rates_of_no_examples_are_nan_and_the_identity_still_holds():
    counts = np.zeros((2, 2, 2), dtype=int)
    counts[1, 1, 1] = 5
    assert np.isnan(ensembles.conversion_rate(counts))
    assert np.isnan(ensembles.rescue_fraction(counts))
    assert ensembles.identity_residual(counts) == pytest.approx(0)


@given(counts_222)
def test_identity_fails_by_exactly_what_both_had_right_and_the_ensemble_lost(counts):
    lost = counts[1, 1, 0] / counts.sum()
    assert ensembles.identity_residual(counts) == pytest.approx(-lost, abs=1e-12)


@given(counts_222)
def test_measures_do_not_depend_on_which_model_is_first(counts):
    swapped = counts.swapaxes(0, 1)
    for measure in (
        ensembles.ensemble_accuracy,
        ensembles.ensemble_gain,
        ensembles.conversion_rate,
        ensembles.rescue_fraction,
    ):
        np.testing.assert_allclose(measure(counts), measure(swapped))
        assert np.isnan(measure(counts)) or -1 <= measure(counts) <= 1


@given(arrays(np.float32, (3, 6), elements=st.floats(-80, 80, width=32)), st.floats(0.2, 5))
def test_softmax_matches_scipy(logits_NC, temperature):
    found_NC = ensembles.softmax(ensembles.scaled_logits(logits_NC, temperature))
    expected_NC = scipy.special.softmax(logits_NC.astype(np.float64) / temperature, axis=1)
    np.testing.assert_allclose(found_NC, expected_NC, rtol=2e-4, atol=1e-7)
