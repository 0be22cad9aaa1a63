"""What a run file says of low-data ensembles and their tasks, and each mistake in it."""

import json
from itertools import product

import jsonschema
import pytest
import yaml

import test_config
from dissent import config
from dissent.commandline import InputError
from dissent.config_data import LEAVES, OFFERS
from dissent.config_low_data import FineTuning, more_settings, places, pools, settings
from test_config import (
    HASH,
    PREDICTED,
    PREDICTED_TABLE,
    changed_line,
    complaints,
    line_of,
    replaced,
    sections,
    with_data,
    with_value,
)

# A fixture.
write = test_config.write

RUN = """\
run: demo
models: models.csv
data:
  handwritten: {kind: handwritten, size: 8, splits: {train: 300}}
  glyphs: {kind: glyphs, size: 8, splits: {report: 9}}
  letters: {kind: letters, size: 8, splits: {train: 9, tune: 9, report: 9}}
  hans: {kind: hans, splits: {report: 9}}
  digits:
    kind: digits
    size: 8
    splits: {train: 80, tune: 20, report: 50}
    apart_from: handwritten
  photos: {kind: photos, size: 16, splits: {train: 80, report: 50}}
  pets: {kind: folder, size: 8, splits: {train: 8, tune: 2}, location: pictures/pets}
recipes:
  base:
    framework: supervised
    architecture: test_resnet
    labels_per_class: {handwritten: 2}
    steps: 150
    batch_size: 32
    optimizer: adamw
    learning_rate: 0.001
    weight_decay: 0.05
    label_smoothing: 0.0
    drop_rate: 0.0
    augmentation: light
    schedule: cosine
  convnext: {extends: base, architecture: test_convnext}
low_data_ensembles:
  tasks:
    digits: {data: digits, group: natural, metric: mean_class_accuracy}
    pets: {data: pets}
  pools: [architectures, reinit]
  ranking: {normalised: true}
  fine_tuned: 2
  fine_tuning:
    learning_rates: [0.1, 0.01]
    steps: [12, 24]
    more_learning_rates: [0.3, 3e-2]
    more_heads: true
    batch_size: 32
    momentum: 0.8
    weight_decay: 0.001
    warm_up: 0.2
    decays: [0.5, 0.9]
    seeds: 3
    models_per_job: 2
  selection: {max_members: 8, replacement: false, stop: first_rise, bags: 10, bag_share: 0.25}
  budgets: [1, 2.5]
  random_draws: 5
  retrain: true
  shift: {examples: 100}
"""
ADDRESS = "https://host.org/d.safetensors"
TABLE = f"""\
model,category,source,recipe,seed,architecture,data,location,sha256,licence
a-s0,reinit,train,base,0,,,,,
b,architectures,train,convnext,0,,,,,
a-s1,reinit,train,base,1,,,,,
c,datasets,file,,,test_vit,,c.safetensors,{HASH[::-1]},
d,architectures,file,,,test_vit,,{ADDRESS},{HASH},MIT
p,,predictions,,,,digits,p.csv,,
"""
# All that may be left out is.
SHORT = (
    RUN[: RUN.index("low_data")]
    + """\
low_data_ensembles:
  tasks: {digits: {data: digits}}
  fine_tuned: 1
  fine_tuning: {learning_rates: [0.1], steps: [12], batch_size: 32}
  selection: {max_members: 8}
"""
)


def test_defaults(write):
    run, (models, _) = write(run=SHORT, table=TABLE)
    assert run.metrics.data == []
    assert run.metrics.confidence_level == 0.95
    assert list(models) == ["a-s0", "b", "a-s1", "c", "d", "p"]
    assert run.low_data_ensembles.model_dump() == {
        "tasks": {
            "digits": {"data": "digits", "group": "all", "metric": "accuracy", "changed_by": []}
        },
        "pools": [],
        "ranking": {"normalised": False},
        "fine_tuned": 1,
        "fine_tuning": {
            "learning_rates": [0.1],
            "steps": [12],
            "more_learning_rates": [],
            "more_heads": False,
            "batch_size": 32,
            "momentum": 0.9,
            "weight_decay": 0.0,
            "warm_up": 0.1,
            "decays": [1 / 3, 2 / 3, 0.9],
            "seeds": 1,
            "models_per_job": 1,
        },
        "selection": {
            "max_members": 8,
            "replacement": True,
            "stop": "best",
            "bags": 20,
            "bag_share": 0.5,
        },
        "budgets": [],
        "random_draws": 20,
        "retrain": False,
        "shift": None,
    }


