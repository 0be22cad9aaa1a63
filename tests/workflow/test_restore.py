"""`dissent restore` in clones of a sealed run: without it nothing runs, with it nothing has to."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import FILE_MODEL, ROOT, TOOLS, contents, edited, planned, run
from dissent.provenance.snakemake_internals import read_metadata

RESULTS = Path("results/demo")
METRICS = RESULTS / "metrics"
GREEDY = METRICS / "no_one_representation/greedy.csv"
SENTENCE = "run `dissent restore"
OLD = 631152000  # 1990
NOBODY = 65534
# Another user, who may read everything, so that it finds this Python, but owns nothing.
AS_NOBODY = (
    *("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"),
    *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"),
)


def tried(folder: Path, *command: str | os.PathLike, **options) -> subprocess.CompletedProcess:
    """A command that may fail, with both its outputs in one."""
    environment = os.environ | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        command,
        **{"cwd": folder, "env": environment, "text": True} | options,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def succeeded(folder: Path, *command: str | os.PathLike, **options) -> str:
    process = tried(folder, *command, **options)
    assert process.returncode == 0, process.stdout[-5000:]
    return process.stdout


def pull(sealed: Path, folder: Path, **options) -> Path:
    """A clone with the results pulled, and no more."""
    succeeded(sealed, "git", "clone", "--quiet", sealed, folder, **options)
    shutil.copyfile(sealed / ".dvc/config.local", folder / ".dvc/config.local")
    succeeded(folder, "dvc", "pull", **options)
    return folder


@pytest.fixture(scope="module")
def pulled(sealed, tmp_path_factory) -> Path:
    """A clone without Snakemake's metadata. Do not change it: copy it."""
    return pull(sealed, tmp_path_factory.mktemp("pulled") / "clone")


@pytest.fixture
def clone(pulled, tmp_path) -> Path:
    return shutil.copytree(pulled, tmp_path / "clone", symlinks=True)


@pytest.fixture(scope="module")
def restored(pulled, tmp_path_factory) -> Path:
    """A clone whose results Snakemake knows. Do not change it: copy it."""
    folder = shutil.copytree(pulled, tmp_path_factory.mktemp("restored") / "clone", symlinks=True)
    run(folder, "dissent", "restore")
    return folder


@pytest.fixture
def refusing(tmp_path) -> str:
    """A PATH on which `python`, and so every job, refuses to start."""
    python = tmp_path / "refusing/python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 'a job was run' >&2\nexit 1\n")
    python.chmod(0o755)
    return os.pathsep.join([str(python.parent), str(TOOLS), os.environ["PATH"]])


def results(folder: Path) -> dict[str, bytes]:
    return contents(folder / RESULTS)


def outputs(folder: Path) -> list[str]:
    """Every result, the records apart."""
    names = results(folder)
    return [str(RESULTS / name) for name in names if not name.startswith("provenance/")]


def execute_nothing(folder: Path, path: str, *prefix: str, **options) -> None:
    """Restore, and have both Snakemake and DVC find nothing to run."""
    options["env"] = os.environ | {"PATH": path} | options.get("env", {})
    before = results(folder)

    def succeed(*command: str) -> str:
        return succeeded(folder, *prefix, *command, **options)

    assert f"{len(outputs(folder))} files are as their records say" in succeed("dissent", "restore")
    assert "Nothing to be done" in succeed("snakemake", "--cores", "1", "-n", "figures")
    assert "Nothing to be done" in succeed("snakemake", "--cores", "1", "figures")
    # No job's input, but to DVC a dependency of every stage: it asks Snakemake.
    with (folder / "src/dissent/provenance/record.py").open("a") as module:
        module.write("# Edited.\n")
    assert succeed("dvc", "repro").count("Nothing to be done") == 6
    assert results(folder) == before


def test_without_restore_a_run_stops_and_loses_nothing(clone):
    before = results(clone)
    for command in (
        ("snakemake", "--cores", "1", "-n", "figures"),
        ("snakemake", "--cores", "1", "figures"),
        # An output that a job would have to make anew.
        ("snakemake", "--cores", "1", "--forceall", "figures"),
    ):
        process = tried(clone, *command)
        assert process.returncode != 0
        assert SENTENCE in process.stdout
    assert results(clone) == before


def test_without_restore_dvc_stops_where_it_would_run_something(clone):
    before = results(clone)
    assert run(clone, "dvc", "repro").count("didn't change, skipping") == 6
    config = clone / "config/demo.yaml"
    with edited(config, config.read_text().replace("max_added: 2", "max_added: 1")):
        process = tried(clone, "dvc", "repro")
    assert process.returncode != 0
    assert SENTENCE in process.stdout
    assert results(clone) == before


def test_restore_gives_every_output_its_metadata(restored, monkeypatch):
    monkeypatch.chdir(restored)
    made = outputs(restored)
    assert len(made) > 50
    assert [path for path in made if read_metadata(path) is None] == []


def test_after_restore_nothing_is_executed(clone, refusing):
    execute_nothing(clone, refusing)
    # Whereas an edit is, though it be older than the results.
    script = clone / "workflow/scripts/figures/no_one_representation/fig5_greedy.py"
    script.write_text(script.read_text() + "# Edited.\n")
    os.utime(script, (OLD, OLD))
    process = tried(
        clone, "snakemake", "--cores", "1", "figures", env=os.environ | {"PATH": refusing}
    )
    assert process.returncode != 0
    assert process.stdout.count("a job was run\n") == 1


