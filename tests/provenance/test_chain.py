"""The chain of a file, against brute-force reachability over random runs, and to the letter."""

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissent.commandline import InputError
from dissent.provenance.chain import COLUMNS, as_json, as_text, took, trace, walk
from dissent.provenance.ledger import File, Record, makers, write_record

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def content(text: str) -> File:
    return File(hashlib.sha256(text.encode(errors="replace")).hexdigest(), len(text))


def record(rule: str, inputs=(), outputs=(), **fields) -> Record:
    """A record of a job that read and wrote files whose content is their name."""
    known = {
        "text_sha256": content(rule).sha256,
        "command": f"python {rule}.py",
        "params": {},
        "logs": [f"logs/{rule}.log"],
        "environment": {
            "file": "envs/e.yaml",
            "python": "3.12.1",
            "packages": {"numpy": "2.4.0", "pandas": "3.0.0"},
        },
        "machine": {"device": "cpu", "processor": "Xeon", "threads": 1},
        "start": "2026-01-02T03:04:05.000+00:00",
        "end": "2026-01-02T03:04:06.500+00:00",
        "git": {"commit": COMMIT, "dirty": False},
    }
    named = {"inputs": inputs, "outputs": outputs}
    files = {name: {path: content(path) for path in paths} for name, paths in named.items()}
    return Record(rule=rule, **(known | files | fields))


class Run(NamedTuple):
    """A random run: of each job its outputs and inputs, leaves among them."""

    outputs: list[list[str]]
    inputs: list[list[str]]

    def records(self) -> list[Record]:
        jobs = zip(self.inputs, self.outputs, strict=True)
        return [record(f"rule{i}", inputs, outputs) for i, (inputs, outputs) in enumerate(jobs)]

    def reached(self, path: str) -> set[str]:
        """All files from which a file comes, and itself: grown until nothing is added."""
        found = {path}
        while True:
            more = found.union(
                *(
                    inputs
                    for outputs, inputs in zip(self.outputs, self.inputs, strict=True)
                    if found.intersection(outputs)
                )
            )
            if more == found:
                return found
            found = more


@st.composite
def runs(draw) -> Run:
    run = Run([], [])
    made: list[str] = []
    available = [f"src/leaf{k}.py" for k in range(3)] + ["config/leaf.csv", "weights.bin"]
    for job in range(draw(st.integers(1, 8))):
        inputs = draw(st.lists(st.sampled_from(available + made), unique=True, max_size=6))
        run.inputs.append(inputs)
        run.outputs.append([f"out/{job}-{k}" for k in range(draw(st.integers(1, 3)))])
        made += run.outputs[-1]
    return run


@given(runs())
def test_has_the_jobs_the_files_and_the_leaves_that_are_reached(run):
    made_by = makers(run.records())
    for path in made_by:
        steps = walk(trace(path, made_by))
        reached = run.reached(path)
        jobs = {i for i, outputs in enumerate(run.outputs) if reached.intersection(outputs)}
        assert sorted(step.record.rule for step in steps) == sorted(f"rule{i}" for i in jobs)
        for step in steps:
            job = int(step.record.rule.removeprefix("rule"))
            inputs = run.inputs[job]
            assert list(step.files) == [name for name in run.outputs[job] if name in reached]
            assert list(step.leaves) == [name for name in inputs if not name.startswith("out/")]
            before = [name.split("/")[1].split("-")[0] for name in inputs if name[:4] == "out/"]
            assert [s.record.rule for s in step.steps] == [
                f"rule{i}" for i in dict.fromkeys(before)
            ]


@given(runs())
def test_text_tells_of_each_job_once_and_points_back_to_it(run):
    made_by = makers(run.records())
    step = trace(list(made_by)[-1], made_by)
    steps = walk(step)
    lines = as_text(step, {}).splitlines()
    told = [line.split("rule    ")[1].split(",")[0] for line in lines if "rule    " in line]
    assert told == [job.record.rule for job in steps]
    edges = sum(len(job.steps) for job in steps)
    assert sum("above)" in line for line in lines) == edges - (len(steps) - 1)
    assert max(map(len, lines)) <= COLUMNS


