"""What is wrong between rows of a model table, or between them and the run file."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dissent.config_checks import address_conflicts, downloads, recipe_conflicts
from dissent.config_connectivity_rows import (
    connectivity_table_conflicts,
    text_models,
    text_row_conflicts,
)
from dissent.config_dropout import DOMAINS
from dissent.config_fit import UNPREDICTABLE, encoded, predictable, unable, with_images
from dissent.config_low_data import SECTION, pool_conflicts
from dissent.config_papers import NoOneRepresentation
from dissent.config_shapes import COLUMNS, LOOKING, WITH_WEIGHTS, Model, Run
from dissent.config_text import Problem, Where, not_among, place
from dissent.hub import NOW, UNPINNED

Row = Mapping[str, str]  # every column of a row as text, "" if it is empty
Rows = list[tuple[int, Row]]  # each with its line in the table
SOURCE_COLUMNS = tuple(dict.fromkeys(column for own in COLUMNS.values() for column in own))


def row_conflicts(rows: Rows, run: Run) -> Iterator[tuple[int, Problem]]:
    """Between the columns of a row, and between a row and its surroundings, by line."""
    batch_of = {row["model"]: row["batch"] or row["model"] for _, row in rows}
    taught_by = _teachings(rows, run, batch_of)
    for line, row in rows:
        for problem in (
            *_column_conflicts(row),
            *_run_file_conflicts(row, run),
            *_batch_conflicts(row, run, batch_of, taught_by),
        ):
            yield line, problem
    yield from _repetitions(rows)
    yield from _duplicates(rows, run)


def _column_conflicts(row: Row) -> Iterator[Problem]:
    """Columns that a source needs and does not get, or gets and has no use for."""
    own = COLUMNS.get(row["source"])
    for column in SOURCE_COLUMNS if own else ():
        pinned_later = column == "sha256" and is_unpinned(row)
        if own.get(column) and not row[column] and not pinned_later:
            yield (column,), f"should not be empty where source is {row['source']!r}"
        elif column not in own and row[column]:
            yield (column,), f"should be empty where source is {row['source']!r}"


def is_unpinned(row: Row) -> bool:
    """Whether weights are whatever the hub has now: fit for a plan, and not for a run."""
    if row["source"] == "transformers":
        return row["revision"] == NOW
    return row["source"] in LOOKING and bool(re.fullmatch(UNPINNED, row["location"]))


def _run_file_conflicts(row: Row, run: Run) -> Iterator[Problem]:
    """Between a row and the run file."""
    section, dropout = run.low_data_ensembles, run.very_large_dropout
    if row["source"] == "transformers":
        yield from text_row_conflicts(row, is_unpinned(row))
    elif row["model"] in _dropout_starts(run):
        if section and row["category"] in section.pools:
            what = f"should be empty: very_large_dropout.domains starts from {row['model']!r},"
            yield ("category",), f"{what} which is no candidate of {SECTION}"
    elif run.no_one_representation and not row["category"]:
        yield ("category",), "should not be empty in a run with `no_one_representation`"
    elif section and section.pools and row["source"] in WITH_WEIGHTS and not row["category"]:
        yield ("category",), f"should not be empty in a run with `{SECTION}.pools`"
    if row["model"] not in starts(run):
        if row["source"] == "train" and encoded(run):
            what = "should be 'file' or 'open_clip', not 'train': no recipe learns from images as"
            yield ("source",), f"{what} those of {encoded(run)[0]!r}, which stay encoded"
        elif row["source"] == "open_clip" and not encoded(run):
            what = "should not be 'open_clip' without a data set of kind 'images' in metrics.data"
            yield ("source",), what
    if row["recipe"] and row["recipe"] not in run.recipes:
        yield ("recipe",), not_among(row["recipe"], run.recipes, "is no recipe")
    if row["source"] == "predictions":
        if row["data"] and row["data"] not in predictable(run):
            yield ("data",), not_among(row["data"], predictable(run), UNPREDICTABLE)
        if row["format"] and row["format"] not in run.formats:
            yield ("format",), not_among(row["format"], run.formats, "is no format")
        yield from address_conflicts(row["location"], row["sha256"], row["licence"])
    elif row["source"] in LOOKING:
        connectivity = run.linear_connectivity
        fine_tuned = section or (dropout and dropout.domains)
        fine_tuned = fine_tuned or (connectivity and connectivity.images)
        if not fine_tuned and not any(with_images(run, data) for data in run.metrics.data):
            what = f"should be 'predictions', not {row['source']!r}: no data set of metrics.data"
            yield ("source",), f"{what} has images"
        for at, what in address_conflicts(row["location"], row["sha256"], row["licence"]):
            # Told already: a file needs it wherever it is. Of one to be pinned, pinning finds both.
            if at != ("sha256",) and not (at == ("licence",) and is_unpinned(row)):
                yield at, what


def _batch_conflicts(
    row: Row, run: Run, batch_of: Mapping[str, str], taught_by: Mapping[str, list[str]]
) -> Iterator[Problem]:
    """Between a row's batch, other models and the batch of its teacher."""
    if row["batch"] and row["batch"] in batch_of and row["batch"] != row["model"]:
        yield ("batch",), f"{row['batch']!r} is the id of another model; give another name"
    teacher = run.recipes[row["recipe"]].teacher if row["recipe"] in run.recipes else None
    if teacher not in batch_of:
        return
    batch = batch_of[row["model"]]
    if batch_of[teacher] == batch:
        yield ("batch",), f"should differ from that of the teacher {teacher!r}"
    elif way := _way(taught_by, batch_of[teacher], batch):
        circle = " -> ".join([batch, *way])
        yield ("batch",), f"should not lead back to itself through teachers ({circle})"


