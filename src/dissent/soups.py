"""Averages of fine-tuned models' weights ("soups") against the models themselves.

Model soups: Wortsman et al. 2022. Only accuracies are published, so intervals are of independent
images: binomial, by the normal approximation.
"""

import numpy as np
import pandas as pd
from scipy import stats

from dissent.published import IMAGES

CHOSEN_ON = "ImageNet2p"
SHIFTED = ("ImageNetV2", "ImageNetSketch", "ImageNetR", "ObjectNet", "ImageNetA")
# What the figure's two axes are means over.
AXES = {"ImageNet": ("ImageNet",), "shifted": SHIFTED}


def soup_table(tables: dict[str, pd.DataFrame], level: float) -> pd.DataFrame:
    """All models and soups, given by kind: accuracies, means of AXES with intervals, `chosen`.

    `chosen` is the model of kind "individual" that is best on the images kept for choosing; of
    equal ones the first.
    """
    table = pd.concat(tables, names=["kind"]).reset_index("kind").reset_index(drop=True)
    for name, sets in AXES.items():
        mean, error = mean_accuracy(table, sets)
        table[name] = mean
        table[f"{name}_low"], table[f"{name}_high"] = normal_interval(mean, error, level)
    alone = table["kind"] == "individual"
    table["chosen"] = table.index == table[CHOSEN_ON].where(alone).idxmax()
    return table


def gain(table: pd.DataFrame, soup: str, axis: str, level: float) -> tuple[float, float, float]:
    """Mean accuracy on AXES[axis] of a soup less that of the chosen model, and its interval.

    The interval takes the two models' errors for independent. They are on the same images and
    largely the same errors, so that it is wider than a paired one, which needs predictions, would
    be: it is conservative.
    """
    rows = [table[table["kind"] == soup], table[table["chosen"]]]
    (mean1, error1), (mean2, error2) = (mean_accuracy(row, AXES[axis]) for row in rows)
    difference = mean1.item() - mean2.item()
    low, high = normal_interval(difference, np.hypot(error1.item(), error2.item()), level)
    return difference, low, high


def mean_accuracy(table: pd.DataFrame, sets: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over sets of the accuracy of each row, and its standard error over images."""
    accuracy_KS = table[list(sets)].to_numpy()
    variance_KS = accuracy_KS * (1 - accuracy_KS) / [IMAGES[name] for name in sets]
    return accuracy_KS.mean(axis=1), np.sqrt(variance_KS.sum(axis=1)) / len(sets)


def normal_interval(value, error, level: float) -> tuple:
    """Lower and upper end of the normal interval of values with these standard errors."""
    reach = stats.norm.ppf((1 + level) / 2) * error
    return value - reach, value + reach
