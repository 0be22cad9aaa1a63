"""A run's crate, against the validator of its profile and what the records and files say.

The crate gives its context by value, so the validator runs whole, with no network, against the most
specific profile: Provenance Run Crate, with all it builds on. Two things it cannot see: whether a
term means what the published contexts say (compared with the context that rocrate ships; it is that
of a later RO-Crate, so the few terms that moved are spelled out here), and the recommended level,
of which some ask for what nobody knows (who ran a job, the script's home page).
"""

import hashlib
import json
import socket
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from rocrate.rocrate import ROCrate
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate

from dissent.commandline import InputError
from dissent.provenance.crate import METADATA, read_job, write_crate
from dissent.provenance.ledger import File, Record, read_ledger, write_record

# Of rdflib, which the validator uses.
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")

RUN = Path("results/tiny")
LEDGER = RUN / "provenance"
DATA, MODEL = "results/tiny/data/set.safetensors", "results/tiny/models/theirs.safetensors"
FIGURE, TABLE = "results/tiny/figures/fig 1.svg", "results/tiny/figures/fig 1.csv"
THEIRS, ELSEWHERE = "theirs/labels.csv", "outside/0a1b2c3d/weights.csv"
WORKFLOW = {
    "Snakefile": 'include: "workflow/rules/all.smk"\n',
    "workflow/rules/all.smk": 'include: "more.smk"\nrule a: ...\n',
    "workflow/rules/more.smk": "rule b: ...\n",
    "workflow/rules/unused.smk": "rule c: ...\n",
    "LICENSE": "Do what you like.\n",
    "CITATION.cff": (
        "title: tiny\nabstract: A tiny study.\nlicense: MIT\n"
        "authors:\n- name: The tiny authors\n- {given-names: Ada, family-names: Lovelace}\n"
    ),
}
INPUTS = {
    "scripts/make.py": "make",
    "scripts/take.py": "take",
    "scripts/draw.py": "draw",
    "src/shared.py": "shared",
    "envs/small.yaml": "dependencies: []\n",
    THEIRS: "0,1\n",
}
RESULTS = {DATA: "data", MODEL: "model", FIGURE: "<svg/>", TABLE: "x,y\n"}
PACKAGES = {"numpy": "2.0.1", "scikit-learn": "1.5.0"}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def described(paths) -> dict[str, File]:
    known = {**INPUTS, **RESULTS, ELSEWHERE: "far away", "results/tiny/old.csv": "old"}
    return {path: File(digest(known[path]), len(known[path])) for path in paths}


def record(rule: str, hour: int, inputs, outputs, **more) -> Record:
    script = f"scripts/{rule}.py"
    fields = {
        "rule": rule,
        "text_sha256": digest(rule),
        "command": f"python {script} --output '{outputs[0]}'",
        "params": {},
        "inputs": described([script, "envs/small.yaml", *inputs]),
        "outputs": described(outputs),
        "logs": [f"logs/{rule}.log"],
        "environment": {
            "file": "envs/small.yaml",
            "python": "3.12.1",
            "platform": "Linux x86_64",
            "packages": PACKAGES,
        },
        "machine": {"device": "cpu", "processor": "a fast one", "threads": 2},
        "start": f"2026-01-02T0{hour}:00:00.000+00:00",
        "end": f"2026-01-02T0{hour}:30:00.000+00:00",
        "git": {"commit": "c0ffee", "dirty": False},
    }
    return Record(**(fields | more))


def make() -> Record:
    params = {"seed": "3", "share": "0.5", "name": "'set'", "fresh": "True", "kinds": "['a', 'b']"}
    sources = [
        {"name": "Scans (a, b)", "licence": "CC BY 4.0", "package": "scikit-learn"},
        {"name": "Drawings", "licence": "CC0", "sha256": digest("drawings")},
    ]
    return record("make", 1, ["src/shared.py"], [DATA], params=params, sources=sources)


def take() -> Record:
    params = {"sha256": repr(digest(INPUTS[THEIRS])), "licence": "'GPL-3.0'"}
    return record("take", 2, [THEIRS, ELSEWHERE], [MODEL], params=params)


