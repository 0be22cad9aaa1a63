"""The environment files, the lock and pyproject.toml say the same; nothing here needs a network."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FAMILIES = [extra for extra in PROJECT["optional-dependencies"] if extra != "dev"]
LOCKS = ["requirements.lock", "envs/bootstrap.txt"]


def locked(lock):
    """Every pin of a lock, as `(name, specifier)`, with its hashes."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    pins = {}
    for line in lines:
        requirement, *hashes = line.split(" --hash=")
        requirement = Requirement(requirement)
        pins[requirement.name, str(requirement.specifier)] = [hash.strip() for hash in hashes]
    return pins


def direct(extra):
    extras = PROJECT["optional-dependencies"]
    return [Requirement(line) for line in PROJECT["dependencies"] + extras[extra]]


def pip_section(family):
    *_, section = yaml.safe_load((ROOT / f"envs/{family}.yaml").read_text())["dependencies"]
    return [Requirement(line) for line in section["pip"]]


def installed_closure(requirements):
    """Names that `requirements` need here, by the metadata of what is installed."""
    applies = [
        (canonicalize_name(requirement.name), extra)
        for requirement in requirements
        for extra in ("", *requirement.extras)
    ]
    seen = set()
    while applies:
        name, extra = applies.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for needed in map(Requirement, metadata.requires(name) or []):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                wanted = canonicalize_name(needed.name)
                applies += [(wanted, wanted_extra) for wanted_extra in ("", *needed.extras)]
    return {name for name, _ in seen}


def test_each_extra_but_dev_has_an_environment():
    assert {path.stem for path in (ROOT / "envs").glob("*.yaml")} == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_pin_is_the_locks(family):
    pins = {(pin.name, str(pin.specifier)) for pin in pip_section(family)}
    assert pins
    assert pins <= locked("requirements.lock").keys()


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_direct_dependencies_are_pinned_within_their_bounds(extra):
    """In the lock, and so, by the test above and the one below, in the environments."""
    for dependency in direct(extra):
        pins = [
            specifier.removeprefix("==")
            for name, specifier in locked("requirements.lock")
            if name == canonicalize_name(dependency.name)
        ]
        assert pins, dependency
        assert all(dependency.specifier.contains(version) for version in pins), dependency


@pytest.mark.parametrize("family", FAMILIES)
def test_an_environment_is_the_closure_of_its_extra(family):
    """On this platform: all that the installed packages' own metadata asks for, and no more."""
    here = {pin.name for pin in pip_section(family) if not pin.marker or pin.marker.evaluate()}
    assert here == installed_closure(direct(family))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_is_exact_and_has_hashes(lock):
    for (name, specifier), hashes in locked(lock).items():
        assert re.fullmatch(r"==[^*,]+", specifier), name
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", hash) for hash in hashes), name


def test_locks_and_environments_name_no_host():
    for path in [*(ROOT / "envs").glob("*.yaml"), *(ROOT / lock for lock in LOCKS)]:
        found = re.search(r"\S*://\S*|--(extra-)?index-url|--find-links|\s@\s", path.read_text())
        assert found is None, f"{path.name}: {found[0]}"


def test_python_of_each_environment_is_one_the_project_supports():
    for family in FAMILIES:
        python, pip, _ = yaml.safe_load((ROOT / f"envs/{family}.yaml").read_text())["dependencies"]
        assert python.startswith(f"python {PROJECT['requires-python']}")
        assert pip == "pip"
