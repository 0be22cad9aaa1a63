"""Every mistake in a run file or a model table must name its file, its line and what is allowed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import jsonschema
import pytest
import yaml

from dissent import config
from dissent.commandline import InputError
from dissent.config_data import OFFERS
from dissent.config_table_checks import models_on

ROOT = Path(__file__).parents[1]
# Runs whose models are the user's.
TEMPLATES = {"image_folder", "domain_folder", "text_models"}

RUN = """\
run: demo
models: models.csv
threads: 1
data:
  handwritten:
    kind: handwritten
    seed: 0
    size: 32
    splits: {train: 300, tune: 400, report: 1097}
  glyphs: {kind: glyphs, seed: 0, size: 32, splits: {train: 600, report: 100}}
  letters: {kind: letters, seed: 0, size: 32, splits: {train: 800, report: 800}}
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
  convnext-high: {extends: convnext, learning_rate: 3e-3}
  distilled:
    extends: base
    framework: distillation
    unlabelled: [glyphs]
    teacher: a-s0
    temperature: 2
metrics:
  data: [handwritten, glyphs]
  bootstrap_resamples: 1000
  confidence_level: 0.95
  calibration_bins: 15
  calibration_split: tune
  report_split: report
  ensemble_rule: mean_probability
no_one_representation:
  data: handwritten
  base_model: a-s0
  accuracy_window: [0.73, 0.79]
  compared: [a-s1, b, c]
  greedy: {start: [c], max_added: 6}
  feature_mixing:
    models: [a-s1, b]
    shares: [0, 50, 100]
    repeats: 3
    kept:
    - 8
    - 25
  downstream: {data: letters, models: [a-s0, c]}
"""
HASH = "0123456789abcdef" * 4
OTHER_HASH = HASH[::-1]
HEADER = "model,category,source,recipe,seed,batch,architecture,location,sha256,licence,citation"
TABLE = f"""\
{HEADER}
a-s0,reinit,train,base,0,pair,,,,Apache-2.0,
a-s1,reinit,train,base,1,pair,,,,Apache-2.0,
b,architectures,train,convnext,0,,,,,Apache-2.0,"A, B"
c,datasets,file,,,,test_vit,weights/c.safetensors,{HASH},MIT,
d,frameworks,train,distilled,0,,,,,,
"""
# Predictions alone, and nothing that may be left out.
PREDICTED = """\
run: demo
models: models.csv
threads: 1
data:
  answers:
    kind: labels
    classes: 2
    labels: {location: answers.csv, ids: id}
metrics:
  data: [answers]
  bootstrap_resamples: 1000
  confidence_level: 0.95
  calibration_bins: 15
  calibration_split: tune
  report_split: report
  ensemble_rule: mean_probability
"""
PREDICTED_TABLE = """\
model,source,data,location
p,predictions,answers,p.csv
q,predictions,answers,q.csv
"""
# RUN and TABLE with all that may be left out.
LABELS_AND_FORMATS = """\
  imagenet:
    kind: labels
    classes: 1000
    splits: {report: 50000}
    row_order: by class, then by file name
    labels:
      location: https://host.org/imagenet.csv
      sha256: SHA256
      licence: CC0
      citation: Somebody
      ids: file_name
      label: label
      groups: kind of animal
  imagenet-real:
    kind: labels
    relabels: imagenet
    labels: {location: real.json, sha256: SHA256, ids: "image-{:08d}", first: 1}
  pets:
    kind: labels
    seed: 3
    classes: [cat, dog]
    splits: {tune: 50, report: 100}
    labels: {location: pets.npz, array: labels, ids: "pet-{:05d}"}
  new-pets:
    kind: labels
    classes: [cat, dog]
    splits: {report: 100}
    labels: {location: new_pets.npy, ids: "new-pet-{:05d}"}
  hans: {kind: hans, splits: {report: 30000}}
formats:
  softmax: {array: predictions, values: logits, member: folder/scores.npz}
  table: {ids: file, predicted: says, confidence: sure, label_map: {feline: cat, dog: dog}}
"""
OTHER_SECTIONS = """\
  shift: {original: pets, shifted: [new-pets]}
  calibration: [pets]
ensembling: {max_members: 6}
linear_connectivity:
  published:
    runs: {location: runs.csv}
    clusters: clusters.csv
    counts: {location: counts.txt, citation: Somebody}
    n_runs: 100
    hans: hans
    caliper: 0.002
    permutations: 1000