def draw() -> Record:
    git = {"commit": "decade", "dirty": True}
    return record("draw", 3, ["src/shared.py", DATA, MODEL], [FIGURE, TABLE], git=git)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A finished run of three jobs, one of which takes over what others made."""
    monkeypatch.chdir(tmp_path)
    for path, text in {**WORKFLOW, **INPUTS, **RESULTS}.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    for done in (make(), take(), draw()):
        write_record(LEDGER, done)
    return tmp_path


@pytest.fixture
def graph(project) -> dict[str, dict]:
    """The entities of the run's crate."""
    write_crate(RUN, Path("crate"))
    return entities(Path("crate"))


@pytest.fixture
def violations(tmp_path, monkeypatch):
    """Validate a crate at the required level, without a network; return what it violates."""

    def refuse(*_):
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    def run(crate: Path) -> list[str]:
        settings = ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier="provenance-run-crate",
            requirement_severity=Severity.REQUIRED,
            offline=True,
            cache_path=tmp_path / "http_cache",
        )
        result = validate(settings)
        assert not result.skipped_checks
        profiles = {check.requirement.profile.identifier for check in result.executed_checks}
        assert len([name for name in profiles if "run-crate" in name]) == 3, profiles
        return [issue.message for issue in result.get_issues()]

    return run


def entities(crate: Path) -> dict[str, dict]:
    listed = json.loads((crate / METADATA).read_text())["@graph"]
    by_id = {entity["@id"]: entity for entity in listed}
    assert len(by_id) == len(listed)
    return by_id


def many(value) -> list:
    return value if isinstance(value, list) else [value]


def names(graph, references) -> set[str]:
    return {graph[reference["@id"]]["name"] for reference in many(references)}


def action(graph, done: Record) -> dict:
    (found,) = (
        entity
        for entity in graph.values()
        if entity["@type"] == "CreateAction" and entity.get("description") == done.command
    )
    return found


def of_file(graph, path: str) -> dict:
    (found,) = (
        entity
        for entity in graph.values()
        if "File" in many(entity["@type"]) and entity["name"] == path
    )
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_crate_is_valid(graph, violations):
    assert violations(Path("crate")) == []


def without(term):
    return lambda entity: entity.pop(term)


@pytest.mark.parametrize(
    ("identifier", "breaking"),
    [
        ("./", without("license")),
        ("Snakefile", without("programmingLanguage")),
        ("Snakefile#draw", without("workExample")),
        ("#run", without("instrument")),
        ("scripts/make.py#seed", without("additionalType")),
        ("results/tiny/figures/fig%201.csv", lambda entity: entity.update({"@id": "gone.csv"})),
        ("results/tiny/figures/fig%201.csv", lambda entity: entity.update(unheardOf="x")),
    ],
)
def test_the_validator_would_see_a_broken_crate(graph, violations, identifier, breaking):
    path = Path("crate") / METADATA
    content = json.loads(path.read_text())
    (entity,) = (entity for entity in content["@graph"] if entity["@id"] == identifier)
    breaking(entity)
    path.write_text(json.dumps(content))
    assert violations(Path("crate"))


def test_terms_mean_what_the_published_contexts_say(graph):
    published = json.loads((files("rocrate") / "data/ro-crate.jsonld").read_text())["@context"]
    # RO-Crate 1.1, Metadata: Additional metadata standards; and the terms of Workflow Run RO-Crate.
    published |= {
        "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
        "FormalParameter": "https://bioschemas.org/FormalParameter",
        "input": "https://bioschemas.org/ComputationalWorkflow#input",
        "sha256": "https://w3id.org/ro/terms/workflow-run#sha256",
    }
    context = json.loads((Path("crate") / METADATA).read_text())["@context"]
    used = {term for entity in graph.values() for term in [*entity, *many(entity["@type"])]}
    assert context == {term: published[term] for term in used if not term.startswith("@")}


def test_another_library_reads_it(graph):
    crate = ROCrate("crate")
    assert crate.mainEntity.id == "Snakefile"
    assert crate.name == "tiny: the run tiny"
    assert {unquote(entity.id) for entity in crate.data_entities} == set(
        contents(Path("crate"))
    ) - {METADATA}


