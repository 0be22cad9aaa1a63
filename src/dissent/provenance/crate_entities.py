"""What a crate says of a run: JSON-LD entities in the terms of Provenance Run Crate 0.5."""

import ast
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

import yaml

from dissent.commandline import InputError
from dissent.provenance.ledger import MADE_ANEW, File, Record
from dissent.provenance.snakemake_internals import VERSION

METADATA = "ro-crate-metadata.json"
SNAKEFILE, CITATION, LICENCE = "Snakefile", "CITATION.cff", "LICENSE"
CRATE = "https://w3id.org/ro/crate/1.1"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate"
SNAKEMAKE = f"{WORKFLOW_CRATE}#snakemake"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    f"{WORKFLOW_CRATE}/1.0": "Workflow RO-Crate",
}
# Files with these suffixes or names are in the crate; others are described in it.
MEDIA_TYPES = {
    SNAKEFILE: "text/plain",
    LICENCE: "text/plain",
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/x-python",
    ".smk": "text/plain",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
}
PARAM_TYPES = {bool: "Boolean", int: "Integer", float: "Float"}
# What terms mean that are not schema.org's own.
TERMS = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "File": "http://schema.org/MediaObject",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "buildInstructions": "https://codemeta.github.io/terms/buildInstructions",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "sha256": "https://w3id.org/ro/terms/workflow-run#sha256",
}

# Something said of the thing with that `@id`, by JSON-LD term; `merged` unites what is said of one.
Entity = dict[str, object]


class Job(NamedTuple):
    """A record, and what has to be looked up in it."""

    place: Path
    record: Record
    # The output it is named after.
    first: str
    # The input that its command runs.
    script: str
    # The outputs that no later job has made anew.
    results: list[str]
    # The inputs that are not the project's own.
    foreign: list[str]


def media_type(path: str) -> str | None:
    """The media type of a file if it is of a kind that is in the crate."""
    return MEDIA_TYPES.get(PurePosixPath(path).suffix or PurePosixPath(path).name)


@contextmanager
def blaming(place: Path) -> Iterator[None]:
    """Make an InputError of whatever comes of values in a record that no job writes."""
    try:
        yield
    except (AttributeError, KeyError, StopIteration, SyntaxError, TypeError, ValueError):
        raise InputError(f"{place}: not a record of a job; {MADE_ANEW}") from None


def crate_entities(run: Path, jobs: Sequence[Job], parts: Sequence[str]) -> Iterator[Entity]:
    """The crate itself: its title, authors and licence as in CITATION.cff."""
    try:
        cited = yaml.safe_load(Path(CITATION).read_text())
        licence = f"https://spdx.org/licenses/{cited['license']}"
        authors = [
            (author["name"], "Organization")
            if "name" in author
            else (f"{author['given-names']} {author['family-names']}", "Person")
            for author in cited["authors"]
        ]
        title, abstract = cited["title"], cited["abstract"]
    except (yaml.YAMLError, KeyError, TypeError):
        raise InputError(
            f"{CITATION}: give title, abstract, license and authors as the citation file format has"
        ) from None
    yield {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": reference("./"),
        "conformsTo": [reference(CRATE), reference(f"{WORKFLOW_CRATE}/1.0")],
    }
    yield {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{title}: the run {run.name}",
        "description": f"{abstract} This is what the run {run.name} made, with its code and the "
        "record of each job. Files whose identifier begins with # are described, not included.",
        # The day of the last result, so that the same run gives the same bytes.
        "datePublished": last_end(jobs)[: len("2000-01-01")],
        "license": reference(licence),
        "author": [reference(f"#author/{quote(name)}") for name, _ in authors],
        "conformsTo": [reference(profile) for profile in PROFILES],
        "mainEntity": reference(SNAKEFILE),
        "hasPart": [reference(part) for part in parts],
    }
    for name, kind in authors:
        yield {"@id": f"#author/{quote(name)}", "@type": kind, "name": name}
    for profile, name in PROFILES.items():
        version = profile.rpartition("/")[2]
        yield {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}
    yield {"@id": licence, "@type": "CreativeWork", "name": cited["license"]}


