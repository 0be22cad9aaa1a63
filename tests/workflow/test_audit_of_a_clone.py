"""What `dissent audit` finds in a clone of a sealed run to which one thing has been done."""

import hashlib
import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from forked import standin

from conftest import TOOLS, clone_of, edited, run, surroundings

PAIRS = "results/demo/metrics/handwritten/pairs.csv"
MODELS = "results/demo/metrics/handwritten/models.csv"
FIG1 = "results/demo/figures/no_one_representation/fig1_error_inconsistency.svg"
LEDGER = Path("results/demo/provenance")


@pytest.fixture(scope="module")
def clone(sealed, tmp_path_factory) -> Path:
    return clone_of(sealed, tmp_path_factory.mktemp("audit") / "clone")


def dissent(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [standin("dissent"), *arguments]
    return subprocess.run(command, cwd=folder, env=surroundings(), capture_output=True, text=True)


def findings(folder: Path, *arguments: str) -> list[tuple[str, str]]:
    """Level and path of every finding; the exit status must agree with their number."""
    process = dissent(folder, "audit", "--json", *arguments)
    assert process.returncode in (0, 1), process.stderr
    found = json.loads(process.stdout)["findings"]
    assert process.returncode == bool(found)
    assert all(finding["what"] and finding["mend"] for finding in found)
    return [(finding["level"], finding["path"]) for finding in found]


def record_of(folder: Path, output: str) -> Path:
    return folder / LEDGER / f"{Path(output).relative_to(LEDGER.parent)}.json"


def forged(folder: Path, output: str, forge):
    """The record of an output with its content changed by `forge`, for a while."""
    path = record_of(folder, output)
    content = json.loads(path.read_text())
    forge(content)
    return edited(path, json.dumps(content))


def test_a_sealed_run_holds(clone):
    process = dissent(clone, "audit")
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.endswith("everything holds\n")


def test_the_chain_of_a_figure_names_file_rule_commit_params_and_leaves(clone):
    process = dissent(clone, "audit", FIG1)
    assert process.returncode == 0
    head = subprocess.run(
        ["git", "log", "--format=%H"], cwd=clone, capture_output=True, text=True
    ).stdout.split()
    made_at = json.loads(record_of(clone, FIG1).read_text())["git"]["commit"]
    assert made_at in head
    digest = hashlib.sha256((clone / FIG1).read_bytes()).hexdigest()
    for words in (
        *(FIG1, digest[:12], "fig1_error_inconsistency", made_at[:7]),
        *("measure_pairs", "resamples", "100", "train_supervised", "make_dataset"),
        *("CC BY 4.0", "cpu", "envs/torch.yaml"),
    ):
        assert words in process.stdout, words


def test_the_page_of_a_figure_holds_the_picture_and_every_digest(clone, tmp_path):
    page = tmp_path / "fig1.html"
    assert dissent(clone, "audit", FIG1, "--html", str(page)).returncode == 0
    text = page.read_text()
    chain = json.loads(dissent(clone, "audit", FIG1, "--json").stdout)["chains"][0]
    assert "data:image/svg+xml" in text
    for job in chain["jobs"]:
        for file in job["inputs"].values():
            assert file["sha256"] in text


def test_a_changed_byte_is_found_though_size_and_time_are_kept(clone):
    path = clone / PAIRS
    content, times = path.read_bytes(), path.stat()
    try:
        path.write_bytes(content.replace(b"0", b"1", 1))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert ("integrity", PAIRS) in findings(clone)
        assert ("integrity", PAIRS) in findings(clone, FIG1)
        # dvc.lock is compared with all of the run.
        others = findings(clone, "results/demo/checkpoints/resnet-s0.safetensors")
        assert others == [("consistency", "results/demo/metrics")]
    finally:
        path.write_bytes(content)


def test_a_missing_file_is_found(clone):
    path = clone / PAIRS
    content = path.read_bytes()
    try:
        path.unlink()
        assert ("integrity", PAIRS) in findings(clone, FIG1)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("forge", "level"),
    [
        (lambda record: record["outputs"][PAIRS].update(sha256="0" * 64), "integrity"),
        (lambda record: record["outputs"][PAIRS].update(bytes=1), "integrity"),
        (lambda record: record.update(command=record["command"] + " --better"), "currency"),
        (lambda record: record.pop("environment"), "closure"),
        (lambda record: record["params"].update(resamples="99999"), "currency"),
        (lambda record: record.update(text_sha256="0" * 64), "currency"),
        (lambda record: record["inputs"].pop(MODELS), "currency"),
        (lambda record: record["inputs"][MODELS].update(sha256="0" * 64), "consistency"),
        (lambda record: record.update(rule="measure_models"), "currency"),
        (lambda record: record["environment"]["packages"].update(numpy="0.1"), "closure"),
    ],
)
def test_a_forged_record_is_found(clone, forge, level):
    with forged(clone, PAIRS, forge):
        found = findings(clone, PAIRS)
        assert (level, PAIRS) in found
        # Whatever is forged, dvc.lock has the bytes the records had.
        assert ("consistency", "results/demo/provenance/metrics") in found


