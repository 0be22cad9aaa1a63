"""How far from convex the loss is on the straight line between the weights of two networks.

Losses [..., G] are at G points of equal distance, the first network's first. All measures are in
the unit of the loss and the same in either direction; none but the area is negative.
"""

import numpy as np

RESAMPLED_ELEMENTS = 2**24  # losses held at a time: 128 MB


def barrier(losses: np.ndarray) -> np.ndarray:
    """Most by which the loss exceeds the chord between its ends, [...].

    Entezari et al. 2022 (arXiv 2110.06296), section 2; BH of arXiv 2205.12411. 0 of a convex curve.
    """
    return _above_chord(losses).max(axis=-1)


def convexity_gap(losses: np.ndarray) -> np.ndarray:
    """Largest barrier on any part of the line, [...]: CG of arXiv 2205.12411, on the grid.

    Networks that are not minima of their line can have a barrier inside it and none between them.
    """
    n_points = losses.shape[-1]
    gap = np.asarray(barrier(losses), dtype=float)
    for first in range(n_points - 2):
        for last in range(first + 2, n_points):
            gap = np.maximum(gap, barrier(losses[..., first : last + 1]))
    return gap


def area(losses: np.ndarray) -> np.ndarray:
    """Integral over the line, of length 1, of the loss less its chord, by trapezoids, [...]."""
    return np.trapezoid(_above_chord(losses), dx=1 / (losses.shape[-1] - 1), axis=-1)


def bump(losses: np.ndarray) -> np.ndarray:
    """Largest loss on the line less that of the worse end, [...]."""
    return losses.max(axis=-1) - np.maximum(losses[..., 0], losses[..., -1])


def resampled(
    loss_PGN: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """`barrier` and `convexity_gap` of P mean curves, [1 + n_resamples, P] each.

    Row 0 is the sample itself, the others are bootstrap resamples of the examples (N), the same for
    all pairs.
    """
    n_pairs, n_points, n_examples = loss_PGN.shape
    flat_NK = loss_PGN.reshape(-1, n_examples).T.astype(np.float64)
    at_a_time = max(1, RESAMPLED_ELEMENTS // flat_NK.shape[1])
    shares_RN = resampled_shares(n_examples, n_resamples, rng)
    parts = []
    for start in range(0, len(shares_RN), at_a_time):
        curves = (shares_RN[start : start + at_a_time] @ flat_NK).reshape(-1, n_pairs, n_points)
        parts.append((barrier(curves), convexity_gap(curves)))
    barriers, gaps = zip(*parts, strict=True)
    return {"barrier": np.concatenate(barriers), "convexity_gap": np.concatenate(gaps)}


def resampled_shares(n_examples: int, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Share of each example in a bootstrap resample, [1 + R, N]; row 0 is the sample itself."""
    equal_N = np.full(n_examples, 1 / n_examples)
    counts_RN = rng.multinomial(n_examples, equal_N, size=n_resamples)
    return np.vstack([equal_N, counts_RN / n_examples])


def extremes(values_RP: np.ndarray, level: float) -> dict[str, tuple[float, float, float]]:
    """Smallest and largest of P measures, by name, with their interval over examples.

    Row 0 of the values is the sample, the others are resamples. The intervals follow from those of
    all pairs that hold at once: the extreme of many noisy values is further out than any true one,
    and the interval of the pair that happens to be it would not say so. Each pair's reaches as many
    of its standard errors as the largest deviation among all pairs does. NaN if a value is.
    """
    value_P, deviation_RP = values_RP[0], values_RP[1:] - values_RP[0]
    if np.isnan(values_RP).any() or not len(deviation_RP):
        return dict.fromkeys(("smallest", "largest"), (np.nan, np.nan, np.nan))
    error_P = deviation_RP.std(axis=0)
    errors_RP = deviation_RP / np.where(error_P > 0, error_P, 1)
    furthest = errors_RP.max(axis=1), -errors_RP.min(axis=1)
    below, above = (max(0.0, np.quantile(most_R, (1 + level) / 2)) for most_R in furthest)
    ends = value_P, np.maximum(0, value_P - below * error_P), value_P + above * error_P
    return {
        "smallest": tuple(float(end_P.min()) for end_P in ends),
        "largest": tuple(float(end_P.max()) for end_P in ends),
    }


def _above_chord(losses: np.ndarray) -> np.ndarray:
    shares_G = np.linspace(0, 1, losses.shape[-1])
    return losses - ((1 - shares_G) * losses[..., :1] + shares_G * losses[..., -1:])
