"""Predictions that were made elsewhere, read in the order of a data set's examples.

Rows are joined by example id. Only a file without ids is read by row, and only on a data set that
says which order such files follow. Labels are matched with the names of the classes as text, or
through a label map, never by position.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.foreign_files import read_content
from dissent.matching import (
    IN_FORMAT,
    close,
    closest,
    column_named,
    few,
    join,
    match_classes,
    numbers,
)

# How far the probabilities of all classes may sum from one; float16 gives up to 0.0005.
SUM_TOLERANCE = 1e-3
# Stands for zero, of which there is no logarithm.
LEAST_PROBABILITY = np.finfo(np.float32).tiny


class Predictions(NamedTuple):
    """What one model says of N examples, as much as its file holds.

    `predicted_N` is the class, `confidence_N` its probability as given or None. `scores_NC` is
    None, or float32: log-probabilities if there are confidences as well, else logits. Examples
    without a prediction, which only "unused" ones may be, have class -1 and NaN.
    """

    predicted_N: np.ndarray
    confidence_N: np.ndarray | None = None
    scores_NC: np.ndarray | None = None


def read_predictions(path: Path, format: Mapping[str, Any], examples: Examples) -> Predictions:
    """Read a file of predictions (CSV, TSV, parquet, JSON, npy, npz), in the order of `examples`.

    `format` has the keys `ids`, `predicted` and `confidence` (columns), `values` ("probabilities"
    or "logits"), `array` (in an npz file) and `label_map` (their label: our class). Columns named
    as all the classes are taken as scores, before those of the predicted class and its confidence.
    Raises InputError for whatever is missing, ambiguous or out of range.
    """
    _refuse_other_classes(path, format["label_map"], examples)
    text = (format["ids"], format["predicted"])
    content = read_content(path, format["array"], text, IN_FORMAT)
    if isinstance(content, pd.DataFrame):
        known = {format["predicted"], format["confidence"] or "confidence"}
        known |= {*examples.classes, *(format["label_map"] or ())}
        rows_N = _rows_of_table(path, content, format["ids"], known, examples)
        table = content.drop(columns=format["ids"], errors="ignore")
    else:
        rows_N = _rows_in_order(path, len(content), examples)
        table = _as_table(path, content, format, examples.classes)
    order = _in_class_order(table.columns, format["label_map"], examples.classes)
    rows = rows_N[rows_N >= 0]
    if order:
        found = _of_scores(path, table.iloc[:, order], rows, format["values"])
    else:
        found = _of_classes(path, table, rows, format, examples)
    return Predictions(*(_spread(values, rows_N) for values in found))


def _refuse_other_classes(path: Path, label_map: Mapping | None, examples: Examples) -> None:
    for label, name in (label_map or {}).items():
        if name not in examples.classes:
            raise InputError(
                f"{path}: `label_map` turns {label!r} into {name!r}, which is no class of "
                f"{examples.name!r}{close(name, examples.classes)}: name one of "
                f"{few(examples.classes)}"
            )


def _rows_of_table(
    path: Path, table: pd.DataFrame, column: str, known: Collection[str], examples: Examples
) -> np.ndarray:
    """The row of each example; by its order only if no column but the `known` ones could be ids."""
    if column in table:
        needed_N = examples.splits_N != "unused"
        return join(path, table[column], examples.ids, needed_N, examples.name)
    # Whatever else there is may be ids, in another order than the rows.
    if strange := [name for name in table.columns if name not in known]:
        raise InputError(
            f"{path}: has no column {column!r}, and it is not known what {few(strange)} holds: "
            f"give the column of the ids as `ids` {IN_FORMAT}, or leave it out if rows are in order"
        )
    if not table.index.equals(pd.RangeIndex(len(table))):
        raise InputError(f"{path}: has an index, which may be ids: save it as a column")
    # A name that is not the default was given on purpose.
    if column != "id" or not examples.row_order:
        column_named(path, table, column, "ids", IN_FORMAT)
    return _rows_in_order(path, len(table), examples)


def _rows_in_order(path: Path, n_rows: int, examples: Examples) -> np.ndarray:
    n = len(examples.ids)
    if not examples.row_order:
        raise InputError(
            f"{path}: has no ids, and data set {examples.name!r} does not say which order files "
            f"without follow: give a table with ids, or its `row_order` in the run file"
        )
    if n_rows != n:
        raise InputError(
            f"{path}: has {n_rows} rows without ids for the {n} examples of {examples.name!r}: "
            f"give a row for each, in the order {examples.row_order!r}"
        )
    return np.arange(n)


def _as_table(
    path: Path, content: np.ndarray | list, format: Mapping[str, Any], classes: Sequence[str]
) -> pd.DataFrame:
    """Labels [N] or scores [N, C] with the names of their columns."""
    if isinstance(content, list) and isinstance(content[0], list):
        content = _from_lists(path, content)
    if not isinstance(content, np.ndarray) or content.ndim == 1:
        return pd.DataFrame({format["predicted"]: pd.Series(content, dtype=object)})
    n_columns = content.shape[1]
    if n_columns != len(classes):
        raise InputError(
            f"{path}: has {n_columns} scores an example for {len(classes)} classes: give one for "
            f"each class"
        )
    if not format["label_map"]:
        return pd.DataFrame(content, columns=list(classes), copy=False)
    names = [str(number) for number in range(n_columns)]
    table = pd.DataFrame(content, columns=names, copy=False)
    if not _in_class_order(table.columns, format["label_map"], classes):
        raise InputError(
            f"{path}: `label_map` should give each class one of the columns 0 to {n_columns - 1}"
        )
    return table


def _from_lists(path: Path, lists: list) -> np.ndarray:
    n = len(lists[0])
    for row, scores in enumerate(lists):
        is_list = isinstance(scores, list) and len(scores) == n
        if not is_list or not all(isinstance(score, int | float) for score in scores):
            raise InputError(f"{path}, row {row + 1}: should be a list of {n} numbers, as row 1 is")
    return np.array(lists, np.float64)


def _in_class_order(
    columns: Sequence[str], label_map: Mapping[str, str] | None, classes: Sequence[str]
) -> list[int]:
    """Positions of the columns that stand for the classes, in order; none if not all have one."""
    names = [label_map.get(name) if label_map else name for name in columns]
    times = Counter(names)
    return [names.index(name) for name in classes] if all(times[c] == 1 for c in classes) else []


def _of_scores(path: Path, table: pd.DataFrame, rows: np.ndarray, kind: str) -> Predictions:
    values_NC = numbers(path, table, rows)
    sum_N = values_NC.sum(axis=1, dtype=np.float64)
    off_N = np.abs(sum_N - 1) > SUM_TOLERANCE
    predicted_N = values_NC.argmax(axis=1)
    scores_NC = np.empty(values_NC.shape, np.float32)
    if kind == "logits":
        # Of what is within [0, 1] and sums to one, softmax would be taken a second time.
        if not off_N.any() and values_NC.min() >= 0 and values_NC.max() <= 1:
            raise InputError(
                f"{path}: every row is within [0, 1] and sums to 1, so these look like "
                f"probabilities, not logits: leave `values` out of the format"
            )
        scores_NC[:] = values_NC
        return Predictions(predicted_N, None, scores_NC)
    mend = f"if these are logits, say `values: logits` {IN_FORMAT}"
    for row, column in np.argwhere(values_NC < 0)[:1]:
        raise InputError(
            f"{path}, row {rows[row] + 1}, column {table.columns[column]}: a probability should "
            f"not be {values_NC[row, column]:g}: {mend}"
        )
    for row in np.flatnonzero(off_N)[:1]:
        raise InputError(
            f"{path}, row {rows[row] + 1}: probabilities should sum to 1, not {sum_N[row]:.4g}: "
            f"{mend}"
        )
    confidence_N = values_NC.max(axis=1)
    np.maximum(values_NC, LEAST_PROBABILITY, out=values_NC)
    # In double precision, whose last digit alone differs from one processor to another.
    np.log(values_NC, out=scores_NC, dtype=np.float64, casting="same_kind")
    return Predictions(predicted_N, confidence_N, scores_NC)


def _of_classes(
    path: Path,
    table: pd.DataFrame,
    rows: np.ndarray,
    format: Mapping[str, Any],
    examples: Examples,
) -> Predictions:
    column = format["predicted"]
    if column not in table:
        what = _lacking(table.columns, format, examples.classes)
        raise InputError(f"{path}: has no column {column!r}, and {what}")
    labels = list(table[column].iloc[rows])
    predicted_N = match_classes(path, labels, rows, examples.classes, format["label_map"])
    column = format["confidence"] or "confidence"
    if format["confidence"] is None and column not in table:
        return Predictions(predicted_N)
    column_named(path, table, column, "confidence", IN_FORMAT)
    confidence_N = numbers(path, table[[column]], rows)[:, 0]
    for row in np.flatnonzero((confidence_N <= 0) | (confidence_N > 1))[:1]:
        raise InputError(
            f"{path}, row {rows[row] + 1}, column {column}: a confidence should be above 0 and at "
            f"most 1, not {confidence_N[row]:g}: give the probability of the predicted class"
        )
    return Predictions(predicted_N, confidence_N)


def _lacking(columns: Sequence[str], format: Mapping[str, Any], classes: Sequence[str]) -> str:
    """What keeps columns from being scores of all classes, and how to mend it."""
    label_map = format["label_map"] or dict(zip(columns, columns, strict=True))
    times = Counter(label_map.get(name) for name in columns)
    name = next(name for name in classes if times[name] != 1)
    if times[name]:
        return f"{times[name]} for the class {name!r}: leave one of these in the `label_map`"
    near = closest(name, list(columns))
    what = f"none for the class {name!r}" + (f", but {near!r}" if near else "")
    if format["label_map"]:
        return f"{what}: give each class its column in the `label_map`"
    if near or any(times[other] for other in classes):
        return f"{what}: name a column exactly like each class"
    mend = f"give one of {few(columns)} as `predicted` {IN_FORMAT}" if len(columns) else "add one"
    return f"{what}: {mend}"


def _spread(values: np.ndarray | None, rows_N: np.ndarray) -> np.ndarray | None:
    """Values of the examples that have a row, among all: the others get NaN, or -1 as a class."""
    if values is None or (rows_N >= 0).all():
        return values
    fill = -1 if values.dtype.kind == "i" else np.nan
    spread = np.full((len(rows_N), *values.shape[1:]), fill, values.dtype)
    spread[rows_N >= 0] = values
    return spread
