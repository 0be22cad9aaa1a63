"""Whether data sets and models of a run are fit for the place where its file names them."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dissent.config_data import OFFERS, DataSet
from dissent.config_low_data import SPLITS
from dissent.config_shapes import Model, Run
from dissent.config_text import Problem, Where, not_among, suggestion

# Why a data set is unfit where another value of a trait is needed.
UNFIT = {
    ("multi_label", False): "is multi-label",
    ("multi_label", True): "has one label an example",
    ("images", True): "has no images",
    ("grey", True): "is in colour, and recipes train on grey images",
    ("captions", True): "has no captions",
    ("sentences", True): "has no sentences",
}
# The splits of the images that no split names.
FURTHER_SPLITS = {"folder": ("report",), "domain_folder": SPLITS}
UNPREDICTABLE = "is no data set with examples of its own and one label each"


def uncompared(run: Run, where: Where, name: str, splits: Iterable[str] = ()) -> Iterator[Problem]:
    """Why models are not compared on a data set, or not on all splits that are needed."""
    if name not in run.metrics.data:
        yield where, not_among(name, run.metrics.data, "is not among metrics.data")
    else:
        yield from unfit(run, where, name, splits)


def unfit(
    run: Run, where: Where, name: str, splits: Iterable[str], **wanted: bool
) -> Iterator[Problem]:
    """Why a data set cannot be used where some traits (see `Offer`) and splits are needed."""
    if name not in run.data:
        yield where, not_among(name, run.data, "is no data set")
        return
    traits = _traits(run.data[name])
    for trait, value in wanted.items():
        if traits[trait] != value:
            yield where, not_among(name, having(run, **wanted), UNFIT[trait, value])
            return
    original = run.data.get(run.data[name].relabels or name)
    # Without splits, all examples are reported on. Of an unknown original is told elsewhere.
    there = (original.splits or {"report"}) if original else splits
    if original and original.kind in FURTHER_SPLITS:
        there = {*there, *FURTHER_SPLITS[original.kind], *(file.split for file in original.images)}
    for split in splits:
        if split not in there:
            yield where, f"data set {name!r} needs a split {split!r} to be used here"


def with_images(run: Run, name: str) -> bool:
    """Whether the examples of a data set are images, also of one that relabels another's."""
    offer = OFFERS[run.data[run.data[name].relabels or name].kind]
    return offer.images or offer.encoded


def encoded(run: Run) -> list[str]:
    """The data sets on which models are compared whose images stay encoded."""
    return [name for name in run.metrics.data if OFFERS[run.data[name].kind].encoded]


def predictable(run: Run) -> list[str]:
    """The data sets that models predict: new labels of the same examples change nothing."""
    return [name for name in having(run, multi_label=False) if not run.data[name].relabels]


def having(run: Run, **wanted: bool) -> list[str]:
    """The data sets that have all of some traits (see `Offer`)."""
    return [name for name, data in run.data.items() if wanted.items() <= _traits(data).items()]


def _traits(data: DataSet) -> dict[str, str | bool]:
    """What a data set has (see `Offer`); a file of labels may hold sentences."""
    traits = OFFERS[data.kind]._asdict()
    return traits | ({"sentences": True} if data.labels and data.labels.sentences else {})


def unable(
    where: Where,
    model: str,
    path: str | Path,
    models: Mapping[str, Model],
    sources: Iterable[str],
) -> Iterator[Problem]:
    """Why a model cannot be used at a place, which takes models of some sources."""
    if model not in models:
        yield where, f"{model!r} is no model in {path}{suggestion(model, models)}"
    elif (source := models[model].source) == "predictions" and source not in sources:
        yield where, f"{model!r} has predictions alone in {path}, and its weights are needed here"
    elif source not in sources:
        named = " or ".join(map(repr, sources))
        yield where, f"{model!r} is of source {source!r} in {path}; name one of source {named}"
