"""Why jobs run, against the causes that were put there."""

from itertools import product
from pathlib import Path

import pytest

from dissent.provenance.why import causes, first_cause, own_cause, unplanned


@pytest.fixture
def run(project, make_record, make_job):
    """Three finished jobs in a row, each named after its output, and the record of every output."""
    Path("start.txt").write_text("start")
    before, jobs, made_by = "start.txt", [], {}
    for name in ("first", "second", "third"):
        output = f"{name}.txt"
        inputs = {before: Path(before).read_text(), f"{name}.py": f"code of {name}"}
        outputs = {output: f"text of {name}"}
        Path(output).write_text(f"text of {name}")
        Path(f"{name}.py").write_text(f"code of {name}")
        made_by[output] = make_record(rule=name, inputs=inputs, outputs=outputs)
        jobs.append(make_job(made_by[output]))
        before = output
    return jobs, made_by


def named(found) -> list[tuple[str, str]]:
    return [(job.rule, cause) for job, cause in found]


def planned(jobs, *rules: str):
    return [job._replace(planned=job.rule in rules) for job in jobs]


def test_of_a_finished_run_nothing_is_said(run):
    jobs, made_by = run
    assert causes(jobs, made_by) == []
    assert unplanned(jobs, made_by) == []


def edit_code(jobs, made_by):
    Path("second.py").write_text("other code")
    return "code second.py changed: its content differs from the record"


def edit_output(jobs, made_by):
    Path("second.txt").write_text("other text")
    return "second.txt is not what its job wrote"


def lose_record(jobs, made_by):
    del made_by["second.txt"]
    return "second.txt has no record"


def change_param(jobs, made_by):
    jobs[1].params["seed"] = "2"
    return "param seed changed: 1 -> 2"


def change_input_set(jobs, made_by):
    jobs[1].inputs["more.txt"] = "more.txt"
    return "input more.txt is new"


def change_text(jobs, made_by):
    jobs[1] = jobs[1]._replace(text_sha256="0" * 64)
    return "the rule's shell command changed"


def lose_code(jobs, made_by):
    Path("second.py").unlink()
    return "code second.py is missing"


OWN = [
    *(edit_code, edit_output, lose_record, change_param, change_input_set, change_text, lose_code)
]


@pytest.mark.parametrize("change", OWN)
def test_a_job_is_planned_for_its_own_cause_and_the_next_for_its_input(run, change):
    jobs, made_by = run
    cause = change(jobs, made_by)
    assert named(causes(planned(jobs, "second", "third"), made_by)) == [
        ("second", cause),
        ("third", "input second.txt is made anew by second"),
    ]
    assert unplanned(planned(jobs, "second", "third"), made_by) == []


@pytest.mark.parametrize("change", OWN)
def test_a_cause_that_snakemake_does_not_see_is_told_of_the_jobs_it_does_not_plan(run, change):
    jobs, made_by = run
    cause = change(jobs, made_by)
    found = named(unplanned(jobs, made_by))
    # Of an altered result, the job that reads it differs from its record too.
    changed = "input second.txt changed: its content differs from the record"
    assert found == [("second", cause)] + [("third", changed)] * (change is edit_output)
    assert causes(jobs, made_by) == []


def test_a_missing_output_is_a_cause_for_its_job_alone(run):
    jobs, made_by = run
    Path("second.txt").unlink()
    assert named(causes(planned(jobs, "second"), made_by)) == [("second", "second.txt is missing")]
    # It is what its record says, as long as it is not made anew.
    assert unplanned(jobs, made_by) == []


def test_a_job_never_done_is_planned_for_its_missing_output(run):
    jobs, made_by = run
    Path("third.txt").unlink()
    del made_by["third.txt"]
    assert named(causes(planned(jobs, "third"), made_by)) == [("third", "third.txt is missing")]
    assert named(causes(planned(jobs, "second", "third"), made_by))[1] == (
        "third",
        "input second.txt is made anew by second",
    )


def test_with_no_cause_of_its_own_a_job_has_snakemakes_words(run):
    jobs, made_by = run
    assert named(causes(planned(jobs, "first"), made_by)) == [("first", "Snakemake's words")]


def test_what_an_input_that_is_made_anew_holds_now_does_not_matter(run):
    jobs, made_by = run
    Path("second.txt").write_text("other text")
    third = jobs[2]
    assert own_cause(third, made_by) == (
        "input second.txt changed: its content differs from the record"
    )
    assert own_cause(third, made_by, {"second.txt"}) is None
    assert first_cause(third, {"second.txt": jobs[1]}, made_by) == (
        "input second.txt is made anew by second"
    )
    # An input that the job did not have before is its own cause all the same.
    third.inputs["first.txt"] = "first.txt"
    assert own_cause(third, made_by, {"first.txt", "second.txt"}) == "input first.txt is new"


def test_the_first_of_several_causes_is_told(run):
    jobs, made_by = run
    edit_code(jobs, made_by)
    assert (
        own_cause(jobs[1], made_by) == "code second.py changed: its content differs from the record"
    )
    change_param(jobs, made_by)
    assert own_cause(jobs[1], made_by) == "param seed changed: 1 -> 2"
    change_text(jobs, made_by)
    assert own_cause(jobs[1], made_by) == "the rule's shell command changed"
    edit_output(jobs, made_by)
    assert own_cause(jobs[1], made_by) == "second.txt is not what its job wrote"


@pytest.mark.parametrize("chosen", list(product([False, True], repeat=3)))
def test_jobs_are_told_in_order_and_each_is_told_once(run, chosen):
    jobs, made_by = run
    for job in jobs:
        job.params["seed"] = "2"
    rules = [job.rule for job, planned in zip(jobs, chosen, strict=True) if planned]
    jobs = planned(jobs, *rules)
    cause = "param seed changed: 1 -> 2"
    assert named(causes(jobs, made_by)) == [(rule, cause) for rule in rules]
    others = [job.rule for job in jobs if job.rule not in rules]
    assert named(unplanned(jobs, made_by)) == [(rule, cause) for rule in others]
