"""The contract with Snakemake: what is known of its insides, asked of Snakemake itself."""

import inspect
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import snakemake as installed
from hypothesis import given
from hypothesis import strategies as st
from snakemake import persistence
from snakemake.api import SnakemakeApi
from snakemake.exceptions import LockException
from snakemake.persistence.file import FilePersistence
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import DAGSettings, OutputSettings, ResourceSettings

from dissent.commandline import InputError
from dissent.provenance import guard, snakemake_internals
from dissent.provenance.comparison import changes
from dissent.provenance.ledger import read_record, record_path
from dissent.provenance.snakemake_internals import (
    INCOMPLETE,
    LOCKS,
    METADATA,
    RECORD_FORMAT_VERSION,
    THREAD_VARIABLES,
    VERSION,
    _key_path,
    adjust_plan,
    differences,
    existing_outputs,
    is_incomplete,
    left_alone,
    load_jobs,
    read_metadata,
    remote_jobs,
    require_version,
    restored_metadata,
    write_metadata,
)

ROOT = Path(__file__).resolve().parents[2]
# What restored metadata leave to Snakemake's defaults, or cannot know.
LEFT_OUT = {"container_img_url", "external_jobid", "job_hash"}
TIMES = {"starttime", "endtime"}


@pytest.fixture
def snakemakes_own(project):
    """Snakemake's persistence in the working directory."""
    return FilePersistence(path=Path(".snakemake"))


@contextmanager
def read_workflow(prepare=lambda workflow: None):
    """Snakemake's own workflow of the Snakefile here, with the jobs that it plans."""
    with SnakemakeApi(OutputSettings(dryrun=True)) as api, guard.off():
        loaded = api.workflow(
            resource_settings=ResourceSettings(cores=1), snakefile=Path("Snakefile")
        )
        workflow = loaded._workflow
        prepare(workflow)
        loaded.dag(DAGSettings())
        workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=False)
        workflow._build_dag()
        yield workflow


def jobs_here(targets=None):
    with guard.off():
        return load_jobs(None, targets)


def planned_outputs(jobs) -> set[str]:
    return {output for job in jobs if job.planned for output in job.outputs}


# Versions


def test_the_snakemake_that_is_known_is_the_one_installed_and_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"snakemake=={VERSION}" in project["optional-dependencies"]["workflow"]
    assert installed.__version__ == VERSION
    assert require_version() is None
    assert RECORD_FORMAT_VERSION == persistence.RECORD_FORMAT_VERSION


