"""Rows and labels of files that others wrote, matched with a data set's examples and classes."""

import difflib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dissent.commandline import InputError

NUMBER = re.compile(r"-?\d+")
DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")
LARGEST = np.finfo(np.float32).max
IN_FORMAT = "in a format of the run file, which column `format` of the model table names"

log = logging.getLogger("dissent")


def as_text(value: Any) -> str:
    """A label or an id as text, alike for a number of any type: "3" for 3 and 3.0.

    A missing one is "", as in a CSV, since "nan" and "None" may be names.
    """
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value)


def match_classes(
    path: Path,
    values: Sequence[Any],
    rows: Sequence[int],
    classes: Sequence[str],
    label_map: Mapping[str, str] | None = None,
    mend: str | None = None,
) -> np.ndarray:
    """The classes, int64 [n], that the labels of the given rows of a file stand for.

    A whole number stands for the class with that name, whatever its type. With a label map, every
    label has to be in it. Raises InputError naming the row of a label that is no class, and how to
    mend it: as `mend` says, or else with a label map.
    """
    index = {name: i for i, name in enumerate(classes)}
    known = label_map or dict.fromkeys(classes)
    found: dict[str, int] = {}
    texts = [as_text(value) for value in values]
    for text, row in zip(texts, rows, strict=True):
        if text in found:
            continue
        match = next((name for name in (text, _whole(text)) if name in known), None)
        if match is None:
            if label_map and text and not mend:
                near = close(text, list(label_map))
                what = f"{text!r} is not in the `label_map`{near}: add it there"
            else:
                what = _unknown(_whole(text), texts, classes, mend)
            raise InputError(f"{path}, row {row + 1}: {what}")
        found[text] = index[label_map[match] if label_map else match]
    return np.array([found[text] for text in texts], np.int64)


def _whole(text: str) -> str:
    """A table may have kept whole numbers as text such as 3.0."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def _unknown(label: str, texts: Sequence[str], classes: Sequence[str], mend: str | None) -> str:
    """What is wrong with a label that is no class, and how to mend it."""
    if not label:
        return "has no label: give one"
    from_one = _from_one(set(map(_whole, texts)), len(classes))
    number = NUMBER.fullmatch(label)
    place = int(label) - from_one if number else -1
    name = classes[place] if 0 <= place < len(classes) else closest(label, classes) or classes[0]
    pair = json.dumps({label: name}, ensure_ascii=False)
    mend = mend or f"give every label its class in a `label_map`, as in {pair}, {IN_FORMAT}"
    if number and not any(map(NUMBER.fullmatch, classes)):
        what = f"has the number {label} for a class, and the classes have names, {few(classes)}"
    elif from_one:
        return f"classes are numbered from 0, these look numbered from 1: subtract one, or {mend}"
    else:
        what = f"{label!r} is no class{close(label, classes)}; the classes are {few(classes)}"
    return f"{what}: {mend}"


def _from_one(labels: set[str], n_classes: int) -> bool:
    """Whether labels are the numbers of n classes, counted from one."""
    if not all(map(NUMBER.fullmatch, labels)):
        return False
    numbers = set(map(int, labels))
    return min(numbers) >= 1 and max(numbers) == n_classes


def rows_by_id(path: Path, ids: Sequence[Any]) -> dict[str, int]:
    """The row of each id of a file, in order; InputError for an id given twice."""
    row_of: dict[str, int] = {}
    for row, id in enumerate(map(as_text, ids)):
        if id in row_of:
            raise InputError(
                f"{path}: has the id {id!r} in row {row_of[id] + 1} and in row {row + 1}: keep one"
            )
        row_of[id] = row
    return row_of


def join(
    path: Path, ids: Sequence[Any], wanted: Sequence[str], needed_N: np.ndarray, name: str
) -> np.ndarray:
    """The row, int [N], of each wanted id in a file's ids, or -1.

    Raises InputError for an id given twice, or one of those needed that is not there; says in the
    log how many others there are.
    """
    row_of = rows_by_id(path, ids)
    rows_N = np.array([row_of.get(id, -1) for id in wanted])
    missing = np.flatnonzero((rows_N < 0) & needed_N)
    if len(missing):
        raise InputError(
            f"{path}: has no row for {len(missing)} of the {len(wanted)} examples of {name!r}, "
            f"such as {wanted[missing[0]]!r} (its own first id is {next(iter(row_of))!r}): give a "
            f"row for each, with the ids of the data set"
        )
    if extra := len(row_of) - int((rows_N >= 0).sum()):
        log.info("%s: rows ignored, as they are no examples of %r: %d", path, name, extra)
    return rows_N


def column_named(path: Path, table: pd.DataFrame, name: str, leaf: str, where: str) -> pd.Series:
    """A column of a table, or InputError naming the key that tells its name, and where that is."""
    if name not in table:
        raise InputError(
            f"{path}: has no column {name!r}: give one of {few(table.columns)} as `{leaf}` {where}"
        )
    return table[name]


def numbers(path: Path, table: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """The numbers [n, columns] in some rows of a table, or InputError naming what is none."""
    if all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in table.dtypes):
        values = table.to_numpy()[rows]
    else:
        columns = table.apply(pd.to_numeric, errors="coerce")
        values = columns.to_numpy(np.float64, na_value=np.nan)[rows]
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    for row, column in np.argwhere(~((values >= -LARGEST) & (values <= LARGEST)))[:1]:
        found = str(table.iloc[rows[row], column])
        what = f"should be a finite number, not {found!r}"
        if DECIMAL_COMMA.fullmatch(found):
            what = f"{found!r} has a decimal comma: save the file with decimal points"
        raise InputError(f"{path}, row {rows[row] + 1}, column {table.columns[column]}: {what}")
    return values


def close(name: Any, names: Sequence[str]) -> str:
    """The name most like another one, for the end of a sentence about that; empty if none is."""
    found = closest(str(name), names)
    return f" (did you mean {found!r}?)" if found else ""


def closest(name: str, names: Sequence[str]) -> str | None:
    """The name most like another one, in small letters or capitals; None if none is like it."""
    folded = {other.casefold(): other for other in names}
    found = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[found[0]] if found else None


def few(names: Sequence[str]) -> str:
    """The first names of a list, for a sentence."""
    shown = [repr(name) for name in list(names)[:8]]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")
