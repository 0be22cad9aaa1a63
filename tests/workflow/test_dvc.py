"""dvc.yaml against the workflow it drives, on the `test` run under the demo's name."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from conftest import TOOLS, copy_project

STAGES = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]


def run(folder: Path, *command: str) -> str:
    process = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", STAGES)
def test_every_output_persists_so_that_dvc_never_deletes_it(name):
    assert all(options["persist"] for out in STAGES[name]["outs"] for options in out.values())


@pytest.mark.parametrize("name", STAGES)
def test_every_dependency_is_in_the_project_or_made_by_a_stage(name):
    made = {path for stage in STAGES.values() for out in stage["outs"] for path in out}
    for path in STAGES[name]["deps"]:
        assert path in made or Path(path).exists(), path


def test_repro_records_what_snakemake_made_and_then_skips(finished, tmp_path):
    folder = copy_project(tmp_path)
    demo = (folder / "config/test.yaml").read_text().replace("run: test", "run: demo")
    (folder / "config/demo.yaml").write_text(demo)
    shutil.copytree(finished[0] / "results/test", folder / "results/demo")
    before = contents(folder / "results")
    run(folder, "git", "init", "--quiet")
    (folder / "dvc.lock").unlink(missing_ok=True)

    first = run(folder, "dvc", "repro")
    assert first.count("Nothing to be done") == len(STAGES)
    assert set(yaml.safe_load((folder / "dvc.lock").read_text())["stages"]) == set(STAGES)
    assert contents(folder / "results") == before

    second = run(folder, "dvc", "repro")
    assert second.count("didn't change, skipping") == len(STAGES)
    assert "up to date" in run(folder, "dvc", "status")
