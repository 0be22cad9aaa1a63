"""dissent: where results come from, whether they are what they should be, and what would run."""

import argparse
import json
import logging
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from dissent import commandline
from dissent.commandline import InputError
from dissent.files import atomic
from dissent.provenance import audit, committed, guard
from dissent.provenance.chain import Step, as_json, as_text, some, trace, walk
from dissent.provenance.crate import write_crate
from dissent.provenance.ledger import Record, makers, portable, read_ledger
from dissent.provenance.page import page
from dissent.provenance.replay import OTHER_BYTES, replay
from dissent.provenance.restore import restore
from dissent.provenance.sealing import stages_of
from dissent.provenance.snakemake_internals import Job, load_jobs
from dissent.provenance.why import causes, unplanned

log = logging.getLogger("dissent")


def main(arguments: argparse.Namespace) -> None:
    try:
        try:
            arguments.command(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has read enough, as `head` does; what is left is flushed to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def load(
    arguments: argparse.Namespace, paths: Sequence[str] = ()
) -> tuple[list[Job], dict[Path, Record]]:
    """All jobs of the workflow, and the ledger of its run.

    Raises InputError if that is empty, or if one of the paths is of another run.
    """
    with guard.off():
        jobs = load_jobs(arguments.configfile)
    results = jobs[0].ledger.parent
    for path in paths:
        if not Path(portable(path)).is_relative_to(results):
            raise InputError(
                f"{path} is not in {results}, the run of this config: "
                "name the config of its run by --configfile"
            )
    records = read_ledger(jobs[0].ledger)
    if not records:
        raise InputError(
            f"there are no records in {jobs[0].ledger}: run the workflow or `dvc pull`"
        )
    return jobs, records


def audit_command(arguments: argparse.Namespace) -> None:
    jobs, ledger = load(arguments, arguments.paths)
    made_by = makers(ledger.values())
    chains = [trace(path, made_by) for path in arguments.paths]
    findings = []
    if chains:
        found = {id(step.record): step.record for chain in chains for step in walk(chain)}
        records = list(found.values())
    else:
        live = audit.live(ledger, made_by)
        records = list(live.values())
        findings += audit.orphans(jobs, live, made_by) + audit.unrecorded(jobs, made_by)
    tracked = committed.tracked_files()
    notes = audit.leaf_notes(records, made_by, tracked)
    files = committed.config_files(arguments.configfile, jobs)
    results = jobs[0].ledger.parent
    findings += [
        *audit.integrity(records, made_by),
        *audit.currency(records, jobs, made_by),
        *audit.closure(records, notes, committed.uncommitted(tracked, files)),
        *audit.consistency(records, made_by, results),
    ]
    if arguments.replay:
        findings += replayed(records, jobs, made_by, arguments.replay)
    report(arguments, chains, notes, findings, records, results)
    if findings:
        sys.exit(1)


def replayed(
    records: Sequence[Record], jobs: Sequence[Job], made_by: dict[str, Record], wanted: str
) -> list[audit.Finding]:
    """Do jobs again, all or some drawn by chance, so that no forger knows which."""
    job_of = {output: job for job in jobs for output in job.outputs}
    drawn = list(records)
    if wanted != "all":
        drawn = random.sample(drawn, min(int(wanted), len(drawn)))
    found = []
    for number, record in enumerate(drawn, start=1):
        first = audit.subject(record, made_by)
        log.info("replaying %s for %s (%d of %d)", record.rule, first, number, len(drawn))
        differing = (
            replay(job_of[first], record)
            if first in job_of
            else [(first, "cannot be made again, since no job of this workflow makes it")]
        )
        found += [audit.Finding("replay", path, what, mend(what)) for path, what in differing]
    return found


def mend(what: str) -> str:
    if what == OTHER_BYTES:
        return "do not trust it; delete it and run the workflow"
    return "its bytes are as recorded; give the job what it lacks, and replay it again"


def report(
    arguments: argparse.Namespace,
    chains: Sequence[Step],
    notes: dict[str, str],
    findings: Sequence[audit.Finding],
    records: Sequence[Record],
    results: Path,
) -> None:
    if arguments.html:
        with atomic(arguments.html) as temporary:
            text = page(Path(arguments.paths[0]), chains[0], notes, list(map(str, findings)))
            temporary.write_text(text, encoding="utf-8")
    if arguments.json:
        content = {
            "holds": not findings,
            "findings": [finding._asdict() for finding in findings],
            "chains": [as_json(chain, notes) for chain in chains],
        }
        print(json.dumps(content, indent=1))
        return
    for chain in chains:
        print(as_text(chain, notes), end="\n\n")
    for finding in findings:
        print(finding)
    files = sum(len(record.outputs) for record in records)
    print(f"{len(records)} jobs and their {files} files in {results}: ", end="")
    print(f"{len(findings)} findings" if findings else "everything holds")
    if not stages_of(results):
        print(f"(no stage of dvc.yaml covers {results}, so nothing is said of DVC)")


def restore_command(arguments: argparse.Namespace) -> None:
    jobs, ledger = load(arguments)
    verified, wrong = restore(jobs, makers(ledger.values()))
    print(f"{len(verified)} files are as their records say; Snakemake knows of them again")
    if wrong:
        raise InputError("; ".join(wrong))


def why_command(arguments: argparse.Namespace) -> None:
    jobs = load_jobs(arguments.configfile, arguments.paths)
    made_by = makers(read_ledger(jobs[0].ledger).values())
    planned = causes(jobs, made_by)
    for job, cause in planned:
        print(f"{job.rule} ({some(job.outputs)}): {cause}")
    for job, cause in unplanned(jobs, made_by):
        print(
            f"not planned by Snakemake, but out of date: {job.rule} ({some(job.outputs)}): {cause}"
        )
    if not planned:
        print("nothing would run")


def rocrate_command(arguments: argparse.Namespace) -> None:
    jobs, ledger = load(arguments)
    made_by = makers(ledger.values())
    outdated = audit.currency(audit.live(ledger, made_by).values(), jobs, made_by)
    if outdated:
        raise InputError(f"the workflow here is not the one of this run; {outdated[0]}")
    write_crate(jobs[0].ledger.parent, arguments.output)


def jobs_to_replay(text: str) -> str:
    if text != "all" and not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError("give a number of jobs, or all")
    return text


def use_code_here() -> None:
    """Begin anew with the project's own code, if the environment is that of another copy of it."""
    code = Path("src/dissent")
    if code.is_dir() and not code.samefile(Path(__file__).parents[1]):
        command = [sys.executable, "-m", "dissent.provenance.main", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"PYTHONPATH": "src"})


