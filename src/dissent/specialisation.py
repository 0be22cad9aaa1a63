"""Which of two models is more confident, and where (No One Representation, figures 3 and 4)."""

import numpy as np
import pandas as pd

GROUPS = ("both wrong", "only 2 correct", "only 1 correct", "both correct")


def confidence_angle(confidence1_N: np.ndarray, confidence2_N: np.ndarray) -> np.ndarray:
    """Angle theta of each example in the plane of the two confidences, in degrees, float64 [N].

    theta = atan2(confidence1, confidence2): 0 to 90, 45 where the models are equally confident,
    higher where model 1 is more. The paper leaves the parametrisation open; this one is ours.
    Confidence is the largest tempered probability.
    """
    return np.degrees(
        np.arctan2(confidence1_N.astype(np.float64), confidence2_N.astype(np.float64))
    )


def correctness_group(correct1_N: np.ndarray, correct2_N: np.ndarray) -> np.ndarray:
    """Name from GROUPS of each example, by which of the two models is right, str [N]."""
    return np.array(GROUPS)[2 * correct1_N.astype(np.intp) + correct2_N]


def any_inconsistent(correct_MN: np.ndarray, pairs_P2: np.ndarray) -> np.ndarray:
    """Examples on which at least one of the pairs has exactly one model right, bool [N].

    The examples figure 3 draws.
    """
    first_P, second_P = np.asarray(pairs_P2).T
    return (correct_MN[first_P] != correct_MN[second_P]).any(axis=0)


def class_specialisation(
    labels_N: np.ndarray, correct1_N: np.ndarray, correct2_N: np.ndarray
) -> pd.DataFrame:
    """One row a class that occurs: n, both accuracies, their difference, error inconsistency."""
    table = pd.DataFrame(
        {
            "class": labels_N,
            "accuracy1": correct1_N.astype(float),
            "accuracy2": correct2_N.astype(float),
            "accuracy_difference": correct1_N.astype(float) - correct2_N,
            "error_inconsistency": (correct1_N != correct2_N).astype(float),
        }
    ).groupby("class")
    means = table.mean()
    means.insert(0, "n", table.size())
    return means.reset_index()
