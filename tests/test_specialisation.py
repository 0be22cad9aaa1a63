import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import recall_score

from dissent import specialisation

confidences = arrays(np.float32, 8, elements=st.floats(0.125, 1, width=32))


def test_angle_of_known_directions():
    angle_N = specialisation.confidence_angle(
        np.array([0.5, np.sqrt(3) / 2, 0.5, 1.0]), np.array([0.5, 0.5, np.sqrt(3) / 2, 0.0])
    )
    np.testing.assert_allclose(angle_N, [45, 60, 30, 90])


@given(confidences, confidences)
def test_angle_orders_as_the_confidences_do_and_mirrors_at_45(first_N, second_N):
    angle_N = specialisation.confidence_angle(first_N, second_N)
    np.testing.assert_array_equal(
        np.sign(np.round(angle_N - 45, 9)), np.sign(first_N - second_N) * (angle_N != 45)
    )
    np.testing.assert_allclose(angle_N + specialisation.confidence_angle(second_N, first_N), 90)


def test_group_names_say_who_is_right():
    group_N = specialisation.correctness_group(
        np.array([True, True, False, False]), np.array([True, False, True, False])
    )
    assert group_N.tolist() == ["both correct", "only 1 correct", "only 2 correct", "both wrong"]


def test_examples_of_figure_3():
    correct_MN = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 1]], dtype=bool)
    found = specialisation.any_inconsistent(correct_MN, np.array([[0, 1], [0, 2]]))
    assert found.tolist() == [False, True, False, True]
    assert specialisation.any_inconsistent(correct_MN, [[0, 1]]).tolist() == [0, 1, 0, 0]


def test_class_specialisation_matches_scikit_learn():
    rng = np.random.default_rng(0)
    labels_N = rng.choice([0, 1, 2, 5], 300)
    predicted_2N = np.where(rng.random((2, 300)) < 0.7, labels_N, (labels_N + 1) % 6)
    correct1_N, correct2_N = predicted_2N == labels_N
    table = specialisation.class_specialisation(labels_N, correct1_N, correct2_N)
    assert table["class"].tolist() == [0, 1, 2, 5]
    assert table["n"].tolist() == np.bincount(labels_N)[[0, 1, 2, 5]].tolist()
    for column, predicted_N in zip(["accuracy1", "accuracy2"], predicted_2N, strict=True):
        recall = recall_score(labels_N, predicted_N, labels=[0, 1, 2, 5], average=None)
        np.testing.assert_allclose(table[column], recall)
    np.testing.assert_allclose(
        table["accuracy_difference"], table["accuracy1"] - table["accuracy2"], atol=1e-12
    )
    in_class_5 = (predicted_2N[0] == 5) != (predicted_2N[1] == 5)
    assert table["error_inconsistency"].iloc[3] == in_class_5[labels_N == 5].mean()
