"""YAML and CSV files read with their line numbers, and the sentences that name a place in them."""

import csv
import difflib
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dissent.commandline import InputError

Where = tuple[str | int, ...]  # the keys and indices that lead to a value
Problem = tuple[Where, str]


class Source(NamedTuple):
    """What a run was made from, kept to tell on which line a mistake is."""

    path: Path
    node: yaml.Node
    written: dict
    config: Mapping
    origins: dict[tuple[str, str], str]


def read_yaml(path: Path, keys: Iterable[str]) -> tuple[yaml.Node, dict]:
    """A YAML file as nodes, which know their lines, and as plain values."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(_read_text(path))
    try:
        node = loader.get_single_node()
        repeated = sorted(_repeated_keys(node))
        content = loader.construct_document(node) if node else None
    # PyYAML lets through what its constructors stumble over.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        raise InputError(f"{path}{line}: not valid YAML, {what}") from None
    raise_all(f"{path}, line {line}: {key!r} is here a second time" for line, key in repeated)
    if not isinstance(content, dict):
        raise InputError(f"{path}: should be a mapping with the keys {', '.join(keys)}")
    return node, content


def _repeated_keys(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Keys that a mapping has twice (YAML itself would keep the last) and their lines."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or node in seen:
            continue
        seen.add(node)
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        keys = set()
        for key, value in node.value:
            waiting.append(value)
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    yield key.start_mark.line + 1, key.value
                keys.add(key.value)


def read_csv(path: Path, columns: list[str], needed: list[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a model table, each with the line on which it begins.

    A column that is not among those needed may be left out, and is then empty.
    """
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    records, line = [], 1
    try:
        for record in reader:
            if any(record):
                records.append((line, record))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not valid CSV, {error}") from None
    if not records:
        others = ", ".join(name for name in columns if name not in needed)
        what = f"is empty, and should begin with the columns {', '.join(needed)} and any of"
        raise InputError(f"{path}: {what} {others}")
    (line, header), *records = records
    place = f"{path}, line {line}"
    unknown = [name for name in header if name not in columns]
    missing = [name for name in needed if name not in header]
    repeated = [name for name in columns if header.count(name) > 1]
    raise_all(
        [f"{place}: {not_among(name, columns, 'is no column')}" for name in unknown]
        + ([f"{place}: missing columns: {', '.join(missing)}"] if missing else [])
        + ([f"{place}: repeated columns: {', '.join(repeated)}"] if repeated else [])
    )
    if not records:
        raise InputError(f"{path}: has a header and no model; add a row for each model")
    raise_all(
        f"{path}, line {line}: has {len(record)} fields, and the header has {len(header)}"
        for line, record in records
        if len(record) != len(header)
    )
    blank = dict.fromkeys(columns, "")
    return [(line, blank | dict(zip(header, record, strict=True))) for line, record in records]


def _read_text(path: Path) -> str:
    """A text file's content, without the byte-order mark that spreadsheets put first."""
    try:
        content = path.read_bytes()
    # A name with a zero byte is a ValueError.
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read, {why.lower()}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: is not UTF-8 text; save it as UTF-8") from None


def place(source: Source, where: Where) -> str:
    """Name a value by file, line (of its section, if it is missing) and keys."""
    if where[0] == "recipes" and len(where) > 2:
        where = ("recipes", source.origins.get(where[1:3], where[1]), *where[2:])
    name = ".".join(map(str, where))
    if _value(source.config, where) != _value(source.written, where):
        return f"--config (not in {source.path}), {name}"
    node, line = source.node, 1
    for key in where:
        child = _child(node, key)
        if child is None:
            break
        line, node = child
    return f"{source.path}, line {line}, {name}"


def _value(content: Any, where: Where) -> Any:
    for key in where:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _child(node: yaml.Node, key: str | int) -> tuple[int, yaml.Node] | None:
    """The line on which a key or an item of a list begins, and its node."""
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line + 1, node.value[key]
    if isinstance(node, yaml.MappingNode):
        # From the end, since PyYAML puts what a merge key (<<) brings before a mapping's own keys.
        for name, value in reversed(node.value):
            if name.value == str(key):
                return name.start_mark.line + 1, value
    return None


def not_among(value: Any, allowed: Iterable[str], what: str) -> str:
    names = sorted(map(str, allowed))
    return f"{value!r} {what}{suggestion(value, names)}, allowed: {', '.join(names) or 'none'}"


def suggestion(value: Any, allowed: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(value), [str(name) for name in allowed], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def raise_all(problems: Iterable[str]) -> None:
    """Raise an InputError with each problem on a line of its own, if there is one."""
    if lines := list(dict.fromkeys(problems)):
        raise InputError("\n".join(lines))
