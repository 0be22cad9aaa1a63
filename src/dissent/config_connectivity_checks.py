"""What is wrong between Linear Connectivity's section of a run file and the data sets."""

from collections.abc import Iterator

from dissent.config_connectivity import (
    IMAGES,
    TEXT,
    ImageConnectivity,
    TextConnectivity,
    interpolation,
    text_conflicts,
)
from dissent.config_data import GROUPS
from dissent.config_fit import uncompared, unfit
from dissent.config_papers import LinearConnectivity
from dissent.config_shapes import Run
from dissent.config_text import Problem, Where, not_among, suggestion


def connectivity_conflicts(run: Run, section: LinearConnectivity) -> Iterator[Problem]:
    """Between the section's leaves, and with the data sets that they name."""
    if not (section.published or section.text or section.images):
        yield ("linear_connectivity",), "needs 'published', 'text' or 'images'"
    if section.published:
        yield from _hans_conflicts(run, section.published.hans)
    if section.text:
        yield from text_conflicts(section.text)
        yield from _text_data_conflicts(run, section.text)
    if section.images:
        yield from _image_data_conflicts(run, section.images)


def _hans_conflicts(run: Run, name: str) -> Iterator[Problem]:
    """A data set whose subsets are told apart, and on which models are compared."""
    where = ("linear_connectivity", "published", "hans")
    problems = list(uncompared(run, where, name))
    yield from problems
    grouped = [
        key
        for key, data in run.data.items()
        if data.kind == "hans" or (data.labels and data.labels.groups)
    ]
    if not problems and name not in grouped:
        yield where, not_among(name, grouped, "has no groups")


def _text_data_conflicts(run: Run, text: TextConnectivity) -> Iterator[Problem]:
    """Data sets of sentences with the splits that are needed, and as many examples as asked for."""
    compared = ("tune", "report")
    named: list[tuple[Where, str, tuple[str, ...]]] = [
        (("data",), text.data, (*(["train"] if text.start else []),)),
    ]
    if text.in_domain:
        named.append((("in_domain",), text.in_domain, compared))
    else:
        named.append((("data",), text.data, compared))
    if text.interpolation:
        named.append((("interpolation",), text.interpolation, ("report",)))
    named += [
        (("diagnostics", index), name, ("report",)) for index, name in enumerate(text.diagnostics)
    ]
    for at, name, splits in named:
        yield from unfit(run, (*TEXT, *at), name, splits, multi_label=False, sentences=True)
    on = interpolation(text)
    yield from _too_many(run, (*TEXT, "examples"), text.examples, on, "report")
    for part in ("planes", "sharpness"):
        if asked := getattr(text, part):
            yield from _too_many(run, (*TEXT, part, "examples"), asked.examples, on, "report")
    yield from _group_conflicts(run, text)


def _group_conflicts(run: Run, text: TextConnectivity) -> Iterator[Problem]:
    """A group that the strategy's data set has; of a file with groups, its reader tells."""
    where, group, name = (*TEXT, "strategy", "group"), text.strategy.group, text.strategy.data
    data = run.data.get(name)
    if not data or name not in text.diagnostics:
        return
    if data.kind in GROUPS and group not in GROUPS[data.kind]:
        meant = suggestion(group, GROUPS[data.kind])
        named = ", ".join(map(repr, GROUPS[data.kind]))
        what = f"is no group of data sets of kind {data.kind!r}{meant}; give one of {named}"
        yield where, f"{group!r} {what}"
    elif data.labels and not data.labels.groups:
        what = f"is no group of data set {name!r}, which needs `labels.groups`, the column of them"
        yield where, f"{group!r} {what}"


def _image_data_conflicts(run: Run, images: ImageConnectivity) -> Iterator[Problem]:
    """A data set of images with the splits that are needed, and as many images as asked for."""
    wanted = {"multi_label": False, "images": True, "grey": True}
    yield from unfit(run, (*IMAGES, "data"), images.data, ("train", "report"), **wanted)
    for leaf, split in (("examples", "report"), ("statistics_images", "train")):
        yield from _too_many(run, (*IMAGES, leaf), getattr(images, leaf), images.data, split)


def _too_many(run: Run, where: Where, asked: int, name: str, split: str) -> Iterator[Problem]:
    """More examples than a split has, where the run file says how many that are."""
    there = run.data[name].splits.get(split) if name in run.data else None
    if there and asked > there:
        yield where, f"should be {there} at most, the split {split!r} of {name!r}, not {asked}"
