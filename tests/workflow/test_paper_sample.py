"""The `paper` run's own rules, from download to figure, on small things from a hub on this machine.

Weights come in timm's format over the hub's protocol, unpinned at first as in the table of the run;
data sets in every format that it reads. What is too large for a test is the bytes alone.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import load, save
from timm.data import create_transform, resolve_data_config

from conftest import TOOLS, asking, copy_project, made_once, pin, run
from dissent.examples import read_examples
from dissent.files import sha256
from dissent.logits import open_predictions
from loopback_hub import COMMIT, cut_off, loopback_hub, too_many
from made_images import encoded, write_parquet, write_tar, write_zip

NAMES = [f"test_{name}.r160_in1k" for name in ("resnet", "vit", "convnext", "efficientnet")]
CATEGORIES = ["reinit", "architectures", "frameworks", "datasets"]
PAPER = ("--configfile", "config/paper.yaml", "--cores", "2")
N = 36
SHARDS = "datasets/made/shards"


def weights(name):
    """What the hub has of a model: as timm publishes it, with ImageNet's thousand classes."""
    torch.manual_seed(len(name))
    model = timm.create_model(name)
    # Untrained models say the same of everything.
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return save(model.state_dict())


@torch.no_grad()
def logits(name, shown):
    """What timm's own evaluation has a model say of some pictures, of all classes."""
    model = timm.create_model(name).eval()
    model.load_state_dict(load(weights(name)))
    transform = create_transform(**resolve_data_config(model=model, use_test_size=True))
    inputs = [transform(Image.open(BytesIO(content)).convert("RGB")) for content in shown.values()]
    return model(torch.stack(inputs)).numpy()


def pictures(rng, names):
    return {name: encoded(rng) for name in names}


def described(path, **more):
    return {"location": str(path), "sha256": sha256(path), "licence": "none", **more}


