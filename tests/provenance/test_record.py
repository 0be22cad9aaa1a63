"""The recorder as rules run it: a process around a job, whose record tells the truth or is not."""

import hashlib
import json
import os
import platform
import shlex
import signal
import sys
import time
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

from dissent.provenance.ledger import read_record
from dissent.provenance.record import named, pinned_versions, recorded, without_machine
from own_git import git

RECORD = Path("out/provenance/made.txt.json")
WRITES = "open('out/made.txt', 'w').write('made')"


def described(path: str) -> dict[str, object]:
    data = Path(path).read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


@pytest.fixture
def repository(project) -> Path:
    """The project as a git repository with one commit."""
    git("init", "--quiet")
    for name in ("code.py", "dvc.lock"):
        Path(name).write_text("first")
    git("add", "code.py", "dvc.lock")
    git("commit", "--quiet", "--message", "first")
    return project


def test_a_record_says_what_was_made_from_what_how_and_when(run_recorder):
    program = f"import time; {WRITES}; print(time.time())"
    moments = [time.time()]
    process = run_recorder(
        program, arguments=["--seed", "1", "--", "a b"], environment={"HOME": "/nowhere"}
    )
    assert process.returncode == 0, process.stderr
    moments += [float(process.stdout), time.time()]
    content = json.loads(RECORD.read_text())
    start, end = (datetime.fromisoformat(content.pop(name)) for name in ("start", "end"))
    assert start.utcoffset() == end.utcoffset() == timedelta(0)
    # Records tell milliseconds, cut off.
    assert moments[0] - 0.001 <= start.timestamp() <= moments[1]
    assert moments[1] - 0.001 <= end.timestamp() <= moments[2]
    assert shlex.split(content.pop("command")) == [
        *(sys.executable, "-c", program),
        *("--seed", "1", "--", "a b"),
    ]
    machine = content.pop("machine")
    assert machine.pop("processor")
    assert machine == {"device": "cpu", "threads": 3}
    assert content == {
        "format": 1,
        "rule": "toy",
        "text_sha256": "0" * 64,
        "inputs": {path: described(path) for path in ("in.txt", "environment.yaml")},
        "outputs": {"out/made.txt": described("out/made.txt")},
        "logs": ["logs/toy.log"],
        "environment": {
            "file": "environment.yaml",
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            # What is here, not what the file pins.
            "packages": {"pytest": version("pytest")},
        },
    }


def test_the_job_sees_its_arguments_streams_folder_and_environment_untouched(run_recorder, project):
    program = f"import os, sys; {WRITES}; print(sys.argv[1:], os.getcwd(), os.environ['MINE'])"
    process = run_recorder(
        program + "; print('said', file=sys.stderr)",
        arguments=["", "a b", "--rule", "--", "é\n$HOME"],
        environment={"MINE": "my value"},
    )
    arguments = ["", "a b", "--rule", "--", "é\n$HOME"]
    assert process.stdout == f"{arguments} {project} my value\n"
    assert process.stderr == "said\n"


def test_all_outputs_are_recorded_under_the_first(run_recorder):
    program = "[open(f'out/{n}', 'w').write(n) for n in ('second.csv', 'ü $1.svg')]"
    assert run_recorder(program, outputs=["out/ü $1.svg", "out/second.csv"]).returncode == 0
    record = json.loads(Path("out/provenance/ü $1.svg.json").read_text())
    assert record["outputs"] == {p: described(p) for p in ("out/ü $1.svg", "out/second.csv")}


def test_large_files_are_recorded_with_their_digests_and_the_cache_learns_them(run_recorder):
    Path("in.txt").write_bytes(b"i" * 2**20)
    for letter in "ab":
        program = f"open('out/made.txt', 'w').write('{letter}' * 2**20)"
        assert run_recorder(program).returncode == 0
        record = json.loads(RECORD.read_text())
        assert record["inputs"]["in.txt"] == described("in.txt")
        assert record["outputs"] == {"out/made.txt": described("out/made.txt")}
    known = [
        json.loads(path.read_text())["sha256"] for path in Path(".provenance/hashes").iterdir()
    ]
    assert set(known) == {described(path)["sha256"] for path in ("in.txt", "out/made.txt")}


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("sys.exit(1)", 1),
        ("sys.exit(77)", 77),
        ("raise ValueError", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", 128 + signal.SIGTERM),
        ("os.abort()", 128 + signal.SIGABRT),
    ],
)
def test_the_status_of_a_failed_job_is_passed_on_and_nothing_is_recorded(
    run_recorder, ending, status
):
    process = run_recorder(f"import os, signal, sys; {WRITES}; {ending}")
    assert process.returncode == status
    assert not Path("out/provenance").exists()
    assert "dissent" not in process.stderr


