"""What went wrong in a run, told once more after all that Snakemake says of it."""

import re
from pathlib import Path

FAILED = re.compile(r"^Error in rule (\S+):\n(?:    .*\n)*?    log: (\S+) \(check", re.MULTILINE)


def told(snakemake_log: Path) -> list[str]:
    """The sentence that each failed job ended with, or where its log is, in the order of failing.

    From Snakemake's own log of the run, which names the logs of failed jobs.
    """
    lines = []
    for rule, log in dict.fromkeys(FAILED.findall(snakemake_log.read_text(errors="replace"))):
        text = Path(log).read_text(errors="replace") if Path(log).exists() else ""
        sentences = re.findall(r"^error: .*", text, re.MULTILINE)
        lines += sentences or [f"error: the job {rule} failed, see {log}"]
    return lines
