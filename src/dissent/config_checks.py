"""What is wrong between parts of a run's config that are right in themselves."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dissent.config_shapes import (
    NEEDED_COLUMNS,
    NEEDED_LEAVES,
    OFFERS,
    OPTIONAL_LEAVES,
    Model,
    Recipe,
    Run,
)
from dissent.config_text import Problem, Where, not_among, suggestion

# These say by themselves that a model is pre-trained or taught, whatever its framework.
STEERING_LEAVES = {"pretraining_steps", "teacher"}


def run_conflicts(run: Run) -> Iterator[Problem]:
    """Between the sections of a run file."""
    paper, metrics = run.no_one_representation, run.metrics
    splits = (metrics.calibration_split, metrics.report_split)
    yield from _unfit(run, ("no_one_representation", "data"), paper.data, splits, False)
    where = ("no_one_representation", "downstream", "data")
    splits = ("train", metrics.report_split)
    yield from _unfit(run, where, paper.downstream.data, splits, True)
    for name, recipe in run.recipes.items():
        yield from _data_conflicts(run, name, recipe)
    if metrics.calibration_split == metrics.report_split:
        yield ("metrics", "calibration_split"), "should differ from report_split"
    if paper.base_model in paper.greedy.start:
        where = ("no_one_representation", "greedy", "start")
        what = f"{paper.base_model!r} is the base model; start from others"
        yield (*where, paper.greedy.start.index(paper.base_model)), what


def name_conflicts(run: Run, written: Mapping, path: Path) -> Iterator[Problem]:
    """Between the name of a run and that of its file, unless --config gives another."""
    if run.run == written.get("run") and run.run != path.stem:
        what = f"should be {path.stem!r}, the name of its file, not {run.run!r}"
        yield ("run",), f"{what}: no two files should share results/{run.run}"


def _data_conflicts(run: Run, name: str, recipe: Recipe) -> Iterator[Problem]:
    """Between a recipe and the data sets it learns from, which have to be alike."""
    used = [("labels_per_class", data, data, False) for data in recipe.labels_per_class]
    # Where there are no labels, it is from these that a model has its classes.
    multi_label = None if used else False
    used += [("unlabelled", i, data, multi_label) for i, data in enumerate(recipe.unlabelled)]
    fit = []
    for leaf, key, data, multi_label in used:
        where = ("recipes", name, leaf, key)
        problems = list(_unfit(run, where, data, ("train",), multi_label))
        yield from problems
        if not problems:
            fit.append((where, data))
    for where, data in fit[1:]:
        first = fit[0][1]
        one, other = run.data[first], run.data[data]
        if other.size != one.size:
            yield where, f"{data!r} should have the size of {first!r}, as one recipe uses both"
        if OFFERS[other.kind].classes != OFFERS[one.kind].classes:
            yield where, f"{data!r} should have the classes of {first!r}, as one recipe uses both"


def _unfit(
    run: Run, where: Where, data: str, splits: Iterable[str], multi_label: bool | None
) -> Iterator[Problem]:
    """Why a data set cannot be used at a place; `multi_label` None: no matter."""
    if data not in run.data:
        yield where, not_among(data, run.data, "is no data set")
    elif multi_label not in (None, OFFERS[run.data[data].kind].multi_label):
        what = "has one label an example" if multi_label else "is multi-label"
        others = [key for key in run.data if OFFERS[run.data[key].kind].multi_label == multi_label]
        yield where, not_among(data, others, what)
    else:
        for split in splits:
            if split not in run.data[data].splits:
                yield where, f"data set {data!r} needs a split {split!r} to be used here"


def _recipe_conflicts(run: Run, name: str) -> Iterator[Problem]:
    """Leaves that a framework needs and does not get, or gets and has no use for."""
    recipe = run.recipes[name]
    needed = NEEDED_LEAVES[recipe.framework]
    for leaf in needed:
        if not getattr(recipe, leaf):
            yield ("recipes", name, "framework"), f"{recipe.framework!r} needs {leaf!r} as well"
    known = {leaf for leaves in NEEDED_LEAVES.values() for leaf in leaves} - {"steps"}
    # What a recipe takes over may be there for others that extend the same.
    refused = STEERING_LEAVES | set(run._source.config["recipes"][name])
    for leaf in sorted(known & refused - {*needed, *OPTIONAL_LEAVES.get(recipe.framework, ())}):
        if getattr(recipe, leaf):
            yield ("recipes", name), f"framework {recipe.framework!r} has no {leaf!r}"
    if recipe.steps and not recipe.labels_per_class and not recipe.teacher:
        yield ("recipes", name), "'steps' should be 0 where no labels are used"
    if recipe.framework == "captions":
        captioned = [data for data in run.data if OFFERS[run.data[data].kind].captions]
        for index, data in enumerate(recipe.unlabelled):
            if data not in captioned:
                what = not_among(data, captioned, "has no captions")
                yield ("recipes", name, "unlabelled", index), what


def teachings(
    rows: Iterable[Mapping[str, str]], run: Run, batch_of: Mapping[str, str]
) -> dict[str, list[str]]:
    """By batch, the batches that have teachers of its models."""
    taught_by: dict[str, list[str]] = {}
    for row in rows:
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


def row_conflicts(
    row: Mapping[str, str],
    run: Run,
    batch_of: Mapping[str, str],
    taught_by: Mapping[str, list[str]],
) -> Iterator[Problem]:
    """Between the columns of a row, and between a row and its surroundings."""
    for source, columns in NEEDED_COLUMNS.items():
        for column in columns if row["source"] in NEEDED_COLUMNS else ():
            if source == row["source"] and not row[column]:
                yield (column,), f"should not be empty where source is {source!r}"
            elif source != row["source"] and row[column]:
                yield (column,), f"should be empty where source is {row['source']!r}"
    if row["recipe"] and row["recipe"] not in run.recipes:
        yield ("recipe",), not_among(row["recipe"], run.recipes, "is no recipe")
    elif row["recipe"]:
        teacher, batch = run.recipes[row["recipe"]].teacher, batch_of[row["model"]]
        if batch_of.get(teacher) == batch:
            yield ("batch",), f"should differ from that of the teacher {teacher!r}"
        elif teacher in batch_of and (way := _way(taught_by, batch_of[teacher], batch)):
            circle = " -> ".join([batch, *way])
            yield ("batch",), f"should not lead back to itself through teachers ({circle})"
    if row["batch"] and row["batch"] in batch_of and row["batch"] != row["model"]:
        yield ("batch",), f"{row['batch']!r} is the id of another model; give another name"


def table_conflicts(
    run: Run, path: str | Path, models: Mapping[str, Model], ids: Iterable[str]
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
        yield from _recipe_conflicts(run, name)
        named.append((("recipes", name, "teacher"), run.recipes[name].teacher))
    for where, model in named:
        if model is not None and model not in ids:
            yield where, f"{model!r} is no model in {path}{suggestion(model, ids)}"
    for category, model in paper.compared:
        if model in models and models[model].category != category:
            where = ("no_one_representation", "compared", category)
            yield where, f"{model!r} is of category {models[model].category!r} in {path}"
    mixed = paper.feature_mixing.models
    if all(model in models and models[model].category == "reinit" for model in mixed):
        where = ("no_one_representation", "feature_mixing", "models")
        yield where, "should hold a model of another category than 'reinit'"
