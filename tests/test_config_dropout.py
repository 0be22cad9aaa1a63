"""What a run file says of fine-tuning with dropout on domains, and each mistake in it."""

import json
from itertools import product

import jsonschema
import pandas as pd
import pytest
import yaml

import test_config
from dissent import config
from dissent.commandline import InputError
from dissent.config_checks import downloads
from dissent.config_data import DRAWN_DOMAINS, MOST_SCANS, OFFERS
from dissent.config_dropout import families
from dissent.config_table_checks import candidates, models_on, starts
from test_config import HASH, changed_line, complaints, line_of, replaced, sections, with_value

# A fixture.
write = test_config.write

DATA = """\
run: demo
models: models.csv
data:
  characters: {kind: characters, size: 32, splits: {train: 300}}
  plain: {kind: plain_characters, size: 32, splits: {train: 300}}
  digits: {kind: domains, seed: 1, size: 32, splits: {train: 400, tune: 90, report: 400}}
  own: {kind: domain_folder, size: 32, location: pictures}
  tuneless: {kind: domains, size: 32, splits: {train: 400, report: 400}}
recipes:
  varied:
    framework: supervised
    architecture: resnet14t
    options: {channels: [8, 16, 32, 128], stem_width: 8}
    labels_per_class: {characters: null}
    steps: 150
    batch_size: 32
    optimizer: adamw
    learning_rate: 0.001
    weight_decay: 0.05
    label_smoothing: 0.0
    drop_rate: 0.0
    augmentation: light
    schedule: cosine
  plain: {extends: varied, labels_per_class: {plain: 4}}
very_large_dropout:
"""
RUN = f"""\
{DATA}\
  domains:
    data: digits
    model: rich
    large_rate: 0.9
    fine_tuning:
      rates: [0, 0.5, 0.9]
      learning_rates: [5e-3, 0.002]
      weight_decays: [0.0001, 0]
      steps: 200
      batch_size: 16
      images: 160
      checkpoints: 4
      momentum: 0.8
      decays: [0.5, 0.9]
      masks: 4
      augmentation: light
      seeds: 3
    higher_head_rate: {{factor: 5, seeds: 1}}
    scratch: {{rates: [0, 0.5], steps: 300, learning_rates: [0.03], images: 400}}
    poorer_model: {{model: poor, weight_decays: [0.0]}}
    more_data: {{checkpoints: 2}}
    linear: {{blocks: 2, widths: [8, 64], learning_rates: [0.1], seeds: 2}}
    interpolation:
      mild: {{learning_rate: 0.001, steps: 50}}
      long: {{learning_rate: 0.01, steps: 300}}
      points: 5
"""
# All that may be left out is.
SHORT = f"""\
{DATA}\
  domains:
    data: own
    model: rich
    fine_tuning:
      {{rates: [0, 0.9], learning_rates: [0.1], weight_decays: [0], steps: 9, batch_size: 2}}
"""
TABLE = f"""\
model,category,source,recipe,seed,batch,architecture,data,location,sha256
rich,,train,varied,0,starts,,,,
poor,,train,plain,0,starts,,,,
other,,file,,,,resnet18,,other.safetensors,{HASH}
told,,predictions,,,,,digits,told.csv,
"""
# The same models beside others that are compared.
COMPARED = f"""\
{RUN}\
metrics: {{data: [digits]}}
no_one_representation:
  data: digits
  base_model: a
  accuracy_window: [0, 1]
  compared: [b]
low_data_ensembles:
  tasks: {{digits: {{data: digits}}}}
  pools: [reinit]
  fine_tuned: 2
  fine_tuning: {{learning_rates: [0.1], steps: [12], batch_size: 32}}
  selection: {{max_members: 8}}
"""
COMPARED_TABLE = f"""\
model,category,source,recipe,seed,architecture,location,sha256
a,reinit,train,varied,0,,,
rich,,train,varied,0,,,
b,reinit,file,,,resnet18,b.safetensors,{HASH}
poor,,file,,,resnet18,b.safetensors,{HASH}
"""