def test_a_failed_job_leaves_the_record_of_an_earlier_one_as_it_was(run_recorder):
    assert run_recorder(WRITES).returncode == 0
    earlier = RECORD.read_bytes()
    assert run_recorder(f"{WRITES}; raise SystemExit(2)").returncode == 2
    assert RECORD.read_bytes() == earlier
    assert [path.name for path in RECORD.parent.iterdir()] == [RECORD.name]


CHANGES = {
    "written to": "open('in.txt', 'w').write('other')",
    "in place, its size and times put back": (
        "s = os.stat('in.txt'); open('in.txt', 'r+').write('daer');"
        " os.utime('in.txt', ns=(s.st_atime_ns, s.st_mtime_ns))"
    ),
    "replaced, its size and times kept": (
        "s = os.stat('in.txt'); open('new', 'w').write('daer');"
        " os.utime('new', ns=(s.st_atime_ns, s.st_mtime_ns)); os.replace('new', 'in.txt')"
    ),
    "deleted": "os.unlink('in.txt')",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_input_changed_while_the_job_ran_is_an_error(run_recorder, change):
    process = run_recorder(f"import os; {WRITES}; {change}")
    assert process.returncode == 1
    assert process.stderr == (
        "error: in.txt was changed while the job that reads it ran: run it again\n"
    )
    assert not RECORD.exists()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_code_changed_while_the_job_ran_is_recorded_as_it_was_with_a_warning(run_recorder, change):
    Path("code.py").write_text("read")
    before = described("code.py")
    program = f"import os; {WRITES}; {change.replace('in.txt', 'code.py')}"
    process = run_recorder(program, inputs=["code.py", "environment.yaml"])
    assert process.returncode == 0
    assert process.stderr == (
        "warning: code.py was changed while the job that reads it ran: "
        "the record has it as it was\n"
    )
    assert json.loads(RECORD.read_text())["inputs"]["code.py"] == before


def test_inputs_that_a_record_could_not_tell_apart_are_an_error_before_the_job_starts(
    run_recorder, project, tmp_path_factory
):
    elsewhere = [tmp_path_factory.mktemp(name) / "weights.bin" for name in ("one", "other")]
    for path in elsewhere:
        path.write_text("weights")
    process = run_recorder(WRITES, inputs=[*map(str, elsewhere), "environment.yaml"])
    assert process.returncode == 1
    assert process.stderr == (
        f"error: {elsewhere[0]} and {elsewhere[1]} would have one name in the record, "
        "outside/weights.bin: rename one of them\n"
    )
    assert not Path("out/made.txt").exists()
    # One file in two spellings is one input.
    again = ["in.txt", "./in.txt", str(project / "in.txt"), "environment.yaml"]
    assert run_recorder(WRITES, inputs=again).returncode == 0


@pytest.mark.parametrize(
    "touch",
    [
        "os.utime('in.txt')",
        "os.utime('in.txt', (1, 1))",
        "open('in.txt', 'w').write('read')",
        "shutil.copy('in.txt', 'new'); os.replace('new', 'in.txt')",
        "os.chmod('in.txt', 0o600)",
    ],
)
def test_an_input_that_holds_the_same_after_the_job_is_no_error(run_recorder, touch):
    assert run_recorder(f"import os, shutil; {WRITES}; {touch}").returncode == 0
    assert json.loads(RECORD.read_text())["inputs"]["in.txt"] == described("in.txt")


def test_a_promised_output_that_was_not_written_is_an_error(run_recorder):
    process = run_recorder(WRITES, outputs=["out/made.txt", "out/other.txt"])
    assert process.returncode == 1
    assert process.stderr == (
        "error: the job ended well but did not write out/other.txt: mend its script\n"
    )
    assert not RECORD.exists()


VALUES = {
    "quotes": "it's \"both\" `and` \\'",
    "braces": "{input} {{x}} {",
    "lines": "one\ntwo\r\n\ttab\0",
    "beyond_ascii": "ünï \u2028 \U0001f600 \udcff",
    "shell": "$HOME $(ls) ; -- --rule x",
    "empty": "",
    "number": 1.5e-300,
    "integer": -(10**30),
    "nothing": None,
    "yes": True,
    "raw": b"\x00\xff",
    "nested": [{"a": (1, [2])}, {3}, set(), "it's"],
    "keyword": {},
    "ünï": 1,
}


def test_params_of_any_name_and_literal_value_are_recorded_as_their_representation():
    names = {name: (index, None) for index, name in enumerate(VALUES)}
    found = named(repr(list(VALUES.values())), repr(names))
    assert list(found) == list(VALUES)
    for name, value in VALUES.items():
        assert found[name] == repr(value)


def test_params_keep_their_names_where_they_stand_in_another_order():
    assert named("['a', 'c']", "{'last': (1, None), 'first': (0, None)}") == {
        "last": "'c'",
        "first": "'a'",
    }
    assert named("[]", "{}") == {}


def test_params_come_through_the_command_line(run_recorder):
    names = {name: (index, None) for index, name in enumerate(VALUES)}
    process = run_recorder(WRITES, params=repr(list(VALUES.values())), names=repr(names))
    assert process.returncode == 0, process.stderr
    expected = {name: repr(value) for name, value in VALUES.items()}
    assert json.loads(RECORD.read_text())["params"] == expected


@pytest.mark.parametrize("values", ["[nan]", "[PosixPath('x')]", "[<object at 0x7f>]"])
def test_params_that_are_no_literals_are_an_error_before_the_job_starts(run_recorder, values):
    process = run_recorder(WRITES, params=values, names="{'x': (0, None)}")
    assert process.returncode == 1
    assert process.stderr == (
        f"error: a rule's params have to be Python literals, not as in {values}\n"
    )
    assert not Path("out/made.txt").exists()


@pytest.mark.parametrize(
    ("values", "names", "value"),
    [("['a']", "{}", "a"), ("['a', 'b']", "{'first': (0, None)}", "b")],
)
def test_params_without_a_name_are_an_error_before_the_job_starts(
    run_recorder, values, names, value
):
    process = run_recorder(WRITES, params=values, names=names)
    assert process.returncode == 1
    assert process.stderr == f"error: a rule's params have to be named, as in name='{value}'\n"
    assert not Path("out/made.txt").exists()


def test_without_git_the_record_says_nothing_of_it(run_recorder):
    assert run_recorder(WRITES).returncode == 0
    assert "git" not in json.loads(RECORD.read_text())


def test_a_repository_without_a_commit_says_nothing_either(run_recorder):
    git("init", "--quiet")
    assert run_recorder(WRITES).returncode == 0
    assert "git" not in json.loads(RECORD.read_text())


def untracked() -> None:
    Path("notes.txt").write_text("new")


def sealed() -> None:
    Path("dvc.lock").write_text("second")


def touched() -> None:
    os.utime("code.py", (1, 1))


def edited() -> None:
    Path("code.py").write_text("second")


def staged() -> None:
    edited()
    git("add", "code.py")


def deleted() -> None:
    Path("code.py").unlink()


@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        *((untracked, False), (sealed, False), (touched, False)),
        *((edited, True), (staged, True), (deleted, True)),
    ],
)
def test_the_commit_is_recorded_and_whether_tracked_files_were_edited(
    repository, run_recorder, change, dirty
):
    change()
    index = Path(".git/index").read_bytes()
    assert run_recorder(WRITES).returncode == 0
    commit = git("rev-parse", "HEAD")
    assert json.loads(RECORD.read_text())["git"] == {"commit": commit, "dirty": dirty}
    # Jobs run in the background of somebody's work with git.
    assert Path(".git/index").read_bytes() == index


