"""What is wrong between Linear Connectivity and the rows of a model table."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from dissent.config_checks import is_address, is_hub_id
from dissent.config_connectivity import IMAGES, TEXT, ImageConnectivity
from dissent.config_fit import unable
from dissent.config_shapes import Model, Run
from dissent.config_text import Problem, Where


def text_models(run: Run) -> dict[str, Where]:
    """The models that Linear Connectivity reads as text models, and where the run file names them.

    They are compared with no models of other sections.
    """
    text = run.linear_connectivity and run.linear_connectivity.text
    if not text:
        return {}
    listed = {model: (*TEXT, "models", index) for index, model in enumerate(text.models)}
    return listed | ({text.start: (*TEXT, "start")} if text.start else {})


def text_row_conflicts(row: Mapping[str, str], unpinned: bool) -> Iterator[Problem]:
    """What a row of source transformers should have, and what it should not.

    Of one to be pinned, pinning finds the licence.
    """
    location, revision = row["location"], row["revision"]
    if row["category"]:
        what = "should be empty where source is 'transformers', as no other section compares such"
        yield ("category",), f"{what} models"
    if is_address(location):
        what = "should be an id on the hub, such as 'org/name', or the path of a folder, not an"
        yield ("location",), f"{what} address"
    elif is_hub_id(location):
        for column in ("revision", "licence"):
            if not row[column] and not (column == "licence" and unpinned):
                what = f"should be given where location is an id on the hub ({location!r} is no"
                yield (column,), f"{what} folder here)"
    elif location and revision:
        yield ("revision",), "should be empty where location is a folder"


def connectivity_table_conflicts(
    run: Run, path: str | Path, models: Mapping[str, Model]
) -> Iterator[Problem]:
    """Models that the section names and that are not there, or not what they should be."""
    text = run.linear_connectivity and run.linear_connectivity.text
    tokenizer = text and text.tokenizer
    if tokenizer and not tokenizer.revision and is_hub_id(tokenizer.location):
        what = "needs 'revision' as well, where location is an id on the hub"
        yield (*TEXT, "tokenizer"), f"{what} ({tokenizer.location!r} is no folder here)"
    named, wrong = text_models(run), []
    for model, where in named.items():
        wrong += unable(where, model, path, models, ("transformers",))
    # Who misspells a name has one mistake, not two.
    yield from wrong or _unnamed(named, path, models)
    first: dict[str | None, str] = {}
    for model, where in named.items() if not wrong else ():
        digest = models[model].sha256
        twin = first.setdefault(digest, model)
        if digest and twin != model:
            what = f"{model!r} has the weights of {twin!r} in {path}, a duplicate checkpoint under"
            yield where, f"{what} two names; leave one out"
    if run.linear_connectivity and run.linear_connectivity.images:
        yield from _image_model_conflicts(run, run.linear_connectivity.images, path, models)


def _unnamed(
    named: Mapping[str, Where], path: str | Path, models: Mapping[str, Model]
) -> Iterator[Problem]:
    """Text models that would be fetched for nothing."""
    for model, row in models.items():
        if row.source == "transformers" and model not in named:
            what = "is named nowhere; name it under linear_connectivity.text, or leave the row out"
            yield ("models",), f"{model!r}, of source 'transformers' in {path}, {what}"


def _image_model_conflicts(
    run: Run, images: ImageConnectivity, path: str | Path, models: Mapping[str, Model]
) -> Iterator[Problem]:
    """Image models that are not trained here, or not of one architecture."""
    built: dict[str, tuple] = {}
    for index, model in enumerate(images.models):
        where = (*IMAGES, "models", index)
        problems = list(unable(where, model, path, models, ("train",)))
        yield from problems
        if problems:
            continue
        recipe = run.recipes[models[model].recipe]
        built[model] = (recipe.architecture, recipe.options)
        first = next(iter(built))
        if built[model] != built[first]:
            what = f"{model!r} should have the architecture and options of {first!r}, as paths"
            yield where, f"{what} lead from one's weights to the other's"