def _teachings(rows: Rows, run: Run, batch_of: Mapping[str, str]) -> dict[str, list[str]]:
    """By batch, the batches that have teachers of its models."""
    taught_by: dict[str, list[str]] = {}
    for _, row in rows:
        teacher = run.recipes[row["recipe"]].teacher if row["recipe"] in run.recipes else None
        if teacher in batch_of:
            taught_by.setdefault(batch_of[row["model"]], []).append(batch_of[teacher])
    return taught_by


def _way(edges: Mapping[str, list[str]], start: str, end: str) -> list[str]:
    """The shortest way along edges from `start` to `end`; empty if there is none."""
    waiting, seen = [[start]], set()
    while waiting:
        way = waiting.pop(0)
        if way[-1] == end:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            waiting += [[*way, following] for following in edges.get(way[-1], ())]
    return []


def _repetitions(rows: Rows) -> Iterator[tuple[int, Problem]]:
    """Rows of one model: only predictions may be, each of another data set."""
    first_rows: dict[str, tuple[int, Row]] = {}
    lines: dict[tuple[str, str], int] = {}
    for line, row in rows:
        model, data = row["model"], row["data"]
        first_line, first = first_rows.setdefault(model, (line, row))
        same_data = lines.setdefault((model, data), line)
        if line == first_line:
            continue
        if not row["source"] == first["source"] == "predictions":
            yield line, (("model",), f"{model!r} is named twice, first on line {first_line}")
            continue
        if data and line != same_data:
            what = f"predictions of {data!r} by {model!r} are on line {same_data} too"
            yield line, (("data",), what)
        for column in ("category", "cost"):
            if row[column] != first[column]:
                should = repr(first[column]) if first[column] else "empty"
                what = f"should be {should}, as for this model on line {first_line}"
                yield line, ((column,), what)


def _duplicates(rows: Rows, run: Run) -> Iterator[tuple[int, Problem]]:
    """Low-Data Ensembles: candidates that are one checkpoint under two names."""
    section = run.low_data_ensembles
    first: dict[tuple[str, ...], tuple[int, str]] = {}
    for line, row in rows if section else ():
        column = {"train": "seed", "file": "sha256"}.get(row["source"])
        in_pools = not section.pools or row["category"] in section.pools
        if column and row[column] and in_pools and row["model"] not in starts(run):
            checkpoint = (row["source"], row["recipe"], row[column])
            first_line, model = first.setdefault(checkpoint, (line, row["model"]))
            if model != row["model"]:
                what = f"a duplicate checkpoint under two names, as {model!r} on line {first_line}"
                yield line, ((column,), f"{what} too; leave one out")


def starts(run: Run) -> dict[str, Where]:
    """The models that are compared with no others, and where the run file names them.

    Fine-tuning with dropout starts from them, or they are text models: what they were trained on
    may be anything.
    """
    return _dropout_starts(run) | text_models(run)


def _dropout_starts(run: Run) -> dict[str, Where]:
    """The models that fine-tuning with dropout starts from, and where the run file names them."""
    section = run.very_large_dropout and run.very_large_dropout.domains
    if not section:
        return {}
    poorer = section.poorer_model
    return {section.model: (*DOMAINS, "model")} | (
        {poorer.model: (*DOMAINS, "poorer_model", "model")} if poorer else {}
    )