very_large_dropout:
  soups:
    individual: {location: https://host.org/soups/individual.jsonl, sha256: SHA256, licence: MIT}
    uniform: {location: uniform.jsonl}
    greedy: {location: greedy.jsonl}
"""
FULL = (
    RUN.replace("recipes:\n", LABELS_AND_FORMATS + "recipes:\n", 1).replace(
        "[handwritten, glyphs]",
        "[handwritten, glyphs, imagenet, imagenet-real, pets, new-pets, hans]",
    )
    + OTHER_SECTIONS
).replace("SHA256", HASH)
FULL_TABLE = f"""\
model,category,source,recipe,seed,batch,architecture,data,location,sha256,format,licence,citation,cost
a-s0,reinit,train,base,0,pair,,,,,,,,1.5
a-s1,reinit,train,base,1,pair,,,,,,,,2
b,architectures,train,convnext,0,,,,,,,,,
c,datasets,file,,,,test_vit,,weights/c.safetensors,{HASH},,MIT,,
d,frameworks,train,distilled,0,,,,,,,,,
p,reinit,predictions,,,,,imagenet,https://host.org/p.csv,{HASH},,MIT,Somebody,1e3
p,reinit,predictions,,,old,,pets,p.zip,{HASH},softmax,,,1e3
p,reinit,predictions,,,new,,new-pets,p.csv,,table,,,1e3
p,reinit,predictions,,,,,hans,p.txt,,,,,1e3
q,datasets,predictions,,,,,imagenet,q.csv,{HASH},,,,
q,datasets,predictions,,,old,,pets,q.npy,,,,,
q,datasets,predictions,,,new,,new-pets,q2.npy,,,,,
q,datasets,predictions,,,,,hans,q.txt,,,,,
"""


def line_of(text: str, part: str) -> int:
    """The line (from 1) on which `part` stands."""
    return text[: text.index(part)].count("\n") + 1


def replaced(text: str, right: str, wrong: str) -> str:
    """`text` with the first `right` made `wrong`."""
    assert right in text
    return text.replace(right, wrong, 1)


def changed_line(text: str, right: str, wrong: str) -> int:
    """The first line that differs once `right` is made `wrong`."""
    pairs = zip(text.splitlines(), replaced(text, right, wrong).splitlines(), strict=False)
    return next(line for line, (old, new) in enumerate(pairs, start=1) if old != new)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a run file and a model table to the current folder, and load both."""
    monkeypatch.chdir(tmp_path)

    def load(run: str | bytes = RUN, table: str | bytes = TABLE):
        for name, content in (("demo.yaml", run), ("models.csv", table)):
            Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        made = config.load_run("demo.yaml")
        return made, config.load_models(made.models, made)

    return load


def complaints(write, **files) -> list[str]:
    with pytest.raises(InputError) as caught:
        write(**files)
    return str(caught.value).splitlines()


def test_recipes_take_over_what_they_do_not_override(write):
    run, _ = write()
    recipes = run.recipes
    assert recipes["convnext-high"].architecture == "test_convnext"
    assert recipes["convnext-high"].learning_rate == 0.003
    assert recipes["convnext"].learning_rate == 0.001
    assert recipes["base"].architecture == "test_resnet"
    leaves = set(yaml.safe_load(RUN)["recipes"]["base"])
    assert leaves < set(recipes["convnext-high"].model_dump())
    assert recipes["base"].model_dump()["pretraining_steps"] == 0


def test_recipe_order_does_not_matter(write):
    head, base = RUN.split("recipes:\n")
    child = "  convnext-low: {extends: base, steps: 7}\n"
    run, _ = write(run=f"{head}recipes:\n{child}{base}")
    assert run.recipes["convnext-low"].steps == 7


def test_config_cannot_be_changed(write):
    run, (models, _) = write()
    for part, name in ((run, "threads"), (run.recipes["base"], "steps"), (models["b"], "seed")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(part, name, 3)


def test_models_keep_the_order_and_types_of_the_table(write):
    _, (models, predictions) = write()
    assert not predictions
    assert list(models) == ["a-s0", "a-s1", "b", "c", "d"]
    assert models["a-s1"].seed == 1
    assert models["b"].batch is None
    assert models["b"].citation == "A, B"
    assert models["c"].recipe is None


def test_batches(write):
    _, (models, _) = write()
    batches = config.batches(models.values())
    grouped = {name: [m.model for m in part] for name, part in batches.items()}
    assert grouped == {"pair": ["a-s0", "a-s1"], "b": ["b"], "c": ["c"], "d": ["d"]}


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("threads: 1", "threads: 1\nthread: 2", "thread: 'thread' is no key here"),
        ("threads: 1", "threads: 1\nthread: 2", "(did you mean 'threads'?), allowed: data, en"),
        ("  steps: 150", "  steps: 150\n    stepz: 1", "base.stepz: 'stepz' is no key here"),
        ("max_added: 6", "max_added: 6, added: 1", "'added' is no key here (did you mean 'max_add"),
        ("threads: 1", "threads: 1\n2: 3", "2 is no key here"),
        ("tune: 400", "test: 400", "should be 'train', 'tune' or 'report', not 'test'"),
        ("  steps: 150", "  steps: many", "base.steps: should be a valid integer, not 'many'"),
        ("threads: 1", "threads: yes", "threads: should be a valid integer, not True"),
        ("run: demo", "run: 1", "run: should be a valid string, not 1"),
        ("[glyphs]", "glyphs", "distilled.unlabelled: should be a valid list, not 'glyphs'"),
        ("[glyphs]", "&a [*a]", "distilled.unlabelled.0: should be a valid string"),
        ("{handwritten: 2}", "2", "base.labels_per_class: should be a valid mapping, not 2"),
        ("{handwritten: 2}", "{handwritten: 0}", "should be greater than or equal to 1, not 0"),
        ("{start: [c], max_added: 6}", "6", "greedy: should be a valid mapping, not 6"),
        ("seed: 0\n", "seed:\n", "seed: should be a valid integer, not nothing"),
        ("adamw", "adam", "should be 'adamw' or 'sgd', not 'adam' (did you mean 'adamw'?)"),
        ("[0.73, 0.79]", "[0.79, 0.73]", "with low below high, not [0.79, 0.73]"),
        ("[0.73, 0.79]", "[0.73]", "accuracy_window: should have at least 2 items, not 1"),
        ("[0.73, 0.79]", "[0.73, 79]", "accuracy_window.1: should be less than or equal to 1"),
        ("[0, 50, 100]", "[0, 50, 101]", "shares.2: should be less than or equal to 100, not 101"),
        ("  - 25", "  - 0", "kept.1: should be greater than or equal to 1, not 0"),
        ("0.95", "95", "confidence_level: should be less than 1, not 95"),
        ("0.95", ".inf", "confidence_level: should be a finite number, not inf"),
        ("  letters:", "  l;etters:", "should hold only a-z, 0-9, '.', '_' and '-', and start"),
        ("base_model: a-s0", "base_model: a s0", "base_model: should hold only a-z, 0-9"),
        ("extends: convnext,", "extends: convnex,", "'convnex' is no recipe (did you mean 'convn"),
        ("extends: convnext,", "extends: , ", "None is no recipe, allowed: base, convnext"),
        ("cosine", "cosine\n    extends: base", "should not lead back to itself (base -> base)"),
        ("  base:", "  a: 3\n  b: {extends: a}\n  base:", "a: should be a valid mapping, not 3"),
        ("{handwritten: 2}", "{hand: 2}", "'hand' is no data set, allowed: glyphs, handwritten, "),
        ("[glyphs]", "[glyph]", "distilled.unlabelled.0: 'glyph' is no data set (did you mean"),
        ("{data: letters", "{data: letter", "is no data set (did you mean 'letters'?), allow"),
        ("  data: handwritten", "  data: glyphs", "'glyphs' needs a split 'tune' to be used"),
        (
            "  data: handwritten",
            "  data: letters",
            "data: 'letters' is not among metrics.data, allowed: glyphs, handwritten",
        ),
        (
            "{data: letters",
            "{data: handwritten",
            "downstream.data: 'handwritten' has one label an example, allowed: letters",
        ),
        (
            "{handwritten: 2}",
            "{handwritten: 2, letters: 3}",
            "base.labels_per_class.letters: 'letters' is multi-label, allowed: glyphs, handwritten",
        ),
        (
            "[glyphs]",
            "[glyphs, letters]",
            "distilled.unlabelled.1: 'letters' should have the classes of 'handwritten', as one",
        ),
        (
            "handwritten, glyphs]",
            "handwritten, letters]",
            "'letters' is multi-label, allowed: glyphs, handwr",
        ),
        (
            "handwritten, glyphs]",
            "handwritten, glyph]",
            "metrics.data.1: 'glyph' is no data set (did you me",
        ),
        ("[handwritten, glyphs]", "[]", "metrics.data: should have at least 1 item, not 0"),
        ("[a-s1, b, c]", "[b, a-s0]", "compared.1: 'a-s0' is the base model; compare it with oth"),
        ("[glyphs]", "[glyphs, glyphs]", "unlabelled: should hold each item once, not 'glyphs' tw"),
        ("start: [c]", "start: [c, c]", "greedy.start: should hold each item once, not 'c' twice"),
        ("start: [c]", "start: [c, a-s0]", "start.1: 'a-s0' is the base model; start from others"),
        ("models: [a-s1, b]", "models: [b, b]", "mixing.models: should hold each item once, not"),
        ("models: [a-s0, c]", "models: [c, c]", "downstream.models: should hold each item once,"),
        ("models: [a-s0, c]", "models: [c]", "downstream.models: should have at least 2 items, n"),
        ("[0, 50, 100]", "[0, 50, 50, 100]", "shares: should hold each item once, not 50 twice"),
        ("[0, 50, 100]", "[0, 100]", "mixing compares these), not [0, 100]"),
        (
            "run: demo",
            "run: other",
            "run: should be 'demo', the name of its file, not 'other': no ",
        ),
        ("_split: tune", "_split: report", "calibration_split: should differ from report_split"),
        ("framework: distillation", "framework: rotate", "should be 'supervised', 'simclr', "),
    ],
)
def test_mistake_in_run_file(write, right, wrong, says):
    (message,) = complaints(write, run=replaced(RUN, right, wrong))
    assert message.startswith(f"demo.yaml, line {changed_line(RUN, right, wrong)}, ")
    assert says in message