def section_of(write, text: str):
    run, _ = write(run=text, table=TABLE)
    return run.very_large_dropout.domains


def grid(run: dict) -> tuple:
    return run["rate"], run["learning_rate"], run["weight_decay"], run["seed"]


def test_what_is_left_out_of_fine_tuning(write):
    found = families(section_of(write, SHORT))
    assert found == {
        "fine-tuning": {
            "runs": [
                {
                    "rate": rate,
                    "learning_rate": 0.1,
                    "weight_decay": 0.0,
                    "head_factor": 1.0,
                    "seed": 0,
                }
                for rate in (0.0, 0.9)
            ],
            "steps": 9,
            "batch_size": 2,
            "images": None,
            "checkpoints": 5,
            "momentum": 0.9,
            "decays": [0.5],
            "augmentation": "none",
            "masks": 1,
        }
    }


def test_runs_are_in_the_order_of_the_grid(write):
    runs = families(section_of(write, RUN))["fine-tuning"]["runs"]
    expected = product([0, 0.5, 0.9], [0.005, 0.002], [0.0001, 0], range(3))
    assert [grid(run) for run in runs] == list(expected)
    assert {run["head_factor"] for run in runs} == {1}


def test_families_are_plain_json_and_take_over_what_they_leave_out(write):
    found = families(section_of(write, RUN))
    assert json.loads(json.dumps(found)) == found
    assert list(found) == [
        "fine-tuning",
        "higher-head-rate",
        "scratch",
        "poorer-model",
        "more-data",
        "linear",
        "interpolation",
    ]
    plain = found["fine-tuning"]
    shared = {leaf: value for leaf, value in plain.items() if leaf != "runs"}
    assert shared == {
        "steps": 200,
        "batch_size": 16,
        "images": 160,
        "checkpoints": 4,
        "momentum": 0.8,
        "decays": [0.5, 0.9],
        "augmentation": "light",
        "masks": 4,
    }
    anew = {
        "higher-head-rate": {},
        "scratch": {"steps": 300, "images": 400},
        "poorer-model": {},
        "more-data": {"images": None, "checkpoints": 2},
        "linear": {"blocks": 2},
    }
    for family, leaves in anew.items():
        expected = shared | leaves
        if family == "linear":
            del expected["masks"]
        assert {k: v for k, v in found[family].items() if k != "runs"} == expected


def test_runs_of_each_family(write):
    found = families(section_of(write, RUN))
    higher, scratch, more = (
        found[name]["runs"] for name in ("higher-head-rate", "scratch", "more-data")
    )
    expected = product([0, 0.9], [0.005, 0.002], [0.0001, 0], [0])
    assert [grid(run) for run in higher] == list(expected)
    assert {run["head_factor"] for run in higher} == {5}
    expected = product([0, 0.5], [0.03], [0.0001, 0], range(3))
    assert [grid(run) for run in scratch] == list(expected)
    assert more == found["fine-tuning"]["runs"]
    naive_and_advanced = product([(0, 1), (0.9, 5)], [0.005, 0.002], [0], range(3))
    assert [
        ((run["rate"], run["head_factor"]), *grid(run)[1:]) for run in found["poorer-model"]["runs"]
    ] == list(naive_and_advanced)
    kinds = [("linear", None), ("probe", None), ("probe", 8), ("probe", 64)]
    expected = product(kinds, [0, 0.5, 0.9], [0.1], [0.0001, 0], range(2))
    assert [((run["kind"], run["width"]), *grid(run)) for run in found["linear"]["runs"]] == list(
        expected
    )


def test_interpolation_is_between_two_runs_of_the_first_weight_decay(write):
    assert families(section_of(write, RUN))["interpolation"] == {
        "mild": {"learning_rate": 0.001, "steps": 50},
        "long": {"learning_rate": 0.01, "steps": 300},
        "points": 5,
        "weight_decay": 0.0001,
        "batch_size": 16,
        "images": 160,
        "momentum": 0.8,
        "decays": [0.5, 0.9],
        "augmentation": "light",
    }


