import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from dissent.bootstrap import percentile_interval
from dissent.pairwise import error_consistency, pair_counts
from dissent.relations import base_pair_measures, resample_models, spearman_rows


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    return {
        "base_correct_N": rng.random(300) < 0.7,
        "correct_PN": rng.random((4, 300)) < 0.7,
        "ensemble_correct_PN": rng.random((4, 300)) < 0.75,
        "angle_PN": rng.uniform(0, 90, (4, 300)),
    }


def test_first_row_is_the_sample_itself(sample):
    measures = base_pair_measures(**sample, n_resamples=3, rng=np.random.default_rng(0))
    base_N = sample["base_correct_N"]
    for p in range(4):
        other_N, ensemble_N = sample["correct_PN"][p], sample["ensemble_correct_PN"][p]
        angle_N, differ_N = sample["angle_PN"][p], base_N != other_N
        expected = {
            "error_inconsistency": differ_N.mean(),
            "error_consistency": cohen_kappa_score(base_N, other_N),
            "ensemble_gain": ensemble_N.mean() - (base_N.mean() + other_N.mean()) / 2,
            "conversion_rate": ensemble_N[differ_N].mean(),
            "specialisation": angle_N[base_N & ~other_N].mean() - angle_N[other_N & ~base_N].mean(),
        }
        for name, value in expected.items():
            assert measures[name][0, p] == pytest.approx(value)


def specialisation(angle_N, correct1_N, correct2_N):
    angle_1N, correct2_1N = np.atleast_2d(angle_N, correct2_N)
    measures = base_pair_measures(
        correct1_N, correct2_1N, correct2_1N, angle_1N, 0, np.random.default_rng(0)
    )
    return measures["specialisation"][0, 0]


def test_specialisation_of_a_worked_example():
    angle_N = np.array([70.0, 50.0, 40.0, 20.0, 89.0])
    correct1_N = np.array([True, True, False, False, True])
    correct2_N = np.array([False, False, True, True, True])
    assert specialisation(angle_N, correct1_N, correct2_N) == pytest.approx(30)
    assert np.isnan(specialisation(angle_N, correct1_N, correct1_N))


@given(arrays(np.float64, 8, elements=st.floats(5, 85)), arrays(bool, 8), arrays(bool, 8))
def test_specialisation_does_not_depend_on_which_model_is_first(angle_N, right1_N, right2_N):
    here = specialisation(angle_N, right1_N, right2_N)
    np.testing.assert_allclose(here, specialisation(90 - angle_N, right2_N, right1_N), atol=1e-9)


def test_models_without_a_difference_are_wholly_consistent_as_in_the_table_of_all_pairs():
    right_N = np.ones(5, bool)
    measures = base_pair_measures(
        right_N, right_N[None], right_N[None], np.full((1, 5), 45.0), 0, np.random.default_rng(0)
    )
    expected = error_consistency(pair_counts(np.stack([right_N, right_N])))
    assert measures["error_consistency"][0] == expected == 1


def test_resamples_spread_as_the_standard_error_says(sample):
    measures = base_pair_measures(**sample, n_resamples=4000, rng=np.random.default_rng(1))
    rate_P = measures["error_inconsistency"][0]
    np.testing.assert_allclose(
        measures["error_inconsistency"][1:].std(axis=0),
        np.sqrt(rate_P * (1 - rate_P) / 300),
        rtol=0.06,
    )


def test_all_pairs_are_resampled_on_the_same_examples(sample):
    sample["correct_PN"][1] = sample["correct_PN"][0]
    measures = base_pair_measures(**sample, n_resamples=50, rng=np.random.default_rng(0))
    inconsistency_RP = measures["error_inconsistency"]
    np.testing.assert_array_equal(inconsistency_RP[:, 0], inconsistency_RP[:, 1])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 3))
def test_models_are_drawn_within_their_category(categories, seed):
    category_P = np.array(categories)
    index_RP = resample_models(category_P, 20, np.random.default_rng(seed))
    np.testing.assert_array_equal(index_RP[0], np.arange(len(category_P)))
    np.testing.assert_array_equal(category_P[index_RP], np.tile(category_P, (21, 1)))


def test_spearman_of_each_row():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 5, 12)).round(1)
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman_rows(first, second), expected)


def test_spearman_leaves_out_what_is_undefined():
    first = np.array([[1.0, 2, np.nan, 4], [1, 1, 1, 1]])
    second = np.array([[3.0, 1, 2, 5], [1, 2, 3, 4]])
    values = spearman_rows(first, second)
    assert values[0] == pytest.approx(stats.spearmanr([1, 2, 4], [3, 1, 5]).statistic)
    assert np.isnan(values[1])


def test_two_pairs_make_no_trend_however_often_they_are_drawn():
    first = np.array([[0.0, 4, 4, 0], [0, 4, np.nan, 0]])
    second = np.array([[0.1, 0.3, 0.3, 0.1], [0.1, 0.3, 0.2, 0.1]])
    assert np.isnan(spearman_rows(first, second)).all()
    assert spearman_rows(first[:1], np.array([[0.1, 0.3, 0.4, 0.1]])) > 0


def test_one_model_in_each_of_two_categories_has_no_interval():
    index_RP = resample_models(np.array([0, 4]), 100, np.random.default_rng(0))
    value_R = spearman_rows(np.array([0, 4])[index_RP], np.array([0.1, 0.3])[index_RP])
    assert np.isnan(percentile_interval(value_R[1:])).all()
