"""A mistake in the config reaches the user as sentences, from Snakemake itself."""

import os
import subprocess
from pathlib import Path

import pytest

from conftest import TOOLS, copy_project, edited


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("project"))


@pytest.mark.parametrize(
    ("file", "old", "new", "sentences"),
    [
        (
            "config/test.yaml",
            "optimizer: adamw",
            "optimizer: adam",
            ["config/test.yaml, line 33, recipes.base.optimizer: should be 'adamw' or 'sgd'"],
        ),
        (
            "config/models/test.csv",
            "glyphs-s0,datasets,",
            "glyphs; rm,data,",
            [
                "config/models/test.csv, line 11, column model:",
                "config/models/test.csv, line 11, column category:",
            ],
        ),
    ],
)
def test_mistakes_are_named_and_nothing_runs(project, file, old, new, sentences):
    path: Path = project / file
    content = path.read_text()
    assert old in content
    with edited(path, content.replace(old, new)):
        process = subprocess.run(
            [TOOLS / "snakemake", "--configfile", "config/test.yaml", "--cores", "1", "figures"],
            cwd=project,
            env=os.environ | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
    assert process.returncode != 0
    for sentence in sentences:
        assert sentence in process.stderr
    assert "Traceback" not in process.stderr
    assert not (project / "results").exists()


def test_a_missing_weights_file_is_named_although_all_figures_are_there(finished):
    folder, path = finished
    table = folder / "config/models/test.csv"
    row = f"mine,architectures,file,,,,test_convnext,nowhere.safetensors,{'0' * 64},,\n"
    with edited(table, table.read_text() + row):
        process = subprocess.run(
            [TOOLS / "snakemake", "--configfile", "config/test.yaml", "-n", "--", "figures"],
            cwd=folder,
            env=os.environ | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    assert process.returncode != 0
    assert "model 'mine', column location: there is no file 'nowhere" in process.stdout
