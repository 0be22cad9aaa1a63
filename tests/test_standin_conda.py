import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

LOCK = Path(__file__).parents[1] / "requirements.lock"

SNAKEFILE = """
rule all:
    input: "table.json", "ini.json"

rule find:
    input: "find.py"
    output: "{env}.json"
    conda: "{env}.yaml"
    shell: "python {input} > {output}"

rule import_what_is_not_listed:
    output: touch("wrong")
    conda: "ini.yaml"
    shell: "python -c 'import tabulate'"
"""

FIND = """
import importlib.util, json, sys
names = ["tabulate", "iniconfig", "yaml", "numpy", "snakemake", "dissent"]
found = [name for name in names if importlib.util.find_spec(name)]
print(json.dumps({"found": found, "prefix": sys.prefix}))
"""


def environment_file(path, *packages, python="python >=3.11"):
    pins = [re.search(rf"^{name}==\S+", LOCK.read_text(), re.MULTILINE)[0] for name in packages]
    listed = "".join(f"      - {pin}\n" for pin in pins)
    path.write_text(f"channels: [x]\ndependencies:\n  - {python}\n  - pip\n  - pip:\n{listed}")
    return path


def run(*command, cwd):
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True)


def create(conda, file):
    """Have `conda` build the environment of `file` beside it."""
    command = ("env", "create", "--file", file, "--prefix", file.with_suffix(""))
    return run(conda, *command, cwd=file.parent)


@pytest.fixture
def project(tmp_path):
    """A workflow of two rules, each with an environment of one package."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "find.py").write_text(FIND)
    environment_file(tmp_path / "table.yaml", "tabulate")
    environment_file(tmp_path / "ini.yaml", "iniconfig")
    return tmp_path


def test_a_rule_finds_only_what_its_environment_lists(project, standin_conda):
    snakemake = run("snakemake", "--cores", "1", "--use-conda", cwd=project)
    assert snakemake.returncode == 0, snakemake.stderr
    table, ini = (json.loads((project / f"{name}.json").read_text()) for name in ("table", "ini"))
    assert table["found"] == ["tabulate"]
    assert ini["found"] == ["iniconfig"]
    assert len({table["prefix"], ini["prefix"], sys.prefix}) == 3

    wrong = run("snakemake", "--cores", "1", "--use-conda", "wrong", cwd=project)
    assert wrong.returncode == 1
    assert "No module named 'tabulate'" in wrong.stderr


def test_a_missing_transitive_dependency_is_refused(tmp_path, standin_conda):
    whole = environment_file(tmp_path / "whole.yaml", "jinja2", "markupsafe")
    assert create(standin_conda, whole).returncode == 0
    partial = environment_file(tmp_path / "partial.yaml", "jinja2")
    refused = create(standin_conda, partial)
    assert refused.returncode == 1
    assert "markupsafe" in refused.stderr


def test_another_python_is_refused(tmp_path, standin_conda):
    old = environment_file(tmp_path / "old.yaml", "tabulate", python="python <3.11")
    refused = create(standin_conda, old)
    assert refused.returncode == 1
    assert "python <3.11" in refused.stderr
