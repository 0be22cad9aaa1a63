"""All that this project knows of Snakemake's insides, which may change with any release of it.

Snakemake keeps one JSON file a finished output, `.snakemake/metadata/<encoded path>`, and decides
by it whether params, code and inputs are what they were. The version is therefore pinned exactly;
tests/provenance/test_snakemake_internals.py is the contract. Snakemake itself is imported only
where it is used: jobs read metadata in environments that do not have it.
"""

import dataclasses
import json
import logging
import os
import re
import sys
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from dissent.commandline import InputError
from dissent.provenance.ledger import Record, portable
from dissent.provenance.tree import files_in

VERSION = "9.27.1"
RECORD_FORMAT_VERSION = 6
METADATA = Path(".snakemake/metadata")
INCOMPLETE = Path(".snakemake/incomplete")
LOCKS = Path(".snakemake/locks")
# What Snakemake sets to a job's threads in the environment of its command.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
# The longest file name; Snakemake cuts a longer key into folders, each begun with an @.
LONGEST_NAME = 255


class Job(NamedTuple):
    """A job as the workflow now has it, in the terms of its record."""

    rule: str
    text_sha256: str
    params: dict[str, str]
    # As in the record, and as the workflow calls them.
    inputs: dict[str, str]
    outputs: tuple[str, ...]
    # The folder of the records.
    ledger: Path
    # Every rule's command by its digest.
    texts: Mapping[str, str]
    # Whether Snakemake would run it now, and its words for why.
    planned: bool
    reason: str
    # What Snakemake would write down of it: code, params, input and so on.
    metadata: dict[str, Any]


def require_version() -> None:
    """Raises InputError if this is not the Snakemake whose metadata are known."""
    from snakemake import __version__

    if __version__ != VERSION:
        raise InputError(
            f"this is Snakemake {__version__}, but the metadata that decide what runs again are "
            f"known for {VERSION} alone: use an environment with snakemake=={VERSION}"
        )


def wake_by_one_timer() -> None:
    """Have Snakemake's scheduler start no timer while another is running.

    By itself it starts one whenever it looks for jobs to run, lest it miss that its limit of jobs a
    second has passed, and looks again when one ends. So there is one more for each job that has
    finished; after a hundred jobs, it looks a hundred times a second at all that waiting jobs read,
    which takes a core and more (snakemake/snakemake, issues 2967 and 3955).
    """
    from snakemake.scheduling.job_scheduler import JobScheduler

    def schedule_reevaluation(self: Any, delay: float) -> None:
        def wake() -> None:
            self.timer = None
            self._open_jobs.release()

        if getattr(self, "timer", None) is None:
            self.timer = threading.Timer(delay, wake)
            self.timer.start()

    JobScheduler._schedule_reevalutation = schedule_reevaluation


def leave_locks_of_others() -> None:
    """Have a run that ends unlock what it has locked itself, and no more.

    By itself Snakemake then removes the folder of all locks. So once a run has ended, another that
    is still under way could be started a second time, and each would delete what the other makes.
    To unlock by hand (`--unlock`) still removes all.
    """
    from snakemake.persistence.file import FilePersistence

    def unlock(self: Any) -> None:
        for path in self._lockfile.values():
            Path(path).unlink(missing_ok=True)
        self._lockfile.clear()

    FilePersistence.unlock = unlock
    FilePersistence.cleanup_locks = FilePersistence._delete_locks


def _key_path(folder: Path, output: str) -> Path:
    """Where Snakemake keeps what belongs to an output."""
    key = urlsafe_b64encode(output.encode()).decode()
    parts = [key[i : i + LONGEST_NAME - 1] for i in range(0, len(key), LONGEST_NAME - 1)]
    return folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def read_metadata(output: str) -> dict[str, Any] | None:
    """What Snakemake wrote down when it finished an output; None if it did not, or not wholly."""
    try:
        return json.loads(_key_path(METADATA, output).read_text())
    except (OSError, ValueError):
        return None


def write_metadata(output: str, metadata: dict[str, Any]) -> None:
    """Have Snakemake take an output for finished, by a job with these metadata."""
    path = _key_path(METADATA, output)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Half-written metadata are as none; beside a name this long there is none for a temporary file.
    path.write_text(json.dumps(metadata))
    _key_path(INCOMPLETE, output).unlink(missing_ok=True)


