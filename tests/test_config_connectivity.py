"""What a run file says of linear connectivity, and each mistake in it and in its models' rows."""

import json
import re
from itertools import product

import jsonschema
import pytest
import yaml

import test_config
from dissent import config
from dissent.commandline import InputError
from dissent.config_checks import is_hub_id
from dissent.config_connectivity import (
    Arm,
    ImageConnectivity,
    Planes,
    Sharpness,
    TextConnectivity,
    TextFineTuning,
    compare_settings,
    connect_settings,
    families,
    fine_tuning_settings,
    image_families,
    image_settings,
    in_domain,
    interpolation,
)
from dissent.config_data import GROUPS, OFFERS
from dissent.config_fit import with_images
from dissent.config_table_checks import candidates, models_on, starts
from test_config import (
    HASH,
    OTHER_HASH,
    changed_line,
    complaints,
    line_of,
    replaced,
    sections,
    with_value,
)

# A fixture.
write = test_config.write

REVISION = HASH[:40]
DATA = """\
run: demo
models: models.csv
data:
  pairs: {kind: sentence_pairs, seed: 1, breakers: 0, splits: {train: 3000, tune: 400, report: 900}}
  mixed-pairs: {kind: sentence_pairs, breakers: 3e-1, splits: {report: 300}}
  heuristics: {kind: overlap_heuristics, splits: {report: 600}}
  swaps: {kind: word_swaps, splits: {train: 60, tune: 50, report: 200}}
  twins: {kind: minimal_pairs, splits: {train: 60, report: 200}}
  own:
    kind: labels
    classes: [entailment, non-entailment]
    splits: {report: 500}
    labels:
      location: own.tsv
      ids: "own-{:05d}"
      label: gold
      groups: from
      sentences: [premise, hypothesis]
      header: [from, gold, premise, hypothesis]
  told: {kind: labels, classes: 2, labels: {location: told.csv, ids: id}}
  digits: {kind: handwritten, size: 32, splits: {train: 600, report: 500}}
  other-digits: {kind: glyphs, size: 32, splits: {train: 300, report: 200}}
  colours: {kind: folder, size: 32, location: pictures, splits: {train: 600}}
"""
RECIPES = """\
recipes:
  small:
    framework: supervised
    architecture: test_resnet
    labels_per_class: {digits: null}
    steps: 150
    batch_size: 32
    optimizer: adamw
    learning_rate: 0.001
    weight_decay: 0.05
    label_smoothing: 0.0
    drop_rate: 0.0
    augmentation: light
    schedule: cosine
  smooth: {extends: small, label_smoothing: 0.1}
  vit: {extends: small, architecture: test_vit}
  wide: {extends: small, options: {stem_width: 8}}
linear_connectivity:
"""
TEXT = """\
  text:
    start: minilm
    data: pairs
    in_domain: swaps
    interpolation: mixed-pairs
    diagnostics: [heuristics, own]
    strategy: {data: heuristics, group: "subsequence, non-entailment"}
    arms:
      orders: {heads: 1, orders: 8}
      both: {heads: 2, orders: 3}
    fine_tuning:
      layers: 4
      frozen_layers: 2
      steps: 150
      batch_size: 16
      learning_rate: 3e-4
      warm_up: 0.2
      weight_decay: 0.02
      clip: 2.0
      head_std: 0.03
      dropout: 0.1
      checkpoints: 2
    examples: 300
    points: 9
    path_examples: 60
    window: 0.02
    affinity_scale: 0.5
    clusters: 3
    permutations: 100
    batch_size: 64
    planes: {points: 7, examples: 100}
    sharpness: {epsilon: 1e-4, steps: 5, learning_rate: 1e-3, examples: 90}
"""
IMAGES = """\
  images:
    models: [net-0, net-1]
    data: digits
    branches: {count: 3, steps: 60, learning_rate: 0.0015, batch_size: 32}
    examples: 500
    points: 5
    statistics_images: 600
    align: false
"""
RUN = DATA + RECIPES + TEXT + IMAGES
# All that may be left out is.
SHORT = f"""\
{DATA}\
linear_connectivity:
  text:
    models: [one, two]
    data: swaps
    diagnostics: [own]
    strategy: {{data: own, group: hard}}
    examples: 200
"""
HEADER = "model,category,source,recipe,seed,data,location,revision,sha256,licence"
TABLE = f"""\
{HEADER}
net-0,,train,small,0,,,,,
minilm,,transformers,,,,org/minilm,{REVISION},{HASH},MIT
net-1,,train,smooth,1,,,,,
net-2,,train,vit,1,,,,,
net-3,,train,wide,1,,,,,
said,,predictions,,,told,told.csv,,,
"""
OWN_TABLE = f"""\
{HEADER}
one,,transformers,,,,./models/one,,{HASH},
two,,transformers,,,,org/two.v2,{REVISION},{OTHER_HASH},MIT
"""
# Text models beside others that are compared.
COMPARED = f"""\
{RUN}\
metrics: {{data: [digits]}}
no_one_representation:
  data: digits
  base_model: net-0
  accuracy_window: [0, 1]
  compared: [net-1]
low_data_ensembles:
  tasks: {{told: {{data: tasks}}}}
  pools: [reinit]
  fine_tuned: 2
  fine_tuning: {{learning_rates: [0.1], steps: [12], batch_size: 32}}
  selection: {{max_members: 8}}
very_large_dropout:
  domains:
    data: domains
    model: net-2
    fine_tuning:
      {{rates: [0, 0.9], learning_rates: [0.1], weight_decays: [0], steps: 9, batch_size: 2}}
""".replace(
    "data:\n",
    "data:\n  domains: {kind: domains, size: 16, splits: {train: 9, tune: 9, report: 9}}\n"
    "  tasks: {kind: photos, size: 16, splits: {train: 9, tune: 9, report: 9}}\n",
    1,
)