def test_every_reference_leads_somewhere(graph):
    def references(value):
        if isinstance(value, dict):
            yield value["@id"]
        elif isinstance(value, list):
            for one in value:
                yield from references(one)

    for entity in graph.values():
        for term, value in entity.items():
            for target in references(value):
                assert target in graph or urlsplit(target).scheme == "https", (entity, term)


def test_every_file_of_the_ledger_is_there_with_its_digest_and_size(graph, project):
    known = {**INPUTS, **RESULTS, ELSEWHERE: "far away"}
    for path, text in known.items():
        entity = of_file(graph, path)
        assert entity["sha256"] == digest(text)
        assert entity["contentSize"] == str(len(text))
        assert entity["encodingFormat"]


def test_it_holds_what_people_read_and_no_more(graph, project):
    kept = {path: text.encode() for path, text in {**WORKFLOW, **INPUTS, **RESULTS}.items()}
    for path in (DATA, MODEL, THEIRS, "workflow/rules/unused.smk"):
        del kept[path]
    records = {path.as_posix(): path.read_bytes() for path in LEDGER.rglob("*.json")}
    assert len(records) == 3
    held = contents(Path("crate"))
    del held[METADATA]
    assert held == kept | records
    assert {unquote(part["@id"]) for part in graph["./"]["hasPart"]} == set(held)
    for path, held_bytes in held.items():
        assert of_file(graph, path)["sha256"] == hashlib.sha256(held_bytes).hexdigest()


@pytest.mark.parametrize("done", [make(), take(), draw()])
def test_a_job_is_an_action(graph, done):
    found = action(graph, done)
    script = f"scripts/{done.rule}.py"
    assert (found["startTime"], found["endTime"]) == (done.start, done.end)
    assert names(graph, found["instrument"]) == {script}
    assert names(graph, found["result"]) == set(done.outputs)
    read = [ref for ref in found["object"] if "File" in many(graph[ref["@id"]]["@type"])]
    assert names(graph, read) == set(done.inputs) - {script}
    (step,) = (e for e in graph.values() if e["@type"] == "HowToStep" and e["name"] == done.rule)
    assert names(graph, step["workExample"]) == {script}
    assert names(graph, step["buildInstructions"]) == {"envs/small.yaml"}
    assert {"@id": step["@id"]} in graph["Snakefile"]["step"]
    (control,) = (e for e in graph.values() if e.get("instrument") == {"@id": step["@id"]})
    assert control["@type"] == "ControlAction"
    assert control["object"] == {"@id": found["@id"]}
    (about,) = (e for e in graph.values() if e.get("about") == {"@id": found["@id"]})
    assert json.loads(Path("crate", unquote(about["@id"])).read_text())["rule"] == done.rule


def test_the_run_is_an_action_from_what_nobody_made_to_what_nobody_read(graph):
    run = graph["#run"]
    assert run["instrument"] == {"@id": "Snakefile"}
    assert (run["startTime"], run["endTime"]) == (make().start, draw().end)
    steps = [graph[reference["@id"]]["name"] for reference in graph["Snakefile"]["step"]]
    assert steps == ["make", "take", "draw"]
    assert names(graph, run["object"]) == {*INPUTS, ELSEWHERE}
    assert names(graph, run["result"]) == {FIGURE, TABLE}


def test_params_have_their_values_and_types(graph):
    done = action(graph, make())
    given = [graph[reference["@id"]] for reference in done["object"]]
    given = {e["name"]: e for e in given if e["@type"] == "PropertyValue"}
    values = {"seed": "3", "share": "0.5", "name": "set", "fresh": "True", "kinds": "['a', 'b']"}
    assert {name: entity["value"] for name, entity in given.items()} == values
    formal = {name: graph[e["exampleOfWork"]["@id"]] for name, e in given.items()}
    assert {name: entity["additionalType"] for name, entity in formal.items()} == {
        "seed": "Integer",
        "share": "Float",
        "name": "Text",
        "fresh": "Boolean",
        "kinds": "Text",
    }
    assert names(graph, graph["scripts/make.py"]["input"]) == set(make().params)