def is_incomplete(output: str) -> bool:
    """Whether the job of an output was begun and not finished: Snakemake itself sees to it."""
    return _key_path(INCOMPLETE, output).exists()


def remote_jobs() -> bool:
    """Whether some unfinished job was handed to a cluster, where it may still run."""
    markers = (path for path in INCOMPLETE.rglob("*") if path.is_file())
    # Of a local job the id is null, or not yet written when Snakemake was killed.
    return any('"external_jobid": "' in path.read_text() for path in markers)


def left_alone(output: str | Path, status: os.stat_result, known: float) -> bool:
    """Whether an output is what it was when it became known, in seconds since 1970.

    It is if that was during its job and nothing has written to it since Snakemake touched it at the
    job's end. Touching sets modification and change time to the same moment, which Snakemake notes.
    Without such a job, as with --touch, Snakemake may have touched something else.
    """
    if status.st_mtime_ns != status.st_ctime_ns:
        return False
    metadata = read_metadata(str(output))
    if metadata is None or metadata.get("endtime") != status.st_mtime:
        return False
    return metadata["starttime"] <= known


def restored_metadata(
    job: Job | None, record: Record, texts: Mapping[str, str], modified: float
) -> dict[str, Any]:
    """The metadata of a job's outputs as its record tells them.

    What record and workflow agree in is written as Snakemake would, and what they differ in as the
    record has it, so that Snakemake sees the difference. The environment's hash is left out: it
    holds the path of this copy of the project, and the environment's file is an input anyway.
    There is no job where Snakemake forgets it, since one of its inputs is not here. `texts` has the
    rules' commands by digest, `modified` the time of the outputs in seconds since 1970.
    """
    now = job.metadata if job else {}
    paths = job.inputs if job else {}
    same_params = job is not None and job.params == record.params
    same_inputs = job is not None and set(paths) == set(record.inputs)
    same = same_params and same_inputs and job.text_sha256 == record.text_sha256
    return now | {
        "rule": record.rule,
        "code": texts.get(record.text_sha256, f"sha256:{record.text_sha256}"),
        "params": now["params"] if same_params else sorted(record.params.values()),
        "input": now["input"] if same_inputs else sorted(record.inputs),
        "shellcmd": now["shellcmd"] if same else record.command,
        "input_checksums": {
            paths.get(path, path): f"sha256:{file.sha256}" for path, file in record.inputs.items()
        },
        "record_format_version": RECORD_FORMAT_VERSION,
        "software_stack_hash": None,
        "starttime": datetime.fromisoformat(record.start).timestamp(),
        "endtime": modified,
        "incomplete": False,
    }


def differences(output: str, record: Record) -> list[str]:
    """In what the metadata of an output differ from its record: rule, rule text, params, inputs."""
    noted = read_metadata(output) or {}
    same = {
        "rule": noted.get("rule") == record.rule,
        "rule text": record.text_sha256 in (noted.get("code") or ""),
        "params": sorted(noted.get("params") or []) == sorted(record.params.values()),
        "inputs": all(
            record.inputs[path].sha256 == checksum.removeprefix("sha256:")
            for path, checksum in (noted.get("input_checksums") or {}).items()
            if path in record.inputs
        ),
    }
    return [name for name, holds in same.items() if not holds]


def existing_outputs(workflow: Any, folder: Path) -> list[str]:
    """The files in a folder that some rule of the workflow makes, sorted."""
    from snakemake.io import contains_wildcard

    fixed = {str(o) for rule in workflow.rules for o in rule.output if not contains_wildcard(o)}
    patterns = [rule for rule in workflow.rules if any(map(contains_wildcard, rule.output))]
    found = (path.as_posix() for path in files_in(folder)) if folder.is_dir() else ()
    return sorted(
        path for path in found if path in fixed or any(rule.is_producer(path) for rule in patterns)
    )