def text_of(write, run: str = RUN, table: str = TABLE):
    run, _ = write(run=run, table=table)
    return run.linear_connectivity.text


def images_of(write, run: str = RUN):
    run, _ = write(run=run, table=TABLE)
    return run.linear_connectivity.images


def test_members_are_every_head_with_every_order(write):
    found = families(text_of(write))
    assert json.loads(json.dumps(found)) == found
    assert list(found) == ["orders", "both"]
    assert [(m["head"], m["order"]) for m in found["orders"]] == list(product([0], range(8)))
    assert [(m["head"], m["order"]) for m in found["both"]] == list(product(range(2), range(3)))
    assert found["both"][4] == {"model": "head-1-order-1", "head": 1, "order": 1}
    for members in found.values():
        assert len({member["model"] for member in members}) == len(members)


def test_models_of_ones_own_are_one_family(write):
    text = text_of(write, SHORT, OWN_TABLE)
    assert families(text) == {
        "models": [{"model": model, "head": None, "order": None} for model in ("one", "two")]
    }
    assert in_domain(text) == interpolation(text) == "swaps"


def test_families_of_images_are_those_that_are_asked_for(write):
    asked = replaced(RUN, "align: false", "align: true")
    found = image_families(images_of(write, asked))
    assert json.loads(json.dumps(found)) == found
    assert list(found) == ["separate", "aligned", "one-run"]
    assert [member["model"] for member in found["separate"]] == ["net-0", "net-1"]
    assert found["aligned"] == found["separate"]
    assert [member["order"] for member in found["one-run"]] == [0, 1, 2]
    assert list(image_families(images_of(write))) == ["separate", "one-run"]
    alone = replaced(RUN, IMAGES, "  images: {models: [net-1, net-0], data: digits}\n")
    assert list(image_families(images_of(write, alone))) == ["separate", "aligned"]


def test_settings_are_plain_json_with_all_that_was_said(write):
    text, images = text_of(write), images_of(write)
    written = yaml.safe_load(RUN.replace("3e-4", "0.0003").replace("1e-", "1.0e-"))
    said = written["linear_connectivity"]["text"]
    assert fine_tuning_settings(text) == said["fine_tuning"]
    measured = ("examples", "points", "path_examples", "strategy", "planes", "sharpness")
    assert connect_settings(text) == {leaf: said[leaf] for leaf in (*measured, "batch_size")}
    compared = ("window", "affinity_scale", "clusters", "permutations", "strategy")
    assert compare_settings(text) == {leaf: said[leaf] for leaf in compared}
    said = written["linear_connectivity"]["images"]
    assert image_settings(images) == {
        leaf: value for leaf, value in said.items() if leaf not in ("models", "data")
    }
    assert (in_domain(text), interpolation(text)) == ("swaps", "mixed-pairs")
    for settings in (fine_tuning_settings(text), connect_settings(text), image_settings(images)):
        assert json.loads(json.dumps(settings)) == settings