def write_data(folder, classes):
    """The data sets of the run, small, in the formats that they are published in."""
    rng = np.random.default_rng(5)
    given = folder / "given"
    given.mkdir()
    validation = [f"ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(N)]
    shown = pictures(rng, validation)
    write_tar(given / "val.tar", shown)
    # So that each of the models is right about some.
    said = [logits(name, shown).argmax(axis=1) for name in NAMES]
    labels = np.choose(np.arange(N) % len(NAMES), said)
    lines = [f"{name},{label}" for name, label in zip(validation, labels, strict=True)]
    (given / "labels.csv").write_text("\n".join(["file_name,label", *lines]))
    real = [[int(label)] for label in labels[:-1]]
    (given / "real.jsonl").write_text("\n".join(map(json.dumps, [*real, []])))
    some = classes[3:200:20]
    of_classes = [f"{some[i % len(some)]}/0.{i}_x y.jpg" for i in range(N)]
    write_tar(given / "v2.tar.gz", pictures(rng, [f"v2/{i}/{i}.jpeg" for i in range(N)]), "w:gz")
    write_tar(given / "a.tar", pictures(rng, [f"a/{name}" for name in of_classes]))
    write_zip(given / "sketch.zip", pictures(rng, [f"sketch/{name}" for name in of_classes]))
    for k in range(2):
        members = {}
        for i in range(k, N, 2):
            members |= {f"{i:05d}.cls": str(i * 5).encode(), f"{i:05d}.jpg": encoded(rng)}
        write_tar(given / f"r-{k}.tar", members)
    return write_parquet(
        given / "extra.parquet", pictures(rng, [f"{i}.jpg" for i in range(N)]), list(range(N))
    ).read_bytes()


def write_run(folder, parquet):
    """The run file with this paper's sections alone, and these data sets and models in them."""
    config = yaml.safe_load((folder / "config/paper.yaml").read_text())
    for section in ("linear_connectivity", "very_large_dropout"):
        del config[section]
    data = {name: data for name, data in config["data"].items() if name.startswith("imagenet")}
    given = folder / "given"

    def at(name):
        return described(given / name) | {"location": f"given/{name}"}

    data["imagenet"] |= {"splits": {"tune": 12, "report": 24}, "images": [at("val.tar")]}
    data["imagenet"]["labels"] |= at("labels.csv")
    data["imagenet-real"]["labels"] |= at("real.jsonl")
    data["imagenet-v2"]["images"] = [at("v2.tar.gz")]
    data["imagenet-a"]["images"] = [at("a.tar")]
    data["imagenet-r"] |= {
        "classes": "config/classes/imagenet.txt",
        "images": [at("r-0.tar"), at("r-1.tar")],
    }
    data["imagenet-sketch"]["images"] = [at("sketch.zip")]
    address = f"https://huggingface.co/{SHARDS}/resolve/{COMMIT}/extra.parquet"
    digest = hashlib.sha256(parquet).hexdigest()
    data["extra"] = {
        "kind": "images",
        "classes": "config/classes/imagenet.txt",
        "images": [{"location": address, "sha256": digest, "licence": "none"}],
    }
    config["metrics"] |= {"data": [*data], "bootstrap_resamples": 50}
    config |= {"data": data, "threads": 1, "gpus": 0, "logits": {"batch_size": 8}}
    config["no_one_representation"] |= {
        "base_model": NAMES[0],
        "accuracy_window": [0, 1],
        "compared": NAMES[1:3],
        "greedy": {"start": [NAMES[3]], "max_added": 2},
    }
    (folder / "config/paper.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def write_table(folder):
    """Rows as in the run's own table: of whatever the hub has now."""
    path = folder / "config/models/paper.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    batches = ["one", "one", "", ""]
    like = next(row for row in rows if row["source"] == "file")
    made = [
        like
        | {
            "model": name,
            "architecture": name,
            "category": category,
            "batch": batch,
            "location": f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors",
        }
        for name, category, batch in zip(NAMES, CATEGORIES, batches, strict=True)
    ]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, like.keys())
        writer.writeheader()
        writer.writerows(made)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The run, done; and what it said before its table was pinned."""

    def make(base):
        folder = copy_project(base)
        classes = (folder / "config/classes/imagenet.txt").read_text().split()
        parquet = write_data(folder, classes)
        write_run(folder, parquet)
        write_table(folder)
        files = {f"timm/{name}/model.safetensors": weights(name) for name in NAMES}
        with loopback_hub(files | {f"{SHARDS}/extra.parquet": parquet}) as hub:
            hub.troubles = {
                f"timm/{NAMES[0]}/model.safetensors": cut_off,
                f"timm/{NAMES[1]}/model.safetensors": too_many,
            }
            (folder / "unpinned.txt").write_text(attempt(folder, **asking(hub)))
            pin(folder, hub, "config/models/paper.csv")
            run(folder, "snakemake", *PAPER, "figures", **asking(hub))

    return made_once(tmp_path_factory, "paper-sample", make)


def attempt(folder, **environment):
    """What the run says where it ends in an error."""
    path = f"results/paper/downloads/huggingface.co/timm/{NAMES[0]}/resolve/main/model.safetensors"
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *PAPER, path],
        cwd=folder,
        env={**os.environ, **environment, "PATH": f"{TOOLS}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_what_is_not_pinned_is_not_fetched_and_the_sentence_says_how_to_pin(sample):
    said = (sample / "unpinned.txt").read_text()
    assert "is not pinned yet: 'python -m dissent.pin FILE'" in said


def test_pinning_writes_commit_digest_and_licence_and_nothing_else(sample):
    table = pd.read_csv(sample / "config/models/paper.csv", dtype=str)
    assert table.model.tolist() == NAMES
    assert table.location.str.contains(f"/resolve/{COMMIT}/model.safetensors").all()
    assert table.sha256.tolist() == [hashlib.sha256(weights(name)).hexdigest() for name in NAMES]
    assert table.licence.tolist() == ["apache-2.0"] * 4


def test_every_data_set_was_measured_for_every_model(sample):
    config = yaml.safe_load((sample / "config/paper.yaml").read_text())
    assert len(config["metrics"]["data"]) == 7
    for data in config["metrics"]["data"]:
        table = pd.read_csv(sample / f"results/paper/metrics/{data}/models.csv")
        assert sorted(table.model) == sorted(NAMES), data
        assert table.accuracy.between(0, 1).all()


@pytest.mark.parametrize("data", ["imagenet", "imagenet-a"])
def test_what_models_say_is_what_timm_says_of_the_same_pictures(sample, data):
    """Also of a data set with ten of the thousand classes."""
    examples = read_examples(sample / f"results/paper/data/{data}.safetensors")
    with tarfile.open(sample / f"given/{'val' if data == 'imagenet' else 'a'}.tar") as tar:
        shown = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    shown = {name.removeprefix("a/"): content for name, content in shown.items()}
    classes = (sample / "config/classes/imagenet.txt").read_text().split()
    columns = [classes.index(name) for name in examples.classes]
    for name in NAMES:
        path = sample / f"results/paper/logits/{data}/{name}.safetensors"
        found = open_predictions([path], examples, "logits")[name]
        expected_NC = logits(name, {id: shown[id] for id in examples.ids})[:, columns]
        np.testing.assert_array_equal(found["predicted"], expected_NC.argmax(axis=1))
        scale = np.abs(expected_NC).max()
        np.testing.assert_allclose(found["logits"], expected_NC, atol=2e-3 * scale)


def test_the_papers_figures_are_there(sample):
    drawn = {path.stem for path in sample.glob("results/paper/figures/no_one_representation/*.png")}
    assert drawn >= {
        "fig1_error_inconsistency",
        "fig2_ensemble_gain",
        "fig3_specialisation",
        "fig4_classes",
        "fig5_greedy",
    }


def test_every_file_of_it_can_be_accounted_for(sample):
    said = run(sample, "dissent", "audit", "--configfile", "config/paper.yaml")
    assert "everything holds" in said
