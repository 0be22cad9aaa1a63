"""Confidence angles per example and accuracy differences per class of a few compared pairs."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import commandline
from dissent.calibration import fit_temperature
from dissent.commandline import InputError
from dissent.examples import Examples, read_examples
from dissent.files import write_table
from dissent.logits import Logits, open_predictions
from dissent.specialisation import (
    any_inconsistent,
    class_specialisation,
    confidence_angle,
    correctness_group,
)
from dissent.votes import confidence


def main(arguments: argparse.Namespace) -> None:
    examples = read_examples(arguments.data)
    if examples.labels.ndim != 1:
        raise InputError(
            f"{arguments.data} accepts several classes an example: give a data set with one label"
        )
    predictions = open_predictions(arguments.logits, examples, least="confidences")
    report = examples.where(arguments.report_split)
    labels_N = examples.labels[report]
    correct_MN = np.stack([p["predicted"][report] == labels_N for p in predictions.values()])
    confidence_MN = np.stack(
        [tempered_confidence(logits, examples, arguments) for logits in predictions.values()]
    )
    names = list(predictions)
    base = names.index(arguments.base)
    others = [i for i in range(len(names)) if i != base]
    drawn_N = any_inconsistent(correct_MN, np.array([(base, other) for other in others]))
    angles, classes = [], []
    for other in others:
        pair = {"model1": arguments.base, "model2": names[other]}
        angle_N = confidence_angle(confidence_MN[base], confidence_MN[other])
        angles.append(
            pd.DataFrame(
                {
                    "example": np.array(examples.ids)[report],
                    "class": np.array(examples.classes)[labels_N],
                    "confidence1": confidence_MN[base],
                    "confidence2": confidence_MN[other],
                    "angle": angle_N,
                    "group": correctness_group(correct_MN[base], correct_MN[other]),
                }
            )[drawn_N].assign(**pair)
        )
        by_class = class_specialisation(labels_N, correct_MN[base], correct_MN[other])
        by_class["class"] = np.array(examples.classes)[by_class["class"]]
        classes.append(by_class.assign(**pair))
    for tables, output in ((angles, arguments.output_angles), (classes, arguments.output_classes)):
        write_table(pd.concat(tables), output)


def tempered_confidence(
    logits: Logits, examples: Examples, arguments: argparse.Namespace
) -> np.ndarray:
    """Largest probability of each report example, at the temperature that fits the tune examples.

    Fitted here rather than read from the table of all models, which changes with any of them.
    Untempered where there is nothing to temper, or no split to do it on.
    """
    temperature = 1.0
    if logits.key.output == "logits" and arguments.tune_split in examples.splits_N:
        tune = examples.where(arguments.tune_split)
        temperature = fit_temperature(logits["logits"][tune], examples.labels[tune])
    return confidence(logits, examples.where(arguments.report_split), temperature)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, type=Path, help="data set file")
    parser.add_argument(
        "--logits", required=True, nargs="+", type=Path, help="of the base and the others"
    )
    parser.add_argument("--base", required=True, help="id of the base model")
    parser.add_argument("--tune-split", required=True, help="where temperatures are fitted")
    parser.add_argument("--report-split", required=True)
    parser.add_argument("--output-angles", required=True, type=Path)
    parser.add_argument("--output-classes", required=True, type=Path)
    commandline.run(main, parser.parse_args())