def test_what_is_left_out(write):
    text = text_of(write, SHORT, OWN_TABLE)
    assert connect_settings(text) == {
        "examples": 200,
        "points": 10,
        "path_examples": 64,
        "strategy": {"data": "own", "group": "hard"},
        "planes": None,
        "sharpness": None,
        "batch_size": 256,
    }
    # Images have no strategy, and are compared as text is by default.
    assert compare_settings(None) == compare_settings(text) | {"strategy": None}
    begin, end = RUN.index("    fine_tuning:"), RUN.index("    examples: 300")
    shorter = RUN[:begin] + "    fine_tuning: {steps: 9, learning_rate: 0.1}\n" + RUN[end:]
    assert fine_tuning_settings(text_of(write, shorter)) == {
        "layers": None,
        "frozen_layers": 0,
        "steps": 9,
        "batch_size": 32,
        "learning_rate": 0.1,
        "warm_up": 0.1,
        "weight_decay": 0.01,
        "clip": 1.0,
        "head_std": 0.02,
        "dropout": 0.0,
        "checkpoints": 1,
    }


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("    data: pairs", "    data: pair", "text.data: 'pair' is no data set (did you mean 'pa"),
        ("    data: pairs", "    data: digits", "text.data: 'digits' has no sentences, allowed: h"),
        ("    data: pairs", "    data: told", "'told' has no sentences, allowed: heuristics, mixe"),
        (
            "    data: pairs",
            "    data: own",
            "data set 'own' needs a split 'train' to be used here",
        ),
        ("in_domain: swaps", "in_domain: twins", "data set 'twins' needs a split 'tune' to be use"),
        ("in_domain: swaps", "in_domain: digits", "in_domain: 'digits' has no sentences, allowed"),
        (": mixed-pairs", ": mixed", "interpolation: 'mixed' is no data set (did you mean 'mixed"),
        ("[heuristics, own]", "[heuristics, digits]", "diagnostics.1: 'digits' has no sentences, "),
        ("[heuristics, own]", "[heuristics, swaps]", "diagnostics.1: 'swaps' is in-domain; name d"),
        ("[heuristics, own]", "[heuristics, own, own]", "should hold each item once, not 'own' tw"),
        ("[heuristics, own]", "[]", "diagnostics: should have at least 1 item, not 0"),
        ("{data: heuristics, g", "{data: twins, g", "strategy.data: 'twins' is not among diagnost"),
        ('group: "subseq', 'group: "subsek', "'subsekuence, non-entailment' is no group of data"),
        ('group: "subseq', 'group: "subsek', "(did you mean 'subsequence, non-entailment'?); give"),
        (
            "    start: minilm\n",
            "    start: minilm\n    models: [one, two]\n",
            "text.models: should",
        ),
        (
            "      both: {heads: 2",
            "      one-run: {heads: 2",
            "arms.one-run: should have another n",
        ),
        (
            "      both: {heads: 2",
            "      orders_paths: {heads: 2",
            "should have another name: sepa",
        ),
        (
            "      both: {heads: 2",
            "      Both: {heads: 2",
            "Both: should hold only a-z, 0-9, '.', ",
        ),
        ("{heads: 2, orders: 3}", "{heads: 2}", "text.arms.both.orders: is missing"),
        ("{heads: 2, orders: 3}", "{heads: 0, orders: 3}", "greater than or equal to 1, not 0"),
        ("{heads: 2, orders: 3}", "{heads: 1, orders: 1}", "both: should have two members at leas"),
        ("layers: 4", "layers: 0", "fine_tuning.layers: should be greater than or equal to 1, no"),
        ("frozen_layers: 2", "frozen_layers: 5", "should be 4 at most, the layers that are kept, "),
        ("checkpoints: 2", "checkpoints: 151", "should be 150 at most, the number of steps, not 1"),
        ("warm_up: 0.2", "warm_up: 1", "warm_up: should be less than 1, not 1"),
        ("dropout: 0.1", "dropout: 1", "dropout: should be less than 1, not 1"),
        ("head_std: 0.03", "head_std: 0", "head_std: should be greater than 0, not 0"),
        ("clip: 2.0", "clip: 0", "clip: should be greater than 0, not 0"),
        ("weight_decay: 0.02", "weight_decay: -1", "should be greater than or equal to 0, not -1"),
        ("examples: 300", "examples: 301", "at most, the split 'report' of 'mixed-pairs', not 301"),
        ("7, examples: 100", "7, examples: 301", "planes.examples: should be 300 at most, the spl"),
        ("examples: 90", "examples: 301", "sharpness.examples: should be 300 at most, the split "),
        ("points: 9", "points: 2", "text.points: should be greater than or equal to 3, not 2"),
        ("{points: 7", "{points: 3", "planes.points: should be greater than or equal to 4, not 3"),
        ("window: 0.02", "window: 2", "text.window: should be less than or equal to 1, not 2"),
        ("window: 0.02", "window: 0", "text.window: should be greater than 0, not 0"),
        ("affinity_scale: 0.5", "affinity_scale: 0", "should be greater than 0, not 0"),
        ("clusters: 3", "clusters: 1", "clusters: should be greater than or equal to 2, not 1"),
        ("permutations: 100", "permutations: 0", "should be greater than or equal to 1, not 0"),
        ("epsilon: 1e-4", "epsilon: 0", "sharpness.epsilon: should be greater than 0, not 0"),
        ("    window:", "    windows:", "'windows' is no key here (did you mean 'window'?), allo"),
        (
            "{heads: 2, orders: 3}",
            "{heads: 2, orders: 3, seeds: 1}",
            "'seeds' is no key here (did you mean 'heads'",
        ),
        ("start: minilm", "start: minilmm", "'minilmm' is no model in models.csv (did you mean 'm"),
        ("[net-0, net-1]", "[net-0]", "images.models: should have at least 2 items, not 1"),
        ("[net-0, net-1]", "[net-0, net-0]", "should hold each item once, not 'net-0' twice"),
        ("[net-0, net-1]", "[net-0, net-9]", "models.1: 'net-9' is no model in models.csv (did yo"),
        ("[net-0, net-1]", "[net-0, minilm]", "'minilm' is of source 'transformers' in models.csv"),
        ("[net-0, net-1]", "[net-0, said]", "'said' has predictions alone in models.csv, and its "),
        ("[net-0, net-1]", "[net-0, net-2]", "1: 'net-2' should have the architecture and options"),
        ("[net-0, net-1]", "[net-1, net-0, net-3]", "2: 'net-3' should have the architecture and "),
        ("    data: digits", "    data: pairs", "images.data: 'pairs' has no images, allowed: dig"),
        ("    data: digits", "    data: colours", "'colours' is in colour, and recipes train on g"),
        ("    data: digits", "    data: digit", "images.data: 'digit' is no data set (did you mea"),
        (
            "examples: 500",
            "examples: 501",
            "should be 500 at most, the split 'report' of 'digits',",
        ),
        (
            "s: 600\n    align",
            "s: 601\n    align",
            "should be 600 at most, the split 'train' of 'dig",
        ),
        ("points: 5", "points: 2", "images.points: should be greater than or equal to 3, not 2"),
        ("{count: 3", "{count: 1", "branches.count: should be greater than or equal to 2, not 1"),
        ("{count: 3, steps: 60", "{count: 3", "images.branches.steps: is missing"),
        ("  images:", "  image:", "'image' is no key here (did you mean 'images'?), allowed: ima"),
        ("breakers: 0,", "breakers: 2,", "breakers: should be less than or equal to 1, not 2"),
        (" breakers: 3e-1,", "", "data.mixed-pairs: kind 'sentence_pairs' needs 'breakers' as we"),
        (
            "heuristics, splits",
            "heuristics, breakers: 0, splits",
            "'overlap_heuristics' has no 'br",
        ),
        ("{kind: minimal_pairs", "{size: 3, kind: minimal_pairs", "'minimal_pairs' has no 'size'"),
        ("[premise, hypothesis]\n", "[]\n", "diagnostics.1: 'own' has no sentences, allowed: heur"),
        ("[premise, hypothesis]\n", "[a, b, c]\n", "labels.sentences: should have at most 2 items"),
        (
            "[premise, hypothesis]\n",
            "[premise, premises]\n",
            "'premises' is not among the columns o",
        ),
        ("gold\n", "golden\n", "labels.label: 'golden' is not among the columns of header (did yo"),
        ("groups: from", "groups: form", "labels.groups: 'form' is not among the columns of heade"),
        ('ids: "own-{:05d}"', "ids: id", "labels.ids: 'id' is not among the columns of header, "),
        ("gold\n", "gold\n      array: x\n", "labels.sentences: should be left out beside 'array'"),
        ("[from, gold,", "[gold, gold,", "header: should hold each item once, not 'gold' twice"),
    ],
)
def test_mistake_in_the_section(write, right, wrong, says):
    (message,) = complaints(write, run=replaced(RUN, right, wrong), table=TABLE)
    line = changed_line(RUN, right, wrong)
    # Told where it is missed, not where it is missing.
    if right.startswith("[premise") and wrong == "[]\n":
        line = line_of(RUN, "    diagnostics")
    if wrong.startswith("gold\n      array"):
        line = line_of(replaced(RUN, right, wrong), "      sentences")
    assert message.startswith(f"demo.yaml, line {line}, ")
    assert says in message


