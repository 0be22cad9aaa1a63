"""The `paper` run's fine-tuning with dropout, from download to figure, on small things.

Pictures come in one parquet file over the hub's protocol, as PACS does, and so do the weights.
"""

import csv

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml
from safetensors.torch import save

from conftest import asking, copy_project, made_once, pin, run
from dissent.examples import read_examples
from dissent.files import sha256
from loopback_hub import COMMIT, loopback_hub
from made_images import encoded, write_parquet

pytestmark = pytest.mark.paper
PAPER = ("--configfile", "config/paper.yaml", "--cores", "2")
MODELS = ("richer-resnet50", "poorer-resnet50")
ARCHITECTURE = "test_resnet.r160_in1k"
DOMAINS, CLASSES = ["art_painting", "cartoon", "photo"], ["dog", "house"]
OF_A_CLASS = 6
PICTURES = "datasets/flwrlabs/pacs"


def weights(seed):
    torch.manual_seed(seed)
    return save(timm.create_model(ARCHITECTURE).state_dict())


def pictures(path):
    """As the hub has PACS: domains are named, and classes numbered."""
    rng = np.random.default_rng(0)
    images, labels, domains = [], [], []
    for domain in DOMAINS:
        for label in range(len(CLASSES)):
            for i in range(OF_A_CLASS):
                images.append((f"pic_{i:03d}.jpg", encoded(rng)))
                labels.append(label)
                domains.append(domain)
    return write_parquet(path, images, labels, domains)


def write_run(folder, digest):
    """The run file with this paper's section alone, and few steps on few small pictures."""
    config = yaml.safe_load((folder / "config/paper.yaml").read_text())
    for section in ("no_one_representation", "linear_connectivity", "ensembling", "metrics"):
        del config[section]
    pacs = config["data"]["pacs"]
    pacs |= {"size": 32, "domains": DOMAINS, "classes": CLASSES}
    (file,) = pacs["images"]
    file["location"] = f"https://huggingface.co/{PICTURES}/resolve/{COMMIT}/data/train.parquet"
    file["sha256"] = digest
    config |= {"data": {"pacs": pacs}, "threads": 1, "gpus": 0}
    section = config["very_large_dropout"]["domains"]
    few = {"learning_rates": [0.001], "weight_decays": [0.0001], "seeds": 1}
    section["fine_tuning"] |= few | {"rates": [0, 0.9], "steps": 4, "batch_size": 4}
    section["fine_tuning"]["checkpoints"] = 2
    section["linear"] |= few
    section["families_per_job"] = 4
    (folder / "config/paper.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def write_table(folder):
    path = folder / "config/models/paper.csv"
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] in MODELS]
    for row in rows:
        row["architecture"] = ARCHITECTURE
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return ["/".join(row["location"].split("/")[3:5]) for row in rows]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    def make(base):
        folder = copy_project(base)
        parquet = pictures(folder / "pacs.parquet")
        write_run(folder, sha256(parquet))
        files = {f"{PICTURES}/data/train.parquet": parquet.read_bytes()}
        for seed, name in enumerate(write_table(folder)):
            files[f"{name}/model.safetensors"] = weights(seed)
        with loopback_hub(files) as hub:
            pin(folder, hub, "config/models/paper.csv")
            run(folder, "snakemake", *PAPER, "figures", **asking(hub))

    return made_once(tmp_path_factory, "paper-domains-sample", make)


def test_every_picture_is_in_its_domain_and_class(sample):
    examples = read_examples(sample / "results/paper/data/pacs.safetensors")
    assert examples.classes == tuple(CLASSES) and examples.images_NHW.shape[1:] == (32, 32, 3)
    for id, label, domain in zip(examples.ids, examples.labels, examples.groups, strict=True):
        assert id.rsplit("/", 1)[0] == f"{domain}/{CLASSES[label]}"
    counts = pd.crosstab(np.array(examples.groups), examples.labels)
    assert counts.shape == (3, 2) and (counts == OF_A_CLASS).all(axis=None)


def test_each_domain_was_left_out_of_every_method(sample):
    runs = pd.read_csv(sample / "results/paper/metrics/very_large_dropout/runs.csv")
    assert {*runs.held_out} == {*DOMAINS}
    for _, of_family in runs.groupby("family"):
        assert {*of_family.held_out} == {*DOMAINS}
    assert {"fine-tuning", "higher-head-rate", "poorer-model", "linear"} <= {*runs.family}


def test_the_papers_figures_are_there(sample):
    drawn = {path.stem for path in (sample / "results/paper/figures").rglob("*.png")}
    assert drawn >= {"fig2_methods", "fig3_rates", "fig6_head_rate", "fig8_pretraining"}


def test_every_file_of_it_can_be_accounted_for(sample):
    said = run(sample, "dissent", "audit", "--configfile", "config/paper.yaml")
    assert "everything holds" in said
