"""The chain of a file: the jobs that made it, back to the leaves, which no job makes."""

import ast
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from dissent.commandline import InputError
from dissent.provenance.ledger import File, Record, is_pinned, portable

COLUMNS = 100
LONGEST_VALUE = 72
# Their versions move numbers most.
NOTABLE = ("torch", "numpy")
UNKNOWN = "not looked up"


@dataclass(frozen=True, eq=False)
class Step:
    """One job of a chain; a job that is reached on several ways is one and the same step."""

    record: Record
    # Those of its outputs that the chain uses.
    files: tuple[str, ...]
    # One for each job that made some of its inputs, in order of first use.
    steps: tuple["Step", ...] = field(repr=False)
    # Its inputs that no job makes.
    leaves: tuple[str, ...]


def trace(path: str, made_by: Mapping[str, Record]) -> Step:
    """The job that made a file, with all that led to it.

    Raises InputError if no record has the file among its outputs, or if records go in a circle.
    """
    start = path if path in made_by else portable(Path(path).as_posix())
    if start not in made_by:
        raise InputError(
            f"{path}: no job's record names it; give a file that the workflow has made here"
        )
    used: set[str] = set()
    records: dict[int, Record] = {}
    earlier: dict[int, list[int]] = {}
    waiting = [start]
    while waiting:
        file = waiting.pop()
        used.add(file)
        record = made_by[file]
        if id(record) not in records:
            made = [name for name in record.inputs if name in made_by]
            records[id(record)] = record
            earlier[id(record)] = [id(made_by[name]) for name in made]
            waiting += made
    steps: dict[int, Step] = {}
    try:
        for key in TopologicalSorter(earlier).static_order():
            record = records[key]
            steps[key] = Step(
                record,
                tuple(name for name in record.outputs if name in used and made_by[name] is record),
                tuple(steps[before] for before in dict.fromkeys(earlier[key])),
                tuple(name for name in record.inputs if name not in made_by),
            )
    except CycleError as error:
        first = next(iter(records[error.args[1][0]].outputs))
        raise InputError(
            f"{path}: records go in a circle, {first} is made from itself; delete it and run the "
            "workflow"
        ) from None
    return steps[id(made_by[start])]


def walk(step: Step) -> list[Step]:
    """Every job of the chain once, in the order in which `as_text` tells of them."""
    found: dict[Step, None] = {}
    waiting = [step]
    while waiting:
        job = waiting.pop()
        if job not in found:
            found[job] = None
            waiting += reversed(job.steps)
    return list(found)


def taken(step: Step, inner: Step) -> list[str]:
    """What a job takes from one of the jobs before it."""
    made = set(inner.files)
    return [path for path in step.record.inputs if path in made]


def as_json(step: Step, notes: Mapping[str, str]) -> dict[str, object]:
    """The chain for machines; `notes` says what holds each leaf.

    Keys: `file`; `jobs`, each its record with `used`, its outputs that the chain uses; `leaves`
    and `sources` of all jobs together.
    """
    return {
        "file": step.files[0],
        "jobs": [
            vars(job.record)
            | {
                "inputs": {path: file._asdict() for path, file in job.record.inputs.items()},
                "outputs": {path: file._asdict() for path, file in job.record.outputs.items()},
                "used": list(job.files),
            }
            for job in walk(step)
        ],
        "leaves": leaves(step, notes),
        "sources": sources(walk(step)),
    }


def leaves(step: Step, notes: Mapping[str, str]) -> list[dict[str, object]]:
    """The leaves of a chain, sorted: path, content, note and, where stated, licence and citation.

    A file that was edited between two jobs stands there twice.
    """
    found: dict[tuple[str, File], dict[str, object]] = {}
    for job in walk(step):
        for path in job.leaves:
            file = job.record.inputs[path]
            known = {"path": path} | file._asdict() | {"note": notes.get(path, UNKNOWN)}
            found.setdefault((path, file), known).update(terms(job.record, path))
    return [found[key] for key in sorted(found)]


def terms(record: Record, path: str) -> dict[str, str]:
    """Licence and citation of an input that the job's params pin, where they state them."""
    if not is_pinned(record, record.inputs[path]):
        return {}
    stated = {name: _unquoted(record.params.get(name, "")) for name in ("licence", "citation")}
    return {name: text for name, text in stated.items() if text not in ("", "None")}


def _unquoted(literal: str) -> str:
    try:
        return str(ast.literal_eval(literal))
    except (ValueError, SyntaxError):
        return literal


def sources(steps: Iterable[Step]) -> list[dict[str, str]]:
    """Data from outside the project that jobs declare, each once, with its package's version."""
    found: list[dict[str, str]] = []
    for record in (step.record for step in steps):
        for source in record.sources:
            version = record.environment.get("packages", {}).get(source.get("package"))
            known = source | ({"version": version} if version else {})
            if known not in found:
                found.append(known)
    return found


def as_text(step: Step, notes: Mapping[str, str]) -> str:
    """The chain as a tree to read in a terminal; `notes` says what holds each leaf."""
    tree = _tree(step, step.files, notes, set(), "", "")
    return "\n".join([*tree, "", *_summary(step, notes)])