@pytest.mark.parametrize(
    ("right", "wrong", "at", "says"),
    [
        ("    start: minilm\n", "", "  text:", "text: needs 'start' (a model to fine-tune) or 'mo"),
        ('group: "subseq', 'group: "x', "    strategy", "'xuence, non-entailment' is no group o"),
        ("    start: minilm", "    models: [minilm]", "    models", "should have at least 2 items"),
        ("{data: heuristics, g", "{data: own, g", None, None),
        ("examples: 300", "", "  text:", None),
    ],
)
def test_what_is_missing_and_what_only_the_data_tell(write, right, wrong, at, says):
    text = replaced(RUN, right, wrong)
    if says is None:
        write(run=text, table=TABLE)
        return
    messages = complaints(write, run=text, table=TABLE)
    assert messages[0].startswith(f"demo.yaml, line {line_of(text, at)}, linear_connectivity.text")
    assert says in messages[0]


@pytest.mark.parametrize("leaf", ["arms", "fine_tuning"])
def test_a_start_needs_families_and_settings_and_classifiers_have_them(write, leaf):
    content = yaml.safe_load(RUN.replace("3e-4", "0.0003"))
    given = content["linear_connectivity"]["text"].pop(leaf)
    (message,) = complaints(write, run=yaml.safe_dump(content, sort_keys=False), table=TABLE)
    assert message.endswith(f"linear_connectivity.text.start: needs {leaf!r} as well")
    text = f"{SHORT}    {leaf}: {json.dumps(given)}\n"
    (message,) = complaints(write, run=text, table=OWN_TABLE)
    line = line_of(text, f"    {leaf}")
    what = "should be left out where there are `models`, which are fine-tuned already"
    assert message == f"demo.yaml, line {line}, linear_connectivity.text.{leaf}: {what}"


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("[one, two]", "[one, tow]", "'tow' is no model in models.csv (did you mean 'two'?)"),
        ("[one, two]", "[one]", "models: should have at least 2 items, not 1"),
        ("own, group", "heuristics, group", "'heuristics' is not among diagnostics, allowed: own"),
        ("      groups: from\n", "", "group: 'hard' is no group of data set 'own', which needs `l"),
        ("data: swaps", "data: swaps\n    in_domain: pairs", "in_domain: should be left out wher"),
        ("data: swaps", "data: swaps\n    planes: {}", "planes: should be left out, or models ha"),
    ],
)
def test_mistake_about_models_of_ones_own(write, right, wrong, says):
    text = replaced(SHORT, right, wrong)
    messages = complaints(write, run=text, table=OWN_TABLE)
    assert says in messages[0]
    if "groups" in right:
        assert messages[0].startswith(f"demo.yaml, line {line_of(text, '    strategy')}, ")
    elif "\n" in wrong:
        assert messages[0].startswith(f"demo.yaml, line {changed_line(SHORT, right, wrong)}, ")


