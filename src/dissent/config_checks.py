"""What is wrong between parts of a run file that are right in themselves."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dissent.commandline import InputError
from dissent.config_connectivity_checks import connectivity_conflicts
from dissent.config_data import (
    LEAVES,
    MOST_SCANS,
    OFFERS,
    RELABELLING_LEAVES,
    DataSet,
    Download,
    Labels,
)
from dissent.config_dropout import DOMAINS, KINDS, DropoutOnDomains, dropout_conflicts
from dissent.config_fit import UNPREDICTABLE, encoded, predictable, uncompared, unfit
from dissent.config_low_data import SECTION, SPLITS, LowDataEnsembles, fine_tuning_conflicts
from dissent.config_papers import NoOneRepresentation
from dissent.config_shapes import NEEDED_LEAVES, OPTIONAL_LEAVES, Recipe, Run
from dissent.config_text import Problem, Where, not_among
from dissent.fetching import local_path
from dissent.hub import COMMIT, HUB_ID, UNPINNED

# Kinds whose images may be in a folder or packed.
FOLDERS = ("folder", "domain_folder")
LEAST_DOMAINS = 2
# These say by themselves that a model is pre-trained or taught, whatever its framework.
STEERING_LEAVES = {"pretraining_steps", "teacher"}
# Keyword arguments of timm that say what a model is for, not what it is like.
NO_OPTIONS = {"pretrained", "features_only", "in_chans", "num_classes", "drop_rate"}
UNSEEN = "is no data set of kind 'handwritten' with a split 'train'"


def run_conflicts(run: Run) -> Iterator[Problem]:
    """Between the sections of a run file."""
    metrics, paper = run.metrics, run.no_one_representation
    for name, data in run.data.items():
        yield from _data_conflicts(run, name, data)
    for name, recipe in run.recipes.items():
        yield from _recipe_data_conflicts(run, name, recipe)
        for option in sorted(NO_OPTIONS & recipe.options.keys()):
            what = f"{option!r} is nothing that options may say; leave it out"
            yield ("recipes", name, "options", option), what
    for index, name in enumerate(metrics.data):
        where = ("metrics", "data", index)
        yield from unfit(run, where, name, (metrics.report_split,), multi_label=False)
    if all(name in run.data for name in metrics.data) and encoded(run):
        other = [name for name in metrics.data if OFFERS[run.data[name].kind].images]
        if other:
            what = f"{other[0]!r} holds images of one size and {encoded(run)[0]!r} encoded ones"
            yield ("metrics", "data"), f"{what}: compare models on them in two runs"
    if metrics.calibration_split == metrics.report_split:
        yield ("metrics", "calibration_split"), "should differ from report_split"
    if paper:
        yield from _data_of_paper(run, paper)
        yield from _base_model_conflicts(paper)
    if run.low_data_ensembles:
        yield from _task_conflicts(run, run.low_data_ensembles)
        yield from fine_tuning_conflicts(run.low_data_ensembles)
    if dropout := run.very_large_dropout:
        if dropout.domains:
            yield from _domain_conflicts(run, dropout.domains)
        elif not dropout.soups:
            yield ("very_large_dropout",), "needs 'domains' or 'soups'"
    if run.linear_connectivity:
        yield from connectivity_conflicts(run, run.linear_connectivity)
    for where, file in downloads(run):
        # Of what people get by hand, not everybody says the bytes.
        pin = file.sha256 or file.page
        for at, what in address_conflicts(file.location, pin, file.licence):
            yield (*where, *at), what


def _data_conflicts(run: Run, name: str, data: DataSet) -> Iterator[Problem]:
    """Leaves that a kind of data set needs and does not get, or gets and has no use for."""
    relabels = data.kind == "labels" and data.relabels
    leaves = RELABELLING_LEAVES if relabels else LEAVES[data.kind]
    beside = " beside 'relabels'" if relabels else ""
    for leaf, value in data:
        # A share of 0 is given.
        given = value not in (None, {}, "", [])
        if leaves.get(leaf) and not given:
            yield ("data", name), f"kind {data.kind!r} needs {leaf!r} as well"
        elif leaf not in {*leaves, "kind", "seed"} and given:
            yield ("data", name, leaf), f"kind {data.kind!r} has no {leaf!r}{beside}"
    if data.kind == "domains" and (images := sum(data.splits.values())) > MOST_SCANS:
        what = f"should be {MOST_SCANS} images of each domain at most altogether, not {images}"
        yield ("data", name, "splits"), f"{what}: there are no more handwritten ones"
    yield from _reference_conflicts(run, name, data, set(leaves))
    if data.kind in FOLDERS:
        yield from _folder_conflicts(name, data)
    elif any(file.split for file in data.images):
        index = [bool(file.split) for file in data.images].index(True)
        what = "should be left out: only images of kind 'folder' are dealt by their files"
        yield ("data", name, "images", index, "split"), what
    if data.kind != "images" and isinstance(data.classes, str):
        yield (
            ("data", name, "classes"),
            f"should be names or their number where kind is {data.kind!r}",
        )
    if data.kind == "images" and data.labels and not data.classes:
        yield ("data", name), "needs 'classes' as well, to say what its labels stand for"
    if data.kind in ("labels", "images") and data.labels:
        for at, what in _column_conflicts(data.labels, bool(relabels)):
            yield ("data", name, "labels", *at), what


def _folder_conflicts(name: str, data: DataSet) -> Iterator[Problem]:
    """Of a folder of images, where it is: in one place, or packed with all that a folder tells."""
    if bool(data.location) == bool(data.images):
        what = f"kind {data.kind!r} needs 'location' (a folder) or 'images' (files), not both"
        yield ("data", name), what
    for leaf in ("classes", "domains"):
        if getattr(data, leaf) and not data.images:
            what = "should be left out beside 'location', whose folders are called after them"
            yield ("data", name, leaf), what
    whole = {file.split for file in data.images}
    for split in data.splits if data.images and None not in whole else ():
        if split not in whole:
            what = "has no images, as each file under 'images' is of another split alone; leave"
            yield ("data", name, "splits", split), f"{what} `split` out of one to deal it"
    if data.kind == "domain_folder":
        if data.images and len(data.domains) < LEAST_DOMAINS:
            what = f"should name the domains of 'images', {LEAST_DOMAINS} at least"
            yield ("data", name, "domains"), what
        for index, file in enumerate(data.images):
            if file.split:
                what = "should be left out: each domain is dealt by itself"
                yield ("data", name, "images", index, "split"), what


def _column_conflicts(labels: Labels, relabels: bool) -> Iterator[Problem]:
    """Columns of a file of labels that it does not have, or has no use for."""
    if labels.sentences and relabels:
        yield ("sentences",), "should be left out beside 'relabels', which brings its own examples"
    if labels.array and (labels.sentences or labels.header):
        leaf = "sentences" if labels.sentences else "header"
        yield (leaf,), "should be left out beside 'array': an npz file has no columns"
    named: list[tuple[Where, str]] = [(("label",), labels.label or "label")]
    named += [(("ids",), labels.ids)] if "{" not in labels.ids else []
    groups = [labels.groups] if isinstance(labels.groups, str) else labels.groups or []
    named += [(("groups",), column) for column in groups]
    named += [(("sentences", index), column) for index, column in enumerate(labels.sentences)]
    for at, column in named if labels.header else ():
        if column not in labels.header:
            yield at, not_among(column, labels.header, "is not among the columns of header")


def _reference_conflicts(run: Run, name: str, data: DataSet, leaves: set[str]) -> Iterator[Problem]:
    """What a data set is made from, by those of its leaves that its kind has a use for."""
    if "relabels" in leaves and data.relabels and data.relabels not in predictable(run):
        yield ("data", name, "relabels"), not_among(data.relabels, predictable(run), UNPREDICTABLE)
    if "apart_from" in leaves and data.apart_from:
        seen = [
            key
            for key, one in run.data.items()
            if one.kind == "handwritten" and "train" in one.splits
        ]
        if data.apart_from not in seen:
            yield ("data", name, "apart_from"), not_among(data.apart_from, seen, UNSEEN)
    if "location" in leaves and data.location and is_address(data.location):
        yield ("data", name, "location"), "should be the path of a folder, not an address"


def _recipe_data_conflicts(run: Run, name: str, recipe: Recipe) -> Iterator[Problem]:
    """Between a recipe and the data sets it learns from, which have to be alike."""
    single = {"multi_label": False}
    used = [(("labels_per_class", data), data, single) for data in recipe.labels_per_class]
    # Where there are no labels, it is from these that a model has its classes.
    wanted = {} if used else single
    used += [(("unlabelled", i), data, wanted) for i, data in enumerate(recipe.unlabelled)]
    fit = []
    for at, data, wanted in used:
        where = ("recipes", name, *at)
        problems = list(unfit(run, where, data, ("train",), images=True, grey=True, **wanted))
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


def _data_of_paper(run: Run, paper: NoOneRepresentation) -> Iterator[Problem]:
    """No One Representation: the data sets that it names, and the splits it needs of them."""
    top, tune = "no_one_representation", run.metrics.calibration_split
    splits = ("train", tune) if paper.feature_mixing else (tune,) if paper.greedy else ()
    yield from uncompared(run, (top, "data"), paper.data, splits)
    for index, data in enumerate(paper.calibration):
        yield from uncompared(run, (top, "calibration", index), data, (tune,))
    if paper.shift:
        yield from uncompared(run, (top, "shift", "original"), paper.shift.original)
        for index, data in enumerate(paper.shift.shifted):
            yield from uncompared(run, (top, "shift", "shifted", index), data)
    if paper.downstream:
        where, splits = (top, "downstream", "data"), ("train", run.metrics.report_split)
        yield from unfit(run, where, paper.downstream.data, splits, multi_label=True)


def _base_model_conflicts(paper: NoOneRepresentation) -> Iterator[Problem]:
    """No One Representation: lists that are of other models than the base model."""
    top, base = "no_one_representation", paper.base_model
    if base in paper.compared:
        where = (top, "compared", paper.compared.index(base))
        yield where, f"{base!r} is the base model; compare it with others"
    if paper.greedy and base in paper.greedy.start:
        where = (top, "greedy", "start", paper.greedy.start.index(base))
        yield where, f"{base!r} is the base model; start from others"


def _task_conflicts(run: Run, section: LowDataEnsembles) -> Iterator[Problem]:
    """Low-Data Ensembles: data sets of tasks, and the splits that are needed of them."""
    for name, task in section.tasks.items():
        where = (SECTION, "tasks", name)
        if name.endswith(".csv"):
            yield where, "should not end in '.csv', as it names a folder beside tables"
        yield from unfit(run, (*where, "data"), task.data, SPLITS, multi_label=False, images=True)


def _domain_conflicts(run: Run, section: DropoutOnDomains) -> Iterator[Problem]:
    """Very Large Dropout: a data set of domains with all splits, and training on it."""
    where, found = (*DOMAINS, "data"), [n for n, data in run.data.items() if data.kind in KINDS]
    if section.data in found:
        yield from unfit(run, where, section.data, SPLITS)
        yield from dropout_conflicts(section, run.data[section.data].splits.get("train"))
    else:
        yield where, not_among(section.data, found, f"is no data set of kind {' or '.join(KINDS)}")
        yield from dropout_conflicts(section, None)


def downloads(run: Run) -> Iterator[tuple[Where, Download]]:
    """Every file that the run file names, and where."""
    for name, data in run.data.items():
        if data.labels:
            yield ("data", name, "labels"), data.labels
        for index, file in enumerate(data.images):
            yield ("data", name, "images", index), file
    for paper, part in (("linear_connectivity", "published"), ("very_large_dropout", "soups")):
        section = getattr(run, paper)
        for leaf, value in getattr(section, part, None) or ():
            if isinstance(value, Download):
                yield (paper, part, leaf), value


def is_address(location: str) -> bool:
    return "://" in location


def is_hub_id(location: str) -> bool:
    """Whether a location is the id of a repository of models: org/name that is no folder here."""
    return bool(re.fullmatch(HUB_ID, location)) and not Path(location).is_dir()


def address_conflicts(
    location: str, sha256: str | None, licence: str | None
) -> Iterator[tuple[tuple[str], str]]:
    """What a location needs if it is an address, by leaf (or column)."""
    if not is_address(location):
        return
    try:
        local_path(location)
    except InputError as error:
        yield ("location",), str(error)
    pinned = sha256 or re.fullmatch(COMMIT, location) or re.fullmatch(UNPINNED, location)
    for leaf, value in (("sha256", pinned), ("licence", licence)):
        if not value:
            yield (leaf,), "should be given where location is an address"


def name_conflicts(run: Run, written: Mapping, path: Path) -> Iterator[Problem]:
    """Between the name of a run and that of its file, unless --config gives another."""
    if run.run == written.get("run") and run.run != path.stem:
        what = f"should be {path.stem!r}, the name of its file, not {run.run!r}"
        yield ("run",), f"{what}: no two files should share results/{run.run}"


def recipe_conflicts(run: Run, name: str) -> Iterator[Problem]:
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
        for index, data in enumerate(recipe.unlabelled):
            where = ("recipes", name, "unlabelled", index)
            yield from unfit(run, where, data, (), captions=True)
