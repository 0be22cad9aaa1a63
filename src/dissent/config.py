"""The config of a run and its model table, checked: one sentence for each mistake.

`python -m dissent.config` writes config/schemas.
"""

import argparse
import json
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from dissent import commandline
from dissent.config_checks import name_conflicts, run_conflicts
from dissent.config_shapes import Model, Recipe, Run
from dissent.config_table_checks import pin_conflicts, row_conflicts, table_conflicts
from dissent.config_text import (
    Problem,
    Source,
    Where,
    not_among,
    place,
    raise_all,
    read_csv,
    read_yaml,
    suggestion,
)
from dissent.config_types import PATTERNS
from dissent.files import atomic

SCHEMAS = Path("config/schemas")


def load_run(config: Mapping | str | Path, path: str | Path | None = None) -> Run:
    """Check a run's config and resolve the recipes in it.

    `config` is the path of a run file, or (as in the Snakefile) the mapping that Snakemake made
    of the file `path` and of --config. Raises InputError with one line per mistake.
    """
    path = Path(config if path is None else path)
    node, written = read_yaml(path, Run.model_fields)
    config = dict(config) if isinstance(config, Mapping) else written
    recipes, origins, problems = _resolve(config.get("recipes", {}))
    uncompared = list(_compared_data(config))
    problems += uncompared
    try:
        run = Run.model_validate(config | ({"recipes": recipes} if "recipes" in config else {}))
        if not uncompared:
            problems += run_conflicts(run)
        problems += name_conflicts(run, written, path)
    except ValidationError as error:
        problems += [_problem(detail) for detail in error.errors()]
    source = Source(path, node, written, config, origins)
    raise_all(f"{place(source, where)}: {what}" for where, what in problems)
    run._source = source
    return run


def load_models(
    path: str | Path, run: Run
) -> tuple[dict[str, Model], dict[tuple[str, str], Model]]:
    """Read the model table of `run`: models by id, and rows of predictions by (id, data set).

    Both are in the table's order; of a model with several rows of predictions, the first stands for
    it. Raises InputError with one line per mistake: of the rows, or, once these are right, of what
    the run file says of models otherwise than the table.
    """
    rows = read_csv(Path(path), list(Model.model_fields), ["model", "source"])
    models: dict[str, Model] = {}
    predictions: dict[tuple[str, str], Model] = {}
    problems: list[tuple[int, Problem]] = list(row_conflicts(rows, run))
    for line, row in rows:
        try:
            model = Model.model_validate({column: text or None for column, text in row.items()})
        except ValidationError as error:
            problems += [(line, _problem(detail)) for detail in error.errors()]
            continue
        models.setdefault(model.model, model)
        if model.source == "predictions":
            predictions[model.model, model.data] = model
    raise_all(
        f"{path}, line {line}, column {at[0]}: {what}" for line, (at, what) in sorted(problems)
    )
    conflicts = table_conflicts(run, path, models, predictions)
    raise_all(
        [f"{place(run._source, where)}: {what}" for where, what in conflicts]
        + list(pin_conflicts(run, path, rows))
    )
    return models, predictions


def batches(rows: Iterable[Model]) -> dict[str, list[Model]]:
    """Rows by batch, the unit of one job; a model without a batch is one under its own id."""
    grouped: dict[str, list[Model]] = {}
    for row in rows:
        grouped.setdefault(row.batch or row.model, []).append(row)
    return grouped