def test_the_factor_of_a_higher_head_rate_is_ten_if_left_out(write):
    text = replaced(RUN, "{factor: 5, seeds: 1}", "{}")
    found = families(section_of(write, text))
    for family in ("higher-head-rate", "poorer-model"):
        assert found[family]["runs"][-1]["head_factor"] == 10
    without = replaced(RUN, "    higher_head_rate: {factor: 5, seeds: 1}\n", "")
    without = replaced(without, "    poorer_model: {model: poor, weight_decays: [0.0]}\n", "")
    assert families(section_of(write, without)).keys() == found.keys() - {
        "higher-head-rate",
        "poorer-model",
    }


@pytest.mark.parametrize(
    ("right", "wrong", "changed"),
    [
        ("factor: 5", "factor: 6", {"higher-head-rate", "poorer-model"}),
        ("blocks: 2", "blocks: 3", {"linear"}),
        ("points: 5", "points: 6", {"interpolation"}),
        ("rates: [0, 0.5], steps", "rates: [0, 0.7], steps", {"scratch"}),
        ("images: 160", "images: 150", None),
        ("rates: [0, 0.5, 0.9]", "rates: [0, 0.9]", {"fine-tuning", "more-data", "linear"}),
        ("model: poor", "model: other", set()),
    ],
)
def test_a_change_concerns_the_families_that_use_it(write, right, wrong, changed):
    before, after = (
        families(section_of(write, text)) for text in (RUN, replaced(RUN, right, wrong))
    )
    if changed is None:
        # These have a number of their own.
        changed = before.keys() - {"more-data", "scratch"}
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        (
            "data: digits",
            "data: digit",
            "'digit' is no data set of kind domains or domain_folder (",
        ),
        ("data: digits", "data: plain", "domain_folder, allowed: digits, own, tuneless"),
        ("data: digits", "data: tuneless", "'tuneless' needs a split 'tune' to be used here"),
        ("model: rich", "model: ritch", "'ritch' is no model in models.csv (did you mean 'rich'?)"),
        ("model: rich", "model: told", "'told' has predictions alone in models.csv, and its weigh"),
        ("model: poor", "model: por", "poorer_model.model: 'por' is no model in models.csv (did y"),
        ("model: poor", "model: told", "poorer_model.model: 'told' has predictions alone in model"),
        ("model: poor", "model: rich", "poorer_model.model: should differ from model, 'rich'"),
        (
            "large_rate: 0.9",
            "large_rate: 0.8",
            "should be among fine_tuning.rates (0, 0.5, 0.9), not 0.8",
        ),
        ("large_rate: 0.9", "large_rate: 0", "large_rate: should be greater than 0, not 0"),
        ("large_rate: 0.9", "large_rate: 90", "large_rate: should be less than 1, not 90"),
        ("[0, 0.5, 0.9]", "[0, 0.9, 1]", "rates.2: should be less than 1, not 1"),
        ("[0, 0.5, 0.9]", "[0, 0.9, -0.5]", "rates.2: should be greater than or equal to 0, not"),
        ("[0, 0.5, 0.9]", "[0.5, 0.9]", "should hold 0, which the other rates are compared with, "),
        ("[0, 0.5, 0.9]", "[]", "rates: should hold 0, which the other rates are compared with, n"),
        ("[0, 0.5, 0.9]", "[0, 0.9, 0.9]", "rates: should hold each item once, not 0.9 twice"),
        ("rates: [0, 0.5], s", "rates: [0.5], s", "scratch.rates: should hold 0, which the other "),
        ("rates: [0, 0.5], s", "rates: null, s", "scratch.rates: should be a valid list, not noth"),
        ("[5e-3, 0.002]", "[]", "learning_rates: should have at least 1 item, not 0"),
        ("[5e-3, 0.002]", "[0]", "learning_rates.0: should be greater than 0, not 0"),
        ("[5e-3, 0.002]", "[0.002, 2e-3]", "should hold each item once, not 0.002 twice"),
        ("[0.0001, 0]", "[-1]", "weight_decays.0: should be greater than or equal to 0, not -1"),
        (
            "steps: 200",
            "steps: 0",
            "fine_tuning.steps: should be greater than or equal to 1, not 0",
        ),
        ("batch_size: 16", "batch_size: 0", "batch_size: should be greater than or equal to 1, no"),
        ("momentum: 0.8", "momentum: 1", "momentum: should be less than 1, not 1"),
        (
            "[0.5, 0.9]\n      masks",
            "[50]\n      masks",
            "decays.0: should be less than or equal to 1",
        ),
        ("light\n      seeds", "crop\n      seeds", "not 'crop' (did you mean 'crops'?)"),
        (
            "checkpoints: 4",
            "checkpoints: 201",
            "should be as many steps as checkpoints (201) at le",
        ),
        (
            "steps: 300, learning_r",
            "steps: 3, learning_r",
            "scratch.steps: should be as many steps",
        ),
        (
            "{checkpoints: 2}",
            "{checkpoints: 999}",
            "more_data.checkpoints: should be as many steps",
        ),
        (
            "images: 160",
            "images: 401",
            "should be 400 at most, the train split of 'digits', not 401",
        ),
        (
            "images: 400}",
            "images: 401}",
            "scratch.images: should be 400 at most, the train split o",
        ),
        ("{checkpoints: 2}", "{images: 160}", "more_data: should train on more images than fine_t"),
        ("factor: 5", "factor: 1", "higher_head_rate.factor: should be greater than 1, not 1"),
        ("{factor: 5, seeds: 1}", "", "poorer_model: needs higher_head_rate with the rate 0.9, to"),
        (
            "{factor: 5, seeds",
            "{rates: [0, 0.5], seeds",
            "needs higher_head_rate with the rate 0.9",
        ),
        (
            "model: poor, ",
            "model: poor, rates: [0], ",
            "poorer_model.rates: 'rates' is no key here",
        ),
        ("{model: poor, weight", "{weight", "poorer_model.model: is missing"),
        ("blocks: 2", "blocks: 0", "blocks: should be greater than or equal to 1, not 0"),
        ("[8, 64]", "[8, 0]", "linear.widths.1: should be greater than or equal to 1, not 0"),
        ("[8, 64]", "[8, 8]", "linear.widths: should hold each item once, not 8 twice"),
        ("points: 5", "points: 1", "points: should be greater than or equal to 2, not 1"),
        ("mild: {learning_rate: 0.001, ", "mild: {", "mild.learning_rate: is missing"),
        ("    scratch:", "    scrach:", "'scrach' is no key here (did you mean 'scratch'?)"),
        ("stem_width: 8", "stem_width: 8.5", "stem_width: should be a whole number, or a list of"),
        ("stem_width: 8", "stem_width: yes", "should be a whole number, or a list of them, not Tr"),
        ("stem_width: 8", "stem_width: [a]", "should be a whole number, or a list of them, not ['"),
        ("stem_width: 8", "num_classes: 8", "'num_classes' is nothing that options may say; leave"),
        (
            "{train: 400, tune: 90",
            "{train: 401, tune: 90",
            "should be 890 images of each domain at",
        ),
        ("size: 32, location: pictures", "size: 32", "kind 'domain_folder' needs 'location' (a"),
        (
            "location: pictures",
            "location: https://a.org",
            "should be the path of a folder, not an a",
        ),
        ("location: pictures", "location: pictures, splits: {train: 9}", "has no 'splits'"),
        ("{plain: 4}", "{own: 4}", "'own' is in colour, and recipes train on grey images"),
    ],
)
def test_mistake_in_the_section(write, right, wrong, says):
    (message,) = complaints(write, run=replaced(RUN, right, wrong), table=TABLE)
    line = f"line {changed_line(RUN, right, wrong)}, "
    # Told where it is missed, not where it is missing.
    if right.startswith("{factor"):
        line = f"line {line_of(RUN, '    poorer_model')}, "
    assert message.startswith(f"demo.yaml, {line}")
    assert says in message