def build_parser() -> argparse.ArgumentParser:
    parser = commandline.parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, function, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--configfile", help="the run's config, as for snakemake")
        command.set_defaults(command=function)
        return command

    auditing = add("audit", audit_command, "check results against their records")
    auditing.add_argument("paths", nargs="*", metavar="PATH", help="results; by default all")
    auditing.add_argument(
        "--replay",
        type=jobs_to_replay,
        metavar="N",
        help="also do N jobs again, drawn by chance, or all, and compare their bytes",
    )
    auditing.add_argument("--json", action="store_true", help="print findings and chains as JSON")
    auditing.add_argument(
        "--html", type=Path, metavar="FILE", help="write PATH and its chain as a page"
    )
    add("restore", restore_command, "after a checkout or a pull: verify results, tell Snakemake")
    asking = add("why", why_command, "which jobs would run now, and why")
    asking.add_argument("paths", nargs="*", metavar="PATH", help="results; by default all")
    crate = add("rocrate", rocrate_command, "export a run as a Workflow Run RO-Crate")
    crate.add_argument("output", type=Path, help="folder to write")
    return parser


def entry() -> None:
    use_code_here()
    # Not every terminal knows the letters of names and trees.
    sys.stdout.reconfigure(errors="replace")
    parser = build_parser()
    arguments = parser.parse_args()
    if getattr(arguments, "html", None) and len(arguments.paths) != 1:
        parser.error("--html needs one PATH")
    commandline.run(main, arguments)


if __name__ == "__main__":
    entry()