def schemas() -> dict[str, str]:
    """The JSON schemas of a run file and of a row of the model table, by file name."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        f"{name}.schema.json": json.dumps(dialect | shape.model_json_schema(), indent=2) + "\n"
        for name, shape in (("run", Run), ("models", Model))
    }


def _resolve(recipes: Any) -> tuple[Any, dict[tuple[str, str], str], list[Problem]]:
    """Merge recipes along `extends`; also tell in which recipe each leaf was written."""
    resolved, origins, problems = {}, {}, []
    if not isinstance(recipes, Mapping):
        return recipes, origins, problems
    for name in recipes:
        chain, wrong = _ancestry(recipes, name)
        if wrong:
            problems.append((("recipes", chain[-1], "extends"), wrong))
        elif isinstance(recipes[chain[-1]], Mapping):
            merged = {}
            for link in reversed(chain):
                merged |= recipes[link]
            for leaf in {*merged, *Recipe.model_fields}:
                origins[name, leaf] = next((r for r in chain if leaf in recipes[r]), chain[-1])
            resolved[name] = {leaf: merged[leaf] for leaf in merged if leaf != "extends"}
        elif chain == [name]:
            resolved[name] = recipes[name]
    return resolved, origins, problems


def _compared_data(config: Mapping) -> Iterator[Problem]:
    """What metrics lacks where no other section says on which data models are compared."""
    metrics, dropout = config.get("metrics", {}), config.get("very_large_dropout")
    elsewhere = [config.get("low_data_ensembles")]
    elsewhere += [dropout.get("domains")] if isinstance(dropout, Mapping) else []
    connectivity = config.get("linear_connectivity")
    if isinstance(connectivity, Mapping):
        elsewhere += [connectivity.get("text"), connectivity.get("images")]
    if any(section is not None for section in elsewhere) or not isinstance(metrics, Mapping):
        return
    if "data" not in metrics:
        yield (("metrics", "data") if "metrics" in config else ("metrics",)), "is missing"
    elif metrics["data"] == []:
        yield ("metrics", "data"), "should have at least 1 item, not 0"


def _ancestry(recipes: Mapping, name: str) -> tuple[list[str], str | None]:
    """A recipe and those it extends, in order, and what is wrong with the last `extends`."""
    chain = [name]
    while isinstance(recipes[chain[-1]], Mapping) and "extends" in recipes[chain[-1]]:
        parent = recipes[chain[-1]]["extends"]
        if parent in chain:
            circle = [*chain[chain.index(parent) :], parent]
            return chain, f"should not lead back to itself ({' -> '.join(map(str, circle))})"
        if not isinstance(parent, str) or parent not in recipes:
            return chain, not_among(parent, recipes, "is no recipe")
        chain.append(parent)
    return chain, None


def _problem(detail: Mapping) -> Problem:
    """One of pydantic's errors: where, and what is wrong there."""
    where = tuple(key for key in detail["loc"] if key != "[key]")
    given = "nothing" if detail["input"] is None else reprlib.repr(detail["input"])
    if detail["type"] == "missing":
        return where, "is missing"
    if detail["type"] in ("extra_forbidden", "invalid_key"):
        return where, not_among(where[-1], _allowed_keys(where[:-1]), "is no key here")
    if detail["type"] == "string_pattern_mismatch":
        return where, f"{PATTERNS[detail['ctx']['pattern']]}, not {given}"
    what = re.sub(r"^(Value error, )?(\w+ )?should", "should", detail["msg"])
    what = re.sub(r" after validation| or instance of \w+", "", what)
    if ", not " not in what:
        what += f", not {given}"
    if detail["type"] == "string_type" and isinstance(detail["input"], bool | int | float | date):
        what += "; put it in quotes"
    allowed = re.findall(r"'([^']*)'", detail.get("ctx", {}).get("expected", ""))
    return where, what.replace("dictionary", "mapping") + suggestion(detail["input"], allowed)


def _allowed_keys(where: Where) -> list[str]:
    """The keys a run file may have at a place."""
    shape: Any = Run
    for key in where:
        fields = getattr(shape, "model_fields", None)
        shape = fields[key].annotation if fields else get_args(shape)[1]
        # Of a section that may be left out (X | None), X.
        shape = get_args(shape)[0] if type(None) in get_args(shape) else shape
    return [*shape.model_fields, *(["extends"] if shape is Recipe else [])]


def main(_: argparse.Namespace) -> None:
    for name, text in schemas().items():
        with atomic(SCHEMAS / name) as path:
            path.write_text(text)


if __name__ == "__main__":
    commandline.run(main, commandline.parser("Write config/schemas.").parse_args())
