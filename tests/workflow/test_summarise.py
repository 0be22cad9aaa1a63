"""What is printed at the end of a run: its figures, and each claim with its numbers."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

SUMMARISE = (sys.executable, ROOT / "workflow/scripts/summarise.py", "--run", "mine")
CLAIMS = """\
id,paper,figure,claim,statistic,verdict,value,low,high,n,n_of
one,p,3,Errors differ,mean,supported,0.25,0.125,0.5,6,pairs
two,p,4,Nothing does,mean,not measured,,,,,
three,p,5,Nor this,mean,not measured,,,,,
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with a run that has one figure and three claims, one of them measured."""
    results = tmp_path / "results/mine"
    (results / "figures/paper").mkdir(parents=True)
    (results / "figures/paper/fig1.png").touch()
    (results / "claims.csv").write_text(CLAIMS)
    return tmp_path


def test_it_lists_figures_and_judges_what_was_measured(project):
    printed = subprocess.check_output(SUMMARISE, cwd=project, text=True)
    assert "results/mine/figures/paper/fig1.png" in printed
    assert "SUPPORTED      0.25 [0.125, 0.5], n = 6 pairs\n      fig 3: Errors differ" in printed
    assert "Nothing does" not in printed
    assert "2 others are not measured" in printed


def test_of_a_run_that_is_not_there_it_says_so_and_which_there_are(project):
    process = subprocess.run(
        [*SUMMARISE, "--run", "typo"], cwd=project, text=True, capture_output=True
    )
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr == (
        "error: there are no results of a run 'typo', only of mine: name one of these with --run, "
        "or run that one first\n"
    )


def test_a_reader_that_has_read_enough_is_no_error(project):
    # More than a pipe holds, so that writing goes on after the reader is gone.
    figures = project / "results/mine/figures/paper"
    for number in range(2000):
        (figures / f"{number}.png").touch()
    process = subprocess.run(
        f"{shlex.join(map(str, SUMMARISE))} | head -n 2",
        shell=True,
        cwd=project,
        text=True,
        capture_output=True,
    )
    assert process.stderr == ""
    assert process.stdout.endswith(":\n")
