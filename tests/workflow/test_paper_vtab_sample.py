"""The run on VTAB-1k, from download to figure, on small shards and models from a loopback hub."""

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
from loopback_hub import COMMIT, loopback_hub
from made_images import encoded, write_tar

pytestmark = pytest.mark.paper
RUN = ("--configfile", "config/paper_vtab.yaml", "--cores", "2")
TASKS = {"eurosat": "specialised", "dtd": "natural"}
# One of the three pools each, with a head of the classes of their pre-training, or with none.
MODELS = {
    "test_resnet.r160_in1k": "architectures",
    "test_vit.r160_in1k": "frameworks",
    "test_convnext.r160_in1k": "datasets",
}
N_TRAIN, N_TEST = 36, 20


def shards(folder, rng, of, n, n_shards):
    """Samples as those of clip-benchmark are: an image and its class by number, in several tars."""
    files = {}
    for k in range(n_shards):
        members = {}
        for i in range(k, n, n_shards):
            members[f"s{i:07d}.cls"] = str(i % 3).encode()
            members[f"s{i:07d}.webp"] = encoded(rng, "WEBP")
        files[f"{of}/{k}.tar"] = write_tar(folder / "shard.tar", members).read_bytes()
    return files


def on_the_hub(folder):
    rng = np.random.default_rng(0)
    files = {}
    for task in TASKS:
        made = shards(folder, rng, "train", N_TRAIN, 2) | shards(folder, rng, "test", N_TEST, 1)
        repository = f"datasets/clip-benchmark/wds_vtab-{task}"
        files |= {f"{repository}/{name}": content for name, content in made.items()}
    for name in MODELS:
        torch.manual_seed(len(name))
        files[f"timm/{name}/model.safetensors"] = save(timm.create_model(name).state_dict())
    return files


def write_run(folder):
    """The run file with two of its tasks as they are but small, and few steps."""
    path = folder / "config/paper_vtab.yaml"
    text = path.read_text()
    config = yaml.safe_load(text)
    section = config["low_data_ensembles"]
    section["tasks"] = {task: section["tasks"][task] for task in TASKS}
    few = {"learning_rates": [0.01], "steps": [2], "batch_size": 4}
    section["fine_tuning"] |= few | {"more_learning_rates": [], "more_heads": False}
    section |= {"fine_tuned": 1, "selection": {"max_members": 2}, "shift": {"examples": 4}}
    kept = {
        name: data | {"size": 32, "splits": {"train": 12, "tune": 6, "report": 10}}
        for name, data in config["data"].items()
        if name in TASKS
    }
    config |= {"threads": 1, "gpus": 0}
    images = {name: data.pop("images") for name, data in kept.items()}
    del config["data"]
    # Files stay on lines of their own, as pinning needs them.
    lines = ["data:"]
    for name, data in kept.items():
        lines += [f"  {name}:", *(f"    {line}" for line in yaml.safe_dump(data).splitlines())]
        lines.append("    images:")
        lines += [line for line in text.splitlines() if f"wds_vtab-{name}/" in line]
        assert len(images[name]) == 2
    path.write_text(yaml.safe_dump(config, sort_keys=False) + "\n".join(lines) + "\n")


def write_table(folder):
    path = folder / "config/models/paper_vtab.csv"
    with path.open() as file:
        like = next(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, like.keys())
        writer.writeheader()
        for name, category in MODELS.items():
            location = f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors"
            made = {"model": name, "architecture": name, "category": category, "batch": "pool-01"}
            writer.writerow(like | made | {"location": location})


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    def make(base):
        folder = copy_project(base)
        write_run(folder)
        write_table(folder)
        files = on_the_hub(folder)
        (folder / "shard.tar").unlink()
        with loopback_hub(files) as hub:
            pin(folder, hub, "config/models/paper_vtab.csv", "config/paper_vtab.yaml")
            run(folder, "snakemake", *RUN, "figures", **asking(hub))

    return made_once(tmp_path_factory, "paper-vtab-sample", make)


def test_every_shard_is_pinned(sample):
    config = yaml.safe_load((sample / "config/paper_vtab.yaml").read_text())
    for data in config["data"].values():
        splits = [file.get("split") for file in data["images"]]
        assert splits == [None, None, "report"]
        for file in data["images"]:
            assert f"/resolve/{COMMIT}/" in file["location"] and len(file["sha256"]) == 64


def test_what_is_reported_on_comes_from_the_shards_of_the_test_set(sample):
    """Pictures of both have the same names: there are fewer in the test set."""
    examples = read_examples(sample / "results/paper_vtab/data/eurosat.safetensors")
    counts = dict(zip(*np.unique(examples.splits_N, return_counts=True), strict=True))
    assert counts == {"train": 12, "tune": 6, "report": 10}
    assert examples.classes == ("0", "1", "2") and examples.images_NHW.shape[1:] == (32, 32, 3)


def test_one_of_each_pool_was_fine_tuned_for_each_task(sample):
    tables = sample / "results/paper_vtab/metrics/low_data_ensembles"
    for task, group in TASKS.items():
        table = pd.read_csv(tables / task / "methods.csv")
        assert set(table.group) == {group} and table.score.between(0, 1).all()
    drawn = {path.stem for path in (sample / "results/paper_vtab/figures").rglob("*.png")}
    assert drawn >= {"methods", "ranking", "diversity", "budget"}


def test_every_file_of_it_can_be_accounted_for(sample):
    said = run(sample, "dissent", "audit", "--configfile", "config/paper_vtab.yaml")
    assert "everything holds" in said
