"""The `test` run on a Slurm cluster, which is this machine: `make test-slurm`."""

import os
import subprocess
from pathlib import Path

import pytest
from one_machine import Cluster, output, wait_for, why_not

from conftest import OF_THE_TEST, TOOLS, commit_all, contents, copy_project, run, under_git

pytestmark = pytest.mark.slurm
PROFILE = ("--workflow-profile", "workflow/profiles/slurm", "--configfile", "config/test.yaml")
# Without accounting there is no sacct; and jobs of seconds are asked after often.
HERE = (
    *("--slurm-no-account", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "3"),
)
CHECKPOINTS = "results/test/checkpoints"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if reason := why_not():
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def project(cluster, tmp_path_factory) -> Path:
    """The `test` run, each of its jobs submitted, in a copy of the project that git knows."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    under_git(folder)
    commit_all(folder)
    process = submitting(folder, "figures")
    said = process.communicate()[0]
    assert process.returncode == 0, said[-5000:]
    return folder


def submitting(folder: Path, target: str) -> subprocess.Popen:
    return subprocess.Popen(
        [TOOLS / "snakemake", *PROFILE, *HERE, target],
        cwd=folder,
        env=os.environ | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def jobs(state: str) -> list[str]:
    return output("squeue", "--noheader", "--states", state, "--format", "%i").split()


def test_every_job_was_submitted_and_what_they_made_holds(project):
    records = [*(project / "results/test/provenance").rglob("*.json")]
    made = {path.read_bytes() for path in records}
    assert len(jobs("completed")) >= len(made) > 0
    audit = run(project, "dissent", "audit", "--configfile", "config/test.yaml")
    assert "everything holds" in audit


def test_without_the_cluster_nothing_is_left_to_do(project):
    assert "Nothing to be done" in run(project, "snakemake", *OF_THE_TEST, "-n", "figures")


def test_a_run_whose_node_dies_ends_as_if_it_had_not(cluster, project):
    before = contents(project / CHECKPOINTS)
    for name in before:
        (project / CHECKPOINTS / name).unlink()
    process = submitting(project, "checkpoints")
    wait_for(lambda: jobs("running"))
    cluster.kill_node()
    wait_for(lambda: output("sinfo", "-h", "-o", "%T") in ("down", "down*"))
    cluster.start_node()
    said = process.communicate()[0]
    if process.returncode:
        process = submitting(project, "checkpoints")
        said = process.communicate()[0]
    assert process.returncode == 0, said[-5000:]
    assert contents(project / CHECKPOINTS) == before