@pytest.mark.parametrize("other", ["9.27.0", "9.27.10", "10.0.0"])
def test_another_snakemake_is_refused_before_anything_is_read(project, monkeypatch, other):
    monkeypatch.setattr(installed, "__version__", other)
    sentence = (
        f"this is Snakemake {other}, but the metadata that decide what runs again are known for "
        f"{VERSION} alone: use an environment with snakemake=={VERSION}"
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        require_version()
    with pytest.raises(InputError, match=re.escape(sentence)):
        load_jobs(None)
    assert list(project.iterdir()) == []


# Where and how metadata are kept


@given(st.text(min_size=1).filter(lambda path: "/" not in path) | st.text("aé/", min_size=1))
def test_metadata_lie_where_snakemake_puts_them(path):
    own = FilePersistence.__new__(FilePersistence)
    own._max_len = 255
    assert str(_key_path(METADATA, path)) == own._record_path(METADATA, path)


@pytest.mark.parametrize("length", [1, 2, 3, 188, 189, 190, 191, 192, 193, 380, 381, 382, 1000])
def test_metadata_of_long_paths_lie_there_too_and_can_be_read(snakemakes_own, length):
    path = "x" * length
    assert str(_key_path(METADATA, path)) == os.path.relpath(
        snakemakes_own._record_path(snakemakes_own._metadata_path, path)
    )
    write_metadata(path, {"rule": "made", "params": ["1"]})
    known = snakemakes_own._read_record(path)
    assert (known.rule, known.params) == ("made", ["1"])
    assert read_metadata(path) == {"rule": "made", "params": ["1"]}
    assert read_metadata(path + "x") is None


def test_snakemakes_metadata_are_read_as_it_wrote_them(snakemakes_own):
    record = persistence.MetadataRecord(
        rule="made", input=["a", "ü"], input_checksums={"a": "sha256:0"}, endtime=1.123456789
    )
    snakemakes_own._write_record("results/ü.txt", record)
    assert read_metadata("results/ü.txt") == record.model_dump()


@pytest.mark.parametrize("half", ["", '{"rule": "ma', "\0\0\0"])
def test_half_written_metadata_are_none(snakemakes_own, half):
    write_metadata("x", {"rule": "made"})
    _key_path(METADATA, "x").write_text(half)
    assert read_metadata("x") is None


@pytest.mark.parametrize("path", ["results/x", "x" * 400])
def test_incomplete_outputs_are_those_snakemake_marks_until_they_have_metadata(
    snakemakes_own, path
):
    assert not is_incomplete(path)
    snakemakes_own._mark_incomplete(path, None)
    assert is_incomplete(path)
    assert not is_incomplete(path + "x")
    assert not remote_jobs()
    write_metadata(path, {"rule": "made"})
    assert not is_incomplete(path)
    assert snakemakes_own._filter_incomplete_keys([path]) == set()


def test_a_job_handed_to_a_cluster_is_known_as_long_as_it_is_not_finished(snakemakes_own):
    assert not remote_jobs()
    for path, job in (("here", None), ("x" * 400, "slurm-123")):
        snakemakes_own._mark_incomplete(path, job)
    assert remote_jobs()
    snakemakes_own._unmark_incomplete("x" * 400)
    assert not remote_jobs()


def test_locks_are_where_snakemake_looks_for_them(snakemakes_own):
    snakemakes_own._write_locks("output", ["results/x"])
    snakemakes_own._write_locks("input", ["data"])
    assert len(list(snakemakes_own._read_locks())) == 2
    for path in LOCKS.glob("*.lock"):
        path.unlink()
    assert list(snakemakes_own._read_locks()) == []


def test_a_run_that_ends_leaves_the_locks_of_others(snakemakes_own, monkeypatch):
    for name in ("unlock", "cleanup_locks"):
        monkeypatch.setattr(FilePersistence, name, getattr(FilePersistence, name))
    snakemake_internals.leave_locks_of_others()
    monkeypatch.setattr(snakemakes_own, "all_inputfiles", lambda: ["data"], raising=False)
    monkeypatch.setattr(snakemakes_own, "all_outputfiles", lambda: ["results/x"], raising=False)
    with snakemakes_own.lock():
        mine = set(LOCKS.iterdir())
        other = LOCKS / "9.output.lock"
        other.write_text("results/y\n")
        assert snakemakes_own.locked
    assert len(mine) == 2
    assert set(LOCKS.iterdir()) == {other}
    monkeypatch.setattr(snakemakes_own, "all_outputfiles", lambda: ["results/y"])
    with pytest.raises(LockException), snakemakes_own.lock():
        raise AssertionError("begun, though locked")
    snakemakes_own.cleanup_locks()
    assert not snakemakes_own.locked


# A real run: what Snakemake wrote, and what its records tell


def test_restored_metadata_are_what_snakemake_itself_wrote(finished_toy, monkeypatch):
    monkeypatch.chdir(finished_toy.folder)
    compared = []
    for job in jobs_here():
        record = read_record(record_path(job.ledger, job.outputs))
        for output in job.outputs:
            wrote = read_metadata(output)
            restored = restored_metadata(job, record, job.texts, Path(output).stat().st_mtime)
            assert restored.keys() == persistence.MetadataRecord.model_fields.keys() - LEFT_OUT
            assert wrote.keys() == persistence.MetadataRecord.model_fields.keys()
            differing = {name for name in restored if restored[name] != wrote[name]}
            assert differing == {"starttime", "software_stack_hash"}
            # The recorder starts within the job, and the hash holds a path of this copy.
            assert wrote["starttime"] <= restored["starttime"] <= wrote["endtime"]
            assert restored["software_stack_hash"] is None
            compared.append(output)
    assert sorted(compared) == list(finished_toy.outputs)


def test_metadata_differ_from_no_record_of_a_real_run(finished_toy, monkeypatch):
    monkeypatch.chdir(finished_toy.folder)
    for job in jobs_here():
        record = read_record(record_path(job.ledger, job.outputs))
        for output in job.outputs:
            assert differences(output, record) == []


def test_what_restored_metadata_leave_out_is_empty_to_snakemake():
    fields = persistence.MetadataRecord().model_dump()
    assert {name: fields[name] for name in LEFT_OUT} == dict.fromkeys(LEFT_OUT)


def test_a_job_is_described_as_its_record_describes_it(finished_toy, monkeypatch):
    monkeypatch.chdir(finished_toy.folder)
    jobs = jobs_here()
    for job in jobs:
        record = read_record(record_path(job.ledger, job.outputs))
        held = {path: file.sha256 for path, file in record.inputs.items()}
        assert changes(job, record, held.get) == []
        assert list(job.params.items()) == list(record.params.items())
        assert (list(job.inputs), job.outputs) == (list(record.inputs), tuple(record.outputs))
        assert (job.ledger, job.planned) == (Path("results/toy/provenance"), False)
    params = next(job.params for job in jobs if job.outputs == ("results/toy/made/a.txt",))
    assert params == {
        "number": "1.5",
        "text": repr('it\'s "{quoted}"\nthen ünïcode -- $HOME `ls` \\'),
        "values": "[1, {'x': None}]",
        "pair": "('a', b'b')",
        "name": "'a'",
        "leaf": "1",
        "nothing": "None",
    }


def test_jobs_come_after_those_they_need(finished_toy, monkeypatch):
    monkeypatch.chdir(finished_toy.folder)
    seen = set()
    jobs = jobs_here()
    made = {output for job in jobs for output in job.outputs}
    for job in jobs:
        assert {path for path in job.inputs.values() if path in made} <= seen
        seen |= set(job.outputs)
    assert made == set(finished_toy.outputs)


BOTH = {"results/toy/joined.txt", "results/toy/joined.csv"}
MADE = {"results/toy/made/a.txt", "results/toy/made/b.txt"}
BIG, LAST = {"results/toy/big.txt"}, {"results/toy/last.txt"}


@pytest.mark.parametrize(
    ("targets", "outputs"),
    [
        (None, BIG | LAST | BOTH | MADE),
        ([], BIG | LAST | BOTH | MADE),
        (["some"], BOTH | MADE),
        (["results/toy/joined.csv"], BOTH | MADE),
        (["results/toy/made/a.txt", "big"], BIG | {"results/toy/made/a.txt"}),
        (["results/toy/made/new.txt"], {"results/toy/made/new.txt"}),
    ],
)
def test_jobs_are_those_the_targets_need(toy, targets, outputs):
    assert {output for job in jobs_here(targets) for output in job.outputs} == outputs


def test_no_targets_are_the_default_one_and_none_are_all(toy):
    text = Path("Snakefile").read_text()
    Path("Snakefile").write_text(text.replace('"results/toy/last.txt", "results', '"results'))
    assert {job.rule for job in jobs_here([])} == {"big"}
    assert {job.rule for job in jobs_here()} == {"big", "join", "make"}


def test_planned_jobs_are_told_with_snakemakes_reason(toy):
    Path("config.yaml").write_text(json.dumps({"leaf": 2, "size": 2**20}))
    jobs = jobs_here()
    assert planned_outputs(jobs) == LAST | BOTH | MADE
    reasons = {job.rule: job.reason for job in jobs}
    assert "Params have changed" in reasons["make"]
    assert "Input files updated by another job" in reasons["join"]
    assert reasons["big"] == ""


def test_another_config_file_counts(toy):
    Path("other.yaml").write_text(json.dumps({"leaf": 1, "size": 5}))
    with guard.off():
        jobs = load_jobs("other.yaml")
    assert planned_outputs(jobs) == set()
    command = next(job.metadata["shellcmd"] for job in jobs if job.rule == "big")
    assert " big 5 " in command


def test_a_job_has_its_threads_however_few_cores_are_here(finished_toy, monkeypatch):
    monkeypatch.chdir(finished_toy.folder)
    commands = [job.metadata["shellcmd"] for job in jobs_here() if job.rule == "make"]
    assert len(commands) == 2
    assert all(" --threads 23 " in command for command in commands)


def test_reading_the_workflow_says_nothing_and_leaves_logging_as_it_was(toy, capfd):
    jobs_here()
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("dissent").isEnabledFor(logging.ERROR)
    assert logging.root.manager.disable == logging.NOTSET


def test_thread_variables_are_those_that_snakemake_sets_to_a_jobs_threads(finished_toy):
    environment = json.loads((finished_toy.folder / "logs/a.json").read_text())
    told = environment.items() - os.environ.items()
    assert {name for name, value in told if value == "23"} == set(THREAD_VARIABLES)
    environment = json.loads((finished_toy.folder / "logs/join.json").read_text())
    assert {environment[name] for name in THREAD_VARIABLES} == {"1"}


# What Snakemake makes of restored metadata


def other_text(job, record):
    return replace(record, text_sha256="0" * 64)


def other_params(job, record):
    return replace(record, params={**record.params, "leaf": "2"})


def fewer_params(job, record):
    return replace(record, params={name: v for name, v in record.params.items() if name != "leaf"})


def other_input_set(job, record):
    return replace(record, inputs={**record.inputs, "more.txt": record.inputs["write.py"]})


def fewer_inputs(job, record):
    return replace(record, inputs={"write.py": record.inputs["write.py"]})


def other_input(job, record):
    script = record.inputs["write.py"]._replace(sha256="0" * 64)
    return replace(record, inputs={**record.inputs, "write.py": script})


@pytest.mark.parametrize(
    ("difference", "reason"),
    [
        (other_text, "Code has changed since last execution"),
        (other_params, "Params have changed since last execution"),
        (fewer_params, "Params have changed since last execution"),
        (other_input_set, "Set of input files has changed since last execution"),
        # Of an input that was not read there is no checksum.
        (fewer_inputs, "Updated input files: environment.yaml"),
        (other_input, "Updated input files: write.py"),
    ],
)
def test_snakemake_sees_each_difference_of_a_record_through_its_restored_metadata(
    toy, difference, reason
):
    restore_all(lambda job, record: record)
    assert planned_outputs(jobs_here()) == set()
    restore_all(
        lambda job, record: difference(job, record) if "made/a.txt" in job.outputs[0] else record
    )
    jobs = jobs_here()
    assert planned_outputs(jobs) == toy.made_anew_with("results/toy/made/a.txt")
    assert reason in next(job.reason for job in jobs if job.outputs[0].endswith("made/a.txt"))


@pytest.mark.parametrize(
    ("difference", "names"),
    [
        (lambda job, record: record, []),
        (lambda job, record: replace(record, command="other", logs=[], git={"x": 1}), []),
        (lambda job, record: replace(record, rule="formerly"), ["rule"]),
        (other_text, ["rule text"]),
        (other_params, ["params"]),
        (fewer_params, ["params"]),
        (other_input, ["inputs"]),
        # The sets are for Snakemake to compare, with those of the workflow as it now is.
        (other_input_set, []),
        (fewer_inputs, []),
        (
            lambda job, record: replace(other_params(job, other_input(job, record)), rule="x"),
            ["rule", "params", "inputs"],
        ),
    ],
)
def test_metadata_and_record_differ_in_what_is_another_and_nothing_else(toy, difference, names):
    output = "results/toy/made/a.txt"
    record = read_record(record_path(Path("results/toy/provenance"), [output]))
    other = difference(None, record)
    assert differences(output, other) == names
    # Restored from a record, metadata are as it says.
    restore_all(lambda job, of_job: other if output in job.outputs else of_job)
    assert differences(output, other) == []
    assert differences(output, record) == names


def test_without_metadata_all_differs(project, make_record):
    assert differences("results/x", make_record()) == ["rule", "rule text", "params"]


def test_snakemake_sees_a_rule_renamed_since_the_record_as_no_reason(toy):
    # A job is what it does; `dissent why` tells of the name.
    restore_all(lambda job, record: replace(record, rule="formerly"))
    assert read_metadata("results/toy/big.txt")["rule"] == "formerly"
    assert planned_outputs(jobs_here()) == set()


def restore_all(recorded) -> None:
    """Restore the metadata of all outputs from what `recorded` makes of their records."""
    shutil.rmtree(METADATA)
    for job in jobs_here():
        record = recorded(job, read_record(record_path(job.ledger, job.outputs)))
        for output in job.outputs:
            os.utime(output, (946684800, 946684800))
            write_metadata(output, restored_metadata(job, record, job.texts, 946684800))


def test_an_edited_input_is_seen_after_a_restore_and_an_edit_taken_back_is_not(toy):
    restore_all(lambda job, record: record)
    text = Path("write.py").read_text()
    Path("write.py").write_text(text + "# edited")
    assert planned_outputs(jobs_here()) == set(toy.outputs)
    Path("write.py").write_text(text)
    assert planned_outputs(jobs_here()) == set()


# Outputs that nothing has written to


def put_times_back(path: Path, status: os.stat_result) -> None:
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def append(path):
    with path.open("a") as file:
        file.write("more")


def write_and_put_times_back(path):
    before = path.stat()
    path.write_text(path.read_text().upper())
    put_times_back(path, before)


def replace_and_put_times_back(path):
    before = path.stat()
    Path("new").write_text(path.read_text().upper())
    put_times_back(Path("new"), before)
    Path("new").rename(path)


def swap_with_other(path):
    path.rename("between")
    shutil.copy2(path.with_stem("untouched"), path)


def remake_metadata_of_touched(path):
    # As `snakemake --touch`: a job of which nobody knows what it did.
    path.write_text("altered")
    start = time.time()
    os.utime(path)
    metadata = read_metadata(str(path))
    end = path.stat().st_mtime
    write_metadata(str(path), metadata | {"starttime": start, "endtime": end})


WRITINGS = [
    *(append, write_and_put_times_back, replace_and_put_times_back, swap_with_other),
    *(remake_metadata_of_touched, os.utime, lambda path: os.utime(path, (1, 1))),
    lambda path: shutil.copy2(path, "copy") and Path("copy").replace(path),
    lambda path: _key_path(METADATA, str(path)).unlink(),
]


def test_an_output_is_left_alone_until_anything_writes_to_it(run_toy, project):
    """One real run with an output for each way of writing, so that each starts from the truth."""
    names = ["untouched", *(f"output{i}" for i in range(len(WRITINGS)))]
    paths = [Path(f"results/toy/made/{name}.txt") for name in names]
    run_toy(project, *map(str, paths), "--cores", str(23 * len(paths)))
    recorded = time.time()
    for path in paths:
        metadata = read_metadata(str(path))
        assert left_alone(str(path), path.stat(), recorded)
        assert left_alone(path, path.stat(), metadata["starttime"])
        # What was known before the job is not known of what the job wrote.
        assert not left_alone(path, path.stat(), metadata["starttime"] - 1)
    for path, write in zip(paths[1:], WRITINGS, strict=True):
        write(path)
        assert not left_alone(path, path.stat(), recorded), write
    assert left_alone(paths[0], paths[0].stat(), recorded)


# Outputs that exist


def test_existing_outputs_are_the_files_that_rules_make_and_no_others(toy):
    for path in (
        *("results/toy/notes.txt", "results/toy/made/a.csv", "results/toy/made/a.txt.bak"),
        *("results/other/big.txt", "results/toy/made.txt", "results/toy/last.txt/deep"),
    ):
        if path.startswith("results/toy/last"):
            Path("results/toy/last.txt").unlink()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("no output")
    Path("results/toy/made/new.txt").write_text("an output that no target needs")
    with read_workflow() as workflow:
        assert existing_outputs(workflow, Path("results/toy")) == sorted(
            {*toy.outputs, "results/toy/made/new.txt"} - LAST
        )
        assert existing_outputs(workflow, Path("results/toy/made")) == [
            *("results/toy/made/a.txt", "results/toy/made/b.txt", "results/toy/made/new.txt")
        ]
        assert existing_outputs(workflow, Path("nowhere")) == []


# Jobs that are forced


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        ["results/toy/big.txt"],
        ["results/toy/joined.csv"],
        ["results/toy/made/a.txt"],
        ["results/toy/made/a.txt", "results/toy/last.txt", "results/toy/big.txt"],
    ],
)
def test_forced_outputs_are_planned_with_what_depends_on_them_and_nothing_else(toy, outputs):
    expected = set().union(*map(toy.made_anew_with, outputs))
    with read_workflow(lambda workflow: adjust_plan(workflow, outputs, print)) as workflow:
        needed = workflow.dag.needrun_jobs()
        assert {str(output) for job in needed for output in job.output} == expected