def test_after_restore_nothing_is_executed_with_strict_permissions(sealed, tmp_path, refusing):
    clone = pull(sealed, tmp_path / "clone", umask=0o077)
    assert (clone / METRICS / "handwritten/pairs.csv").stat().st_mode & 0o077 == 0
    execute_nothing(clone, refusing, umask=0o077)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_after_restore_nothing_is_executed_as_another_user(clone, refusing):
    if shutil.which("setpriv") is None or tried(clone, *AS_NOBODY, "true").returncode != 0:
        pytest.skip("setpriv cannot make a process of another user here")
    for path in [clone, *clone.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    home = {"HOME": str(clone), "DVC_SITE_CACHE_DIR": str(clone / ".dvc/site")}
    execute_nothing(clone, refusing, *AS_NOBODY, env=home)


def test_after_restore_nothing_is_executed_in_the_rules_own_environments(restored, refusing):
    path = f"{ROOT / 'tests/standin_conda'}{os.pathsep}{refusing}"
    output = run(restored, "snakemake", "--cores", "1", "--use-conda", "figures", PATH=path)
    assert "Nothing to be done" in output


def test_what_is_not_as_recorded_is_named_and_the_rest_restored(clone, monkeypatch):
    corrupted = clone / METRICS / "handwritten/pairs.csv"
    corrupted.write_bytes(corrupted.read_bytes()[:-2] + b"9\n")
    record = clone / RESULTS / "provenance/metrics/no_one_representation/greedy.csv.json"
    record.unlink()
    statistics = GREEDY.with_name("greedy_statistics.csv")
    # Not here, as after the pull of one phase: nothing wrong.
    absent = RESULTS / "data/letters.safetensors"
    (clone / absent).unlink()

    process = tried(clone, "dissent", "restore")
    assert process.returncode == 1
    *_, error = process.stdout.strip().splitlines()
    assert f"{METRICS}/handwritten/pairs.csv is not what its job wrote" in error
    assert f"{GREEDY} has no record" in error
    assert f"{statistics} has no record" in error
    assert error.count("; ") == 2
    named = {f"{METRICS}/handwritten/pairs.csv", str(GREEDY), str(statistics)}
    monkeypatch.chdir(clone)
    assert {path for path in outputs(clone) if read_metadata(path) is None} == named
    assert read_metadata(str(absent)) is not None
    assert SENTENCE in tried(clone, "snakemake", "--cores", "1", "-n", "figures").stdout

    mend = re.search("`(dvc checkout [^`]+)`", error)[1]
    run(clone, *mend.split())
    run(clone, "dvc", "checkout")
    run(clone, "dissent", "restore")
    assert "Nothing to be done" in run(clone, "snakemake", "--cores", "1", "-n", "figures")


def test_what_figures_do_not_read_need_not_be_pulled(clone):
    for phase in ("data", "checkpoints", "logits"):
        for path in (clone / RESULTS / phase).rglob("*.safetensors"):
            # The weights it was taken over from are not here.
            if path != clone / RESULTS / f"checkpoints/{FILE_MODEL}.safetensors":
                path.unlink()
    run(clone, "dissent", "restore")
    dry_run = ("snakemake", "--cores", "1", "-n", "figures")
    assert "Nothing to be done" in run(clone, *dry_run)
    script = clone / "workflow/scripts/figures/no_one_representation/fig5_greedy.py"
    script.write_text(script.read_text() + "# Edited.\n")
    assert planned(run(clone, *dry_run)) == {"fig5_greedy", "figures"}
    run(clone, "snakemake", "--cores", "1", "figures")
    assert "Nothing to be done" in run(clone, *dry_run)
    assert list((clone / RESULTS / "logits").rglob("*.safetensors")) == []


def test_an_old_commit_and_the_new_one_are_restored_in_turn(clone):
    old, before = run(clone, "git", "rev-parse", "HEAD").strip(), results(clone)
    run(clone, "dissent", "restore")
    config = clone / "config/demo.yaml"
    config.write_text(config.read_text().replace("max_added: 2", "max_added: 1"))
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    commit = ("git", *identity, "commit", "--quiet", "--all", "--message")
    run(clone, *commit, "One model fewer")
    run(clone, "dvc", "repro")
    run(clone, *commit, "Its results")
    new, after = run(clone, "git", "rev-parse", "HEAD").strip(), results(clone)
    assert before[f"metrics/{GREEDY.relative_to(METRICS)}"] != (clone / GREEDY).read_bytes()

    for commit, expected in ((old, before), (new, after)):
        run(clone, "git", "checkout", "--quiet", commit)
        run(clone, "dvc", "checkout")
        run(clone, "dissent", "restore")
        assert results(clone) == expected
        output = run(clone, "snakemake", "--cores", "1", "-n", "figures")
        assert "Nothing to be done" in output
        assert "up to date" in run(clone, "dvc", "status")


def test_another_snakemake_is_refused(restored, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(
        "import sys\n\nimport snakemake\n\nsnakemake.__version__ = '9.99.0'\n"
        "from snakemake.cli import main\n\nmain(sys.argv[1:])\n"
    )
    process = tried(restored, sys.executable, other, "--cores", "1", "-n", "figures")
    assert process.returncode != 0
    assert "this is Snakemake 9.99.0, but the metadata" in process.stdout
