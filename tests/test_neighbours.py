import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.neighbors import KNeighborsClassifier

from dissent import neighbours
from dissent.commandline import InputError


def loop(features_ND):
    """The nearest other example of each, one pair after the other, in float64."""
    wide_ND = features_ND.astype(np.float64)
    nearest = []
    for i, own_D in enumerate(wide_ND):
        distances = {
            j: np.square(other_D - own_D).sum() for j, other_D in enumerate(wide_ND) if j != i
        }
        nearest.append(min(distances, key=distances.get))
    return nearest


def features_of(seed, kind, n_examples=60, n_dimensions=33):
    """Features that are hard for products which round, by kind."""
    rng = np.random.default_rng(seed)
    noise_ND = rng.normal(size=(n_examples, n_dimensions))
    side_N1 = rng.choice([-1, 1], (n_examples, 1))
    return {
        "plain": noise_ND,
        "far clusters": 300 * side_N1 + noise_ND / 20,
        "far from 0": 2000 + noise_ND,
        "an outlier": np.vstack([noise_ND[1:], np.full((1, n_dimensions), 3e4)]),
        "whole numbers": noise_ND.round(),
        "few values": (noise_ND > 1.5).astype(float),
        "duplicates": noise_ND[rng.integers(0, n_examples // 4, n_examples)],
        "all the same": np.ones_like(noise_ND),
        "tiny": 1e-7 * noise_ND,
    }[kind]


KINDS = ["plain", "far clusters", "far from 0", "an outlier", "whole numbers", "few values"]
KINDS += ["duplicates", "all the same", "tiny"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_those_of_a_loop_in_float64(kind, dtype):
    features_ND = features_of(0, kind).astype(dtype)
    assert neighbours.nearest_neighbours(features_ND).tolist() == loop(features_ND)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e-22, 1e-21, 1e18, 1e30, 1e150])
def test_no_scale_is_too_large_or_too_small(scale):
    features_ND = scale * features_of(1, "plain")
    assert neighbours.nearest_neighbours(features_ND).tolist() == loop(features_ND)


def test_wide_features_far_from_0_are_centred_before_they_are_narrowed():
    features_ND = 1e8 + features_of(1, "plain")
    narrow_ND = features_ND.astype(np.float32)
    assert loop(narrow_ND) != loop(features_ND)
    contends_NN = neighbours._contends(neighbours._centred(features_ND, np.float32), slice(None))
    assert np.count_nonzero(contends_NN) < 1.2 * len(features_ND)
    assert neighbours.nearest_neighbours(features_ND).tolist() == loop(features_ND)


# Such values as tie, and as are lost beside others when products are added up.
VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1.001, 2.0, 2.0**-24, 1e-3, 1000.0, 1001.0, 6e4])


@given(
    features_ND=hnp.arrays(
        np.float16,
        st.tuples(st.integers(2, 12), st.integers(1, 5)),
        elements=VALUES.map(np.float16),
    )
)
def test_any_features_have_the_neighbours_of_a_loop(features_ND):
    assert neighbours.nearest_neighbours(features_ND).tolist() == loop(features_ND)


@pytest.mark.parametrize("few", [0, 10**6])
def test_blocks_and_both_ways_to_decide_find_the_same(monkeypatch, few):
    features_ND = np.vstack([features_of(2, kind) for kind in ("far clusters", "duplicates")])
    monkeypatch.setattr(neighbours, "BLOCK_ROWS", 7)
    monkeypatch.setattr(neighbours, "CHUNK", 3)
    # Whether float64 products are tried before the differences, or never.
    monkeypatch.setattr(neighbours, "FEW", few)
    assert neighbours.nearest_neighbours(features_ND).tolist() == loop(features_ND)


def test_rounded_products_alone_would_err():
    features_ND = features_of(3, "far clusters").astype(np.float32)
    square_N = np.square(features_ND).sum(axis=1)
    apart_NN = square_N - 2 * features_ND @ features_ND.T
    np.fill_diagonal(apart_NN, np.inf)
    assert apart_NN.argmin(axis=1).tolist() != loop(features_ND)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_always_contends(kind, dtype):
    features_ND = features_of(4, kind, n_dimensions=700).astype(np.float16)
    contends_NN = neighbours._contends(neighbours._centred(features_ND, dtype), slice(None))
    assert contends_NN[np.arange(len(features_ND)), loop(features_ND)].all()
    if kind == "plain":
        assert np.count_nonzero(contends_NN) < 1.2 * len(features_ND)


def test_accuracy_is_that_of_scikit_learn():
    rng = np.random.default_rng(5)
    labels_N = rng.integers(0, 4, 300)
    features_ND = rng.normal(size=(300, 40)) + 0.6 * rng.normal(size=(4, 40))[labels_N]
    half_ND = np.maximum(features_ND, 0).astype(np.float16)
    for given_ND in (half_ND, neighbours.normalised(half_ND)):
        model = KNeighborsClassifier(1, algorithm="brute").fit(given_ND.astype(float), labels_N)
        accuracy = neighbours.leave_one_out_accuracy(given_ND, labels_N)
        assert accuracy == model.score(None, labels_N)
        assert 0.3 < accuracy < 0.95


def test_every_finite_half_is_widened_exactly():
    half_N = np.arange(2**16, dtype=np.uint16).view(np.float16)
    half_N = half_N[np.isfinite(half_N)]
    wide_N = neighbours._widened(half_N)
    np.testing.assert_array_equal(wide_N, half_N.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(wide_N), np.signbit(half_N))


def test_normalised_features_have_length_1_or_0():
    features_ND = np.array([[3, 4], [0, 0], [-2, 0]], np.float16)
    expected_ND = [[0.6, 0.8], [0, 0], [-1, 0]]
    np.testing.assert_allclose(neighbours.normalised(features_ND), expected_ND, rtol=1e-15)


def test_features_that_are_not_finite_are_counted():
    features_ND = np.zeros((5, 3), np.float16)
    features_ND[1, 2], features_ND[4] = np.nan, np.inf
    with pytest.raises(InputError, match="2 of 5 examples are not finite"):
        neighbours.leave_one_out_accuracy(features_ND, np.zeros(5, int))


def test_one_example_has_no_neighbour():
    with pytest.raises(InputError, match="two examples or more, there is 1"):
        neighbours.nearest_neighbours(np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 0], ("cat",), "one class"),
        ([0, 0, 1], ("cat", "dog"), "1 labelled example of class 'dog'"),
        ([0, 0, 2, 2], ("cat", "dog", "eel"), "0 labelled examples of class 'dog'"),
        ([[0, 1], [1, 1]], ("cat", "dog"), "several labels"),
    ],
)
def test_labels_without_neighbours_are_refused(labels, classes, message):
    with pytest.raises(InputError, match=message):
        neighbours.check_labels(np.array(labels), classes, "pets")


def test_two_examples_of_each_class_do():
    neighbours.check_labels(np.array([0, 1, 1, 0]), ("cat", "dog"), "pets")
