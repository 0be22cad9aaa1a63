"""What a model says of each class, whatever its file holds: all probabilities, the largest, none.

Ensembles here are means of probabilities. A model that gives only a confidence p puts p on the
class it predicts and an equal share of the rest on each other class; a model that gives classes
alone does the same with its accuracy. So members with all probabilities are averaged softly, of two
members with confidences the more confident one wins, and classes are votes weighted by accuracy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dissent.calibration import fit_temperature
from dissent.commandline import InputError
from dissent.ensembles import scaled_logits, softmax
from dissent.examples import Examples
from dissent.logits import Logits
from dissent.progress import progress

# What a model votes with, by the `output` of its file's key; the most it may hold comes first.
VOTE_OF_OUTPUT = {"logits": "probabilities", "confidences": "confidence", "classes": "class"}
SUREST = 1 - 1e-6  # a certain member would outvote any others, and be infinitely wrong
TILE_ELEMENTS = 2**20  # examples x classes held at a time: 4 MB
# Scores a temperature is fitted to, spread over the examples: 4,000 of them with 1,000 classes give
# it to a per cent, and more take long.
TEMPERATURE_ELEMENTS = 2**22


class Votes(NamedTuple):
    """What M models say of N examples, in the order of the arguments of `ensemble_counts`.

    `logits` holds M array-likes [N, C], such as those of `completed`.
    """

    logits: Sequence
    predicted_MN: np.ndarray
    labels_N: np.ndarray
    temperatures_M: np.ndarray


@dataclass(frozen=True)
class Completed:
    """Logits [n, C] of one model on some examples, made when they are indexed: see `completed`."""

    logits: Logits
    rows: np.ndarray
    n_classes: int
    accuracy: float

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), self.n_classes

    def __getitem__(self, part) -> np.ndarray:
        rows = self.rows[part]
        if self.logits.key.output == "logits":
            return self.logits["logits"][rows].astype(np.float32)
        if self.logits.key.output == "confidences":
            top = np.exp(self.logits["max_log_probability"][rows].astype(np.float64))
        else:
            top = np.full(rows.shape, self.accuracy)
        top = np.clip(top, 1 / self.n_classes, SUREST)[..., None]
        others = np.log((1 - top) / (self.n_classes - 1), dtype=np.float32)
        values = np.repeat(others, self.n_classes, axis=-1)
        predicted = self.logits["predicted"][rows][..., None]
        np.put_along_axis(values, predicted, np.log(top, dtype=np.float32), axis=-1)
        return values


def completed(logits: Logits, rows: np.ndarray, n_classes: int, accuracy: float) -> Completed:
    """What a model says of the examples `rows` as logits [n, C], whatever its file holds.

    Indexing the first axis gives a float32 array; nothing is read before. All scores are as stored.
    A confidence p, or for classes alone the model's `accuracy` on the examples used for choosing,
    is kept within [1 / C, 1 - 1e-6]: log p for the class predicted, log((1 - p) / (C - 1)) for each
    other.
    """
    return Completed(logits, rows, n_classes, accuracy)


def confidence(logits: Logits, rows: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Largest probability, float32 [n], of each of the examples `rows`.

    The temperature divides logits; a file of confidences has none, and they stay as they are.
    Raises InputError if there are classes alone.
    """
    if logits.key.output == "classes":
        raise InputError(
            "predictions of classes alone have no confidence: give a file with confidences or "
            "scores, or leave the model out"
        )
    if logits.key.output == "confidences":
        return np.exp(logits["max_log_probability"][rows])
    largest_n = np.empty(len(rows), np.float32)
    step = max(1, TILE_ELEMENTS // logits["logits"].shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        scaled_NC = scaled_logits(logits["logits"][rows[part]], temperature)
        largest_n[part] = softmax(scaled_NC, out=scaled_NC).max(axis=1)
    return largest_n


def votes_on_halves(
    predictions: Mapping[str, Logits], examples: Examples, choose: np.ndarray, report: np.ndarray
) -> tuple[Votes, Votes]:
    """What the models say of the examples to choose on and of those to report on.

    Temperatures of models with all scores, and accuracies as which classes vote, are of the first.
    """
    labels_N, n_classes = examples.labels, len(examples.classes)
    members = progress(predictions.items(), "fitting temperatures", len(predictions))
    temperatures_M = np.array(
        [_temperature(name, logits, choose, labels_N) for name, logits in members]
    )
    accuracy_M = [
        (logits["predicted"][choose] == labels_N[choose]).mean() for logits in predictions.values()
    ]
    choosing, reporting = (
        Votes(
            [
                completed(logits, rows, n_classes, accuracy)
                for logits, accuracy in zip(predictions.values(), accuracy_M, strict=True)
            ],
            np.stack([logits["predicted"][rows] for logits in predictions.values()]),
            labels_N[rows],
            temperatures_M,
        )
        for rows in (choose, report)
    )
    return choosing, reporting


def _temperature(name: str, logits: Logits, rows: np.ndarray, labels_N: np.ndarray) -> float:
    if logits.key.output != "logits":
        return 1.0
    n_scores = len(rows) * logits["logits"].shape[1]
    rows = rows[:: -(-n_scores // TEMPERATURE_ELEMENTS)]
    try:
        return fit_temperature(logits["logits"][rows], labels_N[rows])
    except InputError as error:
        raise InputError(f"model {name!r}: {error}") from None
