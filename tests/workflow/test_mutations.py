"""One change at a time: the jobs then planned are exactly those that the change can reach.

What a change can reach is worked out from what every process was seen to do in a real run: its
arguments, the modules it loaded, the files it opened and those it made (tests/tracing). Neither
the rules' inputs nor the records have a part in that.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import (
    FILE_MODEL,
    ROOT,
    WEIGHTS,
    clone_of,
    edited,
    make_weights,
    planned,
    run,
    traces_of,
)
from dissent.files import sha256

DOCUMENT = ROOT / "docs/provenance.md"
BEGIN, END = "<!-- mutations: written by UPDATE=1 pytest {} -->", "<!-- end of mutations -->"
BEGIN = BEGIN.format("tests/workflow/test_mutations.py")
RESULTS = "results/demo"
FIGURES = "results/demo/figures/no_one_representation"
METRICS = "results/demo/metrics"
CHECKPOINTS = "results/demo/checkpoints"
LOGITS = "results/demo/logits/handwritten"
# What code imports that needs more than envs/analysis.yaml.
IMPORTS_TORCH = re.compile(r"^(?:import|from) (?:torch|timm)\b", re.MULTILINE)


class Traced(NamedTuple):
    """What one job was seen to do."""

    arguments: list[str]
    read: set[str]
    made: set[str]


def traced_jobs(traces: Path, folder: Path) -> list[Traced]:
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    jobs = []
    for path in traces.glob("*.json"):
        trace = json.loads(path.read_text())
        arguments = trace["arguments"]
        if not arguments[0].startswith("workflow/scripts/"):
            continue
        made = {file for file in trace["made"] if file.startswith("results/")}
        given = present.intersection([*arguments, *trace["opened"]])
        code = present.intersection(trace["modules"]) | {arguments[0]}
        torch = any(IMPORTS_TORCH.search((folder / file).read_text()) for file in code)
        pins = "envs/torch.yaml" if torch else "envs/analysis.yaml"
        read = {file for file in given - made if not file.startswith("logs/")} | code | {pins}
        jobs.append(Traced(arguments, read, made))
    return jobs


def reached(jobs: list[Traced], touched: Callable[[Traced], bool]) -> set[str]:
    """The files made by jobs that a change touches, and by all that read what those make."""
    files: set[str] = set()
    while True:
        more = {file for job in jobs if touched(job) or job.read & files for file in job.made}
        if more <= files:
            return files
        files |= more


def reads(*files: str) -> Callable[[Traced], bool]:
    return lambda job: bool(job.read & set(files))


def makes(*files: str) -> Callable[[Traced], bool]:
    return lambda job: bool(job.made & set(files))


def is_told(word: str) -> Callable[[Traced], bool]:
    """Whether a job has a word among its arguments, or within one."""
    return lambda job: any(word in argument for argument in job.arguments)


def runs(script: str) -> Callable[[Traced], bool]:
    return lambda job: job.arguments[0].endswith(f"/{script}.py")


def reads_all_models(job: Traced) -> bool:
    return {f"{LOGITS}/{model}.safetensors" for model in MODELS} <= job.read


def reads_all_candidates(job: Traced) -> bool:
    folders = [CHECKPOINTS, *(f"{RESULTS}/logits/{task}" for task in TASKS)]
    return any(
        {f"{folder}/{model}.safetensors" for model in CANDIDATES} <= job.read for folder in folders
    )


def lists_models(job: Traced) -> bool:
    """Whether a job is of all models, or of all candidates."""
    return reads_all_models(job) or reads_all_candidates(job)


ROWS = [line.split(",") for line in (ROOT / "config/models/test.csv").read_text().split()[1:]]
# One without a category is fine-tuned with dropout, and compared with no others.
MODELS = [*(model for model, category, *_ in ROWS if category), FILE_MODEL]
OWN_MODEL = "captions-s0"
# Of the pools of low_data_ensembles, and the data sets of its tasks.
CANDIDATES = [model for model, category, *_ in ROWS if category in ("reinit", "datasets")]
TASKS = ("digits",)
NAMES_SHOWN = 4
OLD = 631152000  # 1990
# What the jobs of a new model make, by the first file of each.
NEW_JOBS = {
    f"{CHECKPOINTS}/mine.safetensors": {f"{CHECKPOINTS}/mine.safetensors"},
    f"{LOGITS}/mine.safetensors": {
        f"{LOGITS}/mine.safetensors",
        "results/demo/logits/letters/mine.safetensors",
    },
    f"{RESULTS}/logits/digits/mine.safetensors": {
        f"{RESULTS}/logits/{task}/mine.safetensors" for task in TASKS
    },
}


class Change(NamedTuple):
    """A row of the table: what is changed, how, and what that touches by itself."""

    name: str
    apply: Callable[[Path], object]
    touches: Callable[[Traced], bool]
    # Files of jobs that did not exist before.
    new: frozenset[str] = frozenset()


@contextmanager
def replaced(path: Path, old: str, new: str) -> Iterator[None]:
    """A text file with a part replaced for a while."""
    text = path.read_text()
    assert old in text
    with edited(path, text.replace(old, new)):
        yield


def longer(path: Path):
    """Python code with a comment added for a while."""
    return edited(path, path.read_text() + "\n# Edited.\n")


@contextmanager
def kept(*paths: Path) -> Iterator[None]:
    """Files that are put back, with their times, when the change is over."""
    aside = [path.with_name(f"{path.name}.aside") for path in paths]
    for path, copy in zip(paths, aside, strict=True):
        shutil.copy2(path, copy)
    try:
        yield
    finally:
        for path, copy in zip(paths, aside, strict=True):
            copy.replace(path)


@contextmanager
def deleted(path: Path) -> Iterator[None]:
    with kept(path):
        path.unlink()
        yield


@contextmanager
def corrupted(path: Path) -> Iterator[None]:
    """A file with one bit turned, of the size and modification time it had."""
    with kept(path):
        times = path.stat()
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        yield


@contextmanager
def swapped(one: Path, other: Path) -> Iterator[None]:
    with kept(one, other):
        one.rename(aside := one.with_name("swapped"))
        other.rename(one)
        aside.rename(other)
        yield


@contextmanager
def touched(folder: Path) -> Iterator[None]:
    for path in [*folder.glob("src/dissent/**/*.py"), *folder.glob("workflow/scripts/**/*.py")]:
        path.touch()
    yield


@contextmanager
def other_weights(at: Path) -> Iterator[None]:
    """The weights of the file model replaced, and their digest in the table."""
    old = sha256(at / WEIGHTS)
    with kept(at / WEIGHTS, at / TABLE):
        digest = make_weights(at, seed=1)
        (at / TABLE).write_text((at / TABLE).read_text().replace(old, digest))
        yield


@contextmanager
def older(path: Path, text: str) -> Iterator[None]:
    """Another text that is older than any result, for a while."""
    with kept(path):
        path.write_text(text)
        os.utime(path, (OLD, OLD))
        yield


CONFIG, TABLE = "config/demo.yaml", "config/models/test.csv"
SCRIPTS = "workflow/scripts"
FIG5 = f"{SCRIPTS}/figures/no_one_representation/fig5_greedy.py"
CHANGES = [
    Change(
        "a figure's script edited",
        lambda at: replaced(at / FIG5, "import argparse", "import argparse\n\nEDITED = True"),
        reads(FIG5),
    ),
    Change(
        "a script replaced by an older one",
        lambda at: older(at / FIG5, (at / FIG5).read_text() + "\n# As it was.\n"),
        reads(FIG5),
    ),
    Change(
        "a comment added to a metric's script",
        lambda at: replaced(
            at / SCRIPTS / "metrics/measure_pairs.py", "import argparse", "# Why.\nimport argparse"
        ),
        reads(f"{SCRIPTS}/metrics/measure_pairs.py"),
    ),
    *(
        Change(
            f"a library module edited: `{module}`",
            lambda at, module=module: longer(at / f"src/dissent/{module}"),
            reads(f"src/dissent/{module}"),
        )
        for module in ("claims.py", "bootstrap.py", "figures.py", "training/objectives.py")
    ),
    Change(
        "a library module edited: `provenance/record.py` (no job's input)",
        lambda at: longer(at / "src/dissent/provenance/record.py"),
        reads(),
    ),
    Change(
        "config: `calibration_bins`",
        lambda at: replaced(at / CONFIG, "calibration_bins: 15", "calibration_bins: 10"),
        is_told("--bins"),
    ),
    Change(
        "config: `bootstrap_resamples`",
        lambda at: replaced(at / CONFIG, "bootstrap_resamples: 100", "bootstrap_resamples: 101"),
        is_told("--resamples"),
    ),
    Change(
        "config: `max_added` of the greedy addition",
        lambda at: replaced(at / CONFIG, "max_added: 2", "max_added: 1"),
        is_told("--max-added"),
    ),
    Change(
        "config: a learning rate of the fine-tunings",
        lambda at: replaced(at / CONFIG, "learning_rates: [0.05]", "learning_rates: [0.06]"),
        runs("finetuned/fine_tune"),
    ),
    Change(
        "config: how many random ensembles are drawn",
        lambda at: replaced(at / CONFIG, "random_draws: 3", "random_draws: 4"),
        is_told("--random-draws"),
    ),
    Change(
        "config: on how many shifted images ensembles are tried",
        lambda at: replaced(at / CONFIG, "shift: {examples: 10}", "shift: {examples: 9}"),
        runs("finetuned/refit_ensemble"),
    ),
    Change(
        "config: a learning rate that all recipes share",
        lambda at: replaced(at / CONFIG, "    learning_rate: 0.002", "    learning_rate: 0.003"),
        runs("checkpoints/train"),
    ),
    Change(
        "a default of the config's schema",
        lambda at: replaced(
            at / "src/dissent/config_shapes.py",
            "mask_ratio: Number | None = Field(\n        None",
            "mask_ratio: Number | None = Field(\n        0.5",
        ),
        runs("checkpoints/train"),
    ),
    Change(
        "the text of a rule's command",
        lambda at: replaced(
            at / "workflow/rules/metrics.smk",
            "--level {params.level} --output",
            "--level  {params.level} --output",
        ),
        lambda job: runs("metrics/measure_models")(job) or runs("metrics/measure_pairs")(job),
    ),
    Change(
        "a rule's memory",
        lambda at: replaced(at / "workflow/rules/metrics.smk", "mem_mb=2000", "mem_mb=3000"),
        reads(),
    ),
    Change(
        "a model added",
        lambda at: replaced(
            at / TABLE, "resnet-s1,reinit", "mine,reinit,train,base,7,,,,,,\nresnet-s1,reinit"
        ),
        lists_models,
        frozenset().union(*NEW_JOBS.values()),
    ),
    Change(
        "a model removed",
        lambda at: replaced(at / TABLE, f"{OWN_MODEL},datasets,train,captions,0,,,,,,\n", ""),
        lists_models,
    ),
    Change(
        "a model's seed",
        lambda at: replaced(
            at / TABLE,
            f"{OWN_MODEL},datasets,train,captions,0",
            f"{OWN_MODEL},datasets,train,captions,9",
        ),
        makes(f"{CHECKPOINTS}/{OWN_MODEL}.safetensors"),
    ),
    Change(
        "a model's category",
        lambda at: replaced(at / TABLE, f"{OWN_MODEL},datasets", f"{OWN_MODEL},frameworks"),
        # It is no candidate any more.
        lambda job: is_told(f'"{OWN_MODEL}":"datasets"')(job) or reads_all_candidates(job),
    ),
    Change(
        "the licence of a model from a file",
        lambda at: replaced(at / TABLE, ",MIT,", ",Apache-2.0,"),
        reads(str(WEIGHTS)),
    ),
    Change(
        "the weights of a model from a file, with their sha256 in the table",
        other_weights,
        reads(str(WEIGHTS)),
    ),
    Change(
        "a claim reworded",
        lambda at: replaced(at / "config/claims.csv", "errors", "mistakes"),
        reads("config/claims.csv"),
    ),
    Change(
        "a pin of the environment of training and logits",
        lambda at: replaced(at / "envs/torch.yaml", "- timm==", "- timm==0."),
        reads("envs/torch.yaml"),
    ),
    Change(
        "a pin of the environment of metrics and figures",
        lambda at: replaced(at / "envs/analysis.yaml", "- scipy==", "- scipy==0."),
        reads("envs/analysis.yaml"),
    ),
    Change(
        "a figure deleted",
        lambda at: deleted(at / FIGURES / "fig3_specialisation.png"),
        makes(f"{FIGURES}/fig3_specialisation.png"),
    ),
    Change(
        "a table deleted",
        lambda at: deleted(at / METRICS / "handwritten/pairs.csv"),
        makes(f"{METRICS}/handwritten/pairs.csv"),
    ),
    Change(
        "logits deleted whose tables are there",
        lambda at: deleted(at / LOGITS / f"{OWN_MODEL}.safetensors"),
        reads(),
    ),
    Change(
        "a checkpoint corrupted, its size and time kept",
        lambda at: corrupted(at / CHECKPOINTS / f"{OWN_MODEL}.safetensors"),
        makes(f"{CHECKPOINTS}/{OWN_MODEL}.safetensors"),
    ),
    Change(
        "a table corrupted, its size and time kept",
        lambda at: corrupted(at / METRICS / "handwritten/pairs.csv"),
        makes(f"{METRICS}/handwritten/pairs.csv"),
    ),
    Change(
        "a figure corrupted, its size and time kept",
        lambda at: corrupted(at / FIGURES / "fig1_error_inconsistency.svg"),
        makes(f"{FIGURES}/fig1_error_inconsistency.svg"),
    ),
    Change(
        "two tables swapped",
        lambda at: swapped(
            at / METRICS / "no_one_representation/angles.csv",
            at / METRICS / "no_one_representation/greedy.csv",
        ),
        makes(
            f"{METRICS}/no_one_representation/angles.csv",
            f"{METRICS}/no_one_representation/greedy.csv",
        ),
    ),
    Change("all code touched, its content kept", touched, reads()),
]


@pytest.fixture(scope="module")
def clone(sealed, tmp_path_factory) -> Path:
    return clone_of(sealed, tmp_path_factory.mktemp("mutations") / "clone")


@pytest.fixture(scope="module")
def jobs(sealed) -> list[Traced]:
    return traced_jobs(traces_of(sealed), sealed)


@pytest.fixture(scope="module")
def rows() -> list[str]:
    """The rows of the table in the docs, as the tests find them."""
    return []


def test_what_jobs_were_seen_to_read_is_what_their_records_say(jobs, sealed):
    made = set()
    for path in (sealed / "results/demo/provenance").rglob("*.json"):
        record = json.loads(path.read_text())
        [job] = [job for job in jobs if job.made == set(record["outputs"])]
        undeclared = job.read - set(record["inputs"])
        assert not undeclared
        # Of what is declared only modules may go unused: those imported when needed.
        unused = set(record["inputs"]) - job.read
        assert all(file.startswith("src/dissent/") for file in unused), unused
        made |= job.made
    assert made == {file for job in jobs for file in job.made}


def test_nothing_is_planned_in_a_restored_clone(clone):
    assert "Nothing to be done" in run(clone, "snakemake", "-n", "figures")
    assert run(clone, "dissent", "why").endswith("nothing would run\n")


def test_weights_that_are_not_here_plan_nothing(sealed, tmp_path):
    clone = clone_of(sealed, tmp_path / "clone", weights=False)
    assert not (clone / WEIGHTS).exists()
    assert "Nothing to be done" in run(clone, "snakemake", "-n", "figures")
    assert run(clone, "dissent", "why").endswith("nothing would run\n")


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_plans_exactly_what_it_reaches(clone, jobs, rows, change):
    expected = reached(jobs, change.touches) | change.new
    with change.apply(clone):
        summary = run(clone, "snakemake", "--summary", "figures")
        why = run(clone, "dissent", "why")
    table = [line.split("\t") for line in summary.splitlines() if line.startswith("results/")]
    assert {line[0] for line in table if line[-1] == "update pending"} == expected

    causes = re.findall(r"^(\w\S+) \((\S+?)(?: and \d+ more)?\): (.+)$", why, re.MULTILINE)
    made_with = {file: job.made for job in jobs for file in job.made} | NEW_JOBS
    explained = [file for _, first, _ in causes for file in made_with[first]]
    assert sorted(explained) == sorted(expected)
    rows.append(
        f"| {change.name} | {shortened([rule for rule, _, _ in causes])} | {first(causes)} |"
    )


def shortened(rules: list[str]) -> str:
    names = ", ".join(f"`{rule}`" for rule in rules[:NAMES_SHOWN])
    more = f" and {len(rules) - NAMES_SHOWN} more" if len(rules) > NAMES_SHOWN else ""
    return f"{len(rules)}: {names}{more}" if rules else "none"


def first(causes: list[tuple[str, str, str]]) -> str:
    """The first cause; random weights, and so their digest, may be others on another processor."""
    return re.sub(r"[0-9a-f]{40,}…", "…", causes[0][2]) if causes else ""


def test_after_an_edit_that_fails_its_job_is_still_planned(clone, jobs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, symlinks=True)
    script = copy / SCRIPTS / "metrics/measure_pairs.py"
    text = script.read_text()
    expected = planned_rules(clone, reached(jobs, reads(f"{SCRIPTS}/metrics/measure_pairs.py")))
    script.write_text(f"raise SystemExit(1)\n{text}")
    with pytest.raises(AssertionError, match="Error in rule measure_pairs"):
        run(copy, "snakemake", "--cores", "2", "figures")
    assert planned(run(copy, "snakemake", "-n", "figures")) == expected
    # Its outputs are gone, so that to put the script back is not enough.
    script.write_text(text)
    assert planned(run(copy, "snakemake", "-n", "figures")) == expected
    run(copy, "snakemake", "--cores", "2", "figures")
    assert "Nothing to be done" in run(copy, "snakemake", "-n", "figures")


def planned_rules(folder: Path, files: set[str]) -> set[str]:
    """The rules that made files, by their records, and the target that asks for them."""
    places = (folder / "results/demo/provenance").rglob("*.json")
    records = [json.loads(path.read_text()) for path in places]
    return {record["rule"] for record in records if files & set(record["outputs"])} | {"figures"}


def test_the_docs_show_what_was_found(clone, rows):
    if len(rows) < len(CHANGES):
        pytest.skip("not all changes were tried")
    header = ["| change | jobs planned | first cause, as `dissent why` has it |", "|---|---|---|"]
    table = "\n".join([BEGIN, *header, *rows, END])
    text = DOCUMENT.read_text()
    shown = text[text.index(BEGIN) : text.index(END) + len(END)]
    if "UPDATE" in os.environ:
        DOCUMENT.write_text(text.replace(shown, table))
    else:
        assert shown == table
