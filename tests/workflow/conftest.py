import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock
from forked import in_forks, standin

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
OF_THE_TEST = ("--configfile", "config/test.yaml", "--cores", "2")
# A model of `sealed` that others have trained, and where its weights lie, which git does not have.
FILE_MODEL = "taken-over"
WEIGHTS = Path("weights/mine.safetensors")
# Quick on images of 160 pixels, its own size.
FILE_ARCHITECTURE = "test_vit"


def copy_project(folder: Path) -> Path:
    """A copy of what git has or would add, so that a test may change it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def under_git(folder: Path) -> None:
    """Make a folder a git repository, with somebody who may commit."""
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "test")
    run(folder, "git", "config", "user.email", "test@example.org")


def commit_all(folder: Path, message: str = "The project") -> None:
    """Commit all that git does not ignore."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)


def asking(hub: ThreadingHTTPServer) -> dict[str, str]:
    """Variables with which commands ask a hub on this machine, and no other."""
    return {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1"}


def pin(folder: Path, hub: ThreadingHTTPServer, *files: str) -> None:
    """Pin what the files of a project name, as a user does, and commit all."""
    run(
        folder,
        sys.executable,
        "-m",
        "dissent.pin",
        *files,
        PYTHONPATH=f"{folder}/src",
        **asking(hub),
    )
    under_git(folder)
    commit_all(folder)


def snakemake(folder: Path, *arguments: str, **variables: str) -> str:
    """Run Snakemake on the `test` run in `folder`; its output, once it has succeeded."""
    return run(folder, "snakemake", *OF_THE_TEST, *arguments, **variables)


@contextmanager
def edited(path: Path, text: str) -> Iterator[None]:
    """Give a file another text for a while."""
    content = path.read_text()
    try:
        path.write_text(text)
        yield
    finally:
        path.write_text(content)


def planned(output: str) -> set[str]:
    """The rules of which a dry run plans jobs, from its table of job counts."""
    counts = re.findall(r"^(\S+) +\d+$", output, flags=re.MULTILINE)
    return set(counts) - {"total"}


def made_once(tmp_path_factory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, once for all processes of the test run: the others wait."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not (made := folder.with_name(f"{name}.made")).exists():
            assert not folder.exists(), f"{folder} could not be made: see the test that asked first"
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """The `test` run done with --use-conda in a copy of the project, and the PATH it had.

    Every `python` but those of the rules' own environments refuses to start. Tests that change it,
    and mend it, are in one process (tests/conftest.py).
    """
    folder = made_once(tmp_path_factory, "finished", finish)
    return folder / "project", guarded_path(folder)


@pytest.fixture(scope="session")
def undisturbed(finished) -> Path:
    """The same, for processes that only read the results."""
    return finished[0]


def finish(folder: Path) -> None:
    guard = folder / "guard/python"
    guard.parent.mkdir()
    guard.write_text("#!/bin/sh\necho 'a rule ran outside its environment' >&2\nexit 1\n")
    guard.chmod(0o755)
    copy_project(folder / "project")
    # Itself, as users have it.
    command = (TOOLS / "snakemake", *OF_THE_TEST, "--use-conda", "figures")
    run(folder / "project", *command, PATH=guarded_path(folder))


def guarded_path(folder: Path) -> str:
    conda = ROOT / "tests" / "standin_conda"
    return os.pathsep.join(map(str, [folder / "guard", conda, TOOLS, os.environ["PATH"]]))


def surroundings() -> dict[str, str]:
    """The variables of commands that tests run: the tools of this environment, in forks."""
    # Without compiled bytecode, importing torch and timm takes twice as long in every job.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return in_forks(environment | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"})


def run(folder: Path, *command: str | os.PathLike, **variables: str) -> str:
    """Run a command in a copy of the project; what it prints, once it has succeeded."""
    process = subprocess.run(
        [standin(command[0]), *command[1:]],
        cwd=folder,
        env=surroundings() | variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.returncode == 0, process.stdout[-5000:]
    return process.stdout


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, by its path there."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def traces_of(folder: Path) -> Path:
    """Where each process of a traced run has noted what it did (tests/tracing)."""
    return folder.with_name(f"{folder.name}-traces")


def clone_of(sealed: Path, folder: Path, weights: bool = True) -> Path:
    """A clone of a sealed run, at another place, with its results pulled and restored.

    Weights from elsewhere have to be fetched by hand; without them it is as if nobody had.
    """
    run(sealed.parent, "git", "clone", "--quiet", sealed, folder)
    shutil.copy(sealed / ".dvc/config.local", folder / ".dvc/config.local")
    if weights:
        shutil.copytree(sealed / WEIGHTS.parent, folder / WEIGHTS.parent)
    run(folder, "dvc", "pull")
    run(folder, "dissent", "restore")
    return folder


def make_weights(folder: Path, seed: int) -> str:
    """Write weights for ten classes where the file model has its own; their sha256."""
    # Not above: it takes seconds, and few tests need it.
    import timm
    import torch
    from safetensors.torch import save_file

    (folder / WEIGHTS.parent).mkdir(exist_ok=True)
    torch.manual_seed(seed)
    model = timm.create_model(FILE_ARCHITECTURE, num_classes=10)
    save_file(model.state_dict(), folder / WEIGHTS)
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def sealed(tmp_path_factory) -> Path:
    """The `test` run under the demo's name, run and recorded by `dvc repro`, committed and pushed.

    The project is a git repository; its DVC remote is a folder, named in .dvc/config.local. Do not
    change it: copy it (shutil.copytree keeps what Snakemake looks at) or clone it.
    """
    return made_once(tmp_path_factory, "sealed", seal) / "project"


def seal(parent: Path) -> None:
    folder = copy_project(parent / "project")
    demo = (folder / "config/test.yaml").read_text().replace("run: test", "run: demo")
    (folder / "config/demo.yaml").write_text(demo)
    # One model whose jobs are its own.
    table = folder / "config/models/test.csv"
    row = "captions-s0,datasets,train,captions,0,"
    text = table.read_text().replace(f"{row}other,", f"{row},")
    digest = make_weights(folder, seed=0)
    text += f"{FILE_MODEL},architectures,file,,,,{FILE_ARCHITECTURE},{WEIGHTS},{digest},MIT,\n"
    table.write_text(text)
    (folder / "dvc.lock").unlink(missing_ok=True)
    under_git(folder)
    with (folder / ".git/info/exclude").open("a") as exclude:
        exclude.write(f"/{WEIGHTS.parent}/\n")
    commit_all(folder)
    traces = traces_of(folder)
    traces.mkdir()
    search = surroundings()["PATH"]
    run(
        *(folder, "dvc", "repro"),
        PATH=f"{ROOT / 'tests/tracing'}{os.pathsep}{search}",
        TRACED_PYTHON=shutil.which("python", path=search),
        TRACES=str(traces),
    )
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "Its results")
    store = parent / "store"
    run(folder, "dvc", "remote", "add", "--local", "--default", "store", str(store))
    run(folder, "dvc", "push")