def test_all_images_are_no_more_than_all_images(write):
    for images in ("", "      images: null\n", "      images: 400\n"):
        text = replaced(RUN, "      images: 160\n", images)
        (message,) = complaints(write, run=text, table=TABLE)
        where = f"demo.yaml, line {line_of(text, '    more_data')}, very_large_dropout.domains"
        assert message == (
            f"{where}.more_data: should train on more images than fine_tuning does; lower "
            "fine_tuning.images, or leave more_data out"
        )


def test_a_large_rate_that_is_left_out_is_looked_for_too(write):
    text = replaced(SHORT, "[0, 0.9]", "[0, 0.5]")
    (message,) = complaints(write, run=text, table=TABLE)
    where = f"demo.yaml, line {line_of(text, '  domains:')}, very_large_dropout.domains.large_rate"
    assert message == f"{where}: should be among fine_tuning.rates (0, 0.5), not 0.9"


def test_the_paper_has_something_to_do(write):
    text = replaced(RUN, RUN[RUN.index("  domains:\n") :], "")
    text = text.replace("very_large_dropout:", "very_large_dropout: {}\nmetrics: {data: [digits]}")
    table = f"{TABLE}more,,train,varied,1,,,,,\n"
    (message,) = complaints(write, run=text, table=table)
    line = line_of(text, "very_large_dropout")
    assert message == f"demo.yaml, line {line}, very_large_dropout: needs 'domains' or 'soups'"


