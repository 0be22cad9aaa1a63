"""What each check of the audit finds, on small records; whole runs are in tests/workflow."""

from dataclasses import replace
from pathlib import Path

import pytest

from dissent.commandline import InputError
from dissent.provenance import audit, main
from dissent.provenance.ledger import makers, write_record
from dissent.provenance.record import SEPARATOR

TABLE = "results/toy/table.csv"
LEDGER = Path("results/toy/provenance")
COMMAND = "recorder --threads 8" + SEPARATOR + "python measure.py"


@pytest.fixture
def finished(project, make_record, make_job):
    """A recorded job with its files, here: (job, record)."""
    inputs = {"measure.py": "code", "environment.yaml": "pins", "data.txt": "data"}
    record = make_record(inputs=inputs)
    for path, text in {**inputs, TABLE: "table"}.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    write_record(LEDGER, record)
    return make_job(record, metadata={"shellcmd": COMMAND}, texts={}), record


def told(findings) -> list[tuple[str, str, str]]:
    return [(finding.path, finding.what, finding.mend) for finding in findings]


def currency(job, record):
    return told(audit.currency([record], [job] if job else [], makers([record])))


# Integrity


def test_files_that_are_as_recorded_are_whole(finished):
    assert audit.integrity([finished[1]], makers([finished[1]])) == []


def test_a_missing_output_can_be_pulled_or_made(finished):
    Path(TABLE).unlink()
    found = audit.integrity([finished[1]], makers([finished[1]]))
    assert told(found) == [(TABLE, "is not here", f"`dvc pull`, or `snakemake {TABLE}`")]


def test_a_record_that_forges_the_size_alone_is_found(finished):
    record = finished[1]
    record.outputs[TABLE] = record.outputs[TABLE]._replace(bytes=6)
    (found,) = audit.integrity([record], makers([record]))
    assert found.what == "has 5 bytes, its record says 6"


# Currency


def test_the_job_that_was_recorded_is_current(finished):
    assert currency(*finished) == []


def test_a_renamed_rule_is_told_with_a_mend_that_mends(finished):
    job, record = finished
    what = "was made by rule measure, which is now weigh"
    mend = "delete it and run the workflow"
    assert currency(job._replace(rule="weigh"), record) == [(TABLE, what, mend)]


def test_a_forged_command_is_found(finished):
    job, record = finished
    what = "was made by another command than its job has now"
    found = currency(job, replace(record, command="python measure.py --better"))
    assert found == [(TABLE, what, "delete it and run the workflow")]


def test_commands_are_compared_without_the_machine_and_its_threads(finished, monkeypatch):
    job, record = finished
    monkeypatch.setenv("HOME", "/home/other")
    script = "python measure.py /elsewhere/w.bin --x=/home/other/y 'a b' --threads 8 8"
    then = "python measure.py outside/w.bin '--x=~/y' 'a b' --threads 1 8"
    weights = {"outside/w.bin": "/elsewhere/w.bin"}
    job = job._replace(
        metadata={"shellcmd": "recorder" + SEPARATOR + script}, inputs=job.inputs | weights
    )
    assert audit.filled(job, replace(record, command=then)) == then


def test_of_a_changed_param_the_command_is_not_told_as_well(finished):
    job, record = finished
    command = job.metadata["shellcmd"] + " --seed 2"
    job = job._replace(params={"seed": "2"}, metadata={"shellcmd": command})
    assert [what for _, what, _ in currency(job, record)] == [
        "is out of date, param seed changed: 1 -> 2"
    ]


def test_a_recorded_file_without_a_job_is_to_be_deleted_only_if_its_inputs_are_here(finished):
    _, record = finished
    ((_, what, mend),) = currency(None, record)
    assert what == "is recorded, but no job of this workflow makes it"
    assert mend.startswith("delete it and its record")
    # Code that went with its rule makes no difference.
    Path("measure.py").unlink()
    assert currency(None, record) == [(TABLE, what, mend)]
    Path("data.txt").unlink()
    digest = record.inputs["data.txt"].sha256
    assert currency(None, record) == [
        (
            TABLE,
            "cannot be compared, since data.txt is not here",
            f"put it there (sha256 {digest})",
        )
    ]


def test_a_missing_input_that_a_job_makes_does_not_hinder_the_comparison(finished, make_record):
    _, record = finished
    Path("data.txt").unlink()
    made_by = makers([record, make_record(outputs={"data.txt": "data"})])
    (found,) = audit.currency([record], [], made_by)
    assert found.what == "is recorded, but no job of this workflow makes it"


