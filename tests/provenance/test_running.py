"""Locks and half-written files of killed runs, and who may remove them."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dissent.provenance import running
from dissent.provenance.running import HELD_BY, begin, is_alone
from dissent.provenance.snakemake_internals import INCOMPLETE, LOCKS, _key_path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path("results/toy")
RUN = """
from pathlib import Path
from dissent.provenance.running import begin
begin(Path("results/toy"))
print("on", flush=True)
input()
"""
SAVE = """
import sys
import numpy
from safetensors.numpy import save_file
save_file({"zeros": numpy.zeros(500_000_000, "uint8")}, sys.argv[1])
"""
LEFT = {
    *(LOCKS / "0.input.lock", LOCKS / "0.output.lock"),
    *(RESULTS / ".one.123.partial.csv", RESULTS / "deep/er/.two.4.partial"),
    RESULTS / "provenance/.one.csv.123.partial.json",
}
KEPT = {
    *(LOCKS / "README", RESULTS / "one.csv", RESULTS / "one.partial.csv", RESULTS / ".hidden"),
    *(Path("results/other/.one.5.partial.csv"), Path(".x.5.partial")),
}


def leave() -> None:
    """Write what a killed run leaves, among other files."""
    for path in LEFT | KEPT:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")


@pytest.fixture
def start_run(project):
    """Start another run, which goes on until it is killed."""
    processes = []

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        assert process.stdout.readline() == b"on\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def note_machines(names: str) -> None:
    HELD_BY.parent.mkdir()
    HELD_BY.write_text(names)


def are_cleared() -> bool:
    assert all(path.read_text() == "text" for path in KEPT)
    [cleared] = {not path.exists() for path in LEFT}
    return cleared


def end(process: subprocess.Popen, how: int) -> None:
    process.send_signal(how)
    process.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_a_killed_run_left_is_cleared_by_the_next(start_run, how):
    first = start_run()
    leave()
    end(first, how)
    begin(RESULTS)
    assert are_cleared()


def test_of_a_lock_that_nobody_knows_the_machine_of_nothing_is_cleared(project):
    leave()
    begin(RESULTS)
    assert not are_cleared()


def test_beside_another_run_nothing_is_cleared(start_run):
    other, third = start_run(), start_run()
    leave()
    begin(RESULTS)
    assert not are_cleared()
    end(other, signal.SIGKILL)
    begin(RESULTS)
    assert not are_cleared()
    end(third, signal.SIGKILL)
    begin(RESULTS)
    assert are_cleared()


@pytest.mark.parametrize("names", ["elsewhere", "{here}\nelsewhere", "{here}2"])
def test_where_another_machine_may_still_run_nothing_is_cleared(project, names):
    leave()
    note_machines(names.format(here=socket.gethostname()))
    begin(RESULTS)
    begin(RESULTS)
    assert not are_cleared()


def test_once_snakemake_has_let_its_lock_go_other_machines_are_forgotten(project):
    note_machines("elsewhere")
    begin(RESULTS)
    assert HELD_BY.read_text() == socket.gethostname()


@pytest.mark.parametrize(("marker", "cleared"), [("", True), ("null", True), ('"slurm-1"', False)])
def test_what_a_job_on_a_cluster_may_still_write_is_not_cleared(project, marker, cleared):
    leave()
    note_machines(socket.gethostname())
    path = _key_path(INCOMPLETE, "results/toy/one.csv")
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"external_jobid": {marker}}}')
    begin(RESULTS)
    assert are_cleared() is cleared


def test_where_the_filesystem_knows_no_locks_nothing_is_cleared(project, monkeypatch):
    leave()
    HELD_BY.parent.mkdir()
    HELD_BY.write_text(socket.gethostname())

    def refuse(*arguments):
        raise OSError("locks are not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    begin(RESULTS)
    assert not are_cleared()
    assert is_alone() is None


def test_runs_share_the_lock_and_whoever_wants_it_alone_waits(start_run):
    first, second = start_run(), start_run()
    assert is_alone() is False
    end(first, signal.SIGKILL)
    assert is_alone() is False
    end(second, signal.SIGKILL)
    assert is_alone() is True


def test_a_jobs_process_does_not_inherit_the_lock(project):
    begin(RESULTS)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    running._running.close()
    assert is_alone() is True
    child.communicate(b"\n")


def test_what_safetensors_leaves_when_it_is_killed_is_removed(project):
    folder = RESULTS / "deep"
    folder.mkdir(parents=True)
    process = subprocess.Popen([sys.executable, "-c", SAVE, folder / "a.safetensors"])
    while not (left := list(folder.iterdir())):
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert list(folder.iterdir()) == left != [folder / "a.safetensors"]
    begin(RESULTS)
    assert list(folder.iterdir()) == []
