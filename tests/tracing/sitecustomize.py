"""Notes, at the end of a process, its arguments, modules, and the files it read and made.

A process that ends well writes one JSON file into the folder TRACES.
"""

import atexit
import json
import os
import sys
from pathlib import Path

PROJECT = Path.cwd()
# Neither the project's content nor made by its jobs.
ASIDE = {".git", ".snakemake", ".venv", "__pycache__", "logs"}
moved: list[str] = []
opened: set[Path] = set()


def watch(event: str, arguments: tuple) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        path, _, flags = arguments
        if flags & os.O_ACCMODE != os.O_WRONLY:
            opened.add(Path(os.fsdecode(path)).absolute())
    # os.replace raises it too; all the project's files are written so.
    if event == "os.rename":
        moved.append(os.fspath(arguments[1]))


def inside_project(path: Path) -> str | None:
    """A file's path in the project; None for what is not part of it."""
    path = path.resolve()
    if not path.is_relative_to(PROJECT) or not path.is_file():
        return None
    path = path.relative_to(PROJECT)
    return None if ASIDE & set(path.parts) else str(path)


def write() -> None:
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    inside = {Path(file).resolve() for file in files if file}
    trace = {
        "arguments": sys.orig_argv[1:],
        "modules": sorted(
            str(file.relative_to(PROJECT)) for file in inside if file.is_relative_to(PROJECT)
        ),
        "opened": sorted(filter(None, map(inside_project, opened))),
        "made": moved,
    }
    (Path(os.environ["TRACES"]) / f"{os.getpid()}.json").write_text(json.dumps(trace))


sys.addaudithook(watch)
atexit.register(write)
