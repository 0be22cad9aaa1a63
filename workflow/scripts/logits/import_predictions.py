"""Write logits files from predictions that were made elsewhere, of one or more models."""

import argparse
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dissent import commandline
from dissent.archives import read_member
from dissent.commandline import InputError
from dissent.examples import Examples, read_examples
from dissent.foreign_files import check_bytes
from dissent.logits import IMPORTED_DTYPE, Key, of_examples, write_predictions
from dissent.predictions import Predictions, read_predictions
from dissent.progress import progress


def main(arguments: argparse.Namespace) -> None:
    data = {examples.name: examples for examples in map(read_examples, arguments.data)}
    if len(arguments.files) != len(arguments.rows):
        raise InputError(
            f"--rows describes {len(arguments.rows)} of {len(arguments.files)} files: give one row "
            f"for each"
        )
    pairs = list(zip(arguments.files, arguments.rows, strict=True))
    for file, row in progress(pairs, "importing predictions"):
        digest = check_bytes(file, row["sha256"], "the model table")
        if row["data"] not in data:
            raise InputError(f"--data has no data set {row['data']!r}, which {file} needs: add it")
        examples = data[row["data"]]
        read = partial(read_predictions, format=row["format"], examples=examples)
        predictions = read_member(file, row["format"]["member"], read)
        output = arguments.output / examples.name / f"{row['model']}.safetensors"
        write(output, digest, row["format"], predictions, examples)


def write(
    output: Path,
    digest: str,
    format: Mapping[str, Any],
    predictions: Predictions,
    examples: Examples,
) -> None:
    predicted_N, confidence_N, scores_NC = predictions
    if scores_NC is not None:
        held = "logits"
    else:
        held = "classes" if confidence_N is None else "confidences"
    key = Key(
        weights_sha256=digest,
        preprocessing={"format": dict(format)},
        **of_examples(examples) | {"dtype": IMPORTED_DTYPE},
        label_map=list(examples.classes),
        output=held,
        libraries={"numpy": np.__version__, "pandas": pd.__version__},
    )
    max_log_probability_N = None if confidence_N is None else np.log(confidence_N, dtype=np.float64)
    write_predictions(output, key, predicted_N, max_log_probability_N, scores_NC, examples.labels)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--data", required=True, nargs="+", type=Path, help="data set files")
    parser.add_argument("--files", required=True, nargs="+", type=Path, help="of predictions")
    parser.add_argument(
        "--rows",
        required=True,
        type=json.loads,
        help="JSON: `model`, `data`, `format` and `sha256` of each file, in their order",
    )
    parser.add_argument(
        "--output", required=True, type=Path, help="folder: <data set>/<model>.safetensors"
    )
    commandline.run(main, parser.parse_args())
