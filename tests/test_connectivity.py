import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dissent import connectivity
from dissent.connectivity import area, barrier, bump, convexity_gap

curves = st.integers(2, 9).flatmap(
    lambda n: arrays(float, n, elements=st.floats(0, 10, width=32).map(lambda loss: round(loss, 3)))
)
MEASURES = (barrier, convexity_gap, area, bump)


def barrier_by_loop(losses, first, last):
    """From the definition: the most by which a point of a part exceeds the mixture of its ends."""
    highest = 0.0
    for k in range(first, last + 1):
        share = (k - first) / (last - first)
        chord = (1 - share) * losses[first] + share * losses[last]
        highest = max(highest, losses[k] - chord)
    return highest


@given(curves)
def test_barrier_and_gap_from_their_definitions(losses):
    last = len(losses) - 1
    assert barrier(losses) == pytest.approx(barrier_by_loop(losses, 0, last), abs=1e-9)
    parts = [(i, j) for i in range(last) for j in range(i + 1, last + 1)]
    expected = max(barrier_by_loop(losses, i, j) for i, j in parts)
    assert convexity_gap(losses) == pytest.approx(expected, abs=1e-9)


@given(curves)
def test_area_and_bump_from_their_definitions(losses):
    shares = np.linspace(0, 1, len(losses))
    chord = (losses[0] + losses[-1]) / 2
    assert area(losses) == pytest.approx(np.trapezoid(losses, shares) - chord, abs=1e-9)
    assert bump(losses) == pytest.approx(max(losses) - max(losses[0], losses[-1]), abs=1e-12)


def test_gap_of_the_curve_that_the_paper_is_about():
    # Mean of MNLI between the clusters, as digitised: low ends hide the barrier in between.
    losses = np.array([0.481, 0.434, 0.423, 0.451, 0.495, 0.501, 0.462, 0.435, 0.449, 0.506])
    assert barrier(losses) == pytest.approx(0.006, abs=5e-4)
    assert convexity_gap(losses) == pytest.approx(0.070, abs=3e-3)


@given(curves, st.floats(-5, 5), st.floats(-5, 5))
def test_measures_of_the_reverse_and_of_a_curve_with_a_line_added(losses, slope, height):
    tilted = losses + height + slope * np.linspace(0, 1, len(losses))
    for measure in MEASURES:
        assert measure(losses[::-1]) == pytest.approx(measure(losses), abs=1e-9)
    for measure in (barrier, convexity_gap, area):
        assert measure(tilted) == pytest.approx(measure(losses), abs=1e-9)


@given(curves)
def test_a_gap_is_at_least_its_barrier_and_those_of_parts(losses):
    gap = convexity_gap(losses)
    assert gap >= barrier(losses) >= 0
    for n in range(2, len(losses)):
        assert convexity_gap(losses[:n]) <= gap
        assert convexity_gap(losses[-n:]) <= gap


@given(arrays(float, 8, elements=st.floats(0, 1)), st.floats(-3, 3))
def test_a_convex_curve_has_neither(curvatures, slope):
    losses = np.cumsum(slope + np.cumsum(curvatures))
    assert barrier(losses) == pytest.approx(0, abs=1e-9)
    assert convexity_gap(losses) == pytest.approx(0, abs=1e-9)
    assert area(losses) <= 1e-9


@given(arrays(float, (2, 3, 5), elements=st.floats(0, 5)))
def test_many_curves_are_measured_each(losses):
    for measure in MEASURES:
        each = [[measure(curve) for curve in row] for row in losses]
        np.testing.assert_allclose(measure(losses), each, atol=1e-12)


def noisy_losses(rng, n_examples, heights=(0.05, 0.2)):
    """Losses [P, G, N] whose mean has bumps of these heights, each more on some examples."""
    shares_G = np.linspace(0, 1, 7)
    bump_PG = 4 * np.outer(heights, shares_G * (1 - shares_G))
    return 0.1 + bump_PG[:, :, None] * rng.gamma(2, 0.5, (len(heights), 1, n_examples))


def test_resamples_are_means_over_examples_drawn_again(monkeypatch):
    rng = np.random.default_rng(0)
    losses_PGN = noisy_losses(rng, 30)
    together = connectivity.resampled(losses_PGN, 20, np.random.default_rng(1))
    shares_RN = connectivity.resampled_shares(30, 20, np.random.default_rng(1))
    for r, shares_N in enumerate(shares_RN):
        drawn = np.repeat(np.arange(30), np.round(30 * shares_N).astype(int))
        assert len(drawn) == 30
        curve_PG = losses_PGN[:, :, drawn].mean(axis=2)
        np.testing.assert_allclose(together["convexity_gap"][r], convexity_gap(curve_PG))
        np.testing.assert_allclose(together["barrier"][r], barrier(curve_PG))
    monkeypatch.setattr(connectivity, "RESAMPLED_ELEMENTS", 40)
    in_parts = connectivity.resampled(losses_PGN, 20, np.random.default_rng(1))
    for name, values_RP in together.items():
        np.testing.assert_allclose(in_parts[name], values_RP)


def test_intervals_over_examples_hold_the_true_extremes_of_all_pairs():
    rng = np.random.default_rng(0)
    heights = np.array([0.05, 0.2, 0.19, 0.06, 0.2])
    held = {"smallest": 0, "largest": 0}
    for _ in range(150):
        gaps = connectivity.resampled(noisy_losses(rng, 150, heights), 200, rng)["convexity_gap"]
        for name, (value, low, high) in connectivity.extremes(gaps, 0.9).items():
            assert 0 <= low <= value <= high
            held[name] += low <= {"smallest": 0.05, "largest": 0.2}[name] <= high
            assert high - low < 0.1
    assert all(n >= 0.85 * 150 for n in held.values()), held


def test_no_interval_of_extremes_where_a_network_diverged():
    losses_PGN = noisy_losses(np.random.default_rng(0), 20)
    losses_PGN[1, 2, 3] = np.nan
    values = connectivity.resampled(losses_PGN, 5, np.random.default_rng(0))
    for values_RP in values.values():
        assert np.isfinite(values_RP[:, 0]).all()
        assert np.isnan(values_RP[:, 1]).all()
        assert np.isnan(connectivity.extremes(values_RP, 0.95)["largest"]).all()