def test_published_soups_may_be_beside_domains_or_not_there(write):
    soups = "".join(
        f"    {leaf}: {{location: {leaf}.jsonl}}\n" for leaf in ("individual", "uniform", "greedy")
    )
    run, _ = write(run=RUN.replace("  domains:\n", f"  soups:\n{soups}  domains:\n"), table=TABLE)
    assert [where[-1] for where, _ in downloads(run)] == ["individual", "uniform", "greedy"]
    run, _ = write(run=RUN, table=TABLE)
    assert not list(downloads(run))


@pytest.mark.parametrize("empty", ["  domains:\n", "  domains: null\n"])
def test_metrics_are_needed_where_there_are_no_domains(write, empty):
    text = replaced(RUN, RUN[RUN.index("  domains:\n") :], empty)
    (message,) = complaints(write, run=text, table=TABLE)
    assert message.endswith(", metrics: is missing")


def test_starts_are_compared_with_no_others(write):
    run, (models, predictions) = write(run=COMPARED, table=COMPARED_TABLE)
    assert list(models) == ["a", "rich", "b", "poor"]
    assert list(starts(run)) == ["rich", "poor"]
    assert models_on("digits", run, models, predictions) == ["a", "b"]
    # 'rich' and 'poor' are twins of them, which candidates may not be.
    assert candidates(run, models) == {"a": "reinit", "b": "reinit"}
    unpooled = COMPARED.replace("  pools: [reinit]\n", "")
    run, (models, _) = write(run=unpooled, table=COMPARED_TABLE)
    assert candidates(run, models) == {"a": "reinit", "b": "reinit"}
    without = RUN[: RUN.index("very_")] + "metrics: {data: [digits]}"
    assert starts(write(run=without, table=TABLE)[0]) == {}


@pytest.mark.parametrize(
    ("right", "wrong", "where"),
    [
        ("base_model: a", "base_model: rich", "no_one_representation.base_model"),
        ("compared: [b]", "compared: [b, poor]", "no_one_representation.compared.1"),
        (
            "compared: [b]",
            "compared: [b]\n  greedy: {start: [rich], max_added: 1}",
            "no_one_representation.greedy.start.0",
        ),
    ],
)
def test_a_start_is_not_named_among_those_that_are_compared(write, right, wrong, where):
    model = "poor" if "poor" in wrong else "rich"
    (message,) = complaints(write, run=replaced(COMPARED, right, wrong), table=COMPARED_TABLE)
    assert message.startswith("demo.yaml, line ")
    assert message.endswith(
        f", {where}: very_large_dropout.domains starts from {model!r}, which is compared with no "
        "other; name another"
    )


