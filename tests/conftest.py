import os
import sys
from pathlib import Path

import pytest

STANDIN_CONDA = Path(__file__).parent / "standin_conda"


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of the published files, laid out as DISSENT_MIRROR says; none need have it."""
    if not (folder := os.environ.get("DISSENT_MIRROR")):
        pytest.skip("needs the published files: a folder of them in DISSENT_MIRROR")
    return Path(folder).resolve()


@pytest.fixture
def standin_conda(monkeypatch):
    """Put the stand-in conda on PATH, and the environment's own tools (snakemake, uv) behind it."""
    search = [STANDIN_CONDA, Path(sys.executable).parent, os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, search)))
    monkeypatch.delenv("SNAKEMAKE_CONDA_PREFIX", raising=False)
    return STANDIN_CONDA / "conda"


def pytest_collection_modifyitems(items):
    """Under pytest-xdist, keep tests that share a costly fixture in one process."""
    for item in items:
        shared = [name for name in ("sealed", "finished") if name in item.fixturenames]
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else str(item.path)))