def test_what_is_written_is_kept(write):
    run, (models, _) = write(run=RUN, table=TABLE)
    written = yaml.safe_load(RUN)["low_data_ensembles"]
    written["tasks"]["pets"] |= {"group": "all", "metric": "accuracy"}
    for task in written["tasks"].values():
        task["changed_by"] = []
    written["fine_tuning"]["more_learning_rates"] = [0.3, 0.03]
    assert run.low_data_ensembles.model_dump() == written
    assert run.data["pets"].location == "pictures/pets"
    assert models["d"].location == ADDRESS


def test_order_of_settings():
    fine_tuning = FineTuning(
        learning_rates=[0.1, 0.01], steps=[12, 6], more_learning_rates=[0.3], batch_size=8
    )
    assert [(each["learning_rate"], each["steps"]) for each in settings(fine_tuning)] == [
        (0.1, 12),
        (0.1, 6),
        (0.01, 12),
        (0.01, 6),
    ]
    assert more_settings(fine_tuning) == [
        {"learning_rate": 0.3, "steps": 12},
        {"learning_rate": 0.3, "steps": 6},
    ]
    assert more_settings(fine_tuning.model_copy(update={"more_learning_rates": []})) == []


CATEGORY_OF = {
    "a-s0": "reinit",
    "b": "architectures",
    "a-s1": "reinit",
    "c": "datasets",
    "d": "architectures",
}


def test_places_of_pools(write):
    section = write(run=RUN, table=TABLE)[0].low_data_ensembles
    found = places(section, CATEGORY_OF)
    assert list(found.items()) == [
        ("architectures-1", ["b", "d"]),
        ("architectures-2", ["b", "d"]),
        ("reinit-1", ["a-s0", "a-s1"]),
        ("reinit-2", ["a-s0", "a-s1"]),
        ("more-settings", ["a-s0", "b", "a-s1", "d"]),
        ("more-heads", ["a-s0", "b", "a-s1", "d"]),
    ]
    assert pools(section, CATEGORY_OF) == {
        "architectures": ["b", "d"],
        "reinit": ["a-s0", "a-s1"],
    }


def test_places_without_pools(write):
    section = write(run=SHORT, table=TABLE)[0].low_data_ensembles
    assert places(section, CATEGORY_OF) == {"all-1": list(CATEGORY_OF)}
    assert places(section, dict.fromkeys(CATEGORY_OF, "")) == {"all-1": list(CATEGORY_OF)}
    more = section.model_copy(
        update={
            "fine_tuned": 2,
            "fine_tuning": section.fine_tuning.model_copy(update={"more_heads": True}),
        }
    )
    assert places(more, CATEGORY_OF) == {
        place: list(CATEGORY_OF) for place in ("all-1", "all-2", "more-heads")
    }