def test_a_start_is_in_no_pool(write):
    table = replaced(COMPARED_TABLE, "rich,", "rich,reinit")
    assert complaints(write, run=COMPARED, table=table) == [
        "models.csv, line 3, column category: should be empty: very_large_dropout.domains starts "
        "from 'rich', which is no candidate of low_data_ensembles"
    ]
    write(run=COMPARED, table=replaced(COMPARED_TABLE, "rich,", "rich,datasets"))


def test_other_models_need_their_category_all_the_same(write):
    (message,) = complaints(write, run=COMPARED, table=replaced(COMPARED_TABLE, "b,reinit", "b,"))
    assert message.startswith("models.csv, line 4, column category: should not be empty")


def test_kinds_of_data_sets_offer_what_they_have():
    from dissent import domain_images

    assert domain_images.MOST_OF_A_DOMAIN == MOST_SCANS
    drawn = domain_images.domains(0, 16, {"train": 10})
    assert tuple(dict.fromkeys(drawn.groups)) == DRAWN_DOMAINS
    classes = {"digits": domain_images.DIGITS, "characters": domain_images.LETTERS}
    for kind in ("domains", "characters", "plain_characters"):
        made, offer = getattr(domain_images, kind)(0, 16, {"train": 60}), OFFERS[kind]
        assert offer.images == (made.images_NHW is not None)
        assert offer.grey == (made.images_NHW.ndim == 3)
        assert offer.multi_label == (made.labels.ndim == 2)
        assert offer.captions == bool(made.captions)
        assert made.classes == classes[offer.classes]


def test_the_digitised_gain_is_that_of_the_claim():
    figure = pd.read_csv(test_config.ROOT / "config/digitised/very_large_dropout_figure3.csv")
    assert figure.groupby("dataset").size().tolist() == [4] * 4
    assert figure[["iid", "ood"]].stack().between(0.5, 1).all()
    mean = figure.groupby("rate")["ood"].mean()
    claims = pd.read_csv(test_config.ROOT / "config/claims.csv").set_index("statistic")
    for statistic, other in (("ood_gain_of_large_rate", 0), ("ood_gain_of_large_over_half", 0.5)):
        gain = f"{100 * (mean[0.9] - mean[other]):+.1f} points"
        assert claims.loc[statistic, "paper_value"].startswith(gain)


def test_schema_agrees_with_the_loader():
    checker = jsonschema.Draft202012Validator(json.loads(config.schemas()["run.schema.json"]))
    # Other readers of YAML take 5e-3 for a number.
    full = RUN.replace("5e-3", "0.005")
    for text in (full, SHORT):
        assert not list(checker.iter_errors(yaml.safe_load(text)))
    for right, wrong in (
        ("kind: domain_folder", "kind: domain_folders"),
        ("[0, 0.5, 0.9]", "[0, 0.9, 1]"),
        ("[0, 0.5, 0.9]", "[0, 0.9, 0.9]"),
        ("rates: [0, 0.5], s", "rates: null, s"),
        ("{model: poor, weight", "{weight"),
        ("model: poor, ", "model: poor, rates: [0], "),
        ("factor: 5", "factor: 1"),
        ("stem_width: 8", "stem_width: wide"),
    ):
        assert list(checker.iter_errors(yaml.safe_load(replaced(full, right, wrong))))


@pytest.mark.parametrize("value", [None, [], {}, "x", [None], {"x": None}, -1, True], ids=repr)
def test_no_section_is_too_strange_for_a_sentence(write, value):
    content = yaml.safe_load(COMPARED)
    for where in sections(content):
        # JSON is YAML.
        text = json.dumps(with_value(content, where, value))
        try:
            write(run=text, table=COMPARED_TABLE)
        except InputError as error:
            told = str(error).splitlines()
            assert all(line.startswith(("demo.yaml, line 1, ", "models.csv, ")) for line in told)