def test_forcing_an_output_that_no_target_needs_adds_no_job(toy):
    with read_workflow(
        lambda workflow: adjust_plan(workflow, ["results/toy/made/c.txt"], print)
    ) as workflow:
        assert not list(workflow.dag.needrun_jobs())
        outputs = {str(output) for job in workflow.dag.jobs for output in job.output}
        assert outputs == set(toy.outputs)


# Workflows that cannot be read

CANNOT_BE_READ = {
    "bad grammar": ("rule a:\n    output 'x'\n", "SyntaxError"),
    "unfinished": ("def half(:\n", "try `snakemake -n`"),
    "unknown name": ("rule a:\n    input: undefined\n", "name 'undefined' is not defined"),
    "own error": ("raise RuntimeError('my own')", "RuntimeError: my own"),
    "no maker of an input": ("rule a:\n    input: 'nowhere.txt'\n", "nowhere.txt"),
    "two rules of a name": ("rule a:\n    input: []\nrule a:\n    input: []\n", "already used"),
    "circle": (
        "rule all:\n    input: 'x'\nrule a:\n    input: 'x'\n    output: 'x'\n    shell: 'y'\n",
        "Cyclic",
    ),
    "failing input function": (
        "rule a:\n    input: lambda wildcards: wildcards.unknown\n",
        "unknown",
    ),
    "missing config": ("configfile: 'nowhere.yaml'\n", "nowhere.yaml"),
    "missing include": ("include: 'nowhere.smk'\n", "nowhere.smk"),
}