def workflow_entities(
    jobs: Sequence[Job], rules: Sequence[str], ids: Mapping[str, str]
) -> Iterator[Entity]:
    """The workflow, and its jobs as one action."""
    yield {
        "@id": SNAKEFILE,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "programmingLanguage": reference(SNAKEMAKE),
    }
    for path in rules:
        yield {
            "@id": ids[path],
            "@type": ["File", "SoftwareSourceCode"],
            "programmingLanguage": reference(SNAKEMAKE),
            "isPartOf": reference(SNAKEFILE),
        }
    yield {
        "@id": SNAKEMAKE,
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "version": VERSION,
        "identifier": reference("https://doi.org/10.1093/bioinformatics/bts480"),
        "url": reference("https://snakemake.readthedocs.io"),
    }
    read = dict.fromkeys(path for job in jobs for path in job.record.inputs)
    made = dict.fromkeys(path for job in jobs for path in job.results)
    yield {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "The run",
        "description": "All jobs together, which may have run on different occasions.",
        "instrument": reference(SNAKEFILE),
        "startTime": min((job.record.start for job in jobs), key=datetime.fromisoformat),
        "endTime": last_end(jobs),
        "object": [reference(ids[path]) for path in read if path not in made],
        "result": [reference(ids[path]) for path in made if path not in read],
    }
    yield {"@id": "./", "mentions": reference("#run")}


def job_entities(job: Job, ids: Mapping[str, str]) -> list[Entity]:
    """A job's action, and what the job says of its step, script, environment and sources."""
    with blaming(job.place):
        return [
            *action_entities(job, ids),
            *tool_entities(job, ids),
            *param_entities(job, ids),
            *source_entities(job, ids),
        ]


def action_entities(job: Job, ids: Mapping[str, str]) -> Iterator[Entity]:
    """What the job did, as a step of the workflow."""
    record, step = job.record, f"{SNAKEFILE}#{quote(job.record.rule)}"
    control = f"#step/{quote(job.first)}"
    yield {
        "@id": action_id(job),
        "@type": "CreateAction",
        "name": f"{record.rule}: {job.first}",
        "description": record.command,
        "instrument": reference(ids[job.script]),
        "startTime": record.start,
        "endTime": record.end,
        "object": [reference(ids[path]) for path in record.inputs if path != job.script],
        "result": [reference(ids[path]) for path in job.results],
    }
    yield {
        "@id": control,
        "@type": "ControlAction",
        "name": f"Step {record.rule}: {job.first}",
        "instrument": reference(step),
        "object": reference(action_id(job)),
    }
    yield {"@id": "./", "mentions": [reference(action_id(job)), reference(control)]}
    yield {"@id": ids[job.place.as_posix()], "about": reference(action_id(job))}
    yield {"@id": SNAKEFILE, "step": reference(step)}
    yield {
        "@id": step,
        "@type": "HowToStep",
        "name": record.rule,
        "workExample": reference(ids[job.script]),
    }
    if record.environment.get("file") in record.inputs:
        yield {"@id": step, "buildInstructions": reference(ids[record.environment["file"]])}


def tool_entities(job: Job, ids: Mapping[str, str]) -> Iterator[Entity]:
    """The script that the job ran, of which commit, and with which interpreter and packages."""
    tool, environment = ids[job.script], job.record.environment
    yield {"@id": tool, "@type": ["File", "SoftwareSourceCode", "SoftwareApplication"]}
    yield {"@id": SNAKEFILE, "hasPart": reference(tool)}
    if job.record.git:
        version = job.record.git["commit"] + ("-dirty" if job.record.git["dirty"] else "")
        yield {"@id": tool, "version": version}
        yield {"@id": SNAKEFILE, "version": version}
    if "platform" in environment:
        yield {"@id": tool, "runtimePlatform": environment["platform"]}
    if "python" in environment:
        python = f"#python-{quote(environment['python'])}"
        yield {"@id": tool, "programmingLanguage": reference(python)}
        yield {
            "@id": python,
            "@type": ["ComputerLanguage", "SoftwareApplication"],
            "name": "Python",
            "version": environment["python"],
            "url": reference("https://www.python.org/"),
        }
    for name, version in environment.get("packages", {}).items():
        yield {"@id": tool, "softwareRequirements": reference(package_id(name, version))}
        yield {
            "@id": package_id(name, version),
            "@type": "SoftwareApplication",
            "name": name,
            "version": version,
        }


