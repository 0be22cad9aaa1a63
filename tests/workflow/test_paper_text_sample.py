"""The `paper` run's text classifiers, from download to figure, on small ones from a loopback hub.

They are published as those of 2019 are: some as tensors of torch alone, none with a tokenizer or
names of classes. Their data sets come in the formats of GLUE and of HANS.
"""

import csv

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from conftest import asking, copy_project, made_once, pin, run
from dissent.files import sha256
from dissent.tokens import batches, predict, tokenise
from loopback_hub import COMMIT, loopback_hub
from made_berts import CLASSES, bert, hans, mnli, on_the_hub, tokenizer_on_the_hub
from made_images import write_zip
from small_text import small_card

pytestmark = pytest.mark.paper
PAPER = ("--configfile", "config/paper.yaml", "--cores", "2")
FIGURES = "results/paper/figures/linear_connectivity"
# By model, whether its weights are of torch alone.
PICKLED = {"feather-bert-00": True, "feather-bert-01": False, "feather-bert-02": True}
N_PAIRS, N_HANS = 40, 48


def write_run(folder):
    """The run file with this paper's section alone, and small data in the same formats."""
    config = yaml.safe_load((folder / "config/paper.yaml").read_text())
    for section in ("no_one_representation", "very_large_dropout", "ensembling"):
        del config[section]
    given = folder / "given"
    given.mkdir()
    write_zip(given / "MNLI.zip", {"MNLI/dev_matched.tsv": mnli(N_PAIRS).encode()})
    (given / "hans.txt").write_text(hans(N_HANS))
    data = {name: config["data"][name] for name in ("mnli", "hans")}
    for name, file in (("mnli", "MNLI.zip"), ("hans", "hans.txt")):
        data[name]["labels"] |= {"location": f"given/{file}", "sha256": sha256(given / file)}
    data["mnli"]["splits"] = {"tune": 10, "report": 30}
    config |= {"data": data, "metrics": {"bootstrap_resamples": 50}, "threads": 1, "gpus": 0}
    text = config["linear_connectivity"]["text"]
    text["tokenizer"]["revision"] = COMMIT
    text |= {"models": [*PICKLED], "examples": 20, "path_examples": 4, "permutations": 50}
    text["planes"] = {"points": 4, "examples": 8}
    text["sharpness"] |= {"steps": 2, "examples": 8}
    (folder / "config/paper.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def write_table(folder):
    """The rows of these models, as they are in the run's own table."""
    path = folder / "config/models/paper.csv"
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] in PICKLED]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return [row["location"] for row in rows]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    def make(base):
        folder = copy_project(base)
        write_run(folder)
        files = tokenizer_on_the_hub("google-bert/bert-base-uncased")
        for seed, (name, pickled) in enumerate(
            zip(write_table(folder), PICKLED.values(), strict=True)
        ):
            files |= on_the_hub(name, seed, pickled)
        with loopback_hub(files) as hub:
            pin(folder, hub, "config/models/paper.csv")
            run(folder, "snakemake", *PAPER, "figures", **asking(hub))

    return made_once(tmp_path_factory, "paper-text-sample", make)


def test_pinning_writes_the_commit_and_the_digest_of_what_there_is(sample):
    table = pd.read_csv(sample / "config/models/paper.csv", dtype=str)
    assert (table.revision == COMMIT).all() and table.sha256.str.fullmatch("[0-9a-f]{64}").all()
    assert table.location.str.fullmatch(r"connectivity/feather_berts_\d").all()


@torch.inference_mode()
def test_accuracies_are_those_of_the_models_as_transformers_has_them(sample):
    """HANS has two classes: what a model says is not entailed is whatever else it says most."""
    header, *rows = [line.split("\t") for line in hans(N_HANS).splitlines()]
    table = pd.DataFrame(rows, columns=header)
    tokens = tokenise(small_card(), list(zip(table.sentence1, table.sentence2, strict=True)))
    found = pd.read_csv(sample / "results/paper/metrics/linear_connectivity/diagnostics.csv")
    table["group"] = table.heuristic + ", " + table.gold_label
    for seed, model in enumerate(PICKLED):
        said = predict(bert(seed), batches(tokens, 16), N_HANS).argmax(dim=1).numpy()
        entailed = said == CLASSES.index("entailment")
        right = pd.Series(entailed == (table.gold_label == "entailment").to_numpy())
        of_model = found[found.model == model].set_index("group").accuracy
        for group, accuracy in right.groupby(table.group).mean().items():
            assert of_model[group] == pytest.approx(accuracy), (model, group)


def test_paths_lead_from_one_to_another(sample):
    pairs = pd.read_csv(sample / "results/paper/metrics/linear_connectivity/pairs.csv")
    assert len(pairs) == 3 and np.isfinite(pairs.convexity_gap).all()
    assert {*pairs["first"], *pairs["second"]} == {*PICKLED}


def test_the_papers_figures_are_there(sample):
    drawn = {path.stem for path in (sample / FIGURES).glob("*.png")}
    assert drawn >= {"curves", "planes", "gaps", "membership", "distributions", "sharpness"}


def test_every_file_of_it_can_be_accounted_for(sample):
    said = run(sample, "dissent", "audit", "--configfile", "config/paper.yaml")
    assert "everything holds" in said