def test_what_nothing_here_can_tell_of_a_record_is_held_by_the_lock(clone):
    with forged(clone, PAIRS, lambda record: record["git"].update(commit="0" * 40)):
        assert findings(clone, PAIRS) == [("consistency", "results/demo/provenance/metrics")]


def test_a_record_that_is_no_record_is_named(clone):
    with edited(record_of(clone, PAIRS), "{"):
        process = dissent(clone, "audit")
    assert process.returncode == 1
    assert "results/demo/provenance/metrics/handwritten/pairs.csv.json" in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


def test_a_forged_lock_is_found(clone):
    lock = clone / "dvc.lock"
    text = lock.read_text()
    at = text.index("path: results/demo/metrics\n")
    md5 = text.index("md5: ", text.index("hash: md5", at)) + len("md5: ")
    with edited(lock, text[:md5] + "0" * 32 + text[md5 + 32 :]):
        assert ("consistency", "results/demo/metrics") in findings(clone)


def test_an_orphan_is_found(clone):
    orphan = clone / "results/demo/metrics/by_hand.csv"
    try:
        orphan.write_text("x\n")
        assert ("currency", "results/demo/metrics/by_hand.csv") in findings(clone)
    finally:
        orphan.unlink()


def test_an_edited_script_is_found(clone):
    script = "workflow/scripts/metrics/measure_pairs.py"
    with edited(clone / script, (clone / script).read_text() + "# edited\n"):
        found = findings(clone, PAIRS)
    assert {("closure", script), ("currency", PAIRS)} <= set(found)


@pytest.mark.parametrize(
    "path",
    [
        *("Snakefile", "workflow/rules/claims.smk", "config/demo.yaml", "config/models/test.csv"),
        "src/dissent/config.py",
    ],
)
def test_what_shapes_the_workflow_has_to_be_committed(clone, path):
    with edited(clone / path, (clone / path).read_text() + "\n"):
        assert ("closure", path) in findings(clone, PAIRS)


def test_guides_and_tests_need_not_be_committed(clone):
    with edited(clone / "README.md", "x"), edited(clone / "tests/test_files.py", "x"):
        assert findings(clone) == []


def test_a_stage_that_the_lock_does_not_have_was_never_sealed(clone):
    lock = clone / "dvc.lock"
    stages = yaml.safe_load(lock.read_text())
    del stages["stages"]["metrics"]
    with edited(lock, yaml.safe_dump(stages)):
        process = dissent(clone, "audit", PAIRS)
    assert process.stdout.splitlines()[-2] == (
        "consistency: results/demo/metrics was never sealed: `dvc repro`"
    )