TASK = "digits: {data: digits, group"


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        (TASK, TASK.replace("data: digits", "data: digit"), "digits.data: 'digit' is no data set"),
        (
            TASK,
            TASK.replace("data: digits", "data: letters"),
            "tasks.digits.data: 'letters' is multi-label, allowed: digits, glyphs, handwritten, pet"
            "s, photos",
        ),
        (
            TASK,
            TASK.replace("data: digits", "data: hans"),
            "tasks.digits.data: 'hans' has no images, allowed: digits, glyphs, handwritten, pets, "
            "photos",
        ),
        (
            TASK,
            TASK.replace("data: digits", "data: photos"),
            "tasks.digits.data: data set 'photos' needs a split 'tune' to be used here",
        ),
        ("group: natural", "group: 1", "digits.group: should be a valid string, not 1"),
        ("group: natural", "group: all tasks", "digits.group: should hold only a-z, 0-9"),
        ("metric: mean", "metric: man", "(did you mean 'mean_class_accuracy'?)"),
        ("{data: pets}", "{}", "tasks.pets.data: is missing"),
        (
            "{data: pets}",
            "{data: pets, size: 2}",
            "'size' is no key here, allowed: changed_by, data, group, me",
        ),
        ("[architectures, reinit]", "[reinit, reinit]", "should hold each item once, not 'reinit'"),
        (
            "[architectures, reinit]",
            "[architectures, seeds]",
            "pools.1: should be 'reinit', 'hyper-parameters', 'architectures', 'frameworks' or "
            "'datasets', not 'seeds'",
        ),
        (
            "[architectures, reinit]",
            "[reinit, datasets]",
            "low_data_ensembles.pools.1: models.csv should have at least as many models with "
            "weights of category 'datasets' as fine_tuned asks for (2), and has 1",
        ),
        (
            "[architectures, reinit]",
            "[frameworks]",
            "pools.0: models.csv should have at least as many models with weights of category "
            "'frameworks' as fine_tuned asks for (2), and has 0",
        ),
        ("normalised: true", "normalised: 1", "ranking.normalised: should be a valid boolean, not"),
        (
            "  ranking: {normalised: true}",
            "  ranking:",
            "ranking: should be a valid mapping, not n",
        ),
        ("fine_tuned: 2", "fine_tuned: 0", "fine_tuned: should be greater than or equal to 1"),
        ("[0.1, 0.01]", "[]", "learning_rates: should have at least 1 item, not 0"),
        ("[0.1, 0.01]", "[0.1, 0]", "learning_rates.1: should be greater than 0, not 0"),
        ("[0.1, 0.01]", "[0.1, 1e-1]", "learning_rates: should hold each item once, not 0.1 twice"),
        ("[12, 24]", "[12, 12]", "steps: should hold each item once, not 12 twice"),
        ("[12, 24]", "[]", "steps: should have at least 1 item, not 0"),
        ("[12, 24]", "[12.5]", "steps.0: should be a valid integer"),
        (
            "[0.3, 3e-2]",
            "[0.3]",
            "low_data_ensembles.fine_tuning.more_learning_rates: should hold none, or fine_tuned - "
            "1 times as many as learning_rates (2), not 1",
        ),
        (
            "[0.3, 3e-2]",
            "[0.3, 1e-2]",
            "more_learning_rates.1: 0.01 is among learning_rates; give another",
        ),
        ("[0.3, 3e-2]", "[0.3, 0.3]", "more_learning_rates: should hold each item once, not 0.3"),
        ("    batch_size: 32\n    momentum", "    momentum", "fine_tuning.batch_size: is missing"),
        ("momentum: 0.8", "momentum: 1", "fine_tuning.momentum: should be less than 1, not 1"),
        ("decay: 0.001", "decay: -1", "fine_tuning.weight_decay: should be greater than or equal"),
        ("warm_up: 0.2", "warm_up: 20", "fine_tuning.warm_up: should be less than 1, not 20"),
        ("seeds: 3", "seeds: 0", "seeds: should be greater than or equal to 1, not 0"),
        ("per_job: 2", "per_job: 0", "models_per_job: should be greater than or equal to 1, not 0"),
        ("max_members: 8, ", "", "low_data_ensembles.selection.max_members: is missing"),
        ("first_rise", "first", "should be 'best' or 'first_rise', not 'first' (did you mean 'fir"),
        ("bags: 10", "bags: 0", "selection.bags: should be greater than or equal to 1, not 0"),
        ("share: 0.25", "share: 0", "selection.bag_share: should be greater than 0, not 0"),
        ("share: 0.25", "share: 25", "selection.bag_share: should be less than or equal to 1, not"),
        ("[1, 2.5]", "[1, 0]", "budgets.1: should be greater than 0, not 0"),
        ("[1, 2.5]", "[1, 1.0]", "budgets: should hold each item once, not 1.0 twice"),
        ("draws: 5", "draws: 0", "random_draws: should be greater than or equal to 1, not 0"),
        ("examples: 100", "examples: 0", "shift.examples: should be greater than or equal to 1"),
    ],
)
def test_mistake_in_the_section(write, right, wrong, says):
    (message,) = complaints(write, run=replaced(RUN, right, wrong), table=TABLE)
    if " is missing" not in message:
        assert message.startswith(f"demo.yaml, line {changed_line(RUN, right, wrong)}")
    assert says in message


def test_a_task_needs_every_split_but_a_folders_report(write):
    text = replaced(RUN, "splits: {train: 8, tune: 2}", "splits: {report: 8}")
    text = replaced(text, "splits: {train: 80, tune: 20, report: 50}", "splits: {train: 80}")
    told = [
        f"demo.yaml, line {line_of(text, f'    {data}: {{data')}, low_data_ensembles.tasks.{data}."
        f"data: data set {data!r} needs a split {split!r} to be used here"
        for data, split in (
            ("digits", "tune"),
            ("digits", "report"),
            ("pets", "train"),
            ("pets", "tune"),
        )
    ]
    assert complaints(write, run=text, table=TABLE) == told


