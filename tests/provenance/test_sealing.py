"""What is said of results that DVC sealed, after each thing that can be done to them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dissent.commandline import InputError
from dissent.provenance.sealing import stages_of, unsealed

RESULTS = Path("results/toy")
MADE, RECORD = "results/toy/made", "results/toy/provenance/made.json"
OTHER = "is not as dvc.lock records it"
REPRO = "`dvc repro` to record it"

PIPELINE = """
stages:
  make:
    cmd: mkdir -p results/toy/made results/toy/provenance && cat data.txt > results/toy/made/a.txt
      && echo one > results/toy/provenance/made.json
    deps: [data.txt]
    outs:
      - results/toy/made: {persist: true}
      - results/toy/provenance/made.json
  elsewhere:
    cmd: cat data.txt > elsewhere.txt
    outs: [elsewhere.txt]
"""


@pytest.fixture(scope="module")
def run_dvc(clean_environment):
    def run(folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "dvc", *arguments]
        own = {"DVC_NO_ANALYTICS": "1"}
        subprocess.run(
            command, cwd=folder, env=clean_environment | own, check=True, capture_output=True
        )

    return run


@pytest.fixture(scope="module")
def sealed_once(run_dvc, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "data.txt").write_text("data")
    (folder / "dvc.yaml").write_text(PIPELINE)
    run_dvc(folder, "init", "--no-scm", "--quiet")
    run_dvc(folder, "repro", "--quiet")
    return folder


@pytest.fixture
def sealed(sealed_once, tmp_path, monkeypatch) -> Path:
    """A sealed project to change, which is the working directory."""
    folder = shutil.copytree(sealed_once, tmp_path / "sealed")
    monkeypatch.chdir(folder)
    return folder


def test_of_sealed_results_nothing_is_said(sealed):
    assert unsealed(RESULTS) == []


def test_a_changed_output_is_to_be_recorded_or_put_back_and_a_dependency_recorded(sealed):
    Path(MADE, "a.txt").write_text("by hand")
    Path("data.txt").write_text("other")
    Path("elsewhere.txt").write_text("no result")
    assert unsealed(RESULTS) == [
        (MADE, OTHER, f"{REPRO}, or `dvc checkout --force {MADE}` to put it back"),
        ("data.txt", OTHER, REPRO),
    ]


def test_a_stage_with_another_command_is_to_be_recorded(sealed):
    Path("dvc.yaml").write_text(
        PIPELINE.replace("cat data.txt > results", "cat data.txt >> results")
    )
    assert unsealed(RESULTS) == [("make", "is a stage of dvc.yaml with a changed command", REPRO)]


def test_what_dvc_remembers_of_a_file_that_looks_the_same_is_not_believed(sealed, run_dvc):
    run_dvc(sealed, "status")
    record = Path(RECORD)
    before = record.stat()
    record.write_text("two\n")
    os.utime(record, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [path for path, _, _ in unsealed(RESULTS)] == [RECORD]


def test_a_stage_that_was_never_sealed_is_found(sealed):
    added = """
  draw:
    cmd: "true"
    outs: [results/other/x.txt]
    metrics:
      - results/toy/claims.json: {persist: true}
"""
    Path("dvc.yaml").write_text(PIPELINE + added)
    never = "was never sealed", "`dvc repro`"
    assert unsealed(RESULTS) == [("results/toy/claims.json", *never)]
    Path("dvc.lock").unlink()
    assert unsealed(RESULTS) == [(MADE, *never), ("results/toy/claims.json", *never)]


@pytest.mark.parametrize(
    ("stage", "first"),
    [
        ({"outs": ["results/toy/a"]}, "results/toy/a"),
        ({"outs": [{"results/toy/a": {"persist": True}}]}, "results/toy/a"),
        ({"outs": ["elsewhere", "results/toy/b", "results/toy/a"]}, "results/toy/b"),
        ({"metrics": ["results/toy/a.json"]}, "results/toy/a.json"),
        ({"outs": None, "plots": [{"results/toy/a.csv": {"x": "x"}}]}, "results/toy/a.csv"),
        ({"outs": ["results"]}, "results"),
        ({"outs": ["results/toyota/a", "results/other"], "deps": ["results/toy/a"]}, None),
        ({"cmd": "true"}, None),
    ],
)
def test_stages_of_a_run_are_those_with_an_output_among_its_results(project, stage, first):
    Path("dvc.yaml").write_text(json.dumps({"stages": {"one": stage, "other": {}}}))
    assert stages_of(RESULTS) == ({"one": first} if first else {})


def test_without_dvc_nothing_is_said(project):
    assert stages_of(RESULTS) == {}
    assert unsealed(RESULTS) == []


@pytest.mark.parametrize("file", ["dvc.yaml", "dvc.lock"])
@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n", "", "stages: []", "stages: {one: 1}", "\t"])
def test_what_cannot_be_read_is_named(project, file, text):
    Path("dvc.yaml").write_text(PIPELINE)
    Path(file).write_text(text)
    with pytest.raises(
        InputError, match=rf"^{file} cannot be read: put it back with `git checkout"
    ):
        unsealed(RESULTS)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('first\\nERROR: last words')", "ERROR: last words"),
        ("raise SystemExit(7)", "status 7"),
    ],
)
def test_dvc_failing_is_a_finding_with_its_last_line(sealed, tmp_path, monkeypatch, program, words):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake/dvc.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    what = f"cannot be compared, since dvc status fails ({words})"
    assert unsealed(RESULTS) == [("dvc.lock", what, "mend that")]
