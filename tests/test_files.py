import hashlib
import logging
import signal
import subprocess
import sys

import pandas as pd
import pytest

from dissent.files import atomic, leftovers, sha256, write_table
from dissent.progress import progress


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    with pytest.raises(RuntimeError), atomic(tmp_path / "table.csv") as path:
        path.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == "old"


def test_a_write_makes_its_folder_and_keeps_the_suffix(tmp_path):
    with atomic(tmp_path / "new" / "figure.svg") as path:
        assert path.suffix == ".svg"
        path.write_text("new")
    assert (tmp_path / "new" / "figure.svg").read_text() == "new"


KILLED = """
import os, signal, sys
from dissent.files import atomic
with atomic(sys.argv[1]) as path:
    path.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", ["table.csv", "deep/er/a.b.tar.gz", "no suffix", ".hidden"])
def test_what_a_killed_writer_leaves_is_found_and_the_file_is_not_there(tmp_path, name):
    process = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / name], env={"PYTHONPATH": "src"}
    )
    assert process.returncode == -signal.SIGKILL
    (left,) = leftovers(tmp_path)
    assert left.read_text() == "half"
    assert left.parent == (tmp_path / name).parent
    assert not (tmp_path / name).exists()


def test_a_file_is_a_leftover_while_it_is_written_and_not_before_or_after(tmp_path):
    assert list(leftovers(tmp_path)) == []
    with atomic(tmp_path / "one.csv") as one, atomic(tmp_path / "deep" / "two") as two:
        one.touch()
        two.touch()
        assert set(leftovers(tmp_path)) == {one, two}
        assert list(leftovers(tmp_path / "deep")) == [two]
    assert list(leftovers(tmp_path)) == []
    with pytest.raises(RuntimeError), atomic(tmp_path / "three.csv") as path:
        path.touch()
        raise RuntimeError
    assert list(leftovers(tmp_path)) == []


def test_finished_files_of_any_name_are_no_leftovers(tmp_path):
    names = ("partial", "a.partial", "a.partial.csv", ".hidden", ".a.csv", "x.7.partial.csv")
    for name in names:
        (tmp_path / name).touch()
        with atomic(tmp_path / "deep" / name) as path:
            path.touch()
    assert list(leftovers(tmp_path)) == []
    assert list(leftovers(tmp_path / "nowhere")) == []


def test_a_table_reads_back(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y,z"]})
    write_table(table, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), table, check_dtype=False)


def test_files_are_written_without_pandas():
    code = "import sys, dissent.files; sys.exit('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "src"})
    assert done.returncode == 0


def test_digest_is_hashlibs(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"content").hexdigest()


def test_progress_yields_everything_and_tells_lines_where_there_is_no_terminal(caplog, monkeypatch):
    ticks = iter(range(0, 100, 3))
    monkeypatch.setattr("dissent.progress.time.monotonic", lambda: next(ticks))
    with caplog.at_level(logging.INFO, logger="dissent"):
        assert list(progress(range(6), "counting")) == list(range(6))
    # The clock ticks 3 s an item and lines come every 5 s: after the 2nd and the 4th item.
    assert caplog.messages == [
        "counting: 2 of 6, about 12 s left",
        "counting: 4 of 6, about 6 s left",
    ]


SCRIPT = """
import sys
from dissent import commandline
def main(arguments):
    {body}
commandline.run(main, commandline.parser("Toy.").parse_args())
"""


@pytest.mark.parametrize(
    ("body", "status", "told", "traceback"),
    [
        ("pass", 0, "", False),
        ("raise commandline.InputError('mend this')", 1, "error: mend this", False),
        ("raise ValueError('a bug')", 1, "a bug", True),
    ],
)
def test_scripts_end_with_a_sentence_or_a_traceback_in_the_log_too(
    tmp_path, body, status, told, traceback
):
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body), "--log", tmp_path / "logs" / "toy.log"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": "src"},
    )
    assert process.returncode == status
    for text in (process.stderr, (tmp_path / "logs" / "toy.log").read_text()):
        assert told in text
        assert ("Traceback" in text) == traceback