def orphans(job, record) -> list[tuple[str, str]]:
    jobs = [job._replace(outputs=())]
    found = audit.orphans(jobs, [LEDGER / "table.csv.json"], makers([record]))
    return [(finding.path, finding.what) for finding in found]


def test_recorded_files_are_no_orphans_though_no_job_makes_them(finished):
    assert orphans(*finished) == []


def test_orphans_are_found_behind_links_and_beside_the_run(finished, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "by_hand.csv").write_text("x")
    results = LEDGER.parent
    (results / "linked").symlink_to(elsewhere)
    (results / "self").symlink_to(".")
    (results / "dangling").symlink_to("nothing")
    Path("results/other/provenance").mkdir(parents=True)
    Path("results/other/x.csv").write_text("another run's")
    Path("results/abandoned").mkdir()
    Path("results/notes.txt").write_text("x")
    made, belongs = "is made by no job of this workflow", "belongs to no run"
    assert orphans(*finished) == [
        ("results/toy/dangling", made),
        ("results/toy/linked/by_hand.csv", made),
        ("results/toy/self", made),
        ("results/abandoned", belongs),
        ("results/notes.txt", belongs),
    ]


def test_of_a_run_in_the_projects_own_folder_nothing_beside_it_is_named(finished):
    job, record = finished
    found = audit.orphans([job._replace(ledger=Path("results/provenance"))], [], makers([record]))
    assert {finding.what for finding in found} == {"is made by no job of this workflow"}


# Closure


def test_what_holds_a_leaf_is_git_with_the_content_of_the_commit_or_a_pin(make_record, content):
    record = make_record(
        inputs={"Snakefile": "edited", "ü.txt": "x", "loose.py": "y", "weights": "z"},
        params={"sha256": content("z").sha256},
    )
    notes = audit.leaf_notes([record], {}, {"Snakefile": False, "ü.txt": True})
    assert notes == {
        "Snakefile": "edited, not committed",
        "ü.txt": "in git",
        "loose.py": "not in git, not pinned",
        "weights": "pinned by its sha256",
    }
    assert told(audit.closure([], notes, ["a.smk"])) == [
        ("Snakefile", "is edited, not committed", "commit it"),
        ("a.smk", "is edited, not committed", "commit it"),
        ("loose.py", "is not in git, not pinned", "commit it, or give its sha256 in the config"),
    ]


def test_leaves_of_one_folder_that_nothing_holds_are_one_finding():
    loose = ["looks/b/2.png", "looks/a/1.png", "looks/b/3.png", "looks/b/1.png", "looks/0.png"]
    found = audit.closure([], dict.fromkeys(loose, "not in git, not pinned"), [])
    assert [(finding.path, finding.what) for finding in found] == [
        ("looks/0.png", "is not in git, not pinned"),
        ("looks/a/1.png", "is not in git, not pinned"),
        ("looks/b/1.png", "and 2 more in its folder are not in git, not pinned"),
    ]


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        ({}, "has no environment in its record"),
        ({"packages": {}}, "has no environment in its record"),
        ({"file": "a.yaml"}, "has an environment, a.yaml, that is no input of its job"),
    ],
)
def test_an_environment_that_is_not_recorded_is_found(finished, environment, what):
    assert audit.closure([finished[1]], {}, []) == []
    record = replace(finished[1], environment=environment)
    found = audit.closure([record], {}, [])
    assert told(found) == [(TABLE, what, "delete it and run the workflow")]


# Consistency


def test_an_input_of_another_size_than_its_maker_recorded_is_found(finished, make_record):
    _, record = finished
    maker = make_record(outputs={"data.txt": "data"})
    maker.outputs["data.txt"] = maker.outputs["data.txt"]._replace(bytes=99)
    found = audit.consistency([record], makers([record, maker]), LEDGER.parent)
    assert "was made from another data.txt than the one recorded" in [f.what for f in found]


# The command


def arguments(*words: str):
    return main.build_parser().parse_args(words)


def test_a_path_of_another_run_is_answered_with_the_option(finished, monkeypatch):
    monkeypatch.setattr(main, "load_jobs", lambda configfile: [finished[0]])
    with pytest.raises(InputError, match=r"^results/test/x\.csv is not in results/toy, .*--config"):
        main.main(arguments("audit", "results/test/x.csv"))
    assert main.load(arguments("audit", TABLE), [TABLE])[1]
