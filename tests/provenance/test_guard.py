"""What a run does about the results it finds: stops, makes anew, clears up, or lets well alone."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake as installed

from dissent.commandline import InputError
from dissent.files import leftovers
from dissent.provenance import guard
from dissent.provenance.guard import check
from dissent.provenance.snakemake_internals import (
    INCOMPLETE,
    LOCKS,
    METADATA,
    _key_path,
    load_jobs,
    read_metadata,
)

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
RESULTS = Path("results/toy")


def planned_outputs() -> set[str]:
    """What would be made anew, as a run that the guard looks at plans it."""
    return {output for job in load_jobs(None) if job.planned for output in job.outputs}


def alter(path: str) -> None:
    """Change a file's content in place, and nothing that a listing shows."""
    before = Path(path).stat()
    text = Path(path).read_text()
    assert text != text.swapcase()
    Path(path).write_text(text.swapcase())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Path(path).stat().st_size == before.st_size


def mark_incomplete(output: str, job: str = "null") -> None:
    path = _key_path(INCOMPLETE, output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"external_jobid": {job}}}')


# Results without metadata


def refusal(number: int, first: str) -> str:
    more = f" and {number - 1} more in results/toy" if number > 1 else ""
    return (
        f"Snakemake's metadata do not tell of {first}{more}, as after a checkout or a pull: run "
        "`dissent restore --configfile config.yaml`, or delete what it names to have it made anew"
    )


def test_results_without_metadata_stop_the_run_with_a_remedy(toy):
    shutil.rmtree(METADATA)
    with pytest.raises(InputError) as caught:
        load_jobs(None)
    assert str(caught.value).strip() == refusal(6, "results/toy/big.txt")
    # They are still there for `dissent restore`.
    assert all(Path(path).exists() for path in toy.outputs)


def test_a_single_result_without_metadata_stops_the_run(toy):
    for path in toy.outputs:
        metadata = _key_path(METADATA, path)
        metadata.rename("away")
        with pytest.raises(InputError, match=re.escape(refusal(1, path))):
            load_jobs(None)
        Path("away").rename(metadata)
    assert planned_outputs() == set()


def test_results_with_half_written_metadata_stop_the_run_too(toy):
    _key_path(METADATA, "results/toy/last.txt").write_text('{"rule": "la')
    with pytest.raises(InputError, match=re.escape(refusal(1, "results/toy/last.txt"))):
        load_jobs(None)


def test_incomplete_results_are_left_to_snakemake(toy):
    shutil.rmtree(METADATA)
    for path in toy.outputs:
        mark_incomplete(path)
    load_jobs(None)