def test_one_fine_tuned_model_has_no_baselines_of_more(write):
    text = replaced(RUN, "fine_tuned: 2", "fine_tuned: 1")
    where = "low_data_ensembles.fine_tuning"
    assert complaints(write, run=text, table=TABLE) == [
        f"demo.yaml, line {line_of(text, 'more_learning')}, {where}.more_learning_rates: should be "
        "empty where fine_tuned is 1",
        f"demo.yaml, line {line_of(text, 'more_heads')}, {where}.more_heads: should be false where "
        "fine_tuned is 1",
    ]


def test_models_of_a_run_without_pools(write):
    text = replaced(SHORT, "fine_tuned: 1\n", "fine_tuned: 6\n")
    assert complaints(write, run=text, table=TABLE) == [
        f"demo.yaml, line {line_of(text, 'fine_tuned')}, low_data_ensembles.fine_tuned: models.csv "
        "should have at least as many models with weights as fine_tuned asks for (6), and has 5"
    ]
    write(run=text.replace("fine_tuned: 6", "fine_tuned: 5"), table=TABLE)


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        (
            "c,datasets",
            "c,",
            "category: should not be empty in a run with `low_data_ensembles.pools`",
        ),
        (
            "a-s1,reinit,train,base,1",
            "a-s1,reinit,train,base,0",
            "column seed: a duplicate checkpoint under two names, as 'a-s0' on line 2 too; leave "
            "one out",
        ),
        (
            f"c,datasets,file,,,test_vit,,c.safetensors,{HASH[::-1]}",
            f"c,reinit,file,,,test_vit,,c.safetensors,{HASH}",
            None,
        ),
        (f"{HASH},MIT", f"{HASH},", "licence: should be given where location is an address"),
        (f"{HASH},MIT", ",MIT", "sha256: should not be empty where source is 'file'"),
        ("https://host", "ftp://host", "location: the address 'ftp://host.org/d.safetensors' does"),
        ("https://host.org/d.safetensors", "", "location: should not be empty where source is 'fi"),
    ],
)
def test_mistake_in_the_model_table(write, right, wrong, says):
    (message,) = complaints(write, run=RUN, table=replaced(TABLE, right, wrong))
    if says is None:
        # The second row of the two is the one that is told.
        where, says = 6, "column sha256: a duplicate checkpoint under two names, as 'c' on line 5"
    else:
        where = changed_line(TABLE, right, wrong)
    assert message.startswith(f"models.csv, line {where}, column ")
    assert says in message


def test_all_that_an_address_needs_is_asked_for_at_once(write):
    assert complaints(write, run=RUN, table=replaced(TABLE, f"{HASH},MIT", ",")) == [
        "models.csv, line 6, column licence: should be given where location is an address",
        "models.csv, line 6, column sha256: should not be empty where source is 'file'",
    ]


def test_one_address_has_one_sha256(write):
    table = replaced(TABLE, "c.safetensors", ADDRESS).replace(f"{HASH[::-1]},", f"{HASH[::-1]},MIT")
    (message,) = complaints(write, run=RUN, table=table)
    what = (
        f"should be {HASH[::-1]!r}, as for the same location in models.csv, line 5, column sha256"
    )
    assert message == f"models.csv, line 6, column sha256: {what}"


def test_checkpoints_outside_the_pools_may_be_duplicates(write):
    twice = f"c2,datasets,file,,,test_vit,,c.safetensors,{HASH[::-1]},\n"
    write(run=RUN, table=TABLE + twice)
    (message,) = complaints(write, run=SHORT, table=TABLE + twice)
    assert message.startswith("models.csv, line 8, column sha256: a duplicate checkpoint under two")


def test_categories_may_be_empty_without_pools(write):
    write(run=SHORT, table=TABLE.replace("c,datasets,", "c,,"))


def test_models_with_weights_need_metrics_or_tasks_of_images(write):
    section = RUN[RUN.index("low_data") :]
    text = replaced(RUN, section, "metrics: {data: [hans]}\n")
    messages = complaints(write, run=text, table=TABLE)
    assert [message.split(":")[0] for message in messages] == [
        f"models.csv, line {line}, column source" for line in (2, 3, 4, 5, 6)
    ]
    predicted = "q,,predictions,,,,hans,q.csv,,\nr,,predictions,,,,hans,r.csv,,\n"
    write(run=f"{text}{section}", table=TABLE + predicted)


