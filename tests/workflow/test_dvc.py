"""dvc.yaml against the workflow it drives, on the `test` run under the demo's name."""

import json
import math
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from dvc.cli import parse_args

from conftest import contents, run

PIPELINE = yaml.safe_load(Path("dvc.yaml").read_text())
STAGES = PIPELINE["stages"]
RESULTS = "results/demo"
PAGES = [Path("README.md"), *Path("docs").glob("*.md")]
COMMANDS = sorted(
    {
        command.split(" #")[0].strip()
        for page in PAGES
        for command in re.findall(r"(?:^|`|/)(dvc [a-z][^`\n]*)", page.read_text(), re.MULTILINE)
    }
)
EDITED = ("repeats: 1", "repeats: 2")


def outputs(stage: dict) -> dict[str, dict]:
    """A stage's outputs and metrics, with their options."""
    return {
        path: options
        for out in stage["outs"] + stage.get("metrics", [])
        for path, options in out.items()
    }


@pytest.mark.parametrize("name", STAGES)
def test_every_output_persists_and_is_kept_by_dvc_alone(name):
    # Persisting outputs are never deleted by DVC; those it does not cache would go into git.
    assert all(options == {"persist": True} for options in outputs(STAGES[name]).values())


@pytest.mark.parametrize("name", STAGES)
def test_every_dependency_is_in_the_project_or_made_by_a_stage(name):
    made = {path for stage in STAGES.values() for path in outputs(stage)}
    for path in STAGES[name]["deps"]:
        assert path in made or Path(path).exists(), path


def test_every_result_and_every_record_is_sealed(sealed):
    stages = yaml.safe_load((sealed / "dvc.lock").read_text())["stages"]
    assert set(stages) == set(STAGES)
    sealed_files = sum(out.get("nfiles", 1) for stage in stages.values() for out in stage["outs"])
    files = set(contents(sealed / RESULTS))
    assert sealed_files == len(files)
    assert {
        f"provenance/{name}.json" for name in ("claims.csv", "metrics/handwritten/pairs.csv")
    } < files
    assert [path.name for path in (sealed / "results").iterdir()] == ["demo"]
    assert run(sealed, "git", "status", "--porcelain") == ""


def test_a_second_repro_skips_every_stage(sealed):
    assert run(sealed, "dvc", "repro").count("didn't change, skipping") == len(STAGES)
    assert "up to date" in run(sealed, "dvc", "status")
    assert "in sync" in run(sealed, "dvc", "status", "--cloud")


def test_a_clone_pulls_every_file(sealed, tmp_path):
    run(tmp_path, "git", "clone", "--quiet", str(sealed), "clone")
    clone = tmp_path / "clone"
    assert not (clone / "results").exists()
    store = run(sealed, "dvc", "remote", "list").split()[1]
    run(clone, "dvc", "remote", "add", "--local", "--default", "store", store)
    run(clone, "dvc", "pull")
    assert contents(clone / "results") == contents(sealed / "results")
    assert run(clone, "git", "status", "--porcelain") == ""
    assert "up to date" in run(clone, "dvc", "status")


@pytest.fixture(scope="module")
def changed(sealed, tmp_path_factory) -> Path:
    """A copy of `sealed` with one leaf of the config edited, and run by Snakemake alone."""
    folder = tmp_path_factory.mktemp("changed") / "project"
    shutil.copytree(sealed, folder, symlinks=True)
    config = folder / "config/demo.yaml"
    assert EDITED[0] in config.read_text()
    config.write_text(config.read_text().replace(*EDITED))
    run(folder, "snakemake", "--cores", "2", "figures")
    return folder


@pytest.fixture(scope="module")
def resealed(changed, tmp_path_factory) -> Path:
    """A copy of `changed`, recorded by `dvc repro` and committed."""
    folder = tmp_path_factory.mktemp("resealed") / "project"
    shutil.copytree(changed, folder, symlinks=True)
    run(folder, "dvc", "repro")
    run(folder, "git", "commit", "--quiet", "--all", "--message", "One model fewer")
    return folder


def test_a_run_by_hand_leaves_git_alone(changed):
    assert run(changed, "git", "status", "--porcelain").split() == ["M", "config/demo.yaml"]


def test_an_edited_leaf_shows_as_old_and_new(changed):
    difference = json.loads(run(changed, "dvc", "params", "diff", "--json"))
    leaf = "no_one_representation.feature_mixing.repeats"
    assert difference == {"config/demo.yaml": {leaf: {"old": 1, "new": 2, "diff": 1}}}


def test_repro_records_what_was_run_by_hand_and_reverts_nothing(sealed, changed, resealed):
    assert contents(changed / "results") != contents(sealed / "results")
    assert contents(resealed / "results") == contents(changed / "results")
    assert "up to date" in run(resealed, "dvc", "status")
    assert run(resealed, "dvc", "repro").count("didn't change, skipping") == len(STAGES)


def test_the_difference_of_metrics_is_that_of_the_claims(sealed, resealed):
    old, new = (
        json.loads((folder / RESULTS / "claims.json").read_text()) for folder in (sealed, resealed)
    )
    expected = {
        f"{claim}.{name}": {
            "old": old[claim][name],
            "new": value,
            "diff": pytest.approx(value - old[claim][name]),
        }
        for claim, numbers in new.items()
        for name, value in numbers.items()
        if value != old[claim][name]
    }
    assert "mixed-features-beat-either.value" in expected
    printed = run(resealed, "dvc", "metrics", "diff", "--json", "HEAD~1", "HEAD")
    assert json.loads(printed) == {f"{RESULTS}/claims.json": expected}


def drawn(page: Path) -> list[dict]:
    """The Vega-Lite specifications in a page of plots."""
    text = page.read_text()
    starts = [match.end() for match in re.finditer(r"var spec = ", text)]
    return [json.JSONDecoder().raw_decode(text, start)[0] for start in starts]


@pytest.mark.parametrize("command", [("show",), ("diff", "HEAD~1", "HEAD")], ids=lambda c: c[0])
def test_plots_show_numbers_of_every_commit_asked_for(resealed, tmp_path, command):
    run(resealed, "dvc", "plots", *command, "--out", str(tmp_path))
    plots = drawn(tmp_path / "index.html")
    assert len(plots) == len(PIPELINE["plots"])
    options = [options for plot in PIPELINE["plots"] for options in plot.values()]
    assert {plot["title"]["text"] for plot in plots} == {option["title"] for option in options}
    for plot in plots:
        points = plot["data"]["values"]
        assert {point["rev"] for point in points} == set(command[1:] or ["workspace"])
        for axis in ("x", "y"):
            field = plot["encoding"][axis]["field"]
            assert all(math.isfinite(float(point[field])) for point in points)


def test_there_are_documented_commands():
    assert {"dvc repro", "dvc pull", "dvc metrics diff"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_is_one_that_dvc_takes(command):
    parse_args(shlex.split(command)[1:])