def _tree(
    step: Step,
    files: Sequence[str],
    notes: Mapping[str, str],
    shown: set[Step],
    head: str,
    margin: str,
) -> Iterator[str]:
    """Lines of a job and of all before it: the first begins with `head`, others with `margin`."""
    again = step in shown
    shown.add(step)
    name = some(files)
    if len(files) == 1 and not (again and len(step.files) == 1):
        name += f", sha256 {step.record.outputs[files[0]].sha256[:12]}"
    if again:
        yield from _wrapped(f"{name} ({step.record.rule}, above)", head, margin)
        return
    yield from _wrapped(name, head, margin)
    bar = margin + ("│  " if step.steps else "   ")
    for label, text in _told(step, notes):
        yield from _wrapped(text, f"{bar}{label:8}", bar + " " * 8)
    for inner in step.steps:
        is_last = inner is step.steps[-1]
        branch, below = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        if inner not in shown:
            yield margin + "│"
        yield from _tree(inner, taken(step, inner), notes, shown, margin + branch, margin + below)


def _told(step: Step, notes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What the tree says of one job: labels and texts."""
    record = step.record
    yield "rule", f"{record.rule}, ended {ended(record)}, took {took([record])}"
    pins = record.environment.get("file")
    yield "on", device(record) + (f", with {pins}" if pins else "")
    if record.params:
        yield "params", settings(record)
    code = [path for path in step.leaves if is_code(record, path)]
    yield "code", "; ".join([*([held(code, notes)] if code else []), commit(record)])
    for path in step.leaves:
        if path not in code:
            content = f"sha256 {record.inputs[path].sha256[:12]}"
            stated = [f"{name} {text}" for name, text in terms(record, path).items()]
            yield "file", ", ".join([path, content, notes.get(path, UNKNOWN), *stated])
    for source in sources([step]):
        yield "source", described(source)


def _summary(step: Step, notes: Mapping[str, str]) -> Iterator[str]:
    steps = walk(step)
    yield from _wrapped(summary(step, notes), "", "")
    for source in sources(steps):
        yield from _wrapped(described(source), "- ", "  ")
    yield "Environments:"
    for text in dict.fromkeys(environment(job.record) for job in steps):
        yield from _wrapped(text, "- ", "  ")


def summary(step: Step, notes: Mapping[str, str]) -> str:
    """A chain in one sentence, which ends in a colon if `sources` are to follow."""
    steps = walk(step)
    found = leaves(step, notes)
    noted = Counter(str(leaf["note"]) for leaf in found)
    held_by = "; ".join(f"{number} {note}" for note, number in noted.most_common())
    jobs = f"{counted(len(steps), 'job')} in {took(job.record for job in steps)} of work"
    files = f"{counted(len(found), 'file')} that no job makes ({held_by or 'none'})"
    return f"Made by {jobs}, from {files}" + (" and outside data:" if sources(steps) else ".")


def _wrapped(text: str, head: str, margin: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        width=COLUMNS,
        initial_indent=head,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def printable(text: str) -> str:
    """A text without what would drive a terminal or cannot be encoded."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def cut(text: str) -> str:
    """A long text without its middle."""
    half = LONGEST_VALUE // 2
    return text if len(text) <= LONGEST_VALUE else f"{text[:half]}…{text[-half:]}"


def some(files: Sequence[str]) -> str:
    """The first of some files, and how many more."""
    return files[0] + (f" and {len(files) - 1} more" if len(files) > 1 else "")


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def settings(record: Record) -> str:
    """The params of a job, long ones cut."""
    return ", ".join(f"{name}={cut(value)}" for name, value in record.params.items())


def held(files: Sequence[str], notes: Mapping[str, str]) -> str:
    """What holds these files: how many share the commonest note, and the others by name."""
    noted = {path: notes.get(path, UNKNOWN) for path in files}
    common, number = Counter(noted.values()).most_common(1)[0]
    others = [f"{path}: {note}" for path, note in noted.items() if note != common]
    return "; ".join([f"{counted(number, 'file')} {common}", *others])


def ended(record: Record) -> str:
    """When a job ended, to the second."""
    return f"{datetime.fromisoformat(record.end).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def took(records: Iterable[Record]) -> str:
    """How long jobs took together."""
    times = [
        (datetime.fromisoformat(job.start), datetime.fromisoformat(job.end)) for job in records
    ]
    seconds = sum((end - start).total_seconds() for start, end in times)
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def commit(record: Record) -> str:
    """The commit a job ran at, shortened."""
    if "commit" not in record.git:
        return "no commit recorded"
    edited = " with uncommitted edits" if record.git.get("dirty") else ""
    return f"commit {str(record.git['commit'])[:7]}{edited}"


def device(record: Record) -> str:
    """Where a job computed, with the processor."""
    where = record.machine.get("device", "an unknown device")
    processor = record.machine.get("processor")
    return f"{where} ({processor})" if processor else str(where)


def environment(record: Record) -> str:
    """The environment of a job: its pins, Python, how many packages, and the most notable ones."""
    known = record.environment
    if not known:
        return "no environment recorded"
    packages = known.get("packages", {})
    versions = [f"{name} {packages[name]}" for name in NOTABLE if name in packages]
    return f"{known.get('file')}: " + ", ".join(
        [f"Python {known.get('python')}", *versions, counted(len(packages), "package") + " in all"]
    )


def is_code(record: Record, path: str) -> bool:
    """Whether an input of a job is code, or the pins of the packages that code uses."""
    return path.endswith(".py") or path == record.environment.get("file")


def described(source: Mapping[str, str]) -> str:
    """Data from outside the project: name, licence and what pins it."""
    facts = [source.get("name", "no name"), source.get("licence", "no licence stated")]
    if "package" in source:
        facts.append(" ".join(["in", source["package"], source.get("version", "")]).strip())
    if "sha256" in source:
        facts.append(f"sha256 {source['sha256'][:12]}")
    return "; ".join(facts)