def test_an_arm_of_two_has_no_plane(write):
    text = replaced(RUN, "{heads: 2, orders: 3}", "{heads: 1, orders: 2}")
    (message,) = complaints(write, run=text, table=TABLE)
    where = f"demo.yaml, line {line_of(text, '    planes')}, linear_connectivity.text.planes"
    what = "should be left out, or arms.both have three members at least, to lay a plane through"
    assert message == f"{where}: {what}"


def test_the_paper_has_something_to_do(write):
    text = f"{DATA}linear_connectivity: {{}}\nmetrics: {{data: [told]}}\n"
    table = f"{HEADER}\na,,predictions,,,told,a.csv,,,\nb,,predictions,,,told,b.csv,,,\n"
    (message,) = complaints(write, run=text, table=table)
    line = line_of(text, "linear_connectivity")
    what = "needs 'published', 'text' or 'images'"
    assert message == f"demo.yaml, line {line}, linear_connectivity: {what}"


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        (f"org/minilm,{REVISION}", "org/minilm,", "revision: should be given where location is a"),
        (f"org/minilm,{REVISION}", "org/minilm,v1", "revision: should be the 40 hexadecimal di"),
        (f"org/minilm,{REVISION}", f"./minilm,{REVISION}", "revision: should be empty where locat"),
        (f"org/minilm,{REVISION}", f"a/b/c,{REVISION}", "revision: should be empty where location"),
        (f"org/minilm,{REVISION}", "https://host.org/minilm,", "location: should be an id on the"),
        (f"org/minilm,{REVISION}", ",", "location: should not be empty where source is 'transfor"),
        (f"{HASH},MIT", f"{HASH},", "licence: should be given where location is an id on the hub"),
        (f"{HASH},MIT", ",MIT", "sha256: should not be empty where source is 'transformers'"),
        ("minilm,,", "minilm,reinit,", "category: should be empty where source is 'transformers'"),
        (
            "transformers,,,",
            "transformers,small,,",
            "recipe: should be empty where source is 'tran",
        ),
        ("train,small,0,,,,", f"train,small,0,,,{REVISION},", "revision: should be empty where s"),
    ],
)
def test_mistake_in_a_row_of_a_text_model(write, right, wrong, says):
    (message,) = complaints(write, run=RUN, table=replaced(TABLE, right, wrong))
    line = changed_line(TABLE, right, wrong)
    assert message.startswith(f"models.csv, line {line}, column {says}")


