"""Shared by the tests of provenance: records and jobs to compare, the recorder, a toy workflow."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dissent.provenance import running
from dissent.provenance.ledger import File, Record
from dissent.provenance.snakemake_internals import Job

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent

TOY = """
import sys

sys.path.insert(0, "src")
from pathlib import Path

from snakemake.exceptions import WorkflowError

from dissent.commandline import InputError
from dissent.provenance import guard
from dissent.provenance.record import recorded

configfile: "config.yaml"

LEDGER = "results/toy/provenance"

rule all:
    default_target: True
    input: "results/toy/last.txt", "results/toy/big.txt"

rule some:
    input: "results/toy/joined.txt"

rule make:
    input: script="write.py", environment="environment.yaml"
    output: "results/toy/made/{name}.txt"
    log: "logs/{name}.json"
    threads: 23
    params:
        number=1.5,
        text=lambda wildcards: "it's \\"{quoted}\\"\\nthen ünïcode -- $HOME `ls` \\\\",
        values=[1, {"x": None}],
        pair=("a", b"b"),
        name=lambda wildcards: wildcards.name,
        leaf=config["leaf"],
        nothing=None,
    shell: recorded("python {input.script} {log:q} {params.text:q} {threads} {output:q}", LEDGER)

rule join:
    input:
        script="write.py",
        environment="environment.yaml",
        parts=["results/toy/made/a.txt", "results/toy/made/b.txt"],
    output: "results/toy/joined.txt", "results/toy/joined.csv"
    log: "logs/join.json"
    shell: recorded("python {input.script} {log:q} {input.parts:q} {output:q}", LEDGER)

rule last:
    input: script="write.py", environment="environment.yaml", joined="results/toy/joined.txt"
    output: "results/toy/last.txt"
    log: "logs/last.json"
    shell: recorded("python {input.script} {log:q} last words {output:q}", LEDGER)

rule big:
    input: script="write.py", environment="environment.yaml"
    output: "results/toy/big.txt"
    log: "logs/big.json"
    shell: recorded("python {input.script} {log:q} big {config[size]} {output:q}", LEDGER)

try:
    guard.check(workflow, Path("results/toy"))
except InputError as error:
    raise WorkflowError(str(error)) from None
"""

# Writes what it was told into each output, and the numbers in its environment into its log.
WRITE = """
import json, os, sys
from pathlib import Path

log, first, second, *outputs = sys.argv[1:]
Path(log).write_text(json.dumps({k: v for k, v in os.environ.items() if v.isdigit()}))
for output in outputs:
    text = "x" * int(second) if first == "big" else output + first + second
    Path(output).write_text(text)