@pytest.mark.parametrize(("text", "told"), CANNOT_BE_READ.values(), ids=CANNOT_BE_READ)
def test_a_workflow_that_cannot_be_read_is_the_users_mistake(project, text, told):
    Path("Snakefile").write_text(text)
    with pytest.raises(InputError, match=re.escape(told)):
        load_jobs(None)


def test_without_a_snakefile_it_is_said_where_to_go(project):
    sentence = "there is no Snakefile here: run dissent in the project's folder"
    with pytest.raises(InputError, match=f"^{sentence}$"):
        load_jobs(None)
    assert list(project.iterdir()) == []


def test_an_unknown_target_or_config_file_is_the_users_mistake(toy):
    with pytest.raises(InputError, match=r"^No rule to produce nowhere/at\.all "):
        jobs_here(["nowhere/at.all"])
    with guard.off(), pytest.raises(InputError, match=r"nowhere\.yaml"):
        load_jobs("nowhere.yaml")
    Path("bad.yaml").write_text("leaf: [")
    with guard.off(), pytest.raises(InputError, match="not valid JSON or YAML"):
        load_jobs("bad.yaml")


def test_jobs_read_metadata_where_there_is_no_snakemake(project):
    """Rules' own environments do not have it."""
    program = (
        "import sys; sys.modules['snakemake'] = None\n"
        "import dissent.provenance.record\n"
        "from dissent.provenance.snakemake_internals import *\n"
        "write_metadata('x', {'rule': 'made'}); print(read_metadata('x'), is_incomplete('x'))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert process.stdout == "{'rule': 'made'} False\n", process.stderr


def test_the_constants_name_places_that_a_run_made(finished_toy):
    for folder in (METADATA, INCOMPLETE):
        assert (finished_toy.folder / folder).is_dir()
    assert snakemake_internals.LOCKS.parent == METADATA.parent


def test_the_scheduler_is_woken_by_one_timer_at_a_time(monkeypatch):
    assert "self._schedule_reevalutation(" in inspect.getsource(JobScheduler.schedule)
    monkeypatch.setattr(
        JobScheduler, "_schedule_reevalutation", JobScheduler._schedule_reevalutation
    )
    snakemake_internals.wake_by_one_timer()
    scheduler = JobScheduler.__new__(JobScheduler)
    scheduler._open_jobs = threading.Semaphore(0)
    for _ in range(2):
        for _ in range(5):
            scheduler._schedule_reevalutation(0.05)
        assert scheduler._open_jobs.acquire(timeout=60)
        assert not scheduler._open_jobs.acquire(timeout=0.5)