def test_a_text_model_that_nothing_names(write):
    row = f"x,,transformers,,,,./x,,{HASH},\n"
    (message,) = complaints(write, run=RUN, table=TABLE + row)
    assert message == (
        "demo.yaml, line 2, models: 'x', of source 'transformers' in models.csv, is named nowhere; "
        "name it under linear_connectivity.text, or leave the row out"
    )


def test_a_folder_is_no_id_on_the_hub(write, tmp_path):
    (tmp_path / "org/minilm").mkdir(parents=True)
    (message,) = complaints(write, run=RUN, table=TABLE)
    assert message == (
        "models.csv, line 3, column revision: should be empty where location is a folder"
    )
    table = replaced(TABLE, f"{REVISION},{HASH},MIT", f",{HASH},")
    _, (models, _) = write(run=RUN, table=table)
    assert models["minilm"].revision is None
    assert not is_hub_id("org/minilm")
    hub = {"org/model", "Org-1/all-MiniLM-L6-v2"}
    others = {"./org/model", "model", "/model", "a/b/c", "org/", "org/..", "https://a/b", "~/x"}
    assert {location for location in hub | others if is_hub_id(location)} == hub


def test_one_location_may_have_several_revisions(write):
    def two(first: str, second: str) -> str:
        rows = ((first, HASH, "one"), (second, OTHER_HASH, "two"))
        return f"{HEADER}\n" + "".join(
            f"{model},,transformers,,,,org/m,{revision},{sha256},MIT\n"
            for revision, sha256, model in rows
        )

    write(run=SHORT, table=two(REVISION, REVISION[::-1]))
    (message,) = complaints(write, run=SHORT, table=two(REVISION, REVISION))
    assert message.startswith(f"models.csv, line 3, column sha256: should be '{HASH}', as for")


def test_a_checkpoint_under_two_names(write):
    (message,) = complaints(write, run=SHORT, table=OWN_TABLE.replace(OTHER_HASH, HASH))
    where = f"demo.yaml, line {line_of(SHORT, '    models')}, linear_connectivity.text.models.1"
    assert message == (
        f"{where}: 'two' has the weights of 'one' in models.csv, a duplicate checkpoint under two "
        "names; leave one out"
    )


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("minilm,,train,small,7,,,,,", "'minilm' is of source 'train' in models.csv; name one of"),
        ("minilm,,predictions,,,told,x.csv,,,", "'minilm' has predictions alone in models.csv"),
    ],
)
def test_a_start_is_a_text_model(write, row, says):
    old = next(line for line in TABLE.splitlines() if line.startswith("minilm"))
    (message,) = complaints(write, run=RUN, table=replaced(TABLE, old, row))
    where = f"demo.yaml, line {line_of(RUN, '    start')}, linear_connectivity.text.start"
    assert message.startswith(f"{where}: {says}")