@pytest.mark.parametrize("given", ["metrics:\n  data: [answers]\n", "  data: [answers]\n"])
@pytest.mark.parametrize("section", ["", "low_data_ensembles:\n"])
def test_metrics_are_needed_where_there_are_no_tasks(write, given, section):
    rest = PREDICTED[PREDICTED.index("  bootstrap") :]
    text = replaced(PREDICTED, given + rest, rest if given.startswith("  ") else "") + section
    (message,) = complaints(write, run=text, table=PREDICTED_TABLE)
    leaf = "metrics.data" if given.startswith("  ") else "metrics"
    line = line_of(text, "metrics") if given.startswith("  ") else 1
    assert message == f"demo.yaml, line {line}, {leaf}: is missing"


def test_two_models_at_least_are_compared_beside_tasks(write):
    text = RUN + "metrics: {data: [digits, hans]}\n"
    (message,) = complaints(write, run=text, table=TABLE)
    what = "models.csv should have two models at least on 'hans', and has 0"
    assert message == f"demo.yaml, line {line_of(text, 'metrics')}, metrics.data.1: {what}"


DATA_SETS = {
    "digits": {"size": 8, "splits": {"train": 9}, "apart_from": "handwritten"},
    "medium": {"size": 8, "splits": {"train": 9}, "apart_from": "handwritten"},
    "photos": {"size": 8, "splits": {"train": 9}},
    "fonts": {"size": 8, "splits": {"train": 9}},
    "count": {"size": 8, "splits": {"train": 9}},
    "rotation": {"size": 8, "splits": {"train": 9}},
    "folder": {"size": 8, "splits": {"train": 9}, "location": "pictures"},
}


def test_what_kinds_of_images_are_said_to_offer_is_what_they_have():
    from dissent import datasets, task_images

    scans = datasets.handwritten(0, 16, {"train": 300})
    classes = {"digits": scans.classes}
    for kind in DATA_SETS.keys() - {"folder"}:
        apart_from = [scans] if LEAVES[kind].get("apart_from") else []
        made, offer = getattr(task_images, kind)(0, 16, {"train": 40}, *apart_from), OFFERS[kind]
        assert offer.images == (made.images_NHW is not None)
        assert offer.multi_label == (made.labels.ndim == 2)
        assert offer.captions == bool(made.captions)
        assert classes.setdefault(offer.classes, made.classes) == made.classes
    assert len(set(classes.values())) == len(classes)


def complaint_about(write, kind: str, leaves: dict) -> str:
    """What is said of one more data set, without file, line and the name."""
    text = with_data(RUN, x={"kind": kind} | leaves)
    (message,) = complaints(write, run=text, table=TABLE)
    where = f"demo.yaml, line {line_of(text, '  x: ')}, data.x"
    assert message.startswith(where)
    return message.removeprefix(where)


@pytest.mark.parametrize(
    ("kind", "leaf"),
    [(kind, leaf) for kind in DATA_SETS for leaf in DATA_SETS[kind] if leaf != "location"],
)
def test_leaves_that_a_kind_of_images_needs(write, kind, leaf):
    given = {key: value for key, value in DATA_SETS[kind].items() if key != leaf}
    assert complaint_about(write, kind, given) == f": kind {kind!r} needs {leaf!r} as well"


PACKED = [{"location": "given/pictures.tar"}]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ": kind 'folder' needs 'location' (a folder) or 'images' (files), not both"),
        (
            {"location": "pictures", "images": PACKED},
            ": kind 'folder' needs 'location' (a folder) or 'images' (files), not both",
        ),
        (
            {"location": "pictures", "classes": ["cat", "dog"]},
            ".classes: should be left out beside 'location', whose folders are called after them",
        ),
        (
            {"images": [{"location": f"https://a.org/{'0' * 40}/p.tar", "licence": "MIT"}]},
            ".images.0.sha256: should be given where location is an address",
        ),
    ],
)
def test_a_folder_is_in_one_place_or_packed(write, given, said):
    leaves = {"size": 8, "splits": {"train": 9}} | given
    assert complaint_about(write, "folder", leaves).endswith(said)


def test_a_split_that_no_file_can_give_is_refused(write):
    images = [PACKED[0] | {"split": "train"}, {"location": "given/test.tar", "split": "report"}]
    leaves = {"size": 8, "splits": {"train": 9, "tune": 3}, "images": images}
    said = complaint_about(write, "folder", leaves)
    assert said.startswith(".splits.tune: has no images, as each file under 'images' is of another")


def test_an_address_that_names_a_commit_needs_no_digest(write):
    address = f"https://huggingface.co/datasets/a/b/resolve/{'0' * 40}/pictures.tar"
    images = [{"location": address, "licence": "MIT", "split": "report"}]
    leaves = {"size": 8, "splits": {"train": 9}, "images": [*PACKED, *images]}
    write(run=with_data(RUN, x={"kind": "folder"} | leaves), table=TABLE)


