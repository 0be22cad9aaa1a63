"""Files that others wrote: a table, an array or a list, whatever the format."""

import csv
import json
import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dissent.commandline import InputError
from dissent.files import sha256

Content = pd.DataFrame | np.ndarray | list
TABLES = (".csv", ".tsv", ".txt")
SUFFIXES = (*TABLES, ".parquet", ".json", ".jsonl", ".npy", ".npz")
SPREADSHEET = "is a spreadsheet: save it as CSV (Excel: 'CSV UTF-8')"
NO_ARRAYS = "holds no plain arrays: save its array as npy, with numpy.save"
OTHERS = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods"), SPREADSHEET),
    **dict.fromkeys((".pt", ".pth", ".pkl", ".pickle"), NO_ARRAYS),
}
# How files of Excel begin, new and old.
SPREADSHEET_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def check_bytes(path: Path, expected: str | None, where: str) -> str:
    """The sha256 of a file; InputError if it is not the one that `where` gives, if any."""
    if not path.exists():
        raise InputError(f"there is no file {path}: mend `location` in {where}")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file as `location` in {where}")
    found = sha256(path)
    if expected and found != expected:
        raise InputError(
            f"{path} has sha256 {found}, {where} expects {expected}: mend {where} or the file"
        )
    return found


def read_content(
    path: Path,
    array: str | None = None,
    text: Collection[str] = (),
    where: str = "in the run file",
    header: Sequence[str] = (),
    quoted: bool = True,
) -> Content:
    """What a file holds: a table (CSV, TSV, parquet, JSON records), an array (npy, npz) or a list.

    `array` names the array to take from an npz file, `text` the columns of a CSV whose values stay
    as they are written, and `where` is said of `array`. The columns of a text table are separated
    by commas, tabs or semicolons; `header` names them where no line of the file does. Without
    `quoted`, those of a tsv file are separated by tabs, and quotation marks are part of the text.
    Raises InputError for other files, damaged ones and empty ones.
    """
    # The name of a fetched file may end with a query.
    suffix = Path(path.name.partition("?")[0]).suffix.lower()
    if suffix in OTHERS:
        raise InputError(f"{path}: {OTHERS[suffix]}")
    if suffix not in SUFFIXES:
        raise InputError(
            f"{path}: its name should end with one of {', '.join(SUFFIXES)}: save it in that "
            f"format, or rename it if it is"
        )
    try:
        if suffix in TABLES:
            content = _read_table(path, text, where, header, quoted or suffix != ".tsv")
        elif suffix == ".parquet":
            content = pd.read_parquet(path)
            if any(content.index.names):
                content = content.reset_index()
            content.columns = content.columns.map(str)
        elif suffix in (".json", ".jsonl"):
            content = _read_json(path, suffix)
        else:
            content = _read_array(path, array, where)
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: is not UTF-8 text: save it as UTF-8 (Excel: 'CSV UTF-8')"
        ) from None
    except Exception as error:
        # On a damaged file, its readers raise errors of all kinds.
        if "allow_pickle" in str(error):
            raise InputError(f"{path}: {NO_ARRAYS}") from None
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{path}: cannot be read as {suffix[1:]} ({what}): mend it or get another copy"
        ) from None
    if not len(content):
        raise InputError(f"{path}: holds no rows: give a file with one for each example")
    return content


def _read_table(
    path: Path, text: Collection[str], where: str, header: Sequence[str], quoted: bool
) -> pd.DataFrame:
    with path.open("rb") as file:
        if file.read(4) in SPREADSHEET_STARTS:
            raise InputError(f"{path}: {SPREADSHEET}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        separator = max(",\t;", key=re.sub('"[^"]*"', "", first).count) if quoted else "\t"
        quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        file.seek(0)
        rows = csv.reader(file, delimiter=separator, quoting=quoting)
        names = list(header) or next(rows, [])
        row = next(rows, [])
    if header and row and len(row) != len(header):
        raise InputError(
            f"{path}: has {len(row)} columns in its first row: name each as `header` {where}, not "
            f"{len(header)}"
        )
    # What is written as 007 may be ids, whatever its column is called.
    zeros = [name for name, value in zip(names, row, strict=False) if re.match(r"0\d", value)]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: has two columns {name!r}: rename one")
    with warnings.catch_warnings():
        # Longer rows than the header are only worth a warning to pandas.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            sep=separator,
            quoting=quoting,
            names=list(header) or None,
            header=None if header else "infer",
            dtype=dict.fromkeys([*text, *zeros], str),
            keep_default_na=False,
            index_col=False,
            low_memory=False,
        )


def _read_json(path: Path, suffix: str) -> pd.DataFrame | list:
    text = path.read_text(encoding="utf-8-sig")
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        if suffix != ".jsonl":
            raise
        content = [json.loads(line) for line in text.split("\n") if line.strip()]
    if not isinstance(content, list):
        raise InputError(f"{path}: should hold a list, of labels, of lists of scores or of records")
    records = content and all(isinstance(row, dict) for row in content)
    return pd.DataFrame(content) if records else content


def _read_array(path: Path, name: str | None, where: str) -> np.ndarray:
    """One array [N] or [N, C] of an npy or npz file; pickled objects are never loaded."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        found = loaded
    elif name is None:
        arrays = {key: loaded[key] for key in loaded.files}
        if any(isinstance(array, bytes) for array in arrays.values()):
            raise InputError(f"{path}: {NO_ARRAYS}")
        fit = [array for array in arrays.values() if array.ndim in (1, 2)]
        if len(fit) != 1:
            shapes = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
            raise InputError(
                f"{path}: holds the arrays {shapes or 'none'}: name one as `array` {where}"
            )
        found = fit[0]
    elif name in loaded.files:
        found = loaded[name]
    else:
        known = ", ".join(loaded.files) or "none"
        raise InputError(f"{path}: holds no array {name!r}: give one of {known} as `array` {where}")
    if found.ndim not in (1, 2) or found.dtype.kind not in "biufU":
        raise InputError(
            f"{path}: holds an array {found.shape} of {found.dtype}: give labels [N], or scores "
            f"[N, C]"
        )
    return found