@given(runs())
def test_json_holds_the_records_and_survives_being_written(tmp_path_factory, run):
    made_by = makers(run.records())
    path = list(made_by)[-1]
    step = trace(path, made_by)
    leaves = {name for name in run.reached(path) if not name.startswith("out/")}
    told = as_json(step, dict.fromkeys(leaves, "in git"))
    assert json.loads(json.dumps(told)) == told
    assert told["file"] == path
    ledger = tmp_path_factory.mktemp("ledger")
    for job in told["jobs"]:
        written = json.loads(write_record(ledger, made_by[job["used"][0]]).read_text())
        del written["format"]
        assert {name: job[name] for name in written} == written
        assert set(job["used"]) == run.reached(path).intersection(job["outputs"])
    expected = [{"path": p, **content(p)._asdict(), "note": "in git"} for p in sorted(leaves)]
    assert told["leaves"] == expected


def test_many_ways_to_a_job_are_no_more_work():
    """Two jobs a layer, each of which reads both of the layer before: 2 ** 60 ways."""
    records = [record(f"first{k}", [], [f"out/0-{k}"]) for k in "ab"]
    for layer in range(1, 61):
        before = [f"out/{layer - 1}-{k}" for k in "ab"]
        records += [record(f"rule{layer}{k}", before, [f"out/{layer}-{k}"]) for k in "ab"]
    step = trace("out/60-a", makers(records))
    assert len(walk(step)) == 121
    assert as_text(step, {}).count("rule    ") == 121
    assert len(as_json(step, {})["jobs"]) == 121
    assert repr(step).count("Record(") == 1


WEIGHTS = content("in/weights.bin").sha256
DIGITS = {"name": "Digits", "licence": "CC BY 4.0", "package": "pandas"}
LETTERS = {"name": "Letters", "licence": "MIT", "sha256": "f" * 64}


@pytest.fixture
def made_by():
    return makers(
        [
            record("data", ["make.py", "envs/e.yaml"], ["out/data"], sources=[DIGITS, LETTERS]),
            record(
                "take",
                ["take.py", "in/weights.bin", "out/data"],
                ["out/a", "out/b", "out/spare"],
                sources=[LETTERS],
                params={"sha256": f"'{WEIGHTS}'", "licence": "'MIT'", "citation": "None"},
                environment={},
                machine={"device": "H100", "processor": "Xeon"},
                end="2026-01-02T06:04:05+01:00",
            ),
            record(
                "draw",
                ["draw.py", "lib.py", "style.py", "out/data", "out/a", "out/b", "claims.csv"],
                ["out/figure.svg"],
                params={"base": "'a'", "long": "1" * 40 + "2" * 40},
                git={"commit": COMMIT, "dirty": True},
            ),
        ]
    )


IN_GIT = ["draw.py", "style.py", "take.py", "make.py", "envs/e.yaml", "claims.csv"]
NOTES = dict.fromkeys(IN_GIT, "in git") | {
    "lib.py": "edited, not committed",
    "in/weights.bin": "pinned by its sha256",
}


def test_text_to_the_letter(made_by):
    def digest(path):
        return content(path).sha256[:12]

    expected = f"""\
out/figure.svg, sha256 {digest("out/figure.svg")}
│  rule    draw, ended 2026-01-02 03:04:06 UTC, took 1.5 s
│  on      cpu (Xeon), with envs/e.yaml
│  params  base='a', long={"1" * 36}…{"2" * 36}
│  code    2 files in git; lib.py: edited, not committed; commit 0123456 with uncommitted edits
│  file    claims.csv, sha256 {digest("claims.csv")}, in git
│
├─ out/data, sha256 {digest("out/data")}
│     rule    data, ended 2026-01-02 03:04:06 UTC, took 1.5 s
│     on      cpu (Xeon), with envs/e.yaml
│     code    2 files in git; commit 0123456
│     source  Digits; CC BY 4.0; in pandas 3.0.0
│     source  Letters; MIT; sha256 ffffffffffff
│
└─ out/a and 1 more
   │  rule    take, ended 2026-01-02 05:04:05 UTC, took 2.0 h
   │  on      H100 (Xeon)
   │  params  sha256='{WEIGHTS}',
   │          licence='MIT', citation=None
   │  code    1 file in git; commit 0123456
   │  file    in/weights.bin, sha256 {WEIGHTS[:12]}, pinned by its sha256, licence MIT
   │  source  Letters; MIT; sha256 ffffffffffff
   └─ out/data (data, above)

Made by 3 jobs in 2.0 h of work, from 8 files that no job makes (6 in git; 1 pinned by its sha256; 1
edited, not committed) and outside data:
- Digits; CC BY 4.0; in pandas 3.0.0
- Letters; MIT; sha256 ffffffffffff
Environments:
- envs/e.yaml: Python 3.12.1, numpy 2.4.0, 2 packages in all
- no environment recorded"""
    assert as_text(trace("out/figure.svg", made_by), NOTES) == expected


