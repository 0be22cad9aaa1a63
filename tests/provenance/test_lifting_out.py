"""The last section of docs/provenance.md: another project can have the code, by its steps alone."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

SOURCE = Path("src/dissent")
# What is copied.
COPIED = [SOURCE / "commandline.py", SOURCE / "files.py", *SOURCE.glob("provenance/*.py")]
SECTION = Path("docs/provenance.md").read_text().split("## In a project of your own\n")[1]
SNAKEFILE = SECTION.split("```python\n")[1].split("```")[0]
PIPELINE = SECTION.split("```yaml\n")[1].split("```")[0]
LIMA, OSLO = "results/first/tables/lima.csv", "results/first/tables/oslo.csv"
FIGURE = "results/first/figures/heights.svg"

FILES = {
    "Snakefile": SNAKEFILE,
    "dvc.yaml": PIPELINE,
    ".gitignore": "/results/\n/logs/\n/.snakemake/\n/.provenance/\n__pycache__/\n",
    ".dvcignore": "__pycache__/\n",
    "data/lima.csv": "height\n160.5\n190.25\n",
    "data/oslo.csv": "height\n180.5\n171.25\n",
    "envs/toy.yaml": f"dependencies:\n  - pip:\n      - pyyaml=={version('pyyaml')}\n",
    "src/toy/heights.py": "def mean(heights):\n    return sum(heights) / len(heights)\n",
    "scripts/summarise.py": """
from pathlib import Path

from toy import commandline
from toy.heights import mean


def main(arguments):
    heights = [float(line) for line in arguments.data.read_text().splitlines()[1:]]
    arguments.output.write_text(f"mean\\n{round(mean(heights), arguments.digits)}\\n")


if __name__ == "__main__":
    parser = commandline.parser("The mean of a table.")
    parser.add_argument("data", type=Path)
    parser.add_argument("digits", type=int)
    parser.add_argument("output", type=Path)
    commandline.run(main, parser.parse_args())
""",
    "scripts/draw.py": """
import sys
from pathlib import Path

*tables, output = map(Path, sys.argv[1:])
means = [table.read_text().split()[1] for table in tables]
texts = "".join(f'<text y="{20 * i}">{mean}</text>' for i, mean in enumerate(means, start=1))
output.write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{texts}</svg>')
""",
    "LICENSE": "Do with it what you like.\n",
    "CITATION.cff": """
title: Heights
abstract: People of two cities.
license: MIT
authors:
  - name: Someone
""",
    # Where the project's own code is looked for first, so that nothing gets the one installed here.
    "src/dissent/__init__.py": "raise SystemError('the other project was imported')\n",
}

Run = Callable[..., str]


def imported(node: ast.AST) -> Iterator[str]:
    """What code imports when it runs, not just for a type checker: `module` or `module.name`."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


@pytest.mark.parametrize("path", COPIED, ids=str)
def test_what_is_copied_needs_nothing_that_is_not(path):
    allowed = {f"dissent.{copied.relative_to(SOURCE).with_suffix('')}" for copied in COPIED}
    allowed = {name.replace("/", ".").removesuffix(".__init__") for name in allowed}
    for name in imported(ast.parse(path.read_text())):
        top = name.split(".")[0]
        if top == "dissent":
            assert {name, name.rpartition(".")[0]} & allowed, name
        else:
            # DVC and Snakemake both bring yaml.
            assert top in sys.stdlib_module_names | {"snakemake", "yaml"}, name


@pytest.fixture(scope="module")
def run(clean_environment) -> Run:
    """Run a command in a folder; what it prints, once it has ended with this status."""
    own = {"DVC_NO_ANALYTICS": "1"}

    def run(folder: Path, *command: str, status: int = 0) -> str:
        process = subprocess.run(
            command,
            cwd=folder,
            env=clean_environment | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.returncode == status, process.stdout[-5000:]
        return process.stdout

    return run


@pytest.fixture(scope="module")
def toy_command(run) -> Run:
    """Run the command of the other project, which never speaks of this one."""

    def command(folder: Path, *arguments: str, status: int = 0) -> str:
        call = ["env", "PYTHONPATH=src", "python", "-m", "toy.provenance.main", *arguments]
        said = run(folder, *call, status=status)
        assert "dissent" not in said.replace(str(folder), "")
        return said

    return command


@pytest.fixture(scope="module")
def lifted(run, tmp_path_factory) -> Path:
    """A project made by the steps of the documentation, run and sealed; do not change it."""
    folder = tmp_path_factory.mktemp("lifted") / "project"
    for path in COPIED:
        copy = folder / "src/toy" / path.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text().replace("dissent", "toy"))
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "test")
    run(folder, "git", "config", "user.email", "test@example.org")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "The project")
    run(folder, "snakemake", "--cores", "2")
    run(folder, "dvc", "repro")
    return folder