def test_text_needs_no_other_data_and_no_other_models(write):
    for run, table in ((SHORT, OWN_TABLE), (RUN, TABLE)):
        made, (models, _) = write(run=run, table=table)
        assert made.metrics.data == []
        assert models
    alone = DATA + RECIPES + IMAGES
    table = "".join(line for line in TABLE.splitlines(keepends=True) if "minilm" not in line)
    write(run=alone, table=table)
    published = DATA + "linear_connectivity: {text: null}\n"
    (message,) = complaints(write, run=published, table=table)
    assert message == "demo.yaml, line 1, metrics: is missing"


def test_models_of_images_need_images_beside_text(write):
    text = RUN.replace(IMAGES, "")
    messages = complaints(write, run=text, table=TABLE)
    what = "should be 'predictions', not 'train': no data set of metrics.data has images"
    assert messages == [f"models.csv, line {n}, column source: {what}" for n in (2, 4, 5, 6)]


def test_text_models_are_compared_with_no_others(write):
    run, (models, predictions) = write(run=COMPARED, table=replaced_categories())
    assert starts(run) == {
        "net-2": ("very_large_dropout", "domains", "model"),
        "minilm": ("linear_connectivity", "text", "start"),
    }
    assert models_on("digits", run, models, predictions) == ["net-0", "net-1", "net-3"]
    assert candidates(run, models) == {"net-0": "reinit", "net-1": "reinit"}
    assert not with_images(run, "pairs")
    run, _ = write(run=SHORT, table=OWN_TABLE)
    assert list(starts(run)) == ["one", "two"]


def replaced_categories() -> str:
    table = TABLE
    for model, category in (
        ("net-0", "reinit"),
        ("net-1", "reinit"),
        ("net-3", "architectures"),
        ("said", "datasets"),
    ):
        table = replaced(table, f"\n{model},,", f"\n{model},{category},")
    return table


@pytest.mark.parametrize(
    ("right", "wrong", "where", "named"),
    [
        ("base_model: net-0", "base_model: minilm", "no_one_representation.base_model", "train"),
        ("compared: [net-1]", "compared: [minilm]", "no_one_representation.compared.0", "train"),
        ("model: net-2", "model: minilm", "very_large_dropout.domains.model", "train"),
    ],
)
def test_text_models_are_named_nowhere_else(write, right, wrong, where, named):
    table = replaced_categories()
    if "net-2" in right:
        table = replaced(table, "\nnet-2,,", "\nnet-2,architectures,")
    (message,) = complaints(write, run=replaced(COMPARED, right, wrong), table=table)
    assert f", {where}: 'minilm' is of source 'transformers' in models.csv; name one" in message
    assert f"of source {named!r} or 'file'" in message


def test_published_text_and_images_may_be_side_by_side(write):
    published = (
        "  published: {runs: {location: r.csv}, clusters: c.csv, counts: {location: c.txt}, "
        "n_runs: 2, hans: hans, caliper: 0.1, permutations: 9}\n"
    )
    text = replaced(RUN, "  text:\n", f"{published}  text:\n") + "metrics: {data: [hans]}\n"
    text = replaced(text, "data:\n", "data:\n  hans: {kind: hans, splits: {report: 30000}}\n")
    table = TABLE + "p,,predictions,,,hans,p.csv,,,\nq,,predictions,,,hans,q.csv,,,\n"
    run, _ = write(run=text, table=table)
    assert run.linear_connectivity.published.hans == "hans"
    run, _ = write(run=RUN, table=TABLE)
    assert run.linear_connectivity.published is None


