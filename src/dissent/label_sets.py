"""Data sets of labels, alone or with sentences, from a file of labels that others published."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dissent.archives import read_member
from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.foreign_files import Content, read_content
from dissent.matching import as_text, column_named, join, match_classes, rows_by_id

GOLDEN = (5**0.5 - 1) / 2
MEND = "give as `classes` the names in the file, in quotes if they are numbers"
MEND_TEXT = "give as `classes` the names in the file, or number its labels from 0 in their order"
WHERE = "under `labels` in the run file"


class _Rows(NamedTuple):
    """The rows of a file of labels: labels are single ones, or lists of the accepted ones."""

    ids: list
    labels: list
    groups: list[str] | None
    sentences: list[tuple[str, ...]]


def class_names(classes: int | Sequence[str]) -> tuple[str, ...]:
    """The names of the classes: as given, or "0", "1", ... where only their number is."""
    return tuple(map(str, range(classes) if isinstance(classes, int) else classes))


def read_label_set(
    path: Path,
    layout: Mapping[str, Any],
    classes: Sequence[str],
    seed: int,
    splits: Mapping[str, int],
    row_order: str,
    numbered: bool = False,
) -> Examples:
    """The examples of a file of labels (see `dissent.foreign_files`), in its order.

    `layout` says how the file is read, which may be a `member` of an archive: `ids` is a column, or
    text such as "x-{:05d}" that makes ids from the number of the row, which begins at `first`;
    `label` is a column, `groups` one or several, whose values are joined by ", "; `array` is one of
    an npz file. `sentences` names one or two columns, if any; then a tsv file has no quoting, and
    labels may also be the numbers of the classes, from 0 on, as they may be if `numbered`. `header`
    names the columns of a file without a line that does. A file of lists accepts any number of
    labels for an example, and those with none are "unused". Without `splits`, all others are in
    "report". Raises InputError for what cannot be read so.
    """
    rows = _read_rows(path, layout)
    ids = tuple(rows_by_id(path, rows.ids))
    labels, labelled_N = _labels(path, rows, classes, numbered)
    of_class_n = (labels if labels.ndim == 1 else labels.argmax(axis=1))[labelled_N]
    sizes = dict(splits) or {"report": len(of_class_n)}
    dealt_n = proportional_splits(of_class_n, sizes, np.random.default_rng(seed))
    splits_N = np.full(len(ids), "unused", dealt_n.dtype)
    splits_N[labelled_N] = dealt_n
    return Examples(
        name="labels",
        ids=ids,
        images_NHW=None,
        labels=labels,
        splits_N=splits_N,
        classes=tuple(classes),
        groups=tuple(rows.groups or ()),
        row_order=row_order,
        sentences=tuple(rows.sentences),
    )


def read_new_labels(path: Path, layout: Mapping[str, Any], old: Examples) -> Examples:
    """Other labels for the examples of a data set: its ids, order, classes and splits are kept.

    Examples without a label are "unused". `layout` is as in `read_label_set`. Raises InputError if
    an example of the data set is not in the file.
    """
    rows = _read_rows(path, layout)
    rows_N = join(path, rows.ids, old.ids, np.ones(len(old.ids), bool), old.name)
    numbered = old.spans_N2 is not None
    labels, labelled_N = _labels(path, rows, old.classes, numbered)
    groups = tuple(rows.groups[row] for row in rows_N) if rows.groups else old.groups
    return Examples(
        name="labels",
        ids=old.ids,
        images_NHW=None,
        labels=labels[rows_N],
        splits_N=np.where(labelled_N[rows_N], old.splits_N, "unused"),
        classes=old.classes,
        groups=groups,
        row_order=old.row_order,
        relabels=old.name,
    )


def proportional_splits(
    labels_N: np.ndarray, sizes: Mapping[str, int], rng: np.random.Generator
) -> np.ndarray:
    """Split names [N], at random, so that each split has the classes in the shares of the whole.

    Unlike `examples.stratified_splits`, which gives each class the same number of examples while
    there are any. Beyond the sizes the name is "unused". Raises InputError for too few examples.
    """
    if sum(sizes.values()) > len(labels_N):
        raise InputError(
            f"splits ask for {sum(sizes.values())} examples, there are {len(labels_N)} with a "
            "label: lower the sizes under `splits`"
        )
    names = sorted(sizes)
    ends = np.cumsum([sizes[name] for name in names])
    order = rng.permutation(len(labels_N))
    order = order[np.argsort(labels_N[order], kind="stable")]
    # Strides of the golden ratio: whatever its size, each split takes evenly from the sorted whole.
    place_N = np.argsort(np.argsort((np.arange(len(order)) * GOLDEN) % 1))
    splits_N = np.empty(len(order), f"U{max(map(len, [*names, 'unused']))}")
    splits_N[order] = np.array([*names, "unused"])[np.searchsorted(ends, place_N, side="right")]
    return splits_N


def _read_rows(path: Path, layout: Mapping[str, Any]) -> _Rows:
    return read_member(path, layout.get("member"), partial(_rows_of, layout=layout))


def _rows_of(path: Path, layout: Mapping[str, Any]) -> _Rows:
    label = layout["label"] or "label"
    groups = [layout["groups"]] if isinstance(layout["groups"], str) else layout["groups"] or []
    sentences, header = layout.get("sentences") or [], layout.get("header") or []
    text = [layout["ids"], label, *groups, *sentences]
    content = read_content(path, layout["array"], text, WHERE, header, quoted=not sentences)
    if not isinstance(content, pd.DataFrame):
        for leaf in ("groups", "sentences"):
            if layout.get(leaf):
                raise InputError(f"{path}: has no columns: leave `{leaf}` out, or give a table")
        return _Rows(_ids(path, content, layout), _as_list(path, content), None, [])
    return _Rows(
        _ids(path, content, layout),
        list(column_named(path, content, label, "label", WHERE)),
        _groups(path, content, groups),
        _sentences(path, content, sentences),
    )


def _groups(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> list[str] | None:
    """The group [N] of each row, which some columns tell together; None without columns."""
    values = [map(as_text, column_named(path, table, name, "groups", WHERE)) for name in columns]
    return [", ".join(row) for row in zip(*values, strict=True)] if columns else None


def _sentences(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The sentences [N] in some columns; none where there are no columns."""
    texts = [
        list(map(as_text, column_named(path, table, name, "sentences", WHERE))) for name in columns
    ]
    for name, column in zip(columns, texts, strict=True):
        for row, sentence in enumerate(column):
            if not sentence.strip():
                raise InputError(
                    f"{path}, row {row + 1}: has no sentence in column {name!r}: give one"
                )
    return list(zip(*texts, strict=True))