def param_entities(job: Job, ids: Mapping[str, str]) -> Iterator[Entity]:
    """The job's params, and as parameters of its script."""
    for name, text in job.record.params.items():
        value = ast.literal_eval(text)
        parameter = f"{ids[job.script]}#{quote(name)}"
        given = f"#param/{quote(job.first)}/{quote(name)}"
        yield {"@id": ids[job.script], "input": reference(parameter)}
        yield {
            "@id": parameter,
            "@type": "FormalParameter",
            "name": name,
            "additionalType": PARAM_TYPES.get(type(value), "Text"),
        }
        yield {
            "@id": given,
            "@type": "PropertyValue",
            "name": name,
            "value": value if isinstance(value, str) else text,
            "exampleOfWork": reference(parameter),
        }
        yield {"@id": action_id(job), "object": reference(given)}


def source_entities(job: Job, ids: Mapping[str, str]) -> Iterator[Entity]:
    """Data and files from outside the project, and their licences."""
    for source in job.record.sources:
        identifier = f"#source/{quote(source['name'], safe='')}"
        yield {"@id": identifier, "@type": "CreativeWork", "name": source["name"]}
        yield {"@id": action_id(job), "object": reference(identifier)}
        if "licence" in source:
            yield from licence_entities(identifier, source["licence"])
        if "sha256" in source:
            yield {"@id": identifier, "sha256": source["sha256"]}
        version = job.record.environment.get("packages", {}).get(source.get("package"))
        if version:
            package = package_id(source["package"], version)
            yield {"@id": identifier, "isPartOf": reference(package)}
    params = {name: ast.literal_eval(text) for name, text in job.record.params.items()}
    for path in job.foreign:
        if params.get("licence"):
            yield from licence_entities(ids[path], params["licence"])


def licence_entities(of: str, text: str) -> Iterator[Entity]:
    identifier = f"#licence/{quote(text, safe='')}"
    yield {"@id": of, "license": reference(identifier)}
    yield {"@id": identifier, "@type": "CreativeWork", "name": text}


def file_entity(path: str, file: File, identifier: str) -> Entity:
    return {
        "@id": identifier,
        "@type": "File",
        "name": path,
        "contentSize": str(file.bytes),
        "sha256": file.sha256,
        "encodingFormat": media_type(path) or "application/octet-stream",
    }


def action_id(job: Job) -> str:
    return f"#job/{quote(job.first)}"


def package_id(name: str, version: str) -> str:
    return f"#package/{quote(name)}-{quote(version)}"


def last_end(jobs: Iterable[Job]) -> str:
    return max((job.record.end for job in jobs), key=datetime.fromisoformat)


def reference(identifier: str) -> Entity:
    return {"@id": identifier}


def merged(said: Iterable[Entity]) -> list[Entity]:
    """One entity for each `@id`, with all that is said of it: one value of a term, or a list."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for entity in said:
        values = found.setdefault(entity["@id"], {})
        for term, value in entity.items():
            for one in value if isinstance(value, list) else [value]:
                values.setdefault(term, {}).setdefault(json.dumps(one), one)
    return [
        {
            term: next(iter(several.values())) if len(several) == 1 else list(several.values())
            for term, several in values.items()
        }
        for values in found.values()
    ]


def context(graph: Iterable[Entity]) -> dict[str, str]:
    """The meaning of every term, by value: the crate can be read and checked without a network."""
    used = {term for entity in graph for term in entity if not term.startswith("@")}
    for entity in graph:
        used |= {entity["@type"]} if isinstance(entity["@type"], str) else set(entity["@type"])
    return {term: TERMS.get(term, f"http://schema.org/{term}") for term in sorted(used)}