@pytest.mark.parametrize(
    ("absent", "section", "says"),
    [
        ("    steps: 150\n", "  base:", "recipes.base.steps: is missing"),
        (RUN[RUN.index("metrics:") : RUN.index("no_one")], "run: demo", "metrics: is missing"),
        ("max_added: 6", "  greedy:", "no_one_representation.greedy.max_added: is missing"),
    ],
)
def test_missing_key_is_told_where_its_section_begins(write, absent, section, says):
    (message,) = complaints(write, run=replaced(RUN, absent, ""))
    assert message == f"demo.yaml, line {line_of(RUN, section)}, {says}"


def test_circle_of_recipes_names_both_and_not_their_heirs(write):
    text = RUN.replace("    schedule: cosine", "    schedule: cosine\n    extends: convnext")
    messages = complaints(write, run=text)
    assert [message.split(",")[1] for message in messages] == [
        f" line {line_of(text, 'convnext: {')}",
        f" line {line_of(text, 'extends: convnext')}",
    ]
    assert all("lead back to itself" in message for message in messages)


def test_inherited_mistake_is_told_once_where_it_was_written(write):
    text = RUN.replace("drop_rate: 0.0", "drop_rate: 1.5")
    (message,) = complaints(write, run=text)
    assert f"line {line_of(text, 'drop_rate')}, recipes.base.drop_rate" in message


@pytest.mark.parametrize(
    ("right", "wrong", "at", "says"),
    [
        ("    temperature: 2\n", "", "framework: dist", "'distillation' needs 'temperature' as"),
        ("teacher: a-s0", "teacher: null", "framework: dist", "'distillation' needs 'teacher' as"),
        ("    unlabelled: [glyphs]\n", "", "framework: dist", "'distillation' needs 'unlabelled'"),
    ],
)
def test_leaves_and_framework_of_a_recipe_in_use(write, right, wrong, at, says):
    text = replaced(RUN, right, wrong)
    (message,) = complaints(write, run=text)
    assert message.startswith(f"demo.yaml, line {line_of(text, at)}, recipes.")
    assert says in message


@pytest.mark.parametrize(
    ("recipe", "right", "wrong", "unused"),
    [
        ("convnext", "{extends", "{unlabelled: [glyphs], extends", ["unlabelled"]),
        ("convnext", "{extends", "{pretraining_steps: 3, extends", ["pretraining_steps"]),
        ("convnext", "{extends", "{pretraining_batch_size: 3, extends", ["pretraining_batch_size"]),
        ("convnext", "{extends", "{mask_ratio: 0.5, extends", ["mask_ratio"]),
        (
            "distilled",
            "teacher",
            "labels_per_class: {glyphs: 1}\n    teacher",
            ["labels_per_class"],
        ),
        (
            "distilled",
            "    framework: distillation\n",
            "",
            ["teacher", "temperature", "unlabelled"],
        ),
    ],
)
def test_leaves_that_a_framework_has_no_use_for(write, recipe, right, wrong, unused):
    text = replaced(RUN, right, wrong)
    framework = "supervised" if recipe == "convnext" or not wrong else "distillation"
    at = f"demo.yaml, line {line_of(text, f'  {recipe}:')}, recipes.{recipe}"
    assert complaints(write, run=text) == [
        f"{at}: framework {framework!r} has no {leaf!r}" for leaf in unused
    ]


@pytest.mark.parametrize(
    ("leaf", "says"),
    [
        ("unlabelled: [glyphs]", None),
        ("temperature: 0.5", None),
        ("teacher: a-s0", "framework 'supervised' has no 'teacher'"),
        ("pretraining_steps: 3", "framework 'supervised' has no 'pretraining_steps'"),
    ],
)
def test_only_leaves_without_effect_may_be_taken_over_in_vain(write, leaf, says):
    text = RUN.replace("convnext: {", f"parent: {{extends: base, {leaf}}}\n  convnext: {{")
    text = text.replace("convnext: {extends: base", "convnext: {extends: parent")
    if says is None:
        run, _ = write(run=text)
        assert getattr(run.recipes["convnext"], leaf.split(":")[0])
    else:
        (message,) = complaints(write, run=text)
        line = line_of(text, "convnext: {")
        assert message == f"demo.yaml, line {line}, recipes.convnext: {says}"


def test_captions_need_data_sets_that_have_some(write):
    given = (
        "framework: captions, unlabelled: [glyphs, handwritten], pretraining_steps: 9, steps: 0, "
        "pretraining_batch_size: 8, pretraining_learning_rate: 0.1"
    )
    text = replaced(RUN, "architecture: test_convnext", given)
    (message,) = complaints(write, run=text)
    where = f"demo.yaml, line {line_of(text, 'captions')}, recipes.convnext.unlabelled.1"
    assert message == f"{where}: 'handwritten' has no captions, allowed: glyphs"
    text = text.replace("  glyphs: {kind: glyphs", "  glyphs: {kind: handwritten")
    assert complaints(write, run=text) == [
        f"{where[:-1]}{index}: {data!r} has no captions, allowed: none"
        for index, data in enumerate(("glyphs", "handwritten"))
    ]


def test_data_sets_of_one_recipe_have_one_size(write):
    text = replaced(RUN, "glyphs, seed: 0, size: 32", "glyphs, seed: 0, size: 48")
    (message,) = complaints(write, run=text)
    where = f"demo.yaml, line {line_of(text, '[glyphs]')}, recipes.distilled.unlabelled.0"
    assert message == f"{where}: 'glyphs' should have the size of 'handwritten', as one recipe " + (
        "uses both"
    )


def test_classes_of_a_model_without_labels_are_those_of_one_label_an_example(write):
    text = replaced(RUN, "[glyphs]", "[letters]\n    labels_per_class: {}")
    (message,) = complaints(write, run=text)
    where = f"demo.yaml, line {line_of(text, '[letters]')}, recipes.distilled.unlabelled.0"
    assert message == f"{where}: 'letters' is multi-label, allowed: glyphs, handwritten"


def test_what_data_sets_are_said_to_offer_is_what_they_have():
    from dissent import datasets

    for kind in ("handwritten", "glyphs", "letters"):
        offer, made = OFFERS[kind], getattr(datasets, kind)(0, 16, {"train": 40})
        assert offer.images == (made.images_NHW is not None)
        assert offer.multi_label == (made.labels.ndim == 2)
        assert offer.captions == bool(made.captions)
        assert (
            made.classes == {"digits": datasets.DIGITS, "letters": datasets.LETTERS}[offer.classes]
        )


def test_leaves_that_a_framework_needs_are_asked_for_once(write):
    given = "framework: simclr, unlabelled: [glyphs], pretraining_batch_size: 8"
    text = replaced(RUN, "architecture: test_convnext", given)
    table = TABLE + "e,frameworks,train,convnext-high,0,,,,,,\n"
    messages = complaints(write, run=text, table=table)
    where = f"demo.yaml, line {line_of(text, 'simclr')}, recipes.convnext.framework"
    assert messages == [
        f"{where}: 'simclr' needs {leaf!r} as well"
        for leaf in ("pretraining_steps", "pretraining_learning_rate", "temperature")
    ]
    rest = "pretraining_steps: 9, pretraining_learning_rate: 0.1, temperature: 0.5, "
    run, _ = write(run=text.replace("convnext: {", "convnext: {" + rest), table=table)
    assert run.recipes["convnext-high"].temperature == 0.5


