"""The rules for rules (docs/design): the workflow is loaded by Snakemake and every rule checked."""

import ast
import inspect
import re
import tempfile
from pathlib import Path

import pytest
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

from dissent.provenance.imports import local_modules
from dissent.provenance.record import SEPARATOR

SCRIPTS = Path("workflow/scripts")
RULE_FILES = [Path("Snakefile"), *Path("workflow/rules").glob("*.smk")]
FORBIDDEN = ("run", "script", "notebook", "wrapper", "checkpoint", "cache", "template_engine")
FORBIDDEN_CALLS = ("directory", "protected", "ancient", "touch", "temp", "dynamic")

# Of text from an encoder, and of images.
CONNECTIVITY = {
    "data": {
        "pairs": {
            "kind": "sentence_pairs",
            "breakers": 0.1,
            "splits": {"train": 60, "tune": 40, "report": 300},
        },
        "heuristics": {"kind": "overlap_heuristics", "splits": {"report": 60}},
    },
    "linear_connectivity": {
        "text": {
            "start": "encoder",
            "data": "pairs",
            "diagnostics": ["heuristics"],
            "strategy": {"data": "heuristics", "group": "subsequence, non-entailment"},
            "arms": {"orders": {"heads": 1, "orders": 4}},
            "fine_tuning": {"steps": 4, "learning_rate": 0.01, "checkpoints": 2},
            "planes": {"points": 4, "examples": 5},
            "sharpness": {"steps": 1, "examples": 5},
        },
        "images": {
            "models": ["resnet-s0", "resnet-s1"],
            "data": "handwritten",
            "branches": {"count": 2, "steps": 2, "learning_rate": 0.001, "batch_size": 8},
            "examples": 50,
            "statistics_images": 50,
        },
    },
}


def rules():
    """The rules of all runs, and those of a file and of connectivity, by name."""
    table = Path(tempfile.mkdtemp()) / "models.csv"
    header, *rows = Path("config/models/test.csv").read_text().splitlines(keepends=True)
    mine = {"model": "mine", "category": "reinit", "source": "file", "architecture": "test_resnet"}
    mine |= {"location": "config/test.yaml", "sha256": "0" * 64}
    encoder = {"model": "encoder", "source": "transformers", "location": "name/encoder"}
    encoder |= {"revision": "0" * 40, "sha256": "1" * 64, "licence": "MIT"}
    header = header.replace("location,", "location,revision,")
    rows = [re.sub(",{4}$", ",,,,,", row, flags=re.MULTILINE) for row in rows]
    for model in (mine, encoder):
        rows.append(",".join(model.get(column, "") for column in header.strip().split(",")) + "\n")
    table.write_text("".join([header, *rows]))
    runs = parsed("config/demo.yaml"), parsed("config/published.yaml")
    runs += (parsed("config/paper.yaml", models=str(models_named_by_paper())),)
    runs += (parsed("config/test.yaml", models=str(table), **CONNECTIVITY),)
    return {name: rule for run in runs for name, rule in run.items()}


def models_named_by_paper():
    """A model table of the few that the run file names, whose rules are like those of all."""
    text = Path("config/paper.yaml").read_text()
    header, *rows = Path("config/models/paper.csv").read_text().splitlines(keepends=True)
    table = Path(tempfile.mkdtemp()) / "models.csv"
    table.write_text(header + "".join(row for row in rows if row.split(",")[0] in text))
    return table


def parsed(run, **config):
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[Path(run)], config=config),
            snakefile=Path("Snakefile"),
        )._workflow
        return {rule.name: rule for rule in workflow.rules if rule.output}


RULES = rules()


def test_there_are_rules_to_check():
    assert {"make_dataset", "train_supervised", "measure_pairs", "evaluate_claims"} <= set(RULES)


@pytest.mark.parametrize("path", RULE_FILES, ids=str)
def test_no_rule_file_uses_what_content_cannot_track(path):
    text = re.sub(r"#.*", "", path.read_text())
    for keyword in FORBIDDEN:
        assert not re.search(rf"^\s*{keyword}(\s+\w+)?:", text, flags=re.MULTILINE), keyword
    for call in FORBIDDEN_CALLS:
        assert not re.search(rf"\b{call}\(", text), call


@pytest.mark.parametrize("path", RULE_FILES, ids=str)
def test_every_rule_that_runs_something_says_how_many_threads(path):
    rules = re.split(r"^ *rule( \w+)?:", path.read_text(), flags=re.MULTILINE)[2::2]
    assert all(re.search(r"^ *threads: ", text, re.MULTILINE) for text in rules if "shell:" in text)


@pytest.mark.parametrize("name", RULES)
def test_rule_runs_one_script_by_shell_and_lists_its_code(name):
    rule = RULES[name]
    assert rule.shellcmd, "has no shell command"
    recorder, _, command = rule.shellcmd.partition(SEPARATOR)
    assert recorder.startswith("PYTHONPATH=src python -m dissent.provenance.record --rule {rule} ")
    assert command.startswith("python {input.script} ")
    inputs = dict(rule.input._allitems())
    script = Path(rule.input.script)
    assert script.is_relative_to(SCRIPTS)
    assert list(rule.input.modules) == local_modules(script)
    assert Path(rule.input.environment).name == Path(str(rule.conda_env)).name
    assert None not in inputs, "has an input without a name"


@pytest.mark.parametrize("name", RULES)
def test_rule_has_all_directives(name):
    rule = RULES[name]
    assert rule.log
    assert rule.benchmark
    assert rule.conda_env
    assert rule.message
    assert "mem_mb" in rule.resources


@pytest.mark.parametrize("name", RULES)
def test_text_from_the_config_reaches_the_shell_quoted(name):
    rule = RULES[name]
    params = {key: value for key, value in rule.params._allitems() if key}
    for placeholder in re.findall(
        r"\{((?:input|output|log|wildcards|params)[^}]*)\}", rule.shellcmd
    ):
        field, _, key = placeholder.partition(".")
        if placeholder == "input.script" or placeholder.endswith(":q"):
            continue
        assert field == "params", f"{{{placeholder}}} is not quoted"
        value = params[key]
        # The seed and size of a data set are functions of its name; both are numbers.
        assert key in ("seed", "size") if callable(value) else _is_numbers(value), placeholder


@pytest.mark.parametrize("name", RULES)
def test_params_are_literals_that_do_not_follow_from_inputs_or_outputs(name):
    # Snakemake keeps no note of params that do, so that records could not be compared with its own.
    for key, value in RULES[name].params._allitems():
        if callable(value):
            assert list(inspect.signature(value).parameters) == ["wildcards"], key
        else:
            assert ast.literal_eval(repr(value)) == value, key


def _is_numbers(value) -> bool:
    return all(isinstance(v, int | float) for v in (value if isinstance(value, list) else [value]))


@pytest.mark.parametrize("path", sorted(SCRIPTS.rglob("*.py")), ids=str)
def test_script_does_nothing_on_import_and_imports_nothing_untracked(path):
    tree = ast.parse(path.read_text())
    for statement in tree.body:
        allowed = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.Assign | ast.Expr | ast.If
        assert isinstance(statement, allowed)
        if isinstance(statement, ast.Expr):
            assert isinstance(statement.value, ast.Constant), "code at the top level"
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"importlib", "__import__", "exec", "eval"}


def test_every_rule_has_a_script_and_every_script_a_rule():
    used = {Path(rule.input.script) for rule in RULES.values()}
    assert used == set(SCRIPTS.rglob("*.py")) - {SCRIPTS / "gallery.py", SCRIPTS / "summarise.py"}
