"""What git has of the files here, by their contents, and what of it may shape results."""

import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from dissent.commandline import InputError
from dissent.provenance.ledger import portable
from dissent.provenance.snakemake_internals import Job

LINK = "120000"


def tracked_files() -> dict[str, bool]:
    """For every file that git tracks, whether it is here as HEAD has it.

    Contents are compared, since git's own index can be told to look away. Raises InputError with
    git's words.
    """
    top, prefix = os.fsdecode(_git("rev-parse", "--show-toplevel", "--show-prefix")).split("\n")[:2]
    tracked = dict.fromkeys(_names("ls-files", "-z"), False)
    here = {}
    for entry in _names("ls-tree", "-r", "-z", "HEAD"):
        facts, path = entry.split("\t", 1)
        mode, kind, blob = facts.split()
        tracked[path] = False
        if kind != "blob":
            # A repository within this one, of which git has no content.
            del tracked[path]
        elif mode == LINK and Path(path).is_symlink():
            tracked[path] = _link_blob(path, blob) == blob
        elif mode != LINK and Path(path).is_file():
            here[path] = blob
    quoted = (f"{prefix}{path}".replace("\\", r"\\").replace('"', r"\"") for path in here)
    asked = "".join('"' + path.replace("\n", r"\n") + '"\n' for path in quoted)
    # From a folder within the repository, git would not find them.
    found = _git("-C", top, "hash-object", "--stdin-paths", asked=os.fsencode(asked))
    now = found.decode().split()
    return tracked | {path: blob == here[path] for path, blob in zip(here, now, strict=True)}


def _link_blob(path: str, like: str) -> str:
    # A Path would be another spelling of it.
    target = os.fsencode(os.readlink(path))  # noqa: PTH115
    kind = "sha1" if len(like) == len(hashlib.sha1().hexdigest()) else "sha256"
    return hashlib.new(kind, b"blob %d\0%b" % (len(target), target)).hexdigest()


def _names(*arguments: str) -> list[str]:
    return [os.fsdecode(name) for name in _git(*arguments).split(b"\0") if name]


def _git(*arguments: str, asked: bytes = b"") -> bytes:
    try:
        return subprocess.run(
            ["git", *arguments], input=asked, check=True, capture_output=True
        ).stdout
    except OSError as error:
        words = f"it cannot be run, {error.strerror}"
    except subprocess.CalledProcessError as error:
        words = " ".join(os.fsdecode(error.stderr).split())
    raise InputError(
        f"git does not tell what is committed here ({words}), so code cannot be traced: mend that, "
        "or audit in a clone made by `git clone`"
    )


def uncommitted(tracked: Mapping[str, bool], files: Iterable[str] = ()) -> list[str]:
    """What may shape results, by shaping the workflow at least, but is not in HEAD.

    Files that git tracks, and those of `files` that it does not.
    """
    found = [path for path, same in tracked.items() if not same and _may_shape_results(path)]
    return found + [path for path in map(portable, files) if path not in tracked]


def config_files(configfile: str | None, jobs: Iterable[Job]) -> list[str]:
    """A config that was named, and the files that it names but no job reads, as a model table."""
    if configfile is None:
        return []
    read = {path for job in jobs for path in job.inputs}
    named = _leaves(yaml.safe_load(Path(configfile).read_text(encoding="utf-8")))
    # Of a text that is too long for a name, a Path would not say that it is none.
    files = [leaf for leaf in named if isinstance(leaf, str) and os.path.isfile(leaf)]  # noqa: PTH113
    return [configfile, *(path for path in files if portable(path) not in read)]


def _leaves(config: object) -> Iterator[object]:
    if isinstance(config, dict | list):
        for part in config.values() if isinstance(config, dict) else config:
            yield from _leaves(part)
    else:
        yield config


def _may_shape_results(path: str) -> bool:
    # What dvc.lock says is compared with what is here.
    outside = path == "dvc.lock" or path.endswith(".md")
    return not outside and Path(path).parts[0] not in ("docs", "tests")
