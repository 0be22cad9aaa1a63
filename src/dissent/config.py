"""The config of a run and its model table, checked: one sentence for each mistake.

`python -m dissent.config` writes config/schemas.
"""

import argparse
import json
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from dissent import commandline
from dissent.config_shapes import NEEDED_COLUMNS, NEEDED_LEAVES, PATTERNS, Model, Recipe, Run
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
    try:
        run = Run.model_validate(config | ({"recipes": recipes} if "recipes" in config else {}))
        problems += _run_conflicts(run)
    except ValidationError as error:
        problems += [_problem(detail) for detail in error.errors()]
    source = Source(path, node, written, config, origins)
    raise_all(f"{place(source, where)}: {what}" for where, what in problems)
    run._source = source
    return run


def load_models(path: str | Path, run: Run) -> dict[str, Model]:
    """Read the model table of `run`: models by id, in the table's order.

    Raises InputError with one line per mistake, also for models that the run file names and the
    table does not.
    """
    rows = read_csv(Path(path), list(Model.model_fields))
    models: dict[str, Model] = {}
    problems: list[tuple[int, Problem]] = []
    for line, row in rows:
        try:
            model = Model.model_validate({column: text or None for column, text in row.items()})
            models.setdefault(model.model, model)
        except ValidationError as error:
            problems += [(line, _problem(detail)) for detail in error.errors()]
    first_line = {row["model"]: line for line, row in reversed(rows)}
    batch_of = {row["model"]: row["batch"] or row["model"] for _, row in rows}
    for line, row in rows:
        if (first := first_line[row["model"]]) != line:
            what = f"{row['model']!r} is named twice, first on line {first}"
            problems.append((line, (("model",), what)))
        problems += [(line, problem) for problem in _row_conflicts(row, run, batch_of)]
    raise_all(
        [f"{path}, line {line}, column {at[0]}: {what}" for line, (at, what) in sorted(problems)]
        + [
            f"{place(run._source, where)}: {what}"
            for where, what in _table_conflicts(run, path, models, batch_of)
        ]
    )
    return models


def batches(models: Mapping[str, Model]) -> dict[str, list[Model]]:
    """Models by batch, the unit of one job; a model without a batch is one under its own id."""
    grouped: dict[str, list[Model]] = {}
    for model in models.values():
        grouped.setdefault(model.batch or model.model, []).append(model)
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


def _run_conflicts(run: Run) -> Iterator[Problem]:
    """What is wrong between parts of a run file that are right in themselves."""
    paper, metrics = run.no_one_representation, run.metrics
    used = [
        (("recipes", name, "labels_per_class", data), data, "train")
        for name, recipe in run.recipes.items()
        for data in recipe.labels_per_class
    ] + [
        (("recipes", name, "unlabelled", index), data, "train")
        for name, recipe in run.recipes.items()
        for index, data in enumerate(recipe.unlabelled)
    ]
    for split in (metrics.calibration_split, metrics.report_split):
        used.append((("no_one_representation", "data"), paper.data, split))
    for split in ("train", metrics.report_split):
        used.append((("no_one_representation", "downstream", "data"), paper.downstream.data, split))
    for where, data, split in used:
        if data not in run.data:
            yield where, not_among(data, run.data, "is no data set")
        elif split not in run.data[data].splits:
            yield where, f"data set {data!r} needs a split {split!r} to be used here"
    if metrics.calibration_split == metrics.report_split:
        yield ("metrics", "calibration_split"), "should differ from report_split"


def _recipe_conflicts(name: str, recipe: Recipe) -> Iterator[Problem]:
    """Leaves that a framework needs and does not get, or gets and has no use for."""
    needed = NEEDED_LEAVES[recipe.framework]
    for leaf in needed:
        if not getattr(recipe, leaf):
            yield ("recipes", name, "framework"), f"{recipe.framework!r} needs {leaf!r} as well"
    for leaf in ("pretraining_steps", "teacher"):
        if getattr(recipe, leaf) and leaf not in needed:
            yield ("recipes", name), f"framework {recipe.framework!r} has no {leaf!r}"
    if recipe.steps and not recipe.labels_per_class and not recipe.teacher:
        yield ("recipes", name), "'steps' should be 0 where no labels are used"


def _row_conflicts(row: dict[str, str], run: Run, batch_of: dict[str, str]) -> Iterator[Problem]:
    """What is wrong between the columns of a row, and between a row and its surroundings."""
    for source, columns in NEEDED_COLUMNS.items():
        for column in columns if row["source"] in NEEDED_COLUMNS else ():
            if source == row["source"] and not row[column]:
                yield (column,), f"should not be empty where source is {source!r}"
            elif source != row["source"] and row[column]:
                yield (column,), f"should be empty where source is {row['source']!r}"
    if row["recipe"] and row["recipe"] not in run.recipes:
        yield ("recipe",), not_among(row["recipe"], run.recipes, "is no recipe")
    elif row["recipe"]:
        teacher = run.recipes[row["recipe"]].teacher
        if batch_of.get(teacher) == batch_of[row["model"]]:
            yield ("batch",), f"should differ from that of the teacher {teacher!r}"
    if row["batch"] and row["batch"] in batch_of and row["batch"] != row["model"]:
        yield ("batch",), f"{row['batch']!r} is the id of another model; give another name"


def _table_conflicts(
    run: Run, path: str | Path, models: dict[str, Model], ids: Iterable[str]
) -> Iterator[Problem]:
    """Where the run file speaks of models otherwise than the table does."""
    paper = run.no_one_representation
    named: list[tuple[Where, str | None]] = [(("base_model",), paper.base_model)]
    named += [(("compared", category), model) for category, model in paper.compared]
    for part, leaf in (("greedy", "start"), ("feature_mixing", "models"), ("downstream", "models")):
        listed = getattr(getattr(paper, part), leaf)
        named += [((part, leaf, index), model) for index, model in enumerate(listed)]
    named = [(("no_one_representation", *where), model) for where, model in named]
    # Only recipes in use: another may be there to be extended.
    for name in sorted({model.recipe for model in models.values()} & run.recipes.keys()):
        yield from _recipe_conflicts(name, run.recipes[name])
        named.append((("recipes", name, "teacher"), run.recipes[name].teacher))
    for where, model in named:
        if model is not None and model not in ids:
            yield where, f"{model!r} is no model in {path}{suggestion(model, ids)}"
    for category, model in paper.compared:
        if model in models and models[model].category != category:
            where = ("no_one_representation", "compared", category)
            yield where, f"{model!r} is of category {models[model].category!r} in {path}"


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
    allowed = re.findall(r"'([^']*)'", detail.get("ctx", {}).get("expected", ""))
    return where, what.replace("dictionary", "mapping") + suggestion(detail["input"], allowed)


def _allowed_keys(where: Where) -> list[str]:
    """The keys a run file may have at a place."""
    shape: Any = Run
    for key in where:
        fields = getattr(shape, "model_fields", None)
        shape = fields[key].annotation if fields else get_args(shape)[1]
    return [*shape.model_fields, *(["extends"] if shape is Recipe else [])]


def main(_: argparse.Namespace) -> None:
    for name, text in schemas().items():
        with atomic(SCHEMAS / name) as path:
            path.write_text(text)


if __name__ == "__main__":
    commandline.run(main, commandline.parser("Write config/schemas.").parse_args())