def test_recipe_that_is_only_extended_may_be_unfit_for_its_framework(write):
    run, _ = write(run=RUN.replace("convnext-high: {", "convnext-high: {pretraining_steps: 3, "))
    assert run.recipes["convnext-high"].pretraining_steps == 3


def test_steps_with_labels_need_labels(write):
    given = (
        "framework: captions, unlabelled: [glyphs], labels_per_class: {}, pretraining_steps: 9, "
        "pretraining_batch_size: 8, pretraining_learning_rate: 0.1"
    )
    text = replaced(RUN, "architecture: test_convnext", given)
    (message,) = complaints(write, run=text)
    where = f"demo.yaml, line {line_of(text, 'convnext: {')}, recipes.convnext"
    assert message == f"{where}: 'steps' should be 0 where no labels are used"
    run, _ = write(run=text.replace("convnext: {", "convnext: {steps: 0, "))
    assert run.recipes["convnext-high"].labels_per_class == {}


def test_all_mistakes_are_told_at_once(write):
    text = RUN.replace("steps: 150", "steps: many").replace("threads: 1", "threads: none")
    text = text.replace("extends: convnext,", "extends: x,").replace("repeats: 3", "repeats: 0")
    messages = complaints(write, run=text)
    lines = {line_of(text, part) for part in ("steps: many", "threads", "extends: x", "repeats")}
    assert {int(message.split(",")[1].split()[1]) for message in messages} == lines
    assert len(messages) == 4


def test_duplicate_key(write):
    text = RUN.replace("    steps: 150", "    steps: 150\n    batch_size: 8")
    (message,) = complaints(write, run=text)
    assert message.startswith(f"demo.yaml, line {line_of(text, 'batch_size: 32')}: 'batch_size'")


def test_merge_key_is_read_as_yaml_reads_it(write):
    text = RUN.replace("  base:\n", "  base: &base\n").replace(
        "{extends: base, arch", "{<<: *base, arch"
    )
    run, _ = write(run=text)
    assert run.recipes["convnext"].steps == 150
    (message,) = complaints(write, run=text.replace("test_convnext", "3"))
    assert f"line {line_of(text, 'convnext: {')}, recipes.convnext.architecture" in message


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (RUN.replace("    seed: 0", "\tseed: 0"), "line 7", "not valid YAML"),
        (RUN.replace("[glyphs]", "[glyphs"), "line ", "not valid YAML"),
        ("run: demo\nrun: *nowhere\n", "line 2", "not valid YAML"),
        ("run: 2020-13-45\n", "", "not valid YAML"),
        ("run: \0", "", "not valid YAML"),
        ("run: !!bool x", "", "not valid YAML"),
        ("run: !!timestamp x", "", "not valid YAML"),
        ("", "", "mapping with the keys run, models"),
        ("- run\n", "", "mapping with the keys run, models"),
        (b"run: demo\nmodels: \xe9.csv\n", "line 2", "UTF-8"),
    ],
)
def test_unreadable_run_file(write, content, line, says):
    (message,) = complaints(write, run=content)
    assert message.startswith("demo.yaml")
    assert line in message
    assert says in message


def test_missing_files(write, tmp_path):
    run, _ = write()
    with pytest.raises(InputError, match=r"^nowhere.yaml: cannot be read, no such file"):
        config.load_run("nowhere.yaml")
    with pytest.raises(InputError, match=r"^nowhere.csv: cannot be read, no such file"):
        config.load_models("nowhere.csv", run)
    with pytest.raises(InputError, match="cannot be read, embedded null byte"):
        config.load_models("zero\0.csv", run)
    with pytest.raises(InputError, match="is a directory"):
        config.load_run(tmp_path)


def test_override_on_the_command_line(write):
    write()
    loaded = yaml.safe_load(RUN)
    loaded["recipes"]["base"]["steps"] = 7
    assert config.load_run(loaded, "demo.yaml").recipes["convnext"].steps == 7
    assert loaded["recipes"]["convnext"]["extends"] == "base"


def test_name_of_a_run_may_be_given_on_the_command_line(write):
    write()
    assert config.load_run(yaml.safe_load(RUN) | {"run": "mine"}, "demo.yaml").run == "mine"


def test_mistake_on_the_command_line_is_not_blamed_on_the_file(write):
    write()
    loaded = yaml.safe_load(RUN) | {"thread": 2, "threads": "two"}
    loaded["recipes"]["base"]["steps"] = -1
    del loaded["metrics"]["data"]
    with pytest.raises(InputError) as caught:
        config.load_run(loaded, "demo.yaml")
    messages = str(caught.value).splitlines()
    told = {message.split(": ")[0] for message in messages}
    assert told == {
        "--config (not in demo.yaml), thread",
        "--config (not in demo.yaml), threads",
        "--config (not in demo.yaml), recipes.base.steps",
        "--config (not in demo.yaml), metrics.data",
    }


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("d,fra", "b,fra", "model: 'b' is named twice, first on line 4"),
        ("d,fra", "d d,fra", "model: should hold only a-z, 0-9, '.', '_' and '-', and start with"),
        ("d,fra", "d;d,fra", "model: should hold only a-z, 0-9, '.', '_' and '-', and start with"),
        ("d,fra", '"d\n",fra', "model: should hold only a-z"),
        ("d,fra", "../d,fra", "model: should hold only a-z"),
        ("d,fra", ",fra", "model: should be a valid string, not nothing"),
        ("frameworks", "framework", "'architectures', 'frameworks' or 'datasets', not 'framework'"),
        ("frameworks", "framework", "(did you mean 'frameworks'?)"),
        ("frameworks", "", "category: should not be empty in a run with `no_one_representation`"),
        ("convnext,0", "convnxt,0", "recipe: 'convnxt' is no recipe (did you mean 'convnext'?)"),
        ("convnext,0", "convnext,x", "seed: should be a valid integer"),
        ("convnext,0", "convnext,-1", "seed: should be greater than or equal to 0, not '-1'"),
        (
            "train,convnext",
            "timm,",
            "source: should be 'train', 'file', 'open_clip', 'predictions' or",
        ),
        ("convnext,0", ",0", "recipe: should not be empty where source is 'train'"),
        ("convnext,0", "convnext,", "seed: should not be empty where source is 'train'"),
        ("convnext,0,,,", "convnext,0,,,x", "location: should be empty where source is 'train'"),
        ("weights/c.safetensors", "", "location: should not be empty where source is 'file'"),
        (HASH, "", "sha256: should not be empty where source is 'file'"),
        ("test_vit", "", "architecture: should not be empty where source is 'file'"),
        ("file,,,", "file,,3,", "seed: should be empty where source is 'file'"),
        (HASH, HASH[:-1], "sha256: should be 64 hexadecimal digits in lower case, not '0123"),
        ("convnext,0,", "convnext,0,a-s0", "batch: 'a-s0' is the id of another model"),
        ("distilled,0,", "distilled,0,pair", "batch: should differ from that of the teacher"),
    ],
)
def test_mistake_in_model_table(write, right, wrong, says):
    (message,) = complaints(write, table=replaced(TABLE, right, wrong))
    assert message.startswith(f"models.csv, line {changed_line(TABLE, right, wrong)}, column ")
    assert says in message


