"""Differences of a job from its record: each change alone gives its phrase, none gives nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissent.provenance import comparison, hashes
from dissent.provenance.comparison import (
    LONGEST_VALUE,
    altered_outputs,
    changes,
    current_sha256,
    where_differing,
)

NAMES = st.sampled_from(["a.py", "b.py", "c.py.csv", "outside/d.bin"])
VALUES = st.sampled_from(["1", "2", "'1'", "None"])


@pytest.fixture
def compare(make_record, make_job, content):
    """The differences of a changed job from its record, where files hold `now` (path to text)."""

    def run(now=None, record=None, **fields) -> list[str]:
        record = record or make_record()
        held = {path: file.sha256 for path, file in record.inputs.items()}
        held |= {path: text and content(text).sha256 for path, text in (now or {}).items()}
        return changes(make_job(record, **fields), record, held.get)

    return run


def test_an_unchanged_job_has_no_differences(compare):
    assert compare() == []


def test_what_is_no_part_of_what_a_job_computes_is_no_difference(compare, make_record):
    assert compare(planned=True, reason="other", metadata={"params": ["x"]}) == []
    # Snakemake does not run a job again whose rule has another name; the audit tells of it.
    assert compare(rule="renamed") == []
    assert compare(ledger=Path("elsewhere"), outputs=("results/toy/other.csv",)) == []
    known = {"environment": {}, "machine": {"threads": 8}, "git": {"dirty": True}, "logs": []}
    assert compare(record=make_record(command="python other.py", **known)) == []


SECOND = {"measure.py": "measure.py", "data.txt": "data.txt", "more.txt": "more.txt"}


@pytest.mark.parametrize(
    ("fields", "phrase"),
    [
        ({"text_sha256": "0" * 64}, "the rule's shell command changed"),
        ({"params": {"seed": "2"}}, "param seed changed: 1 -> 2"),
        ({"params": {"seed": "'1'"}}, "param seed changed: 1 -> '1'"),
        ({"params": {"seed": "1", "size": "None"}}, "param size changed: absent -> None"),
        ({"params": {}}, "param seed changed: 1 -> absent"),
        ({"params": {"seed": "x" * 60}}, f"param seed changed: 1 -> {'x' * 60}"),
        ({"params": {"seed": "x" * 61}}, f"param seed changed: 1 -> {'x' * 60}…"),
        ({"inputs": SECOND}, "input more.txt is new"),
        ({"inputs": {"measure.py": "measure.py"}}, "input data.txt is no longer used"),
        (
            {"now": {"data.txt": "other"}},
            "input data.txt changed: its content differs from the record",
        ),
        (
            {"now": {"measure.py": "other"}},
            "code measure.py changed: its content differs from the record",
        ),
        ({"now": {"data.txt": None}}, "input data.txt is missing"),
        ({"now": {"measure.py": None}}, "code measure.py is missing"),
    ],
)
def test_each_change_alone_gives_its_phrase_and_no_other(compare, fields, phrase):
    assert compare(**fields) == [phrase]


@given(st.text("ab"), st.text("abc"), st.text("abc"), st.text("ab"), st.booleans())
def test_of_two_values_what_is_shown_differs_and_is_short(before, then, now, after, repeat):
    times = LONGEST_VALUE if repeat else 1
    values = [before * times + middle + after * times for middle in (then, now)]
    shown = where_differing(*values)
    assert (shown[0] != shown[1]) == (values[0] != values[1])
    for value, part in zip(values, shown, strict=True):
        assert part.strip("…") in value
        assert len(part.strip("…")) <= LONGEST_VALUE
        assert part.startswith("…") or value.startswith(part.strip("…"))
        assert part.endswith("…") or value.endswith(part.strip("…"))
        if max(map(len, values)) <= LONGEST_VALUE:
            assert part == value


def test_of_long_values_the_place_is_shown_where_they_differ():
    then = "{" + ", ".join(f"'model-{i}': {{'seed': {i}}}" for i in range(100)) + "}"
    now = then.replace("{'seed': 57}", "{'seed': 5700}")
    assert where_differing(then, now) == (
        "…7': {'seed': 57}, 'model-58': …",
        "…7': {'seed': 5700}, 'model-58': …",
    )
    assert where_differing(None, now)[0] == "absent"


def test_a_renamed_param_is_named_twice_and_a_reordered_one_never(compare, make_record):
    assert compare(params={"size": "1"}) == [
        "param seed changed: 1 -> absent",
        "param size changed: absent -> 1",
    ]
    record = make_record(params={"a": "1", "b": "2"})
    assert compare(record=record, params={"b": "2", "a": "1"}) == []


def test_inputs_are_looked_up_where_they_are_and_told_as_they_are_recorded(
    make_record, make_job, content
):
    record = make_record(inputs={"outside/weights.bin": "weights"})
    job = make_job(record, inputs={"outside/weights.bin": "/elsewhere/weights.bin"})
    held = {"/elsewhere/weights.bin": content("weights").sha256}
    assert changes(job, record, held.get) == []
    held["/elsewhere/weights.bin"] = content("other").sha256
    assert changes(job, record, held.get) == [
        "input outside/weights.bin changed: its content differs from the record"
    ]


def test_swapped_inputs_differ_both(compare):
    assert compare(now={"data.txt": "code", "measure.py": "data"}) == [
        "code measure.py changed: its content differs from the record",
        "input data.txt changed: its content differs from the record",
    ]


@given(
    texts=st.tuples(st.sampled_from("xy"), st.sampled_from("xy")),
    params=st.tuples(*[st.dictionaries(st.sampled_from("abc"), VALUES)] * 2),
    inputs=st.tuples(*[st.dictionaries(NAMES, st.sampled_from(["one", "two", None]))] * 2),
)
def test_all_differences_at_once_are_those_of_a_plain_loop(
    make_record, make_job, content, texts, params, inputs
):
    then_inputs = {path: text or "one" for path, text in inputs[0].items()}
    record = make_record(text_sha256=texts[0], params=params[0], inputs=then_inputs)
    job = make_job(
        record,
        text_sha256=texts[1],
        params=params[1],
        inputs={path: f"here/{path}" for path in inputs[1]},
    )
    held = {f"here/{path}": text and content(text).sha256 for path, text in inputs[1].items()}
    expected = set()
    if texts[0] != texts[1]:
        expected.add("the rule's shell command changed")
    for name in "abc":
        then, now = params[0].get(name, "absent"), params[1].get(name, "absent")
        if then != now:
            expected.add(f"param {name} changed: {then} -> {now}")
    for path in {*then_inputs, *inputs[1]}:
        kind = "code" if path in ("a.py", "b.py") else "input"
        if path not in then_inputs:
            expected.add(f"input {path} is new")
        elif path not in inputs[1]:
            expected.add(f"input {path} is no longer used")
        elif inputs[1][path] is None:
            expected.add(f"{kind} {path} is missing")
        elif inputs[1][path] != then_inputs[path]:
            expected.add(f"{kind} {path} changed: its content differs from the record")
    found = changes(job, record, held.get)
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_digest_of_a_file_is_that_of_its_bytes_or_of_its_record_if_it_is_not_here(
    project, make_record, content
):
    record = make_record(outputs={"made.csv": "recorded"})
    made_by = {"made.csv": record}
    assert current_sha256("made.csv", made_by) == content("recorded").sha256
    Path("made.csv").write_text("other")
    assert current_sha256("made.csv", made_by) == content("other").sha256
    assert current_sha256("unknown.csv", made_by) is None
    Path("unknown.csv").write_text("text")
    assert current_sha256("unknown.csv", made_by) == content("text").sha256


def test_altered_outputs_are_those_here_without_a_record_or_with_other_bytes(
    project, make_record, make_job
):
    outputs = {"same.csv": "same", "other.csv": "other", "gone.csv": "gone"}
    record = make_record(outputs=outputs)
    job = make_job(record, outputs=(*outputs, "unrecorded.csv", "unmade.csv"))
    made_by = dict.fromkeys(outputs, record)
    for path, text in {"same.csv": "same", "other.csv": "OTHER", "unrecorded.csv": "x"}.items():
        Path(path).write_text(text)
    assert altered_outputs(job, made_by) == ["other.csv", "unrecorded.csv"]
    # The record that counts for an output is that of its last job, be it another one.
    later = replace(record, outputs={"same.csv": record.outputs["other.csv"]})
    assert altered_outputs(job, made_by | {"same.csv": later}) == [
        *("same.csv", "other.csv", "unrecorded.csv")
    ]


def test_large_outputs_are_compared_through_the_cache(project, monkeypatch, make_record, make_job):
    monkeypatch.setattr(hashes, "CACHED_FROM_BYTES", 1)
    record = make_record(outputs={"made.csv": "recorded"})
    Path("made.csv").write_text("recorded")
    assert comparison.file_sha256 is hashes.file_sha256
    job, made_by = make_job(record), {"made.csv": record}
    assert altered_outputs(job, made_by) == []
    monkeypatch.setattr(hashes, "sha256", None)
    assert altered_outputs(job, made_by) == []