def test_files_that_no_rule_makes_and_other_runs_do_not_stop_a_run(toy):
    for path in ("results/toy/notes.txt", "results/toy/provenance/notes", "results/other/big.txt"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("text")
    assert planned_outputs() == set()


def test_missing_results_do_not_stop_a_run(toy):
    shutil.rmtree(METADATA)
    shutil.rmtree(RESULTS)
    assert planned_outputs() == set(toy.outputs)


@pytest.mark.parametrize(
    ("configfiles", "command"),
    [
        ([], "dissent restore"),
        (
            ["config/demo.yaml", "{here}/config/test.yaml"],
            "dissent restore --configfile config/test.yaml",
        ),
    ],
)
def test_the_remedy_names_the_last_config_file_of_the_run(toy, configfiles, command):
    Path("results/toy/made/c.txt").write_text("bare")
    workflow = SimpleNamespace(
        is_main_process=True,
        rules=[SimpleNamespace(output=["results/toy/made/c.txt"])],
        configfiles=[path.format(here=Path.cwd()) for path in configfiles],
    )
    with pytest.raises(InputError, match=re.escape(f": run `{command}`, or delete")):
        check(workflow, RESULTS)


# Results that were altered


def test_altered_results_are_made_anew_with_what_depends_on_them_and_nothing_else(toy):
    assert planned_outputs() == set()
    for number in range(1, len(toy.outputs) + 1):
        for chosen in combinations(toy.outputs, number):
            for path in chosen:
                shutil.copy2(path, f"{path}.kept")
                alter(path)
            expected = set().union(*map(toy.made_anew_with, chosen))
            assert planned_outputs() == expected, chosen
            for path in chosen:
                Path(f"{path}.kept").replace(path)
    assert planned_outputs() == set()


def test_it_is_said_which_results_are_made_anew(toy, caplog):
    alter("results/toy/joined.csv")
    load_jobs(None)
    said = [record.getMessage() for record in caplog.records if record.name == "dissent"]
    assert said == ["results/toy/joined.csv is not what its job recorded: it is made anew"]


def test_two_results_that_were_swapped_are_both_made_anew(toy):
    one, other = "results/toy/made/a.txt", "results/toy/made/b.txt"
    Path(one).rename("between")
    Path(other).rename(one)
    Path("between").rename(other)
    assert planned_outputs() == toy.made_anew_with(one) | toy.made_anew_with(other)


def test_a_result_that_was_deleted_is_made_anew_by_snakemake_itself(toy):
    Path("results/toy/last.txt").unlink()
    assert planned_outputs() == {"results/toy/last.txt"}


def test_an_altered_result_that_is_incomplete_is_left_to_snakemake(toy, caplog):
    alter("results/toy/last.txt")
    mark_incomplete("results/toy/last.txt")
    assert planned_outputs() == {"results/toy/last.txt"}
    assert not caplog.messages


def test_a_result_is_compared_with_the_record_of_its_last_job(toy):
    record = Path("results/toy/provenance/big.txt.json")
    text = record.read_text()
    forged = re.sub('"sha256": "[0-9a-f]{64}"', f'"sha256": "{"0" * 64}"', text)
    # A record of an earlier job that made this output after another changes nothing.
    earlier = json.loads(re.sub('"(start|end)": "20', r'"\1": "19', forged))
    earlier["outputs"] = {"results/toy/aaa.txt": {"sha256": "0" * 64, "bytes": 1}} | earlier[
        "outputs"
    ]
    Path("results/toy/provenance/aaa.txt.json").write_text(json.dumps(earlier))
    assert planned_outputs() == set()
    record.write_text(forged)
    assert planned_outputs() == {"results/toy/big.txt"}


def test_a_broken_record_stops_the_run_with_its_sentence(toy):
    Path("results/toy/provenance/big.txt.json").write_text("<<<<<<< HEAD")
    with pytest.raises(InputError, match=r"provenance/big\.txt\.json: not a record of a job"):
        load_jobs(None)


def test_a_real_run_makes_an_altered_result_what_it_was(toy, snakemake):
    wrote = {path: Path(path).read_bytes() for path in toy.outputs}
    alter("results/toy/made/b.txt")
    alter("results/toy/big.txt")
    said = snakemake(toy.folder)
    assert "results/toy/made/b.txt is not what its job recorded: it is made anew" in said
    assert {path: Path(path).read_bytes() for path in toy.outputs} == wrote
    assert planned_outputs() == set()


def test_of_results_left_alone_since_their_jobs_not_one_is_read(finished_toy, monkeypatch):
    monkeypatch.chdir(finished_toy.folder)
    read = []
    digest = guard.file_sha256
    monkeypatch.setattr(guard, "file_sha256", lambda path: read.append(path) or digest(path))
    assert planned_outputs() == set()
    # Code and environment are looked at, each once.
    assert sorted(read) == ["environment.yaml", "write.py"]


def test_altered_and_then_touched_by_snakemake_is_still_altered(toy, snakemake):
    alter("results/toy/big.txt")
    snakemake(toy.folder, "--touch")
    status = Path("results/toy/big.txt").stat()
    assert read_metadata("results/toy/big.txt")["endtime"] == status.st_mtime
    assert planned_outputs() == {"results/toy/big.txt"}


# Results of another commit, and results that no record tells of


def record_of(output: str) -> Path:
    return Path("results/toy/provenance", Path(output).relative_to(RESULTS)).with_suffix(
        ".txt.json"
    )


def rewrite_record(output: str, **fields) -> None:
    path = record_of(output)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


OTHERS = {
    "rule": {"rule": "formerly"},
    "text": {"text_sha256": "0" * 64},
    "params": {"params": {"leaf": "2"}},
    "no params": {"params": {}},
    "inputs": {
        "inputs": {"write.py": {"sha256": "0" * 64, "bytes": 1}},
    },
}


@pytest.mark.parametrize("fields", OTHERS.values(), ids=OTHERS)
def test_results_that_came_with_another_commits_records_stop_the_run(toy, fields):
    """They are what their records say, but Snakemake knows of those that were here before."""
    rewrite_record("results/toy/made/a.txt", **fields)
    with pytest.raises(InputError, match=re.escape(refusal(1, "results/toy/made/a.txt"))):
        load_jobs(None)


def test_all_results_of_which_metadata_do_not_tell_are_counted_once(toy):
    _key_path(METADATA, "results/toy/big.txt").unlink()
    rewrite_record("results/toy/big.txt", rule="formerly")
    rewrite_record("results/toy/joined.txt", rule="formerly")
    with pytest.raises(InputError, match=re.escape(refusal(3, "results/toy/big.txt"))):
        load_jobs(None)


def test_of_an_altered_result_it_does_not_matter_what_metadata_tell(toy):
    alter("results/toy/big.txt")
    rewrite_record("results/toy/big.txt", rule="formerly")
    assert planned_outputs() == {"results/toy/big.txt"}


@pytest.mark.parametrize("gone", [["joined.txt"], ["joined.txt", "big.txt"]])
def test_results_whose_records_are_lost_stop_the_run(toy, gone):
    for name in gone:
        record_of(f"results/toy/{name}").unlink()
    lost = ["results/toy/joined.csv", "results/toy/joined.txt"]
    lost = ["results/toy/big.txt", *lost] if len(gone) == 2 else lost
    sentence = (
        f"there is no record of {lost[0]} and {len(lost) - 1} more in results/toy: put the records "
        "back with `dvc checkout results/toy/provenance`, or delete what has none to have it made "
        "anew"
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        load_jobs(None)


def test_a_result_that_a_script_wrote_after_its_job_had_failed_is_made_anew(toy):
    record_of("results/toy/joined.txt").unlink()
    for name in ("joined.txt", "joined.csv"):
        Path("results/toy", name).write_text("late")
    assert planned_outputs() == toy.made_anew_with("results/toy/joined.txt")


# Jobs that failed, and code that is older than the results


def test_after_a_job_failed_it_is_planned_again_with_what_depends_on_it(toy, snakemake):
    script = Path("write.py")
    text = script.read_text()
    edited = text.replace("log, first", 'assert "last" not in sys.argv\nlog, first')
    assert edited != text
    script.write_text(edited)
    with pytest.raises(AssertionError):
        snakemake(toy.folder)
    assert not Path("results/toy/last.txt").exists()
    assert "results/toy/last.txt" in planned_outputs()


def test_after_a_job_in_the_middle_failed_what_was_made_of_its_results_is_not_current(
    toy, snakemake
):
    """Snakemake removes the job's outputs and notes the job that failed."""
    config = Path("config.yaml")
    text = config.read_text()
    config.write_text(text.replace('"leaf": 1', '"leaf": 2'))
    script = Path("write.py")
    content, times = script.read_text(), script.stat()
    script.write_text("raise SystemExit(1)\n")
    with pytest.raises(AssertionError):
        snakemake(toy.folder, "results/toy/made/a.txt")
    assert not Path("results/toy/made/a.txt").exists()
    script.write_text(content)
    os.utime(script, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert toy.made_anew_with("results/toy/made/a.txt") <= planned_outputs()


def test_a_script_replaced_by_an_older_one_plans_its_jobs(toy):
    script = Path("write.py")
    script.write_text(script.read_text() + "# Another.\n")
    os.utime(script, (0, 0))
    assert planned_outputs() == set(toy.outputs)


# Who is looked at


def test_the_guard_can_be_off_and_is_on_again_whatever_happens(toy):
    shutil.rmtree(METADATA)
    with pytest.raises(ZeroDivisionError), guard.off():
        assert len(load_jobs(None)) == 5
        raise ZeroDivisionError
    with pytest.raises(InputError, match="Snakemake's metadata do not tell of"):
        load_jobs(None)


def test_jobs_that_are_snakemake_processes_themselves_are_not_looked_at(project):
    assert check(SimpleNamespace(is_main_process=False), RESULTS) is None
    with guard.off():
        assert check(SimpleNamespace(is_main_process=True), RESULTS) is None
    assert list(project.iterdir()) == []


def test_another_snakemake_is_refused_even_where_nothing_is_looked_at(project, monkeypatch):
    monkeypatch.setattr(installed, "__version__", "10.0.0")
    with pytest.raises(InputError, match=r"^this is Snakemake 10\.0\.0, but"):
        check(SimpleNamespace(is_main_process=False), RESULTS)


# After a crash


def test_after_its_snakemake_was_killed_a_run_goes_on_and_while_it_lives_none_interferes(
    toy, snakemake, clean_environment
):
    script, partial = Path("write.py"), Path("results/toy/.last.1.partial.txt")
    text = script.read_text()
    script.write_text(f"open('{partial}', 'w')\nimport time\ntime.sleep(600)\n")
    killed = subprocess.Popen(
        [TOOLS / "snakemake", "--cores", "1", "results/toy/made/c.txt"],
        env=clean_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    while not partial.exists():
        assert killed.poll() is None, killed.stdout.read()
        time.sleep(0.02)
    locks = sorted(LOCKS.iterdir())
    assert locks
    assert planned_outputs() != set()
    assert sorted(LOCKS.iterdir()) == locks
    assert list(leftovers(RESULTS)) == [partial]
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert sorted(LOCKS.iterdir()) == locks
    script.write_text(text)
    snakemake(toy.folder, "--rerun-incomplete", "results/toy/made/c.txt", "all")
    assert Path("results/toy/made/c.txt").exists()
    assert list(leftovers(RESULTS)) == []
    assert planned_outputs() == set()