def candidates(run: Run, models: Mapping[str, Model]) -> dict[str, str | None]:
    """Low-Data Ensembles: models that may be fine-tuned, with their categories, as in the table."""
    pools = run.low_data_ensembles.pools
    return {
        model: row.category
        for model, row in models.items()
        if row.source in WITH_WEIGHTS
        and model not in starts(run)
        and (not pools or row.category in pools)
    }


def models_on(
    data: str, run: Run, models: Mapping[str, Model], predictions: Iterable[tuple[str, str]]
) -> list[str]:
    """The models that say something of a data set, in the table's order."""
    original, images = run.data[data].relabels or data, with_images(run, data)
    return [
        model
        for model, row in models.items()
        if model not in starts(run)
        and (images if row.source != "predictions" else (model, original) in predictions)
    ]


def table_conflicts(
    run: Run,
    path: str | Path,
    models: Mapping[str, Model],
    predictions: Mapping[tuple[str, str], Model],
) -> Iterator[Problem]:
    """Where the run file speaks of models otherwise than the table does."""
    on = {data: models_on(data, run, models, predictions) for data in run.metrics.data}
    for index, data in enumerate(run.metrics.data):
        if len(on[data]) < 2:
            what = f"{path} should have two models at least on {data!r}, and has {len(on[data])}"
            yield ("metrics", "data", index), what
    # Only recipes in use: another may be there to be extended.
    for name in sorted({model.recipe for model in models.values()} & run.recipes.keys()):
        yield from recipe_conflicts(run, name)
        if teacher := run.recipes[name].teacher:
            yield from unable(("recipes", name, "teacher"), teacher, path, models, WITH_WEIGHTS)
    if run.low_data_ensembles:
        yield from pool_conflicts(run.low_data_ensembles, path, candidates(run, models))
    for model, where in _dropout_starts(run).items():
        yield from unable(where, model, path, models, WITH_WEIGHTS)
    yield from connectivity_table_conflicts(run, path, models)
    if paper := run.no_one_representation:
        yield from _paper_conflicts(paper, path, models, on, _dropout_starts(run))


def _paper_conflicts(
    paper: NoOneRepresentation,
    path: str | Path,
    models: Mapping[str, Model],
    on: Mapping[str, list[str]],
    apart: Iterable[str],
) -> Iterator[Problem]:
    """No One Representation: the models that it names, and what it needs of them."""
    top, mixing = "no_one_representation", paper.feature_mixing
    named = [((top, "base_model"), paper.base_model, bool(mixing))]
    named += [((top, "compared", i), model, False) for i, model in enumerate(paper.compared)]
    for part, leaf, weights in (
        ("greedy", "start", False),
        ("feature_mixing", "models", True),
        ("downstream", "models", True),
    ):
        listed = getattr(getattr(paper, part), leaf, ())
        named += [((top, part, leaf, i), model, weights) for i, model in enumerate(listed)]
    for where, model, weights in named:
        sources = LOOKING if weights else (*LOOKING, "predictions")
        problems = list(unable(where, model, path, models, sources))
        if model in apart:
            what = f"very_large_dropout.domains starts from {model!r}, which is compared with no"
            problems = [(where, f"{what} other; name another")]
        yield from problems
        if not problems and model not in on[paper.data]:
            yield where, f"{model!r} says nothing of data set {paper.data!r} in {path}"
    if mixing and all(m in models and models[m].category == "reinit" for m in mixing.models):
        what = "should hold a model of another category than 'reinit'"
        yield (top, "feature_mixing", "models"), what
    for index, shifted in enumerate(paper.shift.shifted if paper.shift else ()):
        both = set(on[paper.shift.original]) & set(on[shifted])
        if len(both) < 2:
            what = f"{path} should have two models at least on both {paper.shift.original!r} and"
            yield (top, "shift", "shifted", index), f"{what} {shifted!r}, and has {len(both)}"


def pin_conflicts(run: Run, path: str | Path, rows: Rows) -> Iterator[str]:
    """One location (and revision) with two values of sha256, in the table or in the run file."""
    files = [
        (f"{path}, line {line}, column sha256", (row["location"], row["revision"]), row["sha256"])
        for line, row in rows
    ]
    files += [
        (place(run._source, (*where, "sha256")), (file.location, ""), file.sha256)
        for where, file in downloads(run)
    ]
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for where, location, sha256 in files:
        if location[0] and sha256:
            first_where, pin = first.setdefault(location, (where, sha256))
            if sha256 != pin:
                yield f"{where}: should be {pin!r}, as for the same location in {first_where}"