def test_a_run_that_no_stage_covers_is_named_with_the_option(clone):
    process = dissent(clone, "audit", "results/test/metrics/handwritten/pairs.csv")
    assert process.returncode == 1
    (said,) = process.stderr.splitlines()
    assert "results/test/metrics/handwritten/pairs.csv is not in results/demo" in said
    assert "--configfile" in said


def test_page_and_json_can_be_had_together(clone, tmp_path):
    process = dissent(clone, "audit", FIG1, "--json", "--html", str(tmp_path / "fig1.html"))
    assert json.loads(process.stdout)["holds"]
    assert (tmp_path / "fig1.html").read_text().startswith("<!")


def test_a_reader_that_has_read_enough_and_a_terminal_without_unicode_are_no_errors(clone):
    search = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": search, "PYTHONIOENCODING": "ascii"}
    shell = f"dissent audit {FIG1} --json | true; dissent audit {FIG1} | head -n 1"
    process = subprocess.run(
        shell, shell=True, cwd=clone, env=environment, capture_output=True, text=True
    )
    assert process.stderr == ""
    assert process.stdout.startswith(FIG1)
    whole = subprocess.run(
        ["dissent", "audit", FIG1], cwd=clone, env=environment, capture_output=True, text=True
    )
    assert whole.returncode == 0, whole.stderr
    assert "?" in whole.stdout


def test_an_input_that_neither_git_nor_a_digest_pins_is_found(clone):
    # A module that nobody has added to git, as its own record honestly says.
    script = clone / "workflow/scripts/metrics/measure_pairs.py"
    module = clone / "src/dissent/unpinned.py"
    digest = hashlib.sha256(b"").hexdigest()

    def forge(record):
        record["inputs"]["src/dissent/unpinned.py"] = {"sha256": digest, "bytes": 0}

    try:
        module.touch()
        text = script.read_text().replace(
            "import argparse", "import argparse\nimport dissent.unpinned"
        )
        with edited(script, text), forged(clone, PAIRS, forge):
            assert ("closure", "src/dissent/unpinned.py") in findings(clone, PAIRS)
    finally:
        module.unlink()


@pytest.mark.parametrize("source", [{"licence": "MIT"}, {"package": "scikit-learn"}])
def test_a_source_without_pin_or_licence_is_found(clone, source):
    data = "results/demo/data/handwritten.safetensors"
    with forged(clone, data, lambda record: record.update(sources=[source | {"name": "digits"}])):
        assert ("closure", data) in findings(clone, data)


def test_a_chain_forged_so_that_it_agrees_with_itself_is_caught_by_doing_it_again(clone):
    """Pairs improved by hand, figures drawn from them, all records and dvc.lock in line."""
    pairs = clone / PAIRS
    rows = pairs.read_text().splitlines()
    rows[1] = rows[1].replace("0.", "0.9", 1)
    pairs.write_text("\n".join(rows) + "\n")
    drawn = ["fig1_error_inconsistency.svg", "fig2_ensemble_gain.svg"]
    for figure in drawn:
        record = json.loads(record_of(clone, str(Path(FIG1).with_name(figure))).read_text())
        subprocess.run(
            shlex.split(record["command"]),
            cwd=clone,
            env=surroundings() | {"PYTHONPATH": "src"},
            check=True,
            capture_output=True,
        )
    for path in (clone / LEDGER).rglob("*.json"):
        record = json.loads(path.read_text())
        for name, file in [*record["inputs"].items(), *record["outputs"].items()]:
            data = (clone / name).read_bytes()
            file.update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        path.write_text(json.dumps(record, indent=1) + "\n")
    run(clone, "dissent", "restore")
    run(clone, "dvc", "commit", "--force", "metrics", "figures")
    run(clone, "git", "commit", "--quiet", "--all", "--message", "Better")
    assert findings(clone, FIG1) == []
    found = findings(clone, FIG1, "--replay", "all")
    assert found == [("replay", PAIRS)]