def test_batches_do_not_teach_each_other_in_a_circle(write):
    text = RUN.replace("metrics:\n", "  second: {extends: distilled, teacher: d}\nmetrics:\n", 1)
    table = replaced(TABLE, "distilled,0,", "distilled,0,first") + (
        "e,frameworks,train,second,0,second,,,,,\n"
    )
    write(run=text, table=table)
    messages = complaints(write, run=text, table=table.replace("base,0,pair", "base,0,second"))
    what = "should not lead back to itself through teachers"
    assert messages == [
        f"models.csv, line 6, column batch: {what} (first -> second -> first)",
        f"models.csv, line 7, column batch: {what} (second -> first -> second)",
    ]


def test_own_id_as_batch_is_fine(write):
    _, (models, _) = write(table=TABLE.replace("convnext,0,", "convnext,0,b"))
    assert [model.model for model in config.batches(models.values())["b"]] == ["b"]


def test_all_mistakes_of_a_table_are_told_at_once(write):
    table = TABLE.replace("d,frameworks", "d d,framework").replace("convnext,0", "convnxt,0")
    messages = complaints(write, table=table)
    assert [message.split(":")[0] for message in messages] == [
        "models.csv, line 4, column recipe",
        "models.csv, line 6, column category",
        "models.csv, line 6, column model",
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "at"),
    [
        ("base_model: a-s0", "base_model: a-s9", "base_model"),
        ("compared: [a-s1", "compared: [a-s9", "compared"),
        ("start: [c]", "start: [c, a-s9]", "greedy"),
        ("    models: [a-s1, b]", "    models: [a-s9, b]", "models: [a-s9"),
        ("models: [a-s0, c]", "models: [a-s0, a-s9]", "downstream"),
        ("teacher: a-s0", "teacher: a-s9", "teacher"),
    ],
)
def test_run_file_names_a_model_that_the_table_lacks(write, right, wrong, at):
    text = RUN.replace(right, wrong)
    (message,) = complaints(write, run=text)
    assert message.startswith(f"demo.yaml, line {line_of(text, at)}, ")
    assert "'a-s9' is no model in models.csv (did you mean 'a-s" in message


def test_teacher_of_an_unused_recipe_may_be_absent(write):
    run, (models, _) = write(table=TABLE[: TABLE.index("d,frameworks")])
    assert "distilled" in run.recipes
    assert "d" not in models


def test_mixed_models_differ_by_more_than_a_seed(write):
    text = replaced(RUN, "models: [a-s1, b]", "models: [a-s1]")
    (message,) = complaints(write, run=text)
    where = f"demo.yaml, line {line_of(text, 'models: [a-s1]')}, no_one_representation."
    what = "should hold a model of another category than 'reinit'"
    assert message == f"{where}feature_mixing.models: {what}"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("", ": is empty, and should begin with the columns model, source and any of category, "),
        ("\n\n", ": is empty"),
        (HEADER + "\n", ": has a header and no model"),
        (TABLE.replace("source,", "", 1), ", line 1: missing columns: source"),
        (
            TABLE.replace("citation", "citation,note", 1),
            ", line 1: 'note' is no column, allowed:",
        ),
        (TABLE.replace("licence", "license", 1), "is no column (did you mean 'licence'?)"),
        (TABLE.replace("licence", "citation", 1), ", line 1: repeated columns: citation"),
        (TABLE.replace("file,", "file", 1), ", line 5: has 10 fields, and the header has 11"),
        (TABLE.replace('"A, B"', '"A, B'), ", line 6: not valid CSV"),
        (TABLE.replace('"A, B"', "é").encode("latin-1"), ", line 4: is not UTF-8 text"),
        (TABLE.encode("utf-16"), ", line 1: is not UTF-8 text"),
    ],
)
def test_unreadable_model_table(write, table, says):
    messages = complaints(write, table=table)
    assert any(says in message for message in messages)
    assert all(message.startswith("models.csv") for message in messages)


@pytest.mark.parametrize(
    "convert",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\n,,,,,,,,,,\n\n").removesuffix("\n").encode(),
    ],
    ids=["byte-order mark", "Windows line endings", "blank rows"],
)
def test_spreadsheets_habits_are_read_alike(write, convert):
    _, plain = write()
    _, models = write(table=convert(TABLE))
    assert models == plain


def test_run_file_with_windows_line_endings_and_byte_order_mark(write):
    plain, _ = write()
    run, _ = write(run=RUN.replace("\n", "\r\n").encode("utf-8-sig"))
    assert run.model_dump() == plain.model_dump()


def test_line_of_a_row_after_a_field_with_line_breaks(write):
    table = TABLE.replace('"A, B"', '"A,\nB\nC"').replace("d,frameworks", "d,x")
    (message,) = complaints(write, table=table)
    assert message.startswith("models.csv, line 8, column category")


LABELS = {"location": "answers.csv", "ids": "id"}
DATA_SETS = {
    "glyphs": {"kind": "glyphs", "size": 8, "splits": {"train": 9}},
    "letters": {"kind": "letters", "size": 8, "splits": {"train": 9}},
    "hans": {"kind": "hans", "splits": {"report": 9}},
    "labels": {"kind": "labels", "labels": LABELS, "classes": 2, "splits": {"report": 9}},
    "relabels": {"kind": "labels", "labels": LABELS, "relabels": "glyphs"},
    "images": {"kind": "images", "images": [{"location": "given/a.tar"}]},
}


def with_data(text: str, **data: dict) -> str:
    """A run file with more data sets, a line each."""
    lines = "".join(f"  {name}: {json.dumps(leaves)}\n" for name, leaves in data.items())
    return replaced(text, "\ndata:\n", f"\ndata:\n{lines}")


def complaint_about(write, data: dict) -> str:
    """What is said of one more data set, without file, line and the name."""
    text = with_data(RUN, x=data)
    (message,) = complaints(write, run=text)
    where = f"demo.yaml, line {line_of(text, '  x: ')}, data.x"
    assert message.startswith(where)
    return message.removeprefix(where)


@pytest.mark.parametrize(
    ("data", "leaf"),
    [
        ("glyphs", "size"),
        ("glyphs", "splits"),
        ("letters", "size"),
        ("letters", "splits"),
        ("hans", "splits"),
        ("labels", "labels"),
        ("labels", "classes"),
        ("relabels", "labels"),
    ],
)
def test_leaves_that_a_kind_of_data_set_needs(write, data, leaf):
    given = {key: value for key, value in DATA_SETS[data].items() if key != leaf}
    kind = given["kind"]
    assert complaint_about(write, given) == f": kind {kind!r} needs {leaf!r} as well"


