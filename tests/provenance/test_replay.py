"""Jobs done again: what they read and write, and what is said where they write other bytes."""

import hashlib
import shlex

import pytest

from dissent.provenance.record import SEPARATOR
from dissent.provenance.replay import is_outside, replay

JOIN = """
import sys
from pathlib import Path

output, *inputs = sys.argv[1:]
Path(output).write_text("".join(Path(path).read_text() for path in inputs))
"""
TABLE = "results/toy/table.csv"


@pytest.fixture
def again(tmp_path, monkeypatch, make_record, make_job, content):
    """Replay a job that joins its data, files of a project or beside it, in its output.

    Nothing but the job's temporary folder may be written to.
    """
    project, temporary = tmp_path / "project", tmp_path / "temporary"
    for folder in (project, temporary):
        folder.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def run(data: dict[str, str], output=TABLE, log="logs/join.log", recorded=None, script=JOIN):
        (project / "join.py").write_text(script)
        for path, text in data.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text)
        before = contents(tmp_path)
        text = "".join(data.values()) if recorded is None else recorded
        record = make_record(inputs={"join.py": script} | data, outputs={output: text})
        command = shlex.join(["python", "join.py", output, *data])
        job = make_job(record, metadata={"shellcmd": f"record{SEPARATOR}{command}", "log": [log]})
        found = replay(job, record)
        assert contents(tmp_path) == before
        return found

    return run


def contents(folder) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_job_that_writes_the_same_bytes_is_as_recorded(again):
    assert again({"a.txt": "a", "data/b.txt": "b"}) == []


def test_a_job_that_writes_other_bytes_is_named(again):
    assert again({"a.txt": "a"}, recorded="A") == [
        (TABLE, "its job, done again, writes other bytes")
    ]


def test_inputs_outside_the_project_are_read_where_they_lie(again, tmp_path):
    beside = {"../outside/x.csv": "x", "data/../../outside/y.csv": "y"}
    assert again({**beside, f"{tmp_path}/z.csv": "z", "data/a.txt": "a"}) == []


def test_a_file_beside_the_temporary_folder_is_not_overwritten(again, tmp_path):
    # Where a copy of the input would come to lie, if its path were taken from the folder.
    there = tmp_path / "temporary/outside/x.csv"
    there.parent.mkdir()
    there.write_text("somebody's")
    assert again({"../outside/x.csv": "x"}) == []
    assert there.read_text() == "somebody's"


@pytest.mark.parametrize("path", ["../outside/table.csv", "results/../../table.csv", "{}/t.csv"])
@pytest.mark.parametrize("written", ["output", "log"])
def test_a_job_that_writes_outside_the_project_is_not_done_again(again, tmp_path, path, written):
    path = path.format(tmp_path)
    [(_, what)] = again({"a.txt": "a"}, **{written: path})
    assert what == f"cannot be made again, since its job writes to {path}, outside the project"


def test_a_missing_input_is_named(again, make_record, make_job):
    record = make_record(inputs={"gone.txt": ""}, outputs={TABLE: ""})
    job = make_job(record, metadata={"shellcmd": "", "log": []})
    expected = [(TABLE, "cannot be made again, since gone.txt is not here")]
    assert replay(job, record) == expected


def test_a_job_that_fails_gives_its_last_words(again):
    [(path, what)] = again({"a.txt": "a"}, script="raise SystemExit('no disk')")
    assert (path, what) == (TABLE, "its job fails when it is done again: no disk")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *((path, False) for path in ("a.txt", "..a/b.txt", "a/../b.txt", "./a.txt", "a/..b")),
        *((path, True) for path in ("../a.txt", "a/../../b.txt", "..", "/a.txt")),
    ],
)
def test_what_lies_outside(path, expected):
    assert is_outside(path) is expected