@pytest.fixture
def project(lifted, tmp_path) -> Path:
    """A copy of the project, to change; modification times are kept."""
    return shutil.copytree(lifted, tmp_path / "project")


def test_the_other_project_runs_with_its_own_code(lifted, run):
    assert (lifted / LIMA).read_text() == "mean\n175.4\n"
    assert (lifted / OSLO).read_text() == "mean\n175.9\n"
    # What the project is kept from: here, and in its records.
    said = run(lifted, "env", "PYTHONPATH=src", "python", "-c", "import dissent", status=1)
    assert "the other project was imported" in said
    records = [path.read_text() for path in lifted.glob("results/first/provenance/**/*.json")]
    assert len(records) == 3
    assert not any("dissent" in record for record in records)
    (pinned,) = {json.dumps(json.loads(record)["environment"]["packages"]) for record in records}
    assert pinned == json.dumps({"pyyaml": version("pyyaml")})


def test_all_holds_and_nothing_would_run(lifted, run, toy_command):
    said = toy_command(lifted, "audit")
    assert said == "3 jobs and their 3 files in results/first: everything holds\n"
    assert toy_command(lifted, "why") == "nothing would run\n"
    assert run(lifted, "git", "status", "--porcelain") == "?? dvc.lock\n"


def planned(why: str) -> dict[str, str]:
    """The first output of every job that would run, with the cause."""
    jobs = [line.split("): ", 1) for line in why.splitlines()]
    return {job.split(" (")[1].split(" and ")[0]: cause for job, cause in jobs}


def test_edited_code_plans_the_jobs_that_use_it(project, toy_command):
    script, module = project / "scripts/draw.py", project / "src/toy/heights.py"
    text = script.read_text()
    script.write_text(text + "# edited\n")
    changed = "changed: its content differs from the record"
    assert planned(toy_command(project, "why")) == {FIGURE: f"code scripts/draw.py {changed}"}
    script.write_text(text)
    module.write_text(module.read_text() + "# edited\n")
    assert planned(toy_command(project, "why")) == {
        LIMA: f"code src/toy/heights.py {changed}",
        OSLO: f"code src/toy/heights.py {changed}",
        FIGURE: f"input {LIMA} is made anew by summarise",
    }


def test_results_without_metadata_are_restored_and_made_again_alike(project, run, toy_command):
    shutil.rmtree(project / ".snakemake")
    refused = run(project, "snakemake", "--cores", "2", status=1)
    assert "run `toy restore`, or delete" in refused
    assert toy_command(project, "restore").startswith("3 files are as their records say")
    assert "Nothing to be done" in run(project, "snakemake", "--cores", "2")
    assert toy_command(project, "audit", "--replay", "all").endswith("everything holds\n")


def test_a_changed_byte_is_found(project, toy_command):
    content = (project / LIMA).read_bytes()
    (project / LIMA).write_bytes(content.replace(b"5", b"6"))
    said = toy_command(project, "audit", FIGURE, "--json", status=1)
    found = {(finding["level"], finding["path"]) for finding in json.loads(said)["findings"]}
    assert found == {
        ("integrity", LIMA),
        ("currency", FIGURE),
        ("consistency", "results/first/tables"),
    }


def test_the_run_is_exported(lifted, tmp_path, toy_command):
    toy_command(lifted, "rocrate", str(tmp_path / "crate"))
    made = {path.relative_to(tmp_path / "crate") for path in (tmp_path / "crate").rglob("*")}
    graph = json.loads((tmp_path / "crate/ro-crate-metadata.json").read_text())["@graph"]
    assert {Path(FIGURE), Path(LIMA), Path("data/lima.csv"), Path("LICENSE")} < made
    assert "dissent" not in json.dumps(graph)
