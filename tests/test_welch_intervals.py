import numpy as np
import pytest
from scipy import stats

from dissent.welch_intervals import difference_interval, t_interval
from intervals_by_hand import by_hand

RNG = np.random.default_rng(0)


def test_the_t_interval_is_that_of_scipy():
    values = RNG.normal(size=6)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert t_interval(values, 0.9) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("values", [[0.3], [0.1, 0.1, 0.1], [0.1 + 0.2, 0.3]])
def test_there_is_no_interval_without_a_spread(values):
    assert np.isnan(t_interval(values, 0.95)).all()


@pytest.mark.parametrize("n_seeds", [1, 2, 4])
@pytest.mark.parametrize("sizes", [[30], [20, 50, 9]])
def test_a_difference_and_its_interval_written_out(n_seeds, sizes):
    differences = [RNG.integers(-1, 2, (n_seeds, n)) + 0.1 for n in sizes]
    found = difference_interval(differences, 0.9)
    assert found == pytest.approx(by_hand(differences, 0.9))


def test_two_variances_alone_are_those_of_welch():
    """Two tasks without spread over seeds: half the difference of two samples, as Welch's t."""
    first, second = RNG.normal(size=12), RNG.normal(size=7)
    differences = [np.tile(first - first.mean(), (2, 1)), np.tile(second - second.mean(), (2, 1))]
    value, low, high = difference_interval(differences, 0.95)
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert value == pytest.approx(0, abs=1e-12)
    assert high - low == pytest.approx((welch.high - welch.low) / 2)


@pytest.mark.parametrize(
    "differences",
    [[np.zeros((3, 20))], [np.zeros((1, 20))], [np.ones((3, 20))], [np.array([[1.0], [0.0]])]],
    ids=["no difference", "no difference, one seed", "the same everywhere", "one image"],
)
def test_a_difference_without_spread_has_no_interval(differences):
    value, low, high = difference_interval(differences, 0.95)
    assert value == pytest.approx(np.mean(differences))
    assert np.isnan([low, high]).all()


def test_intervals_of_differences_cover_them():
    """With three seeds that matter, and errors that belong to an image, to a seed, and to both."""
    rng, covered = np.random.default_rng(3), []
    for _ in range(600):
        seed_S1, image_1N = rng.normal(0, 0.1, (3, 1)), rng.normal(0, 1, (1, 150))
        latent = seed_S1 + image_1N + rng.normal(0, 1, (3, 150))
        _, low, high = difference_interval([(latent > 1.5) * 1.0 - (latent < -1.5)], 0.95)
        covered.append(low <= 0 <= high)
    assert np.mean(covered) > 0.92
