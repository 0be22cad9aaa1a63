"""A run of text classifiers from a folder of weights to figures, and one of the user's own."""

import json
import os
import re
from pathlib import Path

import pytest

from conftest import ROOT, TOOLS, copy_project, run
from dissent.files import sha256
from dissent.tables import read_table
from small_text import small_folder

FOLDER = Path("encoders/small")
RUN = """\
run: text
models: config/models/text.csv
data:
  pairs: {kind: sentence_pairs, breakers: 0.1, splits: {train: 60, tune: 40, report: 40}}
  mixed-pairs: {kind: sentence_pairs, seed: 1, breakers: 0.5, splits: {report: 20}}
  heuristics: {kind: overlap_heuristics, splits: {report: 60}}
linear_connectivity:
  text:
    start: small
    data: pairs
    interpolation: mixed-pairs
    diagnostics: [heuristics]
    strategy: {data: heuristics, group: "subsequence, non-entailment"}
    arms:
      orders: {heads: 1, orders: 4}
      heads: {heads: 3, orders: 1}
    fine_tuning:
      {layers: 2, frozen_layers: 1, steps: 4, batch_size: 8, learning_rate: 0.01, checkpoints: 2}
    examples: 20
    points: 4
    path_examples: 5
    window: 1.0
    permutations: 20
    planes: {points: 4, examples: 5}
    sharpness: {steps: 1, examples: 5}
"""
OWN = """\
run: own
models: config/models/text.csv
data:
  in-domain:
    kind: labels
    labels: {location: in_domain.csv, ids: id, sentences: [premise, hypothesis], label: label}
    classes: [entailment, non-entailment]
    splits: {tune: 10, report: 20}
  challenge:
    kind: labels
    labels:
      location: in_domain.csv
      ids: id
      sentences: [premise, hypothesis]
      label: label
      groups: group
    classes: [entailment, non-entailment]
linear_connectivity:
  text:
    models: [seed-0, seed-1]
    data: in-domain
    diagnostics: [challenge]
    strategy: {data: challenge, group: swapped}
    examples: 10
    path_examples: 5
"""
HEADER = "model,source,location,revision,sha256,licence,citation\n"


def row(folder: Path, model: str, location: Path) -> str:
    return f"{model},transformers,{location},,{sha256(folder / location / 'model.safetensors')},,\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, and a PATH on which rules have but their own environments."""
    folder = copy_project(tmp_path_factory.mktemp("text"))
    return folder, os.pathsep.join(
        map(str, [ROOT / "tests" / "standin_conda", TOOLS, os.environ["PATH"]])
    )


def snakemake(project, config: str, *arguments: str) -> str:
    folder, path = project
    options = ("--configfile", config, "--cores", "2", "--use-conda")
    return run(folder, TOOLS / "snakemake", *arguments, *options, PATH=path)


def test_a_run_from_weights_to_figures(project):
    folder, _ = project
    small_folder(folder / FOLDER)
    (folder / "config/text.yaml").write_text(RUN)
    (folder / "config/models/text.csv").write_text(HEADER + row(folder, "small", FOLDER))
    snakemake(project, "config/text.yaml", "figures")
    metrics = folder / "results/text/metrics/linear_connectivity"
    pairs = read_table(metrics / "pairs.csv")
    assert pairs.groupby(["family", "step"]).size().to_dict() == {
        ("heads", 2): 3,
        ("heads", 4): 3,
        ("orders", 2): 6,
        ("orders", 4): 6,
    }
    assert (pairs.convexity_gap >= pairs.barrier).all()
    figures = folder / "results/text/figures/linear_connectivity"
    expected = {
        f.stem for f in (ROOT / "workflow/scripts/figures/linear_connectivity").glob("*.py")
    }
    elsewhere = {"mnli_against_hans", "hans_subsets", "images"}
    assert {file.stem for file in figures.glob("*.svg")} == expected - elsewhere
    again = snakemake(project, "config/text.yaml", "figures")
    assert "Nothing to be done" in again


def test_models_of_ones_own(project):
    folder, _ = project
    rows = []
    for seed in range(2):
        location = Path(f"own/seed-{seed}")
        small_folder(folder / location, seed=seed, n_classes=2)
        rows.append(row(folder, f"seed-{seed}", location))
    (folder / "config/models/text.csv").write_text(HEADER + "".join(rows))
    (folder / "config/own.yaml").write_text(OWN)
    lines = ["id,premise,hypothesis,label,group"]
    for i in range(30):
        label, hypothesis = [
            ("entailment", "the doctor saw"),
            ("non-entailment", "the lawyer saw"),
        ][i % 2]
        group = ["plain", "swapped"][i % 2]
        lines.append(f"e{i},the doctor saw the lawyer,{hypothesis},{label},{group}")
    (folder / "in_domain.csv").write_text("\n".join(lines) + "\n")
    snakemake(project, "config/own.yaml", "figures")
    pairs = read_table(folder / "results/own/metrics/linear_connectivity/pairs.csv")
    assert len(pairs) == 1 and pairs.distance[0] > 0
    claims = json.loads((folder / "results/own/claims.json").read_text())
    assert not re.search("not_supported", json.dumps(claims))
