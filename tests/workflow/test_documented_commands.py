"""Every `snakemake` command that the documentation prints is one that Snakemake takes."""

import re
import shlex
from pathlib import Path

import pytest

from conftest import run

# Of files that its reader has to make first: test_own_predictions.py runs its commands.
# Their run files are the reader's.
GUIDES = ("own_predictions", "image_folder", "domain_folder", "text_models")
OWN = {Path(f"docs/{guide}.md") for guide in GUIDES}
PAGES = [Path("README.md"), Path("config/README.md"), *set(Path("docs").glob("*.md")) - OWN]
COMMANDS = sorted(
    {
        command.split(" #")[0].strip()
        for page in PAGES
        for command in re.findall(r"(?:^|`)(snakemake [^`\n]+)", page.read_text(), re.MULTILINE)
    }
)


def test_there_are_commands():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_it_plans(finished, command):
    folder, path = finished
    run(folder, *shlex.split(command), "--dry-run", PATH=path)
