"""The text of a model table, and its rows as lines, for commands that change one in its place."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from dissent.commandline import InputError

COLUMNS = ("model", "source", "architecture", "location", "sha256", "licence", "citation")


def read(table: Path, needed: Iterable[str] = COLUMNS) -> tuple[str, csv.DictReader]:
    """A model table's text, or just a header where there is none yet, and its rows.

    Raises InputError where it cannot be read, or lacks a column that is needed.
    """
    try:
        text = ""
        if table.exists():
            with table.open(encoding="utf-8-sig", newline="") as file:
                text = file.read()
        text = text if text.strip() else ",".join(COLUMNS) + "\n"
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        missing = [column for column in needed if column not in (rows.fieldnames or ())]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{table} cannot be read as a CSV of UTF-8 text: {error}") from None
    if missing:
        raise InputError(f"{table}: its header should name {', '.join(missing)} as well")
    return text, rows


def lines(rows: Iterable[Mapping[str, str]], columns: Iterable[str]) -> str:
    """Rows as lines of CSV, without a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writerows(rows)
    return text.getvalue()