def adjust_plan(workflow: Any, forced: Collection[str], before_run: Callable[[], None]) -> None:
    """Change how the workflow that is being read will be planned.

    The jobs of the `forced` outputs run, where they are part of it; unlike --forcerun, this does
    not make the outputs targets. The environment counts by its file, an input, and no longer by its
    folder's path. `before_run` is called if jobs are to be run, but not for a dry run.
    """
    from snakemake.settings.types import RerunTrigger

    prepare = workflow._prepare_dag

    def prepare_otherwise(*arguments, **options):
        settings = workflow.dag_settings
        triggers = frozenset(settings.rerun_triggers) - {RerunTrigger.SOFTWARE_ENV}
        workflow.dag_settings = dataclasses.replace(settings, rerun_triggers=triggers)
        if workflow.executor_plugin is not None and not workflow.dryrun and not workflow.touch:
            before_run()
        prepare(*arguments, **options)
        workflow.dag.forcefiles.update(forced)
        # Else a large input that is newer than the results counts as changed, although restored
        # metadata have its digest. What Snakemake notes itself stays limited to small inputs.
        workflow.dag.max_checksum_file_size = sys.maxsize

    workflow._prepare_dag = prepare_otherwise


def load_jobs(configfile: str | None, targets: Iterable[str] | None = None) -> list[Job]:
    """The jobs the Snakefile here needs for targets, in the order in which they can run.

    No targets are the workflow's default one, None is all that have no files of their own.

    Raises InputError with Snakemake's words if the workflow or its config is wrong.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import RuleException, WorkflowError
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    require_version()
    if not Path("Snakefile").exists():
        raise InputError("there is no Snakefile here: run dissent in the project's folder")
    quiet = OutputSettings(dryrun=True, quiet={Quietness.ALL})
    with _quietly(), SnakemakeApi(quiet) as api:
        try:
            configs = ConfigSettings(configfiles=[Path(configfile)] if configfile else [])
            loaded = api.workflow(
                # A job has no more threads than there are cores.
                resource_settings=ResourceSettings(cores=sys.maxsize),
                config_settings=configs,
                snakefile=Path("Snakefile"),
            )
            if targets is None:
                targets = [rule.name for rule in loaded._workflow.rules if not rule.output]
            loaded.dag(DAGSettings(targets=set(targets), force_incomplete=True))
            workflow = loaded._workflow
            workflow._prepare_dag(forceall=False, ignore_incomplete=False, lock_warn_only=False)
            workflow._build_dag()
        except (WorkflowError, RuleException) as error:
            raise InputError(str(error)) from None
        except Exception as error:
            raise InputError(
                f"the workflow cannot be read ({type(error).__name__}: {error}): try `snakemake -n`"
            ) from error
        texts = {_stamp(rule)[0]: rule.shellcmd for rule in workflow.rules if rule.output}
        levels = (
            [_job(workflow, job, texts) for job in level if job.output]
            for level in workflow.dag.toposorted()
        )
        # Within a level Snakemake's order is another in each process.
        return [
            job
            for level in levels
            for job in sorted(level, key=lambda job: (job.rule, job.outputs))
        ]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what Snakemake tells of its progress, through handlers of its own making."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _stamp(rule: Any) -> tuple[str, str]:
    """Digest of a rule's command, and the folder of its jobs' records, from the command."""
    stamp = re.search(r"--text ([0-9a-f]{64}) --ledger (\S+)", rule.shellcmd or "")
    if stamp is None:
        raise InputError(f"rule {rule.name} is not recorded: let it run its script by `recorded`")
    return stamp[1], stamp[2]


def _job(workflow: Any, job: Any, texts: Mapping[str, str]) -> Job:
    noted = workflow.persistence
    text_sha256, ledger = _stamp(job.rule)
    return Job(
        rule=job.rule.name,
        text_sha256=text_sha256,
        params={name: repr(job.params[index]) for name, (index, _) in job.params._names.items()},
        inputs={portable(str(path)): str(path) for path in job.input},
        outputs=tuple(map(str, job.output)),
        ledger=Path(ledger),
        texts=texts,
        planned=workflow.dag.needrun(job),
        reason=str(workflow.dag.reason(job)),
        metadata={
            "rule": job.rule.name,
            "input": list(map(str, noted._input(job))),
            "log": list(map(str, noted._log(job))),
            "shellcmd": job.shellcmd,
            "params": noted._params(job),
            "code": noted._code(job.rule),
            "conda_env": noted._conda_env(job),
        },
    )