def test_json_states_terms_and_sources(made_by):
    told = as_json(trace("out/figure.svg", made_by), NOTES)
    assert [job["rule"] for job in told["jobs"]] == ["draw", "data", "take"]
    assert told["sources"] == [DIGITS | {"version": "3.0.0"}, LETTERS]
    weights = next(leaf for leaf in told["leaves"] if leaf["path"] == "in/weights.bin")
    assert weights == {
        "path": "in/weights.bin",
        "sha256": WEIGHTS,
        "bytes": len("in/weights.bin"),
        "note": "pinned by its sha256",
        "licence": "MIT",
    }


def test_a_single_file_of_many_is_named_with_its_sha256_where_it_is_used():
    made_by = makers(
        [
            record("train", [], ["out/a", "out/b"]),
            record("read", ["out/a", "out/b"], ["out/c"]),
            record("draw", ["out/c", "out/b"], ["out/d"]),
        ]
    )
    last = as_text(trace("out/d", made_by), {}).split("\n\n")[0].splitlines()[-1]
    assert last == f"└─ out/b, sha256 {content('out/b').sha256[:12]} (train, above)"


def test_a_leaf_that_changed_between_two_jobs_stands_there_twice():
    old = File("0" * 64, 3)
    early = replace(record("early", [], ["out/a"]), inputs={"lib.py": old})
    late = record("late", ["lib.py", "out/a"], ["out/b"])
    told = as_json(trace("out/b", makers([early, late])), {})
    files = [old, content("lib.py")]
    expected = [{"path": "lib.py", **f._asdict(), "note": "not looked up"} for f in sorted(files)]
    assert told["leaves"] == expected


def test_a_file_belongs_to_the_job_that_made_it_last():
    old = record("old", ["x.py"], ["out/a", "out/b"])
    new = record("new", ["y.py"], ["out/b"], end="2026-01-03T00:00:00+00:00")
    step = trace("out/c", makers([old, new, record("use", ["out/a", "out/b"], ["out/c"])]))
    assert {inner.record.rule: inner.files for inner in step.steps} == {
        "old": ("out/a",),
        "new": ("out/b",),
    }


def test_a_path_may_be_typed_in_other_ways(made_by, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("./out/data", "out//data", str(tmp_path / "out/data")):
        assert trace(path, made_by).record.rule == "data"


def test_names_stay_whole():
    name = "a-long-name/" * 12
    text = as_text(trace("out/a", makers([record("rule", [name], ["out/a"])])), {})
    assert name in text


def test_names_cannot_drive_the_terminal():
    name = "out/\x1b[2J\n│ rule"
    text = as_text(trace(name, makers([record("rule\r", ["\udcff.py"], [name])])), {})
    assert all(letter.isprintable() for letter in text.replace("\n", ""))
    assert "out/\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}│ rule" in text
    text.encode()


def test_bad_input():
    with pytest.raises(InputError, match=r"^out/gone: no job's record names it; give a file"):
        trace("out/gone", {})
    alone = makers([record("alone", ["out/a"], ["out/a"])])
    with pytest.raises(InputError, match=r"^out/a: records go in a circle, out/a is made from"):
        trace("out/a", alone)
    pair = makers([record("a", ["out/b"], ["out/a"]), record("b", ["out/a"], ["out/b"])])
    with pytest.raises(InputError, match=r"^out/a: .* circle, out/[ab] is made from itself"):
        trace("out/a", pair)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.04, "0.0 s"), (59, "59.0 s"), (90, "1.5 min"), (9000, "2.5 h")]
)
def test_time_taken(seconds, expected):
    start = datetime.fromisoformat("2026-01-02T03:04:05+00:00")
    end = start + timedelta(seconds=seconds / 2)
    job = record("rule", [], ["out/a"], start=start.isoformat(), end=end.isoformat())
    assert took([job, job]) == expected
