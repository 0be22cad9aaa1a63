"""What a job tells the recorder, read back by a plain merge of dictionaries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissent.provenance import facts

SRC = Path(__file__).resolve().parents[2] / "src"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.fixture
def told(project, monkeypatch) -> Path:
    path = project / "facts"
    path.touch()
    monkeypatch.setenv(facts.VARIABLE, str(path))
    return path


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(calls=st.lists(st.dictionaries(st.text(), VALUES)))
def test_all_facts_are_read_back_and_the_last_of_a_name_counts(told, calls):
    told.write_text("")
    expected = {}
    for call in calls:
        facts.declare(**call)
        for name, value in call.items():
            expected[name] = value
    assert facts.declared(told) == expected


def test_outside_a_recorded_job_nothing_is_written(project, monkeypatch):
    monkeypatch.delenv(facts.VARIABLE, raising=False)
    facts.declare(device="cpu", sources=[{"name": "digits"}])
    assert list(project.iterdir()) == []


def test_what_is_no_json_is_refused_and_leaves_what_was_told_before(told):
    facts.declare(device="cpu")
    with pytest.raises(TypeError):
        facts.declare(device=object())
    assert facts.declared(told) == {"device": "cpu"}


def test_processes_of_a_job_that_tell_at_once_do_not_mix_their_lines(told):
    program = "from dissent.provenance import facts\n"
    program += "for i in range(200): facts.declare(**{f'NAME{i}': 'x' * 500})"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program.replace("NAME", name)],
            env=os.environ | {"PYTHONPATH": str(SRC)},
        )
        for name in "abcd"
    ]
    assert [process.wait() for process in processes] == [0] * 4
    assert len(told.read_text().splitlines()) == 800
    assert all(json.loads(line) for line in told.read_text().splitlines())
    assert facts.declared(told) == {f"{n}{i}": "x" * 500 for n in "abcd" for i in range(200)}