def test_scripts_have_their_environment_and_commit(graph):
    for rule, version in (("make", "c0ffee"), ("draw", "decade-dirty")):
        tool = graph[f"scripts/{rule}.py"]
        packages = [graph[reference["@id"]] for reference in tool["softwareRequirements"]]
        assert {package["name"]: package["version"] for package in packages} == PACKAGES
        python = graph[tool["programmingLanguage"]["@id"]]
        assert (python["name"], python["version"]) == ("Python", "3.12.1")
        assert tool["runtimePlatform"] == "Linux x86_64"
        assert tool["version"] == version


def test_the_workflows_language_is_the_pinned_snakemake(graph):
    language = graph[graph["Snakefile"]["programmingLanguage"]["@id"]]
    pin = next(
        line.partition("==")[2]
        for line in (Path(__file__).parents[2] / "envs/workflow.yaml").read_text().splitlines()
        if line.strip().startswith("- snakemake==")
    )
    assert (language["name"], language["version"]) == ("Snakemake", pin)


def test_sources_and_files_of_others_have_their_licence(graph):
    (source,) = (e for e in graph.values() if e.get("name") == "Scans (a, b)")
    assert {"@id": source["@id"]} in action(graph, make())["object"]
    assert names(graph, source["license"]) == {"CC BY 4.0"}
    assert graph[source["isPartOf"]["@id"]]["version"] == PACKAGES["scikit-learn"]
    (pinned,) = (e for e in graph.values() if e.get("name") == "Drawings")
    assert pinned["sha256"] == digest("drawings")
    assert names(graph, of_file(graph, THEIRS)["license"]) == {"GPL-3.0"}


def test_title_authors_and_licence_are_those_to_cite(graph):
    root = graph["./"]
    assert names(graph, root["author"]) == {"The tiny authors", "Ada Lovelace"}
    assert root["license"] == {"@id": "https://spdx.org/licenses/MIT"}
    assert root["datePublished"] == "2026-01-02"


def test_what_a_record_does_not_know_is_left_out(project, violations):
    bare = {"environment": {}, "machine": {}, "git": {}}
    for done in (make(), take(), draw()):
        write_record(LEDGER, Record(**(vars(done) | bare)))
    write_crate(RUN, Path("crate"))
    assert violations(Path("crate")) == []
    tool = entities(Path("crate"))["scripts/draw.py"]
    assert not tool.keys() & {"version", "runtimePlatform", "softwareRequirements"}


def test_it_does_not_tell_where_the_project_lies(project):
    write_crate(project / RUN, project / "crate")
    assert not [path for path, text in contents(Path("crate")).items() if bytes(project) in text]


def test_equal_runs_give_equal_bytes(project):
    for folder in ("one", "two"):
        write_crate(RUN, Path(folder))
    assert contents(Path("one")) == contents(Path("two"))


def test_only_what_no_later_job_made_anew_counts(project):
    gone = record("take", 0, [], [FIGURE], command="python scripts/take.py --gone")
    old = record("make", 0, [], ["results/tiny/old.csv", TABLE], command="python scripts/make.py")
    for done in (gone, old):
        done.outputs[[*done.outputs][-1]] = File(digest("before"), 6)
        write_record(LEDGER, done)
    write_record(LEDGER, draw())
    Path("results/tiny/old.csv").write_text("old")
    write_crate(RUN, Path("crate"))
    graph = entities(Path("crate"))
    assert names(graph, action(graph, old)["result"]) == {"results/tiny/old.csv"}
    assert names(graph, action(graph, draw())["result"]) == {FIGURE, TABLE}


def forge(**changes):
    """Change fields of a record, past all checks."""

    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


SOUND_OUTPUT = {DATA: {"sha256": digest("data"), "bytes": 4}}
SOUND = {"scripts/make.py": {"sha256": digest("make"), "bytes": 4}}