"""


class Toy(NamedTuple):
    """A finished toy workflow: its folder, outputs by rule, and which outputs need which."""

    folder: Path
    outputs: tuple[str, ...] = (
        "results/toy/big.txt",
        "results/toy/joined.csv",
        "results/toy/joined.txt",
        "results/toy/last.txt",
        "results/toy/made/a.txt",
        "results/toy/made/b.txt",
    )

    def job(self, output: str) -> set[str]:
        """All outputs of the job that makes one."""
        return {path for path in self.outputs if Path(path).stem == Path(output).stem}

    def made_anew_with(self, output: str) -> set[str]:
        """The outputs of a job and of all jobs that need one of them."""
        joined_and_last = self.job("joined.txt") | self.job("last.txt")
        needed_by = {"big": set(), "last": set(), "joined": self.job("last.txt")}
        return self.job(output) | needed_by.get(Path(output).stem, joined_and_last)


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """The environment, with this Python's tools first, and nothing that names another project."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHON", "SNAKE"))}
    return kept | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """An empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def end_of_run():
    """Let the lock go that a run or a restoring takes until its process ends."""
    yield
    if running._running is not None:
        running._running.close()
        running._running = None


@pytest.fixture(scope="session")
def content() -> Callable[[str], File]:
    def of(text: str) -> File:
        data = text.encode()
        return File(hashlib.sha256(data).hexdigest(), len(data))

    return of


@pytest.fixture(scope="session")
def make_record(content) -> Callable[..., Record]:
    """A record with these fields; files are given by their text."""

    def make(**fields) -> Record:
        known = {
            "rule": "measure",
            "text_sha256": hashlib.sha256(b"python {input.script}").hexdigest(),
            "command": "python measure.py",
            "params": {"seed": "1"},
            "inputs": {"measure.py": "code", "data.txt": "data"},
            "outputs": {"results/toy/table.csv": "table"},
            "logs": ["logs/measure.log"],
            "environment": {"file": "environment.yaml", "packages": {"numpy": "2.0"}},
            "machine": {"device": "cpu", "threads": 1},
            "start": "2026-01-02T03:04:05.000+00:00",
            "end": "2026-01-02T03:04:06.000+00:00",
        }
        fields = known | fields
        for name in ("inputs", "outputs"):
            fields[name] = {path: content(text) for path, text in fields[name].items()}
        return Record(**fields)

    return make


@pytest.fixture(scope="session")
def make_job() -> Callable[..., Job]:
    """The job that a record tells of, as the workflow has it now but for these fields."""

    def make(record: Record, **fields) -> Job:
        known = {
            "rule": record.rule,
            "text_sha256": record.text_sha256,
            "params": dict(record.params),
            "inputs": {path: path for path in record.inputs},
            "outputs": tuple(record.outputs),
            "ledger": Path("results/toy/provenance"),
            "planned": False,
            "reason": "Snakemake's words",
            "metadata": {},
            "texts": {},
        }
        return Job(**(known | fields))

    return make


@pytest.fixture
def run_recorder(project, clean_environment) -> Callable[..., subprocess.CompletedProcess]:
    """Run a Python program as a recorded job that reads `in.txt` and promises `out/made.txt`."""
    own = {"PYTHONPATH": str(ROOT / "src"), "GIT_CEILING_DIRECTORIES": str(project.parent)}
    (project / "in.txt").write_text("read")
    (project / "environment.yaml").write_text("dependencies:\n  - pip:\n    - pytest==0.1\n")

    def run(
        program: str,
        inputs=("in.txt", "environment.yaml"),
        outputs=("out/made.txt",),
        params="[]",
        names="{}",
        arguments=(),
        environment=None,
    ) -> subprocess.CompletedProcess:
        (project / "out").mkdir(exist_ok=True)
        command = [sys.executable, "-m", "dissent.provenance.record", "--rule", "toy"]
        command += ["--text", "0" * 64, "--ledger", "out/provenance", "--threads", "3"]
        command += ["--environment", "environment.yaml", "--params", params, "--names", names]
        command += ["--inputs", *inputs, "--outputs", *outputs, "--logs", "logs/toy.log"]
        command += ["--", sys.executable, "-c", program, *arguments]
        return subprocess.run(
            command,
            env=clean_environment | own | (environment or {}),
            capture_output=True,
            text=True,
        )

    return run


def set_up_toy(folder: Path) -> None:
    (folder / "Snakefile").write_text(TOY)
    (folder / "write.py").write_text(WRITE)
    (folder / "config.yaml").write_text(json.dumps({"leaf": 1, "size": 2**20}))
    (folder / "environment.yaml").write_text("dependencies: []\n")
    (folder / "src").symlink_to(ROOT / "src")


@pytest.fixture(scope="session")
def snakemake(clean_environment) -> Callable[..., str]:
    """Run Snakemake in a folder; what it printed, once it has succeeded."""

    def run(folder: Path, *arguments: str) -> str:
        process = subprocess.run(
            [TOOLS / "snakemake", "--cores", "23", *arguments],
            cwd=folder,
            env=clean_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.returncode == 0, process.stdout[-5000:]
        return process.stdout

    return run


@pytest.fixture(scope="session")
def run_toy(snakemake) -> Callable[..., Toy]:
    """Set the toy workflow up in an empty folder, and run it with these arguments."""

    def run(folder: Path, *arguments: str) -> Toy:
        set_up_toy(folder)
        snakemake(folder, *arguments)
        return Toy(folder)

    return run


@pytest.fixture(scope="session")
def finished_toy(run_toy, tmp_path_factory) -> Toy:
    """The toy workflow as its run left it; nobody may write to it."""
    return run_toy(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def toy(finished_toy, tmp_path, monkeypatch) -> Toy:
    """A copy of the finished toy workflow to change, which is the working directory.

    Times of modification are kept, so that Snakemake has nothing to do in it; change times are not.
    """
    folder = tmp_path / "toy"
    shutil.copytree(finished_toy.folder, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return Toy(folder)
