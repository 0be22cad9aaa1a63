"""Which modules a script uses, against Python's own imports and a brute-force closure."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissent.commandline import InputError
from dissent.provenance.imports import local_modules

ROOT = Path(__file__).parents[2]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def used(tmp_path, monkeypatch):
    """Write a package and a script; return the modules the script uses, shortened."""
    monkeypatch.chdir(tmp_path)

    def run(script: str, files: dict[str, str] | None = None) -> list[str]:
        package = {"__init__.py": "", **(files or {})}
        write(tmp_path, {f"src/dissent/{name}": text for name, text in package.items()})
        write(tmp_path, {"scripts/script.py": script})
        found = local_modules("scripts/script.py")
        assert found == sorted(set(found))
        return [name.removeprefix("src/dissent/") for name in found]

    return run


def loaded_by_python(script: Path, source: Path) -> list[str]:
    """Files of the package that Python itself loads when it runs the script."""
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]);"
        "print(*(m.__file__ for n, m in sys.modules.items() "
        "if n.split('.')[0] == 'dissent' and m.__file__), sep='\\n', end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(script)],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(Path(line).relative_to(source).as_posix() for line in done.stdout.splitlines())


PACKAGE = {
    "__init__.py": "VERSION = 1\n",
    "alone.py": "import os\n",
    "unused.py": "from dissent import alone\n",
    "first.py": "from dissent import second\n",
    "second.py": "import dissent.first\n",
    "inner/__init__.py": "from .helper import help_out\n",
    "inner/helper.py": "from ..alone import os\ndef help_out(): ...\n",
    "inner/sibling.py": "from . import leaf as renamed\nfrom .. import first\n",
    "inner/leaf.py": "",
    "inner/deeper/__init__.py": "",
    "inner/deeper/bottom.py": "from ...second import dissent\nfrom ..leaf import __name__ as n\n",
    "bare/module.py": "from dissent.bare import other\n",
    "bare/other.py": "",
}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import os, json", ""),
        ("import json as dissent", ""),
        ("import dissent", "__init__"),
        ("from dissent import VERSION", "__init__"),
        ("import dissent.alone", "__init__ alone"),
        ("import dissent.alone as a, json", "__init__ alone"),
        ("from dissent import alone", "__init__ alone"),
        ("from dissent.alone import os", "__init__ alone"),
        ("from dissent.alone import *", "__init__ alone"),
        ("import dissent.first", "__init__ first second"),
        ("from dissent import second", "__init__ first second"),
        ("import dissent.inner", "__init__ alone inner/__init__ inner/helper"),
        (
            "from dissent.inner import help_out",
            "__init__ alone inner/__init__ inner/helper",
        ),
        (
            "from dissent.inner import leaf",
            "__init__ alone inner/__init__ inner/helper inner/leaf",
        ),
        (
            "import dissent.inner.sibling",
            "__init__ alone first inner/__init__ inner/helper inner/leaf inner/sibling second",
        ),
        (
            "from dissent.inner.deeper.bottom import n",
            "__init__ alone first inner/__init__ inner/deeper/__init__ inner/deeper/bottom "
            "inner/helper inner/leaf second",
        ),
        ("import dissent.bare.module", "__init__ bare/module bare/other"),
        ("from dissent.bare import module", "__init__ bare/module bare/other"),
    ],
)
def test_finds_what_python_loads(used, tmp_path, script, expected):
    found = used(script, PACKAGE)
    assert found == sorted(f"{name}.py" for name in expected.split())
    loaded = loaded_by_python(tmp_path / "scripts/script.py", tmp_path / "src")
    assert [f"dissent/{name}" for name in found] == loaded


@pytest.mark.parametrize(
    "script",
    [
        "def later():\n    from dissent import alone\n",
        "class Late:\n    def __init__(self):\n        import dissent.alone\n",
        "try:\n    import dissent.alone\nexcept ImportError:\n    pass\n",
        "if False:\n    from dissent.alone import os\n",
        "async def later():\n    from dissent import (\n        alone,\n    )\n",
    ],
)
def test_imports_that_may_happen_count(used, script):
    assert used(script, PACKAGE) == ["__init__.py", "alone.py"]


def test_nothing_is_executed(used):
    assert used("import dissent.loud\n1 / 0\n", {"loud.py": "raise SystemExit"}) == [
        "__init__.py",
        "loud.py",
    ]


@pytest.mark.parametrize(
    ("script", "files", "module", "where"),
    [
        ("import json\nimport dissent.gone", {}, "dissent.gone", "scripts/script.py, line 2"),
        ("from dissent import gone", {}, "dissent.gone", "scripts/script.py, line 1"),
        ("from dissent.gone import x", {}, "dissent.gone", "scripts/script.py, line 1"),
        ("from dissent.bare import x", {"bare/a.py": ""}, "dissent.bare.x", "script.py, line 1"),
        ("import dissent.a", {"a.py": "\n\nfrom . import gone"}, "dissent.gone", "a.py, line 3"),
        ("import dissent.a.b", {"a.py": ""}, "dissent.a.b", "scripts/script.py, line 1"),
        ("from dissent import *", {}, r"dissent.\*", "scripts/script.py, line 1"),
    ],
)
def test_missing_module_names_the_script_and_the_module(used, script, files, module, where):
    with pytest.raises(InputError, match=rf"^scripts/script.py: needs {module}, .*{where},"):
        used(script, files)


@pytest.mark.parametrize(
    "init",
    [
        "x = 1",
        "def x(): ...",
        "class x: ...",
        "for x in (): ...",
        "try:\n    x: int = 1\nfinally:\n    pass",
        "import json as x",
        "from json import *",
        "def __getattr__(name): ...",
    ],
)
def test_names_bound_by_a_package_are_no_modules(used, init):
    assert used("from dissent import x", {"__init__.py": init}) == ["__init__.py"]


@pytest.mark.parametrize(
    ("script", "where"),
    [("from . import alone", "scripts/script"), ("import dissent.a", "src/dissent/a")],
)
def test_relative_import_outside_the_package(used, script, where):
    with pytest.raises(InputError, match=f"^{where}[.]py, line 1: relative import outside"):
        used(script, {"a.py": "from .. import b"})


def test_unreadable_code(used):
    with pytest.raises(InputError, match=r"^src/dissent/a.py, line 2: not valid Python"):
        used("import dissent.a", {"a.py": "\ndef"})
    with pytest.raises(InputError, match=r"^nowhere.py: cannot be read"):
        local_modules("nowhere.py")


def test_paths_begin_with_the_source_as_given(used, tmp_path):
    used("import dissent.alone", PACKAGE)
    assert local_modules(tmp_path / "scripts/script.py", tmp_path / "src") == [
        str(tmp_path / "src/dissent/__init__.py"),
        str(tmp_path / "src/dissent/alone.py"),
    ]


@given(edges=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_reaches_exactly_the_closure(tmp_path_factory, edges):
    """Modules m0..m5 import one another at random; oracle: powers of the adjacency matrix."""
    folder = tmp_path_factory.mktemp("package")
    files = {f"m{a}.py": "" for a in range(6)}
    adjacency_KK = np.eye(6, dtype=int)
    for a, b in edges:
        files[f"m{a}.py"] += f"from dissent.m{b} import x\n"
        adjacency_KK[a, b] = 1
    write(folder / "src/dissent", files)
    write(folder, {"script.py": "import dissent.m0\n"})
    found = local_modules(folder / "script.py", folder / "src")
    reached = np.flatnonzero(np.linalg.matrix_power(adjacency_KK, 6)[0])
    assert [Path(name).name for name in found] == [f"m{index}.py" for index in reached]


def test_this_package_is_read_as_python_reads_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import dissent.config_shapes\nimport dissent.greedy\n")
    found = [Path(name).as_posix() for name in local_modules(script, ROOT / "src")]
    loaded = loaded_by_python(script, ROOT / "src")
    assert found == [(ROOT / "src" / name).as_posix() for name in loaded]