def test_the_commit_is_that_of_the_start(repository, run_recorder):
    start = git("rev-parse", "HEAD")
    commits = "; ".join(
        f"subprocess.run({command})"
        for command in (
            ["git", "config", "user.name", "Someone"],
            ["git", "config", "user.email", "someone@example.org"],
            ["git", "commit", "--quiet", "--allow-empty", "--message", "second"],
        )
    )
    assert run_recorder(f"import subprocess; {WRITES}; {commits}").returncode == 0
    assert git("rev-parse", "HEAD") != start
    assert json.loads(RECORD.read_text())["git"] == {"commit": start, "dirty": False}


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("{here}/a", "./a"),
        ("--x={here}", "--x=."),
        ("--x={home}/y,{home}", "--x=~/y,~"),
        (
            '{{"weights": "{home}/w.bin", "out": "{here}/o"}}',
            '{"weights": "~/w.bin", "out": "./o"}',
        ),
        ("{real}/y", "~/y"),
        ("{home}-other/y", "{home}-other/y"),
        ("a/b --x", "a/b --x"),
    ],
)
def test_of_any_word_of_a_command_the_folders_are_cut_that_tell_who_ran_it(
    project, monkeypatch, tmp_path_factory, word, told
):
    real = tmp_path_factory.mktemp("real")
    link = tmp_path_factory.mktemp("links") / "someone"
    link.symlink_to(real)
    monkeypatch.setenv("HOME", f"{link}/")
    places = {"here": project, "home": link, "real": real}
    told = told if told.startswith('{"') else told.format(**places)
    assert shlex.split(without_machine([word.format(**places)], [])) == [told]


