"""The `test` run killed over and over, whole or in one of its processes, then run again."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from conftest import TOOLS, commit_all, contents, copy_project, run, surroundings, under_git

COMMAND = (
    *(str(TOOLS / "snakemake"), "--workflow-profile", "workflow/profiles/default"),
    *("--configfile", "config/test.yaml", "--cores", "2", "figures"),
)
KILLS = 10
# A run is killed at a random moment after it has finished some jobs: so, on any machine, runs get
# on, and are killed while they start, train, measure and draw.
JOBS_FINISHED = (0, 1, 1, 2)
LONGEST_WAIT_SECONDS = 2.5


def start(folder: Path, *command: str, **variables: str) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        cwd=folder,
        env=surroundings() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def killed(folder: Path, jobs: int, seconds: float) -> bool:
    """Kill a run, with all its processes, some time after it has finished some jobs.

    False if it was faster, and succeeded.
    """
    process = start(folder, *COMMAND)
    output = ""
    while output.count("Finished jobid") < jobs and (line := process.stdout.readline()):
        output += line
    try:
        output += process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0, output[-5000:]
    return False


def results(folder: Path) -> dict[str, bytes]:
    """Every result, the records apart."""
    found = contents(folder / "results/test")
    return {path: content for path, content in found.items() if not path.startswith("provenance/")}


def said(folder: Path) -> dict[str, dict]:
    """What the records of a run say that does not depend on when and where it ran."""
    records = {
        path: json.loads(content)
        for path, content in contents(folder / "results/test/provenance").items()
    }
    return {
        path: {name: record.get(name) for name in ("rule", "params", "inputs", "outputs")}
        for path, record in records.items()
    }


def remains(folder: Path) -> list[Path]:
    """Half-written files, Snakemake's locks and its markers of unfinished jobs."""
    snakemake = folder / ".snakemake"
    return [
        *folder.rglob("*.partial*"),
        *(snakemake / "locks").rglob("*.lock"),
        *(snakemake / "incomplete").rglob("*"),
    ]


@pytest.fixture
def project(tmp_path) -> Path:
    """The project in a git repository, all of it committed."""
    folder = copy_project(tmp_path / "project")
    under_git(folder)
    commit_all(folder)
    return folder


def assert_undisturbed(project: Path, undisturbed: Path) -> None:
    """What there is is all recorded, and as the undisturbed run has it; nothing else remains."""
    made, records = results(project), said(project)
    expected, expected_records = results(undisturbed), said(undisturbed)
    assert {path for path in made if made[path] != expected[path]} == set()
    assert {path for path in records if records[path] != expected_records[path]} == set()
    recorded = {output for record in records.values() for output in record["outputs"]}
    assert recorded == {f"results/test/{path}" for path in made}
    assert remains(project) == []


def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(project, undisturbed):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    kills = 0
    while True:
        if kills < KILLS:
            wait = chance.uniform(0, LONGEST_WAIT_SECONDS)
            if killed(project, chance.choice(JOBS_FINISHED), wait):
                kills += 1
                continue
        else:
            run(project, *COMMAND)
        assert_undisturbed(project, undisturbed)
        audit = run(project, "dissent", "audit", "--configfile", "config/test.yaml")
        assert "everything holds" in audit
        if kills == KILLS:
            break
        shutil.rmtree(project / "results")
        shutil.rmtree(project / ".snakemake")
    assert "Nothing to be done" in run(project, *COMMAND)


def to_make(target: str) -> tuple[str, ...]:
    return (*COMMAND[:-1], target)


def start_unforked(folder: Path, *command: str) -> subprocess.Popen:
    """The same, where each script is a process that the run has started itself."""
    return start(folder, *command, PATH=f"{TOOLS}{os.pathsep}{os.environ['PATH']}")


def first_process(parent: subprocess.Popen, script: str) -> psutil.Process:
    """The first process of a script that a run starts, once there is one."""
    while parent.poll() is None:
        for process in psutil.Process(parent.pid).children(recursive=True):
            with suppress(psutil.Error):
                if process.cmdline()[1:2] == [f"workflow/scripts/{script}"]:
                    return process
        time.sleep(0.01)
    raise AssertionError(f"ended without {script}: {parent.communicate()[0]}")


def test_a_killed_script_leaves_no_result(project, undisturbed):
    command = to_make("results/test/checkpoints/resnet-s0.safetensors")
    process = start_unforked(project, *command)
    script = first_process(process, "checkpoints/train.py")
    checkpoints = project / "results/test/checkpoints"
    # One of the job's outputs is there, the others are not.
    while script.is_running() and not list(checkpoints.glob("[!.]*")):
        time.sleep(0.01)
    script.kill()
    process.communicate()
    assert process.returncode == 1
    assert list(checkpoints.glob("[!.]*")) == []
    run(project, *command)
    assert_undisturbed(project, undisturbed)


def test_what_a_script_made_whose_recorder_was_killed_is_made_anew(project, undisturbed):
    process = start_unforked(project, *to_make("data"))
    script = first_process(process, "data/make_dataset.py")
    output = Path(script.cmdline()[script.cmdline().index("--output") + 1])
    script.parent().kill()
    process.communicate()
    assert process.returncode == 1
    psutil.wait_procs([script], timeout=60)
    assert (project / output).exists()
    made_anew = f"{output} is not what its job recorded: it is made anew"
    assert made_anew in run(project, *to_make("data"))
    assert_undisturbed(project, undisturbed)


def test_jobs_that_outlive_a_killed_run_do_no_harm(project, undisturbed):
    process = start_unforked(project, *to_make("data"))
    script = first_process(process, "data/make_dataset.py")
    survivors = [script, script.parent()]
    process.kill()
    process.wait()
    run(project, *to_make("data"))
    psutil.wait_procs(survivors, timeout=60)
    assert "Nothing to be done" in run(project, *to_make("data"))
    assert_undisturbed(project, undisturbed)


def test_a_run_killed_before_it_has_filled_a_marker_is_run_again(project, undisturbed):
    process = start_unforked(project, *to_make("data"))
    first_process(process, "data/make_dataset.py")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    markers = list((project / ".snakemake/incomplete").iterdir())
    assert markers
    for marker in markers:
        marker.write_text("")
    run(project, *to_make("data"))
    assert_undisturbed(project, undisturbed)
