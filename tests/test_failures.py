from dissent.failures import told

# As Snakemake 9 writes it.
LOG = """\
Select jobs to execute...
[Sat Jan  1 00:00:00 2026]
Error in rule import_a:
    message: None
    jobid: 1
    input: a.csv, b.csv
    output: c
    log: {folder}/a.log (check log file(s) for error details)
    shell:
        python x.py --log {folder}/a.log
        (command exited with non-zero exit code)
Error in rule silent:
    jobid: 2
    log: {folder}/none.log (check log file(s) for error details)
Error in rule without_log:
    jobid: 3
    output: d
Exiting because a job execution failed. Look above for error messages
"""


def test_sentences_of_failed_jobs_are_told_once(tmp_path):
    (tmp_path / "a.log").write_text("reading\nerror: a.csv, row 3: is empty\n")
    log = tmp_path / "snakemake.log"
    log.write_text(LOG.format(folder=tmp_path) * 2)
    assert told(log) == [
        "error: a.csv, row 3: is empty",
        f"error: the job silent failed, see {tmp_path}/none.log",
    ]


def test_a_run_without_failed_jobs_has_nothing_to_tell(tmp_path):
    (tmp_path / "log").write_text("Nothing to be done.\n")
    assert told(tmp_path / "log") == []
