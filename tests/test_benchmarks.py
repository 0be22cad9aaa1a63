"""Benchmarks take minutes and are run by hand; that they still start is seen here."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted(Path("benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_it_finds_all_that_it_imports_and_tells_its_options(script):
    command = [sys.executable, script, "--help"]
    process = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": "src"})
    assert process.returncode == 0, process.stderr
    assert "--help" in process.stdout
