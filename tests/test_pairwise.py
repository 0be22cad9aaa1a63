import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import pdist
from sklearn.metrics import accuracy_score, cohen_kappa_score, matthews_corrcoef

from dissent import pairwise

counts_22 = arrays(np.int64, (2, 2), elements=st.integers(0, 60)).filter(lambda c: c.sum() > 0)


@pytest.fixture(scope="module")
def correct_MN():
    rng = np.random.default_rng(0)
    difficulty_N = rng.random(500)
    return rng.random((6, 500)) < difficulty_N


@given(st.data(), st.integers(1, 8), st.integers(2, 5))
def test_right_is_any_accepted_class(data, n, n_classes):
    class_N = st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)
    predicted_N = np.array(data.draw(class_N), np.int32)
    accepted = data.draw(st.lists(st.sets(st.integers(0, n_classes - 1)), min_size=n, max_size=n))
    labels_NC = np.array([[k in some for k in range(n_classes)] for some in accepted], np.uint8)
    found_N = pairwise.is_right(predicted_N, labels_NC)
    assert found_N.dtype == bool
    assert found_N.tolist() == [k in some for k, some in zip(predicted_N, accepted, strict=True)]
    # One accepted class is one label.
    label_N = np.array(data.draw(class_N))
    alone_N = pairwise.is_right(predicted_N, np.eye(n_classes, dtype=np.uint8)[label_N])
    np.testing.assert_array_equal(pairwise.is_right(predicted_N, label_N), alone_N)
    assert alone_N.mean() == pytest.approx(accuracy_score(label_N, predicted_N))


def test_counts_match_a_loop_over_examples(correct_MN):
    counts_P22 = pairwise.pair_counts(correct_MN)
    for counts_22, (i, j) in zip(counts_P22, pairwise.all_pairs(6), strict=True):
        expected_22 = np.zeros((2, 2), dtype=int)
        for first, second in zip(correct_MN[i], correct_MN[j], strict=True):
            expected_22[int(first), int(second)] += 1
        np.testing.assert_array_equal(counts_22, expected_22)


def test_counts_of_given_pairs_keep_their_order(correct_MN):
    every = pairwise.pair_counts(correct_MN)
    some = pairwise.pair_counts(correct_MN, np.array([[5, 0], [2, 2]]))
    position = [tuple(pair) for pair in pairwise.all_pairs(6)].index((0, 5))
    np.testing.assert_array_equal(some[0], every[position].T)
    right = correct_MN[2].sum()
    np.testing.assert_array_equal(some[1], [[500 - right, 0], [0, right]])


def test_counts_stay_exact_beyond_the_integers_of_float32():
    correct_MN = np.ones((2, 2**24 + 3), dtype=bool)
    np.testing.assert_array_equal(pairwise.pair_counts(correct_MN), [[[0, 0], [0, 2**24 + 3]]])


def test_counts_refuse_anything_but_booleans():
    with pytest.raises(ValueError, match="boolean"):
        pairwise.pair_counts(np.array([[0, 2], [1, 1]]))


def test_measures_match_scipy_and_scikit_learn(correct_MN):
    counts_P22 = pairwise.pair_counts(correct_MN)
    np.testing.assert_allclose(
        pairwise.error_inconsistency(counts_P22), pdist(correct_MN, "hamming")
    )
    np.testing.assert_allclose(
        pairwise.q_statistic(counts_P22), 1 - pdist(correct_MN, "yule"), atol=1e-12
    )
    pairs = pairwise.all_pairs(6)
    np.testing.assert_allclose(
        pairwise.error_consistency(counts_P22),
        [cohen_kappa_score(correct_MN[i], correct_MN[j]) for i, j in pairs],
    )
    np.testing.assert_allclose(
        pairwise.phi(counts_P22),
        [matthews_corrcoef(correct_MN[i], correct_MN[j]) for i, j in pairs],
    )
    np.testing.assert_allclose(
        pairwise.double_fault(counts_P22),
        [(~(correct_MN[i] | correct_MN[j])).mean() for i, j in pairs],
    )


@pytest.mark.parametrize(("accuracy", "level"), [(74, 0.385), (76, 0.365), (78, 0.343)])
def test_chance_level_of_error_inconsistency(accuracy, level):
    """The levels in 74/74, 76/76 and 78/78 of the paper's accuracy window, to three digits."""
    right, wrong = accuracy, 100 - accuracy
    independent_22 = np.outer([wrong, right], [wrong, right])
    assert pairwise.expected_error_inconsistency(independent_22) == pytest.approx(level, abs=5e-4)
    assert pairwise.error_inconsistency(independent_22) == pytest.approx(level, abs=5e-4)
    assert pairwise.error_consistency(independent_22) == pytest.approx(0)
    assert pairwise.q_statistic(independent_22) == pytest.approx(0)


def test_undefined_is_nan_and_perfect_agreement_has_kappa_one():
    always_right_22 = np.array([[0, 0], [0, 9]])
    assert pairwise.error_consistency(always_right_22) == 1
    assert np.isnan(pairwise.q_statistic(always_right_22))
    assert np.isnan(pairwise.phi(always_right_22))
    nothing_22 = np.zeros((2, 2), dtype=int)
    for measure in (
        pairwise.error_inconsistency,
        pairwise.error_consistency,
        pairwise.double_fault,
    ):
        assert np.isnan(measure(nothing_22))


@given(counts_22)
def test_measures_are_symmetric_and_in_range(counts_22):
    for measure in pairwise.MEASURES:
        value = measure(counts_22)
        np.testing.assert_allclose(value, measure(counts_22.T), rtol=1e-12)
        low = -1 if measure.__name__ in {"error_consistency", "q_statistic", "phi"} else 0
        assert np.isnan(value) or low - 1e-12 <= value <= 1 + 1e-12


@given(counts_22)
def test_inconsistency_and_consistency_are_complements(counts_22):
    assert pairwise.error_inconsistency(counts_22) == pytest.approx(
        1 - pairwise.observed_consistency(counts_22)
    )
    assert pairwise.expected_error_inconsistency(counts_22) == pytest.approx(
        1 - pairwise.expected_consistency(counts_22)
    )


def test_disagreement_matches_scipy():
    predicted_MN = np.random.default_rng(1).integers(0, 4, (5, 200))
    np.testing.assert_allclose(
        pairwise.disagreement(predicted_MN), pdist(predicted_MN, "hamming"), rtol=1e-12
    )


def test_pair_table_names_models_and_agrees_with_the_measures(correct_MN):
    models = [f"m{i}" for i in range(6)]
    predicted_MN = np.where(correct_MN, 3, 1)
    table = pairwise.pair_table(models, correct_MN, predicted_MN, np.array([[4, 1], [0, 3]]))
    assert table[["model1", "model2"]].to_numpy().tolist() == [["m4", "m1"], ["m0", "m3"]]
    assert (table["n"] == 500).all()
    np.testing.assert_allclose(table["accuracy1"], correct_MN[[4, 0]].mean(axis=1))
    np.testing.assert_allclose(table["accuracy2"], correct_MN[[1, 3]].mean(axis=1))
    np.testing.assert_allclose(
        table["error_inconsistency"],
        [(correct_MN[4] != correct_MN[1]).mean(), (correct_MN[0] != correct_MN[3]).mean()],
    )
    np.testing.assert_allclose(table["disagreement"], table["error_inconsistency"])
    counts = table[["both_right", "only_1_right", "only_2_right", "both_wrong"]]
    assert (counts.sum(axis=1) == 500).all()
