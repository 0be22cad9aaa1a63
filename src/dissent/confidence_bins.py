"""How far confidence is from accuracy, in bins of equal confidence."""

import numpy as np


def confidence_calibration_error(
    confidence_N: np.ndarray, correct_N: np.ndarray, n_bins: int = 15
) -> float:
    """Mean gap between top-label confidence and accuracy over bins (low, high] of equal width.

    Each bin weighs as many examples as it holds (Guo et al. 2017).
    """
    gap_B = np.bincount(confidence_bin(confidence_N, n_bins), weights=confidence_N - correct_N)
    return float(np.abs(gap_B).sum() / len(correct_N))


def confidence_bin(confidence_N: np.ndarray, n_bins: int) -> np.ndarray:
    """Number of each example's bin (low, high] of equal width, 1 to n_bins, int [N]."""
    edges = np.linspace(0, 1, n_bins + 1)
    return np.searchsorted(edges, confidence_N, side="left").clip(1, n_bins)