@pytest.mark.parametrize(
    ("kind", "leaf", "value"),
    [
        *((kind, "location", "pictures") for kind in DATA_SETS if kind != "folder"),
        *((kind, "apart_from", "handwritten") for kind in ("photos", "fonts", "count", "rotation")),
        ("folder", "apart_from", "handwritten"),
        ("handwritten", "apart_from", "handwritten"),
        ("glyphs", "location", "pictures"),
    ],
)
def test_leaves_that_a_kind_of_images_has_no_use_for(write, kind, leaf, value):
    given = DATA_SETS.get(kind, DATA_SETS["photos"]) | {leaf: value}
    assert complaint_about(write, kind, given) == f".{leaf}: kind {kind!r} has no {leaf!r}"


@pytest.mark.parametrize(
    ("kind", "leaf", "value", "says"),
    [
        (
            "digits",
            "apart_from",
            "glyphs",
            "'glyphs' is no data set of kind 'handwritten' with a split 'train', allowed: handwritt"
            "en",
        ),
        (
            "medium",
            "apart_from",
            "handwriten",
            "'handwriten' is no data set of kind 'handwritten' with a split 'train' (did you mean "
            "'handwritten'?), allowed: handwritten",
        ),
        (
            "folder",
            "location",
            "https://host.org/pets",
            "should be the path of a folder, not an address",
        ),
    ],
)
def test_what_a_data_set_is_made_from(write, kind, leaf, value, says):
    assert complaint_about(write, kind, DATA_SETS[kind] | {leaf: value}) == f".{leaf}: {says}"


def test_scans_are_kept_apart_from_a_train_split(write):
    text = replaced(RUN, "size: 8, splits: {train: 300}", "size: 8, splits: {tune: 300}")
    text = replaced(text, "{handwritten: 2}", "{photos: 2}")
    (message,) = complaints(write, run=text, table=TABLE)
    assert message.endswith("with a split 'train', allowed: none")


def test_recipes_train_on_grey_images_alone(write):
    text = replaced(RUN, "{handwritten: 2}", "{pets: 2}")
    (message,) = complaints(write, run=text, table=TABLE)
    where = f"demo.yaml, line {line_of(text, '{pets: 2')}, recipes.base.labels_per_class.pets"
    assert message.startswith(f"{where}: 'pets' is in colour, and recipes train on grey images")


def test_schema_agrees_with_the_loader():
    checker = jsonschema.Draft202012Validator(json.loads(config.schemas()["run.schema.json"]))
    # Other readers of YAML take 3e-2 for a number.
    for text in (RUN.replace("3e-2", "0.03"), SHORT):
        assert not list(checker.iter_errors(yaml.safe_load(text)))
    for right, wrong in (
        ("kind: folder", "kind: files"),
        ("[architectures, reinit]", "[reinit, reinit]"),
        ("[architectures, reinit]", "[all]"),
        ("share: 0.25", "share: 0"),
        ("first_rise", "never"),
        ("{data: pets}", "{}"),
        ("[0.1, 0.01]", "[]"),
    ):
        assert list(checker.iter_errors(yaml.safe_load(replaced(RUN, right, wrong))))


@pytest.mark.parametrize("value", [None, [], {}, "x", [None], {"x": None}, -1, True], ids=repr)
def test_no_section_is_too_strange_for_a_sentence(write, value):
    content = yaml.safe_load(RUN)
    for where in sections(content):
        # JSON is YAML.
        text = json.dumps(with_value(content, where, value))
        try:
            write(run=text, table=TABLE)
        except InputError as error:
            told = str(error).splitlines()
            assert all(line.startswith(("demo.yaml, line 1, ", "models.csv, ")) for line in told)


@pytest.mark.parametrize("cell", ["", "x", "-1", "reinit", "file", "é://", HASH])
def test_no_cell_of_a_model_table_is_too_strange_for_a_sentence(write, cell):
    header, *rows = [line.split(",") for line in TABLE.splitlines()]
    for row, column in product(range(len(rows)), range(len(header))):
        table = [header, *with_value(rows, (row, column), cell)]
        try:
            write(run=RUN, table="".join(",".join(line) + "\n" for line in table))
        except InputError as error:
            told = str(error).splitlines()
            assert all(line.startswith(("demo.yaml, line ", "models.csv, line ")) for line in told)