@pytest.mark.parametrize(
    ("data", "leaf", "value"),
    [
        ("glyphs", "labels", LABELS),
        ("glyphs", "classes", 10),
        ("letters", "row_order", "any"),
        ("letters", "relabels", "glyphs"),
        ("hans", "size", 8),
        ("hans", "classes", ["yes", "no"]),
        ("labels", "size", 8),
        ("labels", "images", [{"location": "given/a.tar"}]),
        ("images", "size", 8),
        ("images", "row_order", "any"),
        ("images", "location", "given"),
        ("relabels", "splits", {"report": 9}),
        ("relabels", "classes", 2),
        ("relabels", "row_order", "any"),
    ],
)
def test_leaves_that_a_kind_of_data_set_has_no_use_for(write, data, leaf, value):
    kind = DATA_SETS[data]["kind"]
    beside = " beside 'relabels'" if data == "relabels" else ""
    told = complaint_about(write, DATA_SETS[data] | {leaf: value})
    assert told == f".{leaf}: kind {kind!r} has no {leaf!r}{beside}"


@pytest.mark.parametrize(
    ("leaf", "value", "says"),
    [
        (
            "relabels",
            "glyph",
            "'glyph' is no data set with examples of its own and one label each ",
        ),
        ("relabels", "x", "'x' is no data set with examples of its own and one label each, al"),
        (
            "relabels",
            "letters",
            "own and one label each, allowed: glyphs, handwritten",
        ),
        ("relabels", ["glyphs"], "should be a valid string, not ['glyphs']"),
        ("classes", 1, "should be a number of classes from 2 on, or a list of different names"),
        ("classes", True, "or a list of different names, not True"),
        ("classes", 2.0, "or a list of different names, not 2.0"),
        ("classes", "x", "should be names or their number where kind is 'labels'"),
        ("classes", ["a", "a"], "or a list of different names, not ['a', 'a']"),
        ("classes", ["a"], "or a list of different names, not ['a']"),
        ("classes", [0, 1], "or a list of different names, not [0, 1]"),
        ("splits", {"test": 9}, "should be 'train', 'tune' or 'report', not 'test'"),
        ("splits", {"report": 0}, "should be greater than or equal to 1, not 0"),
        ("labels", "answers.csv", "should be a valid mapping, not 'answers.csv'"),
        ("labels", {"ids": "id"}, ".location: is missing"),
        ("labels", {"location": "answers.csv"}, ".ids: is missing"),
        ("labels", LABELS | {"location": ""}, "should have at least 1 character, not ''"),
        ("labels", LABELS | {"id": "id"}, ".id: 'id' is no key here (did you mean 'ids'?), allow"),
        ("labels", LABELS | {"first": -1}, "should be greater than or equal to 0, not -1"),
        ("labels", LABELS | {"sha256": "0a"}, "should be 64 hexadecimal digits in lower case"),
        ("labels", LABELS | {"ids": "{}-{}"}, "place for a number, such as 'test-{:05d}', not"),
        ("labels", LABELS | {"ids": "{{}}"}, "should be a column, or have one place for a number"),
        ("labels", LABELS | {"ids": "{n}"}, "should be a column, or have one place for a number"),
    ],
)
def test_mistake_in_a_data_set(write, leaf, value, says):
    data = DATA_SETS["relabels" if leaf == "relabels" else "labels"]
    told = complaint_about(write, data | {leaf: value})
    assert told.startswith(f".{leaf}")
    assert says in told


@pytest.mark.parametrize(
    ("leaves", "says"),
    [
        ({"images": []}, ": kind 'images' needs 'images' as well"),
        ({"labels": LABELS}, ": needs 'classes' as well, to say what its labels stand for"),
        (
            {"images": [{"location": "https://example.org/a.tar", "licence": "MIT"}]},
            ".images.0.sha256: should be given where location is an address",
        ),
    ],
)
def test_mistake_in_a_data_set_of_images(write, leaves, says):
    assert complaint_about(write, DATA_SETS["images"] | leaves) == says


def test_images_of_one_size_and_encoded_ones_are_compared_in_two_runs(write):
    text = with_data(RUN, pics=DATA_SETS["images"])
    text = replaced(text, "data: [handwritten, glyphs]", "data: [handwritten, glyphs, pics]")
    (message,) = complaints(write, run=text)
    assert "'handwritten' holds images of one size and 'pics' encoded ones: compare" in message


def test_a_row_of_whatever_the_hub_has_now_is_fit_for_a_plan(write):
    location = "https://huggingface.co/timm/x/resolve/{}/model.safetensors"
    row = next(line for line in TABLE.splitlines() if "weights/c.safetensors" in line)
    unpinned = row.replace("weights/c.safetensors", location.format("main")).replace(HASH, "")
    write(table=replaced(TABLE, row, unpinned))
    pinned = unpinned.replace("/main/", f"/{'0' * 40}/")
    says = complaints(write, table=replaced(TABLE, row, pinned))
    assert any("sha256: should not be empty where source is 'file'" in text for text in says)


def test_new_labels_are_not_labelled_anew(write):
    second = DATA_SETS["relabels"] | {"relabels": "first"}
    text = with_data(RUN, first=DATA_SETS["relabels"], second=second)
    (message,) = complaints(write, run=text)
    where = f"demo.yaml, line {line_of(text, 'second: ')}, data.second.relabels"
    assert message.startswith(f"{where}: 'first' is no data set with examples of its own")


@pytest.mark.parametrize(
    ("location", "leaf", "says"),
    [
        ("https://host.org/a.csv", "sha256", "should be given where location is an address"),
        ("https://host.org/a.csv", "licence", "should be given where location is an address"),
        ("ftp://host.org/a.csv", "location", "the address 'ftp://host.org/a.csv' does not begin"),
        ("https://host.org/../a.csv", "location", "unsafe name '..'"),
    ],
)
def test_mistake_in_an_address(write, location, leaf, says):
    """The same is asked of the run file and of the model table."""
    given = {"location": location, "sha256": HASH, "licence": "MIT"}
    if leaf != "location":
        del given[leaf]
    told = complaint_about(write, DATA_SETS["labels"] | {"labels": {"ids": "id"} | given})
    assert told.startswith(f".labels.{leaf}: " if leaf in given else ".labels")
    assert says in told
    table = (
        f"model,source,data,{','.join(given)}\n"
        f"p,predictions,answers,{','.join(given.values())}\n"
        f"q,predictions,answers,q.csv{',' * (len(given) - 1)}\n"
    )
    (message,) = complaints(write, run=PREDICTED, table=table)
    assert message.startswith(f"models.csv, line 2, column {leaf}: ")
    assert says in message


def test_a_run_may_be_of_predictions_alone(write):
    run, (models, predictions) = write(run=PREDICTED, table=PREDICTED_TABLE)
    assert not run.recipes
    assert run.no_one_representation is None
    assert run.ensembling is None
    assert list(models) == ["p", "q"]
    assert [(key, row.location) for key, row in predictions.items()] == [
        (("p", "answers"), "p.csv"),
        (("q", "answers"), "q.csv"),
    ]
    assert models["p"].category is None


def test_sections_that_may_be_left_out_may_be_empty(write):
    sections = ("no_one_representation", "ensembling", "linear_connectivity", "very_large_dropout")
    text = PREDICTED + "".join(f"{section}:\n" for section in sections)
    plain, _ = write(run=PREDICTED, table=PREDICTED_TABLE)
    run, _ = write(run=text, table=PREDICTED_TABLE)
    assert run.model_dump() == plain.model_dump()