@pytest.mark.parametrize(
    ("kind", "splits"),
    [
        ("sentence_pairs", {"train": 40, "report": 60}),
        ("overlap_heuristics", {"report": 60}),
        ("word_swaps", {"tune": 40, "report": 60}),
        ("minimal_pairs", {"train": 40, "report": 60}),
    ],
)
def test_kinds_of_sentences_offer_what_they_have(kind, splits):
    module = pytest.importorskip(f"dissent.{kind}")
    more = {"breakers": 0.3} if kind == "sentence_pairs" else {}
    made = getattr(module, kind)(3, None, splits, **more)
    offer = OFFERS[kind]
    assert offer.sentences == bool(made.sentences)
    assert not offer.images
    assert made.images_NHW is None
    assert made.labels.ndim == 1
    assert set(made.groups) == set(GROUPS[kind])
    assert len(set(GROUPS[kind])) == len(GROUPS[kind])


def test_groups_are_named_as_those_of_hans():
    from dissent import hans

    named = {f"{heuristic}, {label}" for heuristic in hans.HEURISTICS for label in hans.CLASSES}
    assert set(GROUPS["overlap_heuristics"]) == named


def test_new_labels_of_old_examples_bring_no_sentences(write):
    again = (
        "  again: {kind: labels, relabels: own, labels: "
        "{location: again.csv, ids: id, sentences: [premise]}}\n"
    )
    text = replaced(RUN, "  told:", f"{again}  told:")
    (message,) = complaints(write, run=text, table=TABLE)
    where = f"demo.yaml, line {line_of(text, '  again')}, data.again.labels.sentences"
    assert message.startswith(f"{where}: should be left out beside 'relabels'")


def test_schema_agrees_with_the_loader():
    checker = jsonschema.Draft202012Validator(json.loads(config.schemas()["run.schema.json"]))
    # Other readers of YAML take 3e-4 for a number.
    full = RUN.replace("3e-4", "0.0003").replace("1e-4", "0.0001").replace("1e-3", "0.001")
    full = full.replace("3e-1", "0.3")
    for text in (full, SHORT.replace("3e-1", "0.3")):
        assert not list(checker.iter_errors(yaml.safe_load(text)))
    for right, wrong in (
        ("kind: word_swaps", "kind: word_swap"),
        ("breakers: 0,", "breakers: 2,"),
        ("[heuristics, own]", "[own, own]"),
        ("[heuristics, own]", "[]"),
        ("[net-0, net-1]", "[net-0]"),
        ("points: 9", "points: 2"),
        ("{heads: 2, orders: 3}", "{heads: 2}"),
        ("[premise, hypothesis]\n", "[a, b, c]\n"),
    ):
        assert list(checker.iter_errors(yaml.safe_load(replaced(full, right, wrong))))


@pytest.mark.parametrize("value", [None, [], {}, "x", [None], {"x": None}, -1, True], ids=repr)
def test_no_section_is_too_strange_for_a_sentence(write, value):
    for text, table in ((COMPARED, replaced_categories()), (SHORT, OWN_TABLE)):
        content = yaml.safe_load(text)
        for where in sections(content):
            # JSON is YAML.
            changed = json.dumps(with_value(content, where, value))
            try:
                write(run=changed, table=table)
            except InputError as error:
                told = str(error).splitlines()
                assert all(
                    line.startswith(("demo.yaml, line 1, ", "models.csv, ")) for line in told
                )


@pytest.mark.parametrize("cell", ["", "x", "-1", "a/b", "minilm", "transformers", "é://", "a\0/b"])
def test_no_cell_is_too_strange_for_a_sentence(write, cell):
    header, *rows = [line.split(",") for line in TABLE.splitlines()]
    for row, column in product(range(3), range(len(header))):
        table = [header, *with_value(rows, (row, column), cell)]
        try:
            write(run=RUN, table="".join(",".join(line) + "\n" for line in table))
        except InputError as error:
            told = str(error).splitlines()
            assert all(line.startswith(("demo.yaml, line ", "models.csv, line ")) for line in told)


def test_the_documents_name_every_kind_column_and_leaf():
    readme = (test_config.ROOT / "config/README.md").read_text()
    for kind in OFFERS:
        assert f"`{kind}`" in readme
    for column in config.Model.model_fields:
        assert f"`{column}`" in readme
    told = readme[readme.index("## Paths between") : readme.index("## Model tables")]
    for shape in (TextConnectivity, Arm, TextFineTuning, Planes, Sharpness, ImageConnectivity):
        for leaf in shape.model_fields:
            assert re.search(rf"\b{leaf}\b", told), leaf
