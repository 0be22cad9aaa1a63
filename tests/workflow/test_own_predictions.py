"""The guide "use your own predictions", followed word by word in a copy of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score

from conftest import TOOLS, copy_project, run

GUIDE = Path("docs/own_predictions.md")
FILES = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)```", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```\n(snakemake .*?)```", re.MULTILINE | re.DOTALL)
MODELS = ["logistic", "neighbours", "trees", "bayes", "mlp"]


@pytest.fixture(scope="session")
def followed(tmp_path_factory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("own"))
    text = GUIDE.read_text()
    for name, content in FILES.findall(text):
        (folder / name).write_text(content)
    run(folder, sys.executable, "make_predictions.py")
    for command in COMMANDS.findall(text):
        run(folder, *command.split())
    return folder


def test_the_guide_has_its_two_runs():
    assert len(FILES.findall(GUIDE.read_text())) == 5
    assert len(COMMANDS.findall(GUIDE.read_text())) == 2


def test_accuracy_and_kappa_of_classes(followed):
    labels = pd.read_csv(followed / "predictions/labels.csv")["label"]
    correct = {
        m: pd.read_csv(followed / f"predictions/{m}.csv")["predicted"] == labels for m in MODELS
    }
    folder = followed / "results/mine/metrics/scans"
    models = pd.read_csv(folder / "models.csv", index_col="model")
    assert models.index.tolist() == MODELS
    for model in MODELS:
        assert models.loc[model, "accuracy"] == pytest.approx(correct[model].mean())
    assert models["left_out"].str.contains("temperature nll brier ece").all()
    pairs = pd.read_csv(folder / "pairs.csv")
    assert len(pairs) == 10
    for pair in pairs.itertuples():
        kappa = cohen_kappa_score(correct[pair.model1], correct[pair.model2])
        assert pair.error_consistency == pytest.approx(kappa)
        assert pair.left_out == "mean_probability mean_logit most_confident"


def test_an_ensemble_of_probabilities(followed):
    labels_N = np.load(followed / "predictions/labels.npy")
    scores = [np.load(followed / f"predictions/{model}.npy") for model in MODELS]
    folder = followed / "results/mine-probabilities/metrics/scans"
    models = pd.read_csv(folder / "models.csv", index_col="model")
    assert (models["n"] == 797).all()
    assert models["left_out"].isna().all()
    report = 797 / len(labels_N)
    for model, array_NC in zip(MODELS, scores, strict=True):
        parts = models.loc[model, "accuracy"], models.loc[model, "accuracy_tune"]
        everywhere = np.average(parts, weights=[report, 1 - report])
        assert everywhere == pytest.approx(accuracy_score(labels_N, array_NC.argmax(axis=1)))


@pytest.mark.parametrize("name", ["mine", "mine-probabilities"])
def test_the_answer_is_there(followed, name):
    results = followed / "results" / name
    verdict = (results / "metrics/scans/ensembling.txt").read_text()
    assert verdict.startswith("On scans")
    assert "%" in verdict
    for suffix in ("svg", "pdf", "png", "csv"):
        assert (results / f"figures/ensembling/scans.{suffix}").stat().st_size > 0
    table = pd.read_csv(results / "metrics/scans/ensembling.csv")
    assert set(table["kind"]) >= {"single", "set", "pair"}
    assert (table["kind"] == "pair").sum() == 10


def attempt(folder: Path, *arguments: str) -> list[str]:
    """Run the guide's first run, which should fail; what it printed."""
    command = [TOOLS / "snakemake", "--cores", "2", "figures", "--configfile", "config/mine.yaml"]
    process = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.returncode != 0
    return process.stdout.splitlines()


def test_what_is_wrong_is_said_last_and_nothing_else_is_lost(followed, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(followed, folder, symlinks=True)
    answer = folder / "results/mine/metrics/scans/ensembling.txt"
    before = answer.read_text()
    bad = folder / "predictions/trees.csv"
    good = bad.read_text()
    bad.write_text(good.replace("scan-300,", "scan-301,"))
    printed = attempt(folder, "--keep-going")
    last_failure = max(i for i, line in enumerate(printed) if line.startswith("Error in rule"))
    said = [line for line in printed[last_failure:] if line.startswith("error: ")]
    assert len(said) == 1
    assert "predictions/trees.csv" in said[0]
    assert answer.read_text() == before
    bad.write_text(good)
    table = folder / "config/models/mine.csv"
    rows = table.read_text()
    table.write_text(rows.replace("predictions/trees.csv", "predictions/tree.csv"))
    printed = attempt(folder)
    assert any("model 'trees', column location: there is no file" in line for line in printed)
    table.write_text(rows)
    run(folder, *COMMANDS.findall(GUIDE.read_text())[0].split())
    assert answer.read_text() == before