def test_only_some_of_a_paper_needs_a_tune_split(write):
    paper = "{data: answers, base_model: p, accuracy_window: [0, 1], compared: [q]}"
    text = f"{PREDICTED}no_one_representation: {paper}\n"
    table = PREDICTED_TABLE.replace("source,", "source,category,").replace("ns,", "ns,datasets,")
    run, _ = write(run=text, table=table)
    assert run.no_one_representation.greedy is None
    text = text.replace("[q]}", "[q], greedy: {start: [q], max_added: 1}}")
    (message,) = complaints(write, run=text, table=table)
    where = f"demo.yaml, line {line_of(text, paper[:9])}, no_one_representation.data"
    assert message == f"{where}: data set 'answers' needs a split 'tune' to be used here"


def test_every_compared_data_set_needs_a_report_split(write):
    text = replaced(FULL, "splits: {report: 30000}", "splits: {tune: 30000}")
    (message,) = complaints(write, run=text, table=FULL_TABLE)
    where = f"demo.yaml, line {line_of(text, '[handwritten, glyphs, ')}, metrics.data.6"
    assert message == f"{where}: data set 'hans' needs a split 'report' to be used here"


def test_run_with_all_that_may_be_left_out(write):
    run, (models, predictions) = write(run=FULL, table=FULL_TABLE)
    assert run.data["pets"].classes == ["cat", "dog"]
    assert run.data["imagenet"].classes == 1000
    assert run.data["imagenet-real"].labels.first == 1
    assert run.formats["table"].label_map == {"feline": "cat", "dog": "dog"}
    assert list(models) == ["a-s0", "a-s1", "b", "c", "d", "p", "q"]
    sets = ("imagenet", "pets", "new-pets", "hans")
    assert list(predictions) == [(model, data) for model in ("p", "q") for data in sets]
    assert models["p"] is predictions["p", "imagenet"]
    assert (models["p"].cost, models["a-s0"].cost, models["b"].cost) == (1000, 1.5, None)
    rows = config.batches(predictions.values())
    assert {batch: [(row.model, row.data) for row in part] for batch, part in rows.items()} == {
        "p": [("p", "imagenet"), ("p", "hans")],
        "old": [("p", "pets"), ("q", "pets")],
        "new": [("p", "new-pets"), ("q", "new-pets")],
        "q": [("q", "imagenet"), ("q", "hans")],
    }


def test_models_on_a_data_set(write):
    """Models of images say something of all images, also of those with new labels."""
    text = with_data(FULL, again=DATA_SETS["relabels"])
    table = FULL_TABLE + "r,datasets,predictions,,,,,glyphs,r.csv,,,,,\n"
    run, (models, predictions) = write(run=text, table=table)
    of_images = ["a-s0", "a-s1", "b", "c", "d"]
    assert {data: models_on(data, run, models, predictions) for data in run.data} == {
        "handwritten": of_images,
        "glyphs": [*of_images, "r"],
        "letters": of_images,
        "again": [*of_images, "r"],
        "imagenet": ["p", "q"],
        "imagenet-real": ["p", "q"],
        "pets": ["p", "q"],
        "new-pets": ["p", "q"],
        "hans": ["p", "q"],
    }


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("  data: handwritten", "  data: pets", "data set 'pets' needs a split 'train' to be use"),
        ("[pets]", "[new-pets]", "calibration.0: data set 'new-pets' needs a split 'tune'"),
        ("[pets]", "[pet]", "calibration.0: 'pet' is not among metrics.data (did you mean 'pets'"),
        ("[pets]", "[pets, letters]", "calibration.1: 'letters' is not among metrics.data, allow"),
        ("{original: pets", "{original: letters", "shift.original: 'letters' is not among metric"),
        ("[new-pets]", "[letters]", "shift.shifted.0: 'letters' is not among metrics.data, allow"),
        ("[new-pets]", "[new-pets, new-pets]", "shifted: should hold each item once, not 'new-p"),
        ("[new-pets]", "[hans, imagenet, glyphs]", "both 'pets' and 'glyphs', and has 0"),
        ("hans: hans", "hans: letters", "published.hans: 'letters' is not among metrics.data, al"),
        ("hans: hans", "hans: pets", "hans: 'pets' has no groups, allowed: hans, imagenet"),
        ("base_model: a-s0", "base_model: p", "base_model: 'p' has predictions alone in models.c"),
        (
            "[a-s1, b, c]",
            "[a-s1, q]",
            "1: 'q' says nothing of data set 'handwritten' in models.csv",
        ),
        ("start: [c]", "start: [c, q]", "start.1: 'q' says nothing of data set 'handwritten' in "),
        ("models: [a-s1, b]", "models: [b, p]", "models.1: 'p' has predictions alone in models.c"),
        ("models: [a-s0, c]", "models: [p, c]", "models.0: 'p' has predictions alone in models.c"),
        ("teacher: a-s0", "teacher: p", "distilled.teacher: 'p' has predictions alone in models."),
        ("{handwritten: 2}", "{hans: 2}", "'hans' has no images, allowed: glyphs, handwritten"),
        ("[glyphs]", "[pets]", "0: 'pets' has no images, allowed: glyphs, handwritten"),
        ("max_members: 6", "max_members: 1", "max_members: should be greater than or equal to 2"),
        ("n_runs: 100", "n_runs: 1", "published.n_runs: should be greater than or equal to 2, n"),
        ("values: logits", "values: scores", "should be 'probabilities' or 'logits', not 'scor"),
        ("{feline: cat", "{0: cat", "label_map.0: should be a valid string, not 0; put it in quo"),
        ("{feline: cat", "{yes: cat", "should be a valid string, not True; put it in quotes"),
        ("{feline: cat", "{a: 2020-02-02", "not datetime.date(2020, 2, 2); put it in quotes"),
        ("array: predictions", "arrays: x", "'arrays' is no key here (did you mean 'array'?), a"),
        ("uniform: {", "uniform: {path: x, ", "'path' is no key here, allowed: citation, licence"),
        ("greedy: {location: greedy.jsonl}", "greedy:", "soups.greedy: should be a valid mapping,"),
        (
            "{location: uniform.jsonl}",
            f"{{location: q.csv, sha256: {OTHER_HASH}}}",
            f"uniform.sha256: should be '{HASH}', as for the same location in models.csv, line 11",
        ),
        (
            "{location: uniform.jsonl}",
            f"{{location: real.json, sha256: {OTHER_HASH}}}",
            f"uniform.sha256: should be '{HASH}', as for the same location in demo.yaml, line 28,",
        ),
    ],
)
def test_mistake_in_a_full_run_file(write, right, wrong, says):
    (message,) = complaints(write, run=replaced(FULL, right, wrong), table=FULL_TABLE)
    assert message.startswith(f"demo.yaml, line {changed_line(FULL, right, wrong)}, ")
    assert says in message


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("imagenet,https", "imagenets,https", "data: 'imagenets' is no data set with examples of"),
        ("imagenet,https", "imagenet-real,https", "'imagenet-real' is no data set with examples"),
        ("imagenet,https", "letters,https", "and one label each, allowed: glyphs, handwritten, h"),
        ("imagenet,https", ",https", "data: should not be empty where source is 'predictions'"),
        ("hans,q.txt", "hans,", "location: should not be empty where source is 'predictions'"),
        (",softmax", ",softmx", "'softmx' is no format (did you mean 'softmax'?), allowed: softm"),
        (",softmax", ",soft max", "'soft max' is no format (did you mean 'softmax'?), allowed: s"),
        ("convnext,0,,,", "convnext,0,,,hans", "data: should be empty where source is 'train'"),
        (f"{HASH},,MIT,,\n", f"{HASH},table,MIT,,\n", "format: should be empty where source is 'f"),
        ("weights/c", "ftp://host.org/c", "location: the address 'ftp://host.org/c.safetensor"),
        ("predictions,,,,,hans,q", "predictions,base,,,,hans,q", "recipe: should be empty where"),
        ("predictions,,,,,hans,q", "predictions,,1,,,hans,q", "seed: should be empty where sourc"),
        ("1,pair,,,,,,,,2", "1,pair,,,,,,,,-2", "cost: should be greater than or equal to 0, not"),
        ("1,pair,,,,,,,,2", "1,pair,,,,,,,,nan", "cost: should be a finite number, not 'nan'"),
        ("1,pair,,,,,,,,2", "1,pair,,,,,,,,inf", "cost: should be a finite number, not 'inf'"),
        ("1,pair,,,,,,,,2", "1,pair,,,,,,,,$2", "cost: should be a valid number, unable to parse"),
        ("hans,p.txt", "pets,p.txt", "data: predictions of 'pets' by 'p' are on line 8 too"),
        ("p,reinit,predictions,,,old", "p,datasets,predictions,,,old", "category: should be 'rei"),
        ("table,,,1e3", "table,,,2", "cost: should be '1e3', as for this model on line 7"),
        ("a-s1,", "a-s0,", "model: 'a-s0' is named twice, first on line 2"),
        ("p,reinit,predictions,,,,,h", "b,reinit,predictions,,,,,h", "model: 'b' is named twice"),
        ("q2.npy,", f"p.zip,{OTHER_HASH}", f"sha256: should be '{HASH}', as for the same locati"),
    ],
)
def test_mistake_in_a_full_model_table(write, right, wrong, says):
    (message,) = complaints(write, run=FULL, table=replaced(FULL_TABLE, right, wrong))
    assert message.startswith(f"models.csv, line {changed_line(FULL_TABLE, right, wrong)}, column ")
    assert says in message