@pytest.mark.parametrize("home", ["", "/", None])
def test_a_home_that_is_none_changes_no_command(project, monkeypatch, home):
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    assert without_machine(["/bin/python", "a/b"], []) == "/bin/python a/b"


def test_a_record_tells_nothing_of_the_machine_and_its_user(
    run_recorder, project, tmp_path_factory
):
    elsewhere = tmp_path_factory.mktemp("home_of_somebody")
    (elsewhere / "weights.bin").write_text("weights")
    outside = str(elsewhere / "weights.bin")
    inside = str(project / "in.txt")
    secrets = {
        name: f"hidden-{name}" for name in ("API_TOKEN", "AWS_SECRET", "USER", "LOGNAME", "TMPDIR")
    }
    secrets["TMPDIR"] = str(elsewhere)
    process = run_recorder(
        f"import os; print(os.environ); {WRITES}",
        inputs=[outside, inside, "environment.yaml"],
        arguments=[f"--cache={elsewhere}/cache", "--weights", outside, "--data", inside],
        environment=secrets | {"HOME": str(elsewhere)},
    )
    assert process.returncode == 0, process.stderr
    text = RECORD.read_text().replace(sys.executable, "")
    told = json.loads(text)
    for secret in [*secrets.values(), str(project), str(elsewhere), elsewhere.name, "/home"]:
        assert secret not in text
    name = next(iter(told["inputs"]))
    assert name == "outside/weights.bin"
    assert list(told["inputs"]) == [name, "in.txt", "environment.yaml"]
    assert told["inputs"][name] == described(outside)
    said = ["--cache=~/cache", "--weights", name, "--data", "in.txt"]
    assert shlex.split(told["command"])[-5:] == said


def test_what_the_job_declares_is_recorded(run_recorder):
    sources = [{"name": "digits, ünï", "licence": "BSD", "package": "scikit-learn"}]
    program = (
        "from dissent.provenance.facts import declare\n"
        f"declare(device='abacus')\ndeclare(sources={sources!r}, rule='forged', git='forged')\n"
        f"declare(device='GPU {{1}}')\n{WRITES}"
    )
    assert run_recorder(program).returncode == 0
    record = read_record(RECORD)
    assert record.sources == sources
    assert record.machine["device"] == "GPU {1}"
    # A job says nothing of what the recorder knows better.
    assert record.rule == "toy"
    assert record.git == {}


def test_nothing_is_left_beside_the_record(run_recorder, project, tmp_path_factory):
    temporary = tmp_path_factory.mktemp("temporary")
    assert run_recorder(WRITES, environment={"TMPDIR": str(temporary)}).returncode == 0
    assert list(temporary.iterdir()) == []
    files = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert files == {"in.txt", "environment.yaml", "out/made.txt", str(RECORD)}


def test_pins_are_those_of_the_environment_file_for_each_marker(tmp_path):
    path = tmp_path / "environment.yaml"
    path.write_text(
        "dependencies:\n  - python=3.12\n  - pip:\n"
        "    - a.b_c-d==1.0+cpu ; sys_platform == 'linux'\n"
        "    - a.b_c-d==1.1; sys_platform != 'linux'\n"
        "    - unpinned>=2\n#    - comment==3\n    - last==4"
    )
    assert pinned_versions(path) == {"a.b_c-d": ["1.0+cpu", "1.1"], "last": ["4"]}
    assert pinned_versions(tmp_path / "missing.yaml") == {}


def test_the_text_of_a_rule_is_stamped_by_all_of_it_but_the_stamp():
    texts = [
        recorded("python {input.script} {output:q}", "results/a/provenance"),
        recorded("python {input.script}  {output:q}", "results/a/provenance"),
        recorded("python {input.script} {output:q}", "results/b/provenance"),
    ]
    stamps = [text.split("--text ")[1].split(" ")[0] for text in texts]
    for text, stamp in zip(texts, stamps, strict=True):
        unstamped = text.replace(stamp, "")
        assert stamp == hashlib.sha256(unstamped.encode()).hexdigest()
    assert len(set(stamps)) == 3
    assert recorded("python {input.script} {output:q}", "results/a/provenance") == texts[0]