@pytest.mark.parametrize(
    "breaking",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_text("[]"),
        forge(format=99),
        forge(outputs={}),
        forge(outputs={FIGURE: {"sha256": digest("<svg/>"), "bytes": 6}}),
        forge(outputs=SOUND_OUTPUT | {"../loot.csv": {"sha256": digest("x"), "bytes": 1}}),
        forge(outputs={DATA: {"sha256": "short", "bytes": 4}}),
        forge(outputs={DATA: {"sha256": digest("other"), "bytes": 4}}),
        forge(outputs={DATA: {"sha256": digest("data"), "bytes": 400}}),
        forge(outputs={DATA: {"sha256": digest("data")}}),
        forge(inputs=SOUND | {"/etc/hostname": {"sha256": digest("x"), "bytes": 1}}),
        forge(inputs=SOUND | {"src/shared.py": {"sha256": digest("other"), "bytes": 6}}),
        forge(inputs=SOUND | {"outside/0a1b2c3d/x": {"sha256": "short", "bytes": 1}}),
        forge(inputs=SOUND | {"": {"sha256": digest("x"), "bytes": 1}}),
        forge(inputs=[]),
        forge(command="python scripts/unknown.py"),
        forge(command="python 'scripts/make.py"),
        forge(command=None),
        forge(rule=None),
        forge(start="yesterday"),
        forge(start="2026-01-02T01:00:00", end="2026-01-02T02:00:00"),
        forge(params={"seed": "__import__('os')"}),
        forge(params={"seed": 3}),
        forge(environment={"packages": ["numpy"]}),
        forge(environment={"python": 3}),
        forge(git={"dirty": True}),
        forge(sources=[{"licence": "MIT"}]),
        forge(sources="none"),
        forge(surprise=True),
    ],
)
def test_a_forged_record_is_refused(project, breaking):
    path = LEDGER / "data/set.safetensors.json"
    assert path in read_ledger(LEDGER)
    breaking(path)
    with pytest.raises(InputError) as refusal:
        write_crate(RUN, Path("crate"))
    assert any(name in str(refusal.value) for name in (str(path), DATA, "src/shared.py"))
    assert not Path("crate").exists()


def test_a_file_that_is_not_as_recorded_is_refused(project):
    for path in (TABLE, "src/shared.py", DATA, THEIRS):
        kept = Path(path).read_text()
        Path(path).write_text(kept + " ")
        with pytest.raises(InputError, match="not as recorded") as refusal:
            write_crate(RUN, Path("crate"))
        assert path in str(refusal.value)
        Path(path).write_text(kept)


def test_a_described_file_may_be_away_but_not_one_to_be_kept(project):
    Path(DATA).unlink()
    write_crate(RUN, Path("crate"))
    Path(TABLE).unlink()
    with pytest.raises(InputError, match="not here") as refusal:
        write_crate(RUN, Path("another"))
    assert TABLE in str(refusal.value)


@pytest.mark.parametrize("name", ["Snakefile", "CITATION.cff", "LICENSE"])
def test_a_folder_that_is_no_project_is_refused(project, name):
    Path(name).unlink()
    with pytest.raises(InputError, match=name):
        write_crate(RUN, Path("crate"))


@pytest.mark.parametrize("text", ["{", "title: tiny\n", "just text"])
def test_a_citation_file_that_says_too_little_is_refused(project, text):
    Path("CITATION.cff").write_text(text)
    with pytest.raises(InputError, match=r"CITATION\.cff"):
        write_crate(RUN, Path("crate"))


def test_a_run_without_records_is_refused(project):
    with pytest.raises(InputError, match="no records"):
        write_crate(Path("results/other"), Path("crate"))


def test_a_folder_in_use_is_refused_and_left_alone(project):
    Path("mine").mkdir()
    write_crate(RUN, Path("mine"))
    before = contents(Path("mine"))
    Path("note").write_text("dear diary")
    for output in (Path("mine"), Path("note")):
        with pytest.raises(InputError, match="not empty"):
            write_crate(RUN, output)
    assert contents(Path("mine")) == before
    assert Path("note").read_text() == "dear diary"


def test_what_a_job_fetched_is_described_and_not_included():
    theirs = File(digest("theirs"), 6)
    more = {"sources": [{"name": "https://host/a.csv", "licence": "MIT", "sha256": theirs.sha256}]}
    fetched = record("take", 1, ["scripts/take.py"], [TABLE], **more)
    fetched.outputs[TABLE] = theirs
    made_by = {TABLE: fetched}
    assert read_job(Path("a.json"), fetched, made_by).foreign == [TABLE]
    fetched.outputs[TABLE] = File(digest("made of it"), 10)
    assert read_job(Path("a.json"), fetched, made_by).foreign == []
