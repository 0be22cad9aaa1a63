import os
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
STANDIN_CONDA = Path(__file__).parent / "standin_conda"
# What tests in place change for a while: all that asks for it is in one process.
CHANGED = "finished"
# These two first make, for minutes, what others wait for.
FIRST = ("tests/workflow/test_mutations.py", CHANGED)
MADE = {"sealed", "undisturbed"}

# Where many processes share two cores, slow examples say nothing of a test.
settings.register_profile("dissent", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dissent")


@pytest.fixture
def pretended_gpu(monkeypatch):
    """The code's own device is one that is not the CPU, as far as that goes without a GPU."""
    import torch.optim.optimizer as optimizer

    from pretended_gpu import DEVICE, PretendedGpu

    # Optimisers that work in one go ask for devices by name.
    by_name = "_get_fused_kernels_supported_devices"
    monkeypatch.setattr(optimizer, by_name, lambda: ["cpu", DEVICE.type])
    for name, module in list(sys.modules.items()):
        if name.startswith("dissent.") and hasattr(module, "own_device"):
            monkeypatch.setattr(module, "own_device", lambda: DEVICE)
    with PretendedGpu() as gpu:
        yield
    assert gpu.computed, "nothing was computed on the device"


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


@cache
def asked(file: str) -> set[str]:
    """What the functions of a test file of the workflow have as parameters."""
    if not file.startswith("tests/workflow/"):
        return set()
    text = (ROOT / file).read_text()
    parameters = " ".join(re.findall(r"^def \w+\(([^)]*)\)", text, re.MULTILINE))
    return set(re.findall(r"\w+", parameters))


def group(file: str) -> str:
    """The fixture `finished` if a function of a test file asks for it, or else the file itself."""
    return CHANGED if CHANGED in asked(file) else file


class Scheduling(LoadScopeScheduling):
    """Keep the tests of a file in one process, and those of files that ask for `finished`.

    `--dist loadgroup` should do so, but with pytest 9.2 it silently groups nothing (pytest-xdist,
    issue 1386): every process makes every fixture.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


def pytest_collection_modifyitems(items):
    """Begin with what takes longest, so that processes end together, and let none wait in vain."""

    def rank(item) -> tuple[int, bool]:
        file = item.nodeid.partition("::")[0]
        if group(file) in FIRST:
            return FIRST.index(group(file)), False
        return len(FIRST) + (not file.startswith("tests/workflow/")), bool(MADE & asked(file))

    items.sort(key=rank)