def test_two_models_at_least_are_compared(write):
    table = PREDICTED_TABLE[: PREDICTED_TABLE.index("q,")]
    where = f"demo.yaml, line {line_of(PREDICTED, 'data: [answers]')}, metrics.data.0"
    what = "models.csv should have two models at least on 'answers', and has 1"
    assert complaints(write, run=PREDICTED, table=table) == [f"{where}: {what}"]


def test_models_of_images_need_images(write):
    table = PREDICTED_TABLE.replace("location", "location,architecture,sha256", 1)
    table = table.replace(".csv\n", ".csv,,\n") + f"r,file,,r.safetensors,test_vit,{HASH}\n"
    what = "should be 'predictions', not 'file': no data set of metrics.data has images"
    messages = complaints(write, run=PREDICTED, table=table)
    assert messages == [f"models.csv, line 4, column source: {what}"]


def sections(content) -> Iterator[tuple]:
    """The keys and indices that lead to each mapping and list in a mapping or list."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        if isinstance(value, dict | list):
            yield (key,)
            yield from ((key, *rest) for rest in sections(value))


def with_value(content: dict | list, where: tuple, value) -> dict | list:
    """A copy with another value at a place."""
    made, (key, *rest) = content.copy(), where
    made[key] = with_value(content[key], rest, value) if rest else value
    return made


@pytest.mark.parametrize("value", [None, [], {}, "x", [None], {"x": None}, -1, True], ids=repr)
def test_no_section_of_a_run_file_is_too_strange_for_a_sentence(write, value):
    content = yaml.safe_load(FULL)
    for where in sections(content):
        # JSON is YAML.
        text = json.dumps(with_value(content, where, value))
        try:
            write(run=text, table=FULL_TABLE)
        except InputError as error:
            told = str(error).splitlines()
            assert all(line.startswith(("demo.yaml, line 1, ", "models.csv, ")) for line in told)


@pytest.mark.parametrize("cell", ["", "x", "-1", "a b", "pets", "a-s0", "predictions", "é://"])
def test_no_cell_of_a_model_table_is_too_strange_for_a_sentence(write, cell):
    header, *rows = [line.split(",") for line in FULL_TABLE.splitlines()]
    row_of_source = {row[header.index("source")]: number for number, row in enumerate(rows)}
    for row, column in product(row_of_source.values(), range(len(header))):
        table = [header, *with_value(rows, (row, column), cell)]
        try:
            write(run=FULL, table="".join(",".join(line) + "\n" for line in table))
        except InputError as error:
            told = str(error).splitlines()
            assert all(line.startswith(("demo.yaml, line ", "models.csv, line ")) for line in told)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name
)
def test_committed_runs_are_right(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    run = config.load_run(path)
    assert run.run == path.stem
    if path.stem in TEMPLATES:
        with pytest.raises(InputError, match="has a header and no model; add a row for each mod"):
            config.load_models(run.models, run)
    else:
        models, _ = config.load_models(run.models, run)
        assert models
    schema = json.loads(config.schemas()["run.schema.json"])
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def test_committed_schemas_are_those_of_the_code():
    for name, text in config.schemas().items():
        assert (ROOT / config.SCHEMAS / name).read_text() == text, (
            "config/schemas is out of date: run `python -m dissent.config` and commit the result"
        )


def test_module_writes_the_schemas(tmp_path):
    source = ROOT / "src"
    subprocess.run(
        [sys.executable, "-m", "dissent.config"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(source)},
        check=True,
    )
    written = {path.name: path.read_text() for path in (tmp_path / config.SCHEMAS).iterdir()}
    assert written == config.schemas()


def test_run_schema_agrees_with_the_loader():
    schema = json.loads(config.schemas()["run.schema.json"])
    checker = jsonschema.Draft202012Validator(schema)
    checker.check_schema(schema)
    # Other readers of YAML take 3e-3 for a number.
    full = FULL.replace("3e-3", "0.003")
    for right in (RUN.replace("3e-3", "0.003"), full, PREDICTED):
        assert not list(checker.iter_errors(yaml.safe_load(right)))
    for right, wrong in (
        ("classes: 1000", "classes: 1"),
        ("[cat, dog]", "[cat, cat]"),
        ("steps: 150", "stepz: 150"),
        ("[0, 50, 100]", "[0, 50, 101]"),
        ("[0, 50, 100]", "[0, 50, 50, 100]"),
        ("extends: convnext,", "steps: 3,"),
        ("run: demo", "run: de mo"),
    ):
        assert list(checker.iter_errors(yaml.safe_load(replaced(full, right, wrong))))


def test_every_leaf_is_described():
    for shape in (config.Run, config.Model):
        schema = shape.model_json_schema()
        for part in (schema, *schema["$defs"].values()) if "$defs" in schema else (schema,):
            assert "description" in part
            for name, leaf in part["properties"].items():
                # A section is described by its docstring, also where it may be left out.
                sections = [leaf, *leaf.get("anyOf", ())]
                described = "description" in leaf or any("$ref" in each for each in sections)
                assert described, f"{part['title']}.{name}"


def test_loading_stays_light():
    code = "import sys, dissent.config; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert not {"numpy", "pandas", "torch"} & set(done.stdout.split())
