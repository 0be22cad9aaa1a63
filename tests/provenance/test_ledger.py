"""Records: what is written is read back, and what is no record is refused with a sentence."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissent.commandline import InputError
from dissent.files import atomic
from dissent.provenance.ledger import (
    FORMAT,
    File,
    Record,
    makers,
    portable,
    read_ledger,
    read_record,
    record_path,
    write_record,
)

LEDGER = Path("results/toy/provenance")
TEXT = st.text(min_size=1)
PARTS = st.text("abc é.'\"$", min_size=1, max_size=5).filter(lambda part: part.strip(". "))
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
FILES = st.builds(File, st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0))
MOMENTS = st.datetimes().map(lambda time: f"{time.isoformat(timespec='milliseconds')}+00:00")
FACTS = st.dictionaries(TEXT, TEXT | st.integers() | st.dictionaries(TEXT, TEXT))
RECORDS = st.builds(
    Record,
    rule=TEXT,
    text_sha256=TEXT,
    command=TEXT,
    params=st.dictionaries(TEXT, TEXT),
    inputs=st.dictionaries(PATHS, FILES),
    outputs=st.dictionaries(PATHS, FILES, min_size=1),
    logs=st.lists(TEXT),
    environment=FACTS,
    machine=FACTS,
    start=MOMENTS,
    end=MOMENTS,
    git=FACTS,
    sources=st.lists(st.dictionaries(TEXT, TEXT)),
)


@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(RECORDS)
def test_a_record_is_read_back_as_it_was_written_and_tells_of_unknown_fields_nothing(
    project, record
):
    path = write_record(project / LEDGER, record)
    assert read_record(path) == record
    content = json.loads(path.read_text())
    assert content.pop("format") == FORMAT
    assert content.keys() == {name for name, value in asdict(record).items() if value}
    assert list(content["outputs"]) == list(record.outputs)


def test_writing_twice_changes_nothing_and_leaves_one_file(project, make_record):
    path = write_record(LEDGER, make_record())
    first = path.read_bytes()
    assert write_record(LEDGER, make_record()) == path
    assert path.read_bytes() == first
    assert [file for file in project.rglob("*") if file.is_file()] == [project / path]


def test_a_job_done_again_has_its_new_record_in_place_of_the_old(project, make_record):
    write_record(LEDGER, make_record(rule="old"))
    path = write_record(LEDGER, make_record(rule="new"))
    assert {path: record.rule for path, record in read_ledger(LEDGER).items()} == {path: "new"}


def test_a_crash_while_a_record_is_written_leaves_the_one_of_the_earlier_job(
    project, make_record, monkeypatch
):
    path = write_record(LEDGER, make_record(rule="old"))
    write = Path.write_text

    def crash(self, text):
        write(self, text[:10])
        raise OSError("the disk is full")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk is full"):
        patched.setattr(Path, "write_text", crash)
        write_record(LEDGER, make_record(rule="new"))
    assert {path: record.rule for path, record in read_ledger(LEDGER).items()} == {path: "old"}


@pytest.mark.parametrize(
    ("outputs", "name"),
    [
        (["results/toy/figures/one.svg", "results/toy/figures/one.csv"], "figures/one.svg.json"),
        (["results/toy/claims.json"], "claims.json.json"),
        (["results/toy/no suffix"], "no suffix.json"),
        (["results/toyota/file"], "results/toyota/file.json"),
        (["elsewhere/file.txt"], "elsewhere/file.txt.json"),
    ],
)
def test_the_record_lies_under_the_name_of_the_first_output(outputs, name):
    assert record_path(LEDGER, outputs) == LEDGER / name
    assert record_path(LEDGER, dict.fromkeys(outputs)) == LEDGER / name
    assert record_path(LEDGER, iter(outputs)) == LEDGER / name


@given(st.sets(PATHS, min_size=2, max_size=2))
def test_jobs_with_other_outputs_have_other_records(outputs):
    first, second = sorted(outputs)
    if PurePosixPath(first) != PurePosixPath(second):
        places = {record_path(LEDGER, [f"results/toy/{path}"]) for path in (first, second)}
        assert len(places) == 2


@given(
    st.permutations(range(5)), st.lists(st.sets(st.sampled_from("wxyz"), min_size=1), min_size=5)
)
def test_the_maker_of_an_output_is_the_last_job_that_made_it(make_record, order, outputs):
    records = [
        make_record(
            rule=str(i),
            outputs=dict.fromkeys(sorted(outputs[i]), "text"),
            # Milliseconds and days count, whatever order the records are read in.
            end=f"2026-01-0{1 + i // 2}T00:00:00.00{i % 2}+00:00",
        )
        for i in range(5)
    ]
    expected = {}
    for i in range(5):
        for output in outputs[i]:
            expected[output] = str(i)
    found = makers(records[i] for i in order)
    assert {output: record.rule for output, record in found.items()} == expected


def test_the_ledger_is_all_records_and_no_other_file(project, make_record):
    records = {}
    for name in ("one.txt", "deep/er/two.json", "folder.json/three"):
        record = make_record(outputs={f"results/toy/{name}": name})
        records[write_record(LEDGER, record)] = record
    (LEDGER / "notes.txt").write_text("not a record")
    with atomic(LEDGER / "four.txt.json") as half:
        half.write_text('{"format": 1, "ru')
        assert read_ledger(LEDGER) == records
        half.write_text(json.dumps({"format": FORMAT}))
        assert read_ledger(LEDGER) == records
        half.unlink()
        half.symlink_to("one.txt.json")
    (LEDGER / "four.txt.json").unlink()
    assert list(read_ledger(LEDGER)) == sorted(records)


@pytest.mark.parametrize("place", ["zzz.json", "deep/table.csv.json", "table.csv.json.json"])
def test_a_record_that_lies_elsewhere_is_refused_whatever_its_end(project, make_record, place):
    path = write_record(LEDGER, make_record())
    forged = LEDGER / place
    forged.parent.mkdir(exist_ok=True)
    text = path.read_text()
    forged.write_text(text.replace('"end": "2026', '"end": "2027'))
    with pytest.raises(InputError) as caught:
        read_ledger(LEDGER)
    assert str(caught.value) == (
        f"{forged}: a record of these outputs lies at {path}; delete this one"
    )
    forged.unlink()
    assert list(read_ledger(LEDGER)) == [path]


@pytest.mark.parametrize("output", ["/etc/table.csv", "results/toy/../toy/table.csv"])
def test_a_record_of_outputs_that_no_rule_can_have_is_refused(project, make_record, output):
    path = write_record(LEDGER, make_record())
    path.write_text(path.read_text().replace('"results/toy/table.csv"', f'"{output}"'))
    assert read_record(path)
    with pytest.raises(InputError, match=r"table\.csv\.json: a record of these outputs lies at"):
        read_ledger(LEDGER)


def test_a_ledger_that_is_not_there_is_empty(project):
    assert read_ledger(LEDGER) == {}


NO_RECORDS = [
    *("", "null", "7", "[]", '"format"', "{}", "{", '{"format": 1}', "\0\0", "<<<<<<< HEAD\n{}"),
    "[" * 100000,
]


@pytest.mark.parametrize("text", NO_RECORDS, ids=range(len(NO_RECORDS)))
def test_what_is_no_record_is_refused_with_its_place_and_a_remedy(project, text):
    path = project / "file.json"
    path.write_text(text)
    assert_refused(path, "not a record of a job")


def test_bytes_that_are_no_text_are_refused(project):
    path = project / "file.json"
    path.write_bytes(b'{"format": 1, "rule": "\xff\xfe"}')
    assert_refused(path, "not a record of a job")


@pytest.mark.parametrize("other", [0, 2, "1", None, [1]])
def test_another_format_is_refused_as_such(project, make_record, other):
    path = write_record(LEDGER, make_record())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": other}))
    assert_refused(path, f"not of format {FORMAT}")


FORGED = [
    *[("rule", value) for value in (None, 1, ["rule"], {})],
    *[("text_sha256", value) for value in (None, 0)],
    *[("command", value) for value in (None, ["python"])],
    *[("params", value) for value in (None, [], "seed", {"seed": 1}, {"seed": None})],
    *[(name, value) for name in ("inputs", "outputs") for value in (None, [], "x", {"x": None})],
    *[
        (name, {"file": file})
        for name in ("inputs", "outputs")
        for file in (
            *({}, [], "0" * 64, {"sha256": "0"}, {"bytes": 1}, {"sha256": 0, "bytes": 1}),
            *({"sha256": "0", "bytes": "1"}, {"sha256": "0", "bytes": 1, "mode": 7}),
        )
    ],
    ("outputs", {}),
    *[("logs", value) for value in (None, "logs/x", [1], {})],
    *[(name, v) for name in ("environment", "machine", "git") for v in (None, [], "x", 1)],
    *[("sources", value) for value in (None, "x", ["x"], {"name": "x"}, [None])],
    *[
        (name, value)
        for name in ("start", "end")
        for value in (None, 1, "", "yesterday", "2026-01-02", "2026-01-02T03:04:05")
    ],
    # Moments are compared as text.
    ("end", "2026-01-02T03:04:05.000+02:00"),
    ("unheard_of", "field"),
]


@pytest.mark.parametrize(("field", "value"), FORGED)
def test_a_record_with_a_field_of_another_kind_is_refused(project, make_record, field, value):
    path = write_record(LEDGER, make_record(sources=[{"name": "x"}], git={"commit": "x"}))
    assert read_record(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    assert_refused(path, "not a record of a job")


@pytest.mark.parametrize("field", ["rule", "text_sha256", "command", "outputs", "start", "end"])
def test_a_record_without_what_every_job_has_is_refused(project, make_record, field):
    path = write_record(LEDGER, make_record())
    content = json.loads(path.read_text())
    del content[field]
    path.write_text(json.dumps(content))
    assert_refused(path, "not a record of a job")


def assert_refused(path: Path, why: str) -> None:
    with pytest.raises(InputError) as caught:
        read_record(path)
    remedy = "delete it and the output it is named after, and run the workflow"
    assert str(caught.value) == f"{path}: {why}; {remedy}"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("results/toy/file", "results/toy/file"),
        ("a b/ü$'.txt", "a b/ü$'.txt"),
        ("..hidden/file", "..hidden/file"),
        ("./results//file", "results/file"),
        ("{here}/results/file", "results/file"),
        ("{here}/../{name}/file", "file"),
    ],
)
def test_a_path_in_the_project_is_told_from_the_projects_folder(project, path, told):
    assert portable(path.format(here=project, name=project.name)) == told


@pytest.mark.parametrize(
    "path",
    [
        *("/secret/place/weights.bin", "../secret/weights.bin", "a/../../secret/weights.bin"),
        *("{here}/../secret/weights.bin", "{here}-secret/weights.bin", "//secret/weights.bin"),
    ],
)
def test_a_path_outside_the_project_tells_its_name_alone(project, path):
    path = path.format(here=project)
    told = portable(path)
    assert told == "outside/weights.bin"
    # Not even a digest of the folder, from which a guess could be confirmed.
    assert portable(path.replace("secret", "public")) == told


@given(st.lists(st.sampled_from(["..", ".", "home", "someone"]), max_size=6))
def test_no_folder_outside_the_project_is_ever_told(parts):
    for path in ("/".join([*parts, "x.txt"]), "/".join(["", *parts, "x.txt"])):
        meant = Path(os.path.normpath(Path.cwd() / path))
        told = Path(portable(path))
        if meant.is_relative_to(Path.cwd()):
            assert Path.cwd() / told == meant
        else:
            assert told.parts[0] == "outside"
            assert not {"..", "home", "someone"} & set(told.parts)


def test_two_runs_of_a_job_differ_in_their_records_by_time_alone(project, make_record):
    first = write_record(LEDGER, make_record()).read_text()
    later = replace(make_record(), end="2026-01-02T03:04:07.000+00:00")
    second = write_record(LEDGER, later).read_text()
    differing = [
        (a, b) for a, b in zip(first.splitlines(), second.splitlines(), strict=True) if a != b
    ]
    assert len(differing) == 1 and '"end"' in differing[0][0]
