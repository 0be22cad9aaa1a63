import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dissent.published import IMAGES
from dissent.soups import AXES, SHIFTED, gain, mean_accuracy, normal_interval, soup_table


def results(models, **accuracies):
    rng = np.random.default_rng(len(models))
    values = {name: rng.uniform(0.2, 0.9, len(models)) for name in IMAGES}
    return pd.DataFrame({"model": models} | values | accuracies)


@pytest.fixture
def tables():
    return {
        "individual": results(["a", "b", "c"], ImageNet2p=[0.7, 0.8, 0.8]),
        "uniform soup": results(["u"], ImageNet2p=[0.9]),
        "greedy soup": results(["g"], ImageNet2p=[0.95]),
    }


def test_the_chosen_model_is_an_individual_and_the_first_of_the_best(tables):
    table = soup_table(tables, 0.95)
    assert table["model"].tolist() == ["a", "b", "c", "u", "g"]
    assert table["kind"].tolist() == ["individual"] * 3 + ["uniform soup", "greedy soup"]
    assert table["model"][table["chosen"]].tolist() == ["b"]
    np.testing.assert_allclose(table["shifted"], table[list(SHIFTED)].mean(axis=1))


@pytest.mark.parametrize("axis", AXES)
def test_standard_errors_are_the_spread_of_other_draws_of_images(tables, axis):
    table = soup_table(tables, 0.95)
    rng = np.random.default_rng(0)
    sizes = [IMAGES[name] for name in AXES[axis]]
    accuracy_KS = table[list(AXES[axis])].to_numpy()
    drawn_RK = (rng.binomial(sizes, accuracy_KS, (4000, *accuracy_KS.shape)) / sizes).mean(axis=2)
    mean_K, error_K = mean_accuracy(table, AXES[axis])
    np.testing.assert_allclose(error_K, drawn_RK.std(axis=0), rtol=0.05)
    np.testing.assert_allclose(mean_K, table[axis])
    half_K = (table[f"{axis}_high"] - table[f"{axis}_low"]) / 2
    np.testing.assert_allclose(half_K, 1.959964 * error_K, rtol=1e-6)


def test_the_gain_is_over_the_chosen_model(tables):
    table = soup_table(tables, 0.9)
    for axis in AXES:
        value, low, high = gain(table, "greedy soup", axis, 0.9)
        places = table.set_index("model")[axis]
        assert value == pytest.approx(places["g"] - places["b"])
        errors = mean_accuracy(table.set_index("model").loc[["g", "b"]], AXES[axis])[1]
        expected = stats.norm.interval(0.9, value, np.sqrt((errors**2).sum()))
        assert (low, high) == pytest.approx(expected)


def test_a_normal_interval_is_near_the_exact_binomial_one():
    exact = stats.binomtest(40_500, 50_000).proportion_ci(0.95)
    error = np.sqrt(0.81 * 0.19 / 50_000)
    assert normal_interval(0.81, error, 0.95) == pytest.approx((exact.low, exact.high), abs=1e-4)