def _ids(path: Path, content: Content, layout: Mapping[str, Any]) -> list:
    if "{" in layout["ids"]:
        first = layout["first"]
        return [layout["ids"].format(first + row) for row in range(len(content))]
    if isinstance(content, pd.DataFrame):
        return list(column_named(path, content, layout["ids"], "ids", WHERE))
    raise InputError(
        f"{path}: has no columns, and so none named {layout['ids']!r}: give {WHERE}, as `ids`, "
        f"text with a place for the number of the row, such as 'test-{{:05d}}'"
    )


def _as_list(path: Path, content: np.ndarray | list) -> list:
    if isinstance(content, np.ndarray) and content.ndim != 1:
        raise InputError(f"{path}: holds an array {content.shape}: give one label an example")
    return list(content)


def _labels(
    path: Path, rows: _Rows, classes: Sequence[str], numbered: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, int64 [N] or of lists uint8 [N, C], and which examples have any, bool [N]."""
    values, known, mend = rows.labels, None, MEND
    if rows.sentences or numbered:
        known = {str(i): name for i, name in enumerate(classes)} | {name: name for name in classes}
        mend = MEND_TEXT
    lists = [isinstance(value, list | np.ndarray) for value in values]
    if not any(lists):
        labels_N = match_classes(path, values, range(len(values)), classes, known, mend)
        return labels_N, np.ones(len(values), bool)
    if not all(lists):
        row = lists.index(False)
        raise InputError(f"{path}, row {row + 1}: should be a list of labels, as other rows are")
    row_n = np.repeat(np.arange(len(values)), list(map(len, values)))
    class_n = match_classes(path, list(chain.from_iterable(values)), row_n, classes, known, mend)
    labels_NC = np.zeros((len(values), len(classes)), np.uint8)
    labels_NC[row_n, class_n] = 1
    return labels_NC, labels_NC.any(axis=1)
