"""Which modules of this package a script uses, so that an edit re-runs exactly its jobs."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dissent.commandline import InputError

PACKAGE = "dissent"


class _Import(NamedTuple):
    """`import module`, or `from module import name`, where module is of this package."""

    line: int
    module: str
    name: str | None


def local_modules(script: str | Path, source: str | Path = "src") -> list[str]:
    """Sorted paths of the modules of this package that a script imports, directly or not.

    The paths begin with `source`, the folder that holds the package. Code is looked for and parsed,
    never run, once per process: imports inside functions count, names put together at run time do
    not.
    Raises InputError for an import of something the package does not have.
    """
    source = Path(source)
    found: dict[str, Path] = {}
    waiting = [(Path(script), "")]
    while waiting:
        file, package = waiting.pop()
        for wanted in _imports(file, package):
            for module in _loaded(source, wanted):
                if module in found:
                    continue
                path = _locate(source, module)
                if path is None:
                    raise InputError(
                        f"{script}: needs {module}, imported in {file}, line {wanted.line}, "
                        f"but there is no such module in {source}"
                    )
                found[module] = path
                is_package = path.name == "__init__.py"
                if path.is_file():
                    waiting.append((path, module if is_package else module.rpartition(".")[0]))
    return sorted(path.as_posix() for path in found.values() if path.is_file())


def _imports(file: Path, package: str) -> Iterator[_Import]:
    """The imports of this package in a file; `package` is where its relative imports start."""
    for node in _parsed(file):
        if isinstance(node, ast.Import):
            names = [(alias.name, None) for alias in node.names]
        else:
            above = package.split(".") if package else []
            if node.level > len(above):
                raise InputError(f"{file}, line {node.lineno}: relative import outside the package")
            kept = above[: len(above) + 1 - node.level] if node.level else []
            module = ".".join([*kept, node.module] if node.module else kept)
            names = [(module, alias.name) for alias in node.names]
        for module, name in names:
            if module.split(".")[0] == PACKAGE:
                yield _Import(node.lineno, module, name)


def _loaded(source: Path, wanted: _Import) -> list[str]:
    """The modules one import loads: packages on the way, the module, and `name` if it is one."""
    parts = wanted.module.split(".")
    modules = [".".join(parts[: end + 1]) for end in range(len(parts))]
    if wanted.name is not None:
        inner = f"{wanted.module}.{wanted.name}"
        if _locate(source, inner) or not _may_bind(_locate(source, wanted.module), wanted.name):
            modules.append(inner)
    return modules


@cache
def _locate(source: Path, module: str) -> Path | None:
    """The file of a module, or the folder of a package without `__init__.py`."""
    folder = source.joinpath(*module.split("."))
    for path in (folder / "__init__.py", folder.with_name(f"{folder.name}.py")):
        if path.is_file():
            return path
    return folder if folder.is_dir() else None


def _may_bind(path: Path | None, name: str) -> bool:
    """Whether `name` may come from the code at `path`, and not be a module in that package."""
    if path is None or path.name != "__init__.py":
        return path is None or path.is_file()
    bound = _bound(path.resolve())
    return name in bound or name.startswith("__") or not bound.isdisjoint({"*", "__getattr__"})


def _parsed(file: Path) -> list[ast.Import | ast.ImportFrom]:
    try:
        return _parsed_once(file.resolve())
    except OSError as error:
        raise InputError(f"{file}: cannot be read, {error.strerror.lower()}") from None
    except SyntaxError as error:
        raise InputError(f"{file}, line {error.lineno}: not valid Python, {error.msg}") from None


@cache
def _parsed_once(absolute: Path) -> list[ast.Import | ast.ImportFrom]:
    """The import statements of a file."""
    statements = _statements(ast.parse(absolute.read_bytes()))
    return [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements within a node; expressions, most of a file's nodes, are not looked into."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from _statements(child)


@cache
def _bound(absolute: Path) -> set[str]:
    """The names that a file binds anywhere."""
    bound = set()
    for node in ast.walk(ast.parse(absolute.read_bytes())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    return bound
