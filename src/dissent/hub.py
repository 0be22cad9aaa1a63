"""Published transformers models: the files of a pinned revision, from wherever they can be had."""

import base64
import logging
import re
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from dissent.commandline import InputError
from dissent.fetching import HUB, AbsentError, fetch, in_mirror

# Of a repository of models. A path with a dot in front (./org/name) is none.
HUB_ID = r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*"
# Instead of a commit: whatever the hub has now, to be pinned before anything is fetched.
NOW = "main"
# An address there that says which repository, and not which commit of it.
UNPINNED = rf"{HUB}/(datasets/)?[^/]+/[^/]+/resolve/{NOW}/.+"
# Of a file as it is in one commit, so that nobody can put other bytes there.
COMMIT = rf"{HUB}/(datasets/)?[^/]+/[^/]+/resolve/[0-9a-f]{{40}}/.+"
COMMIT += r"|https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/.+"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
# Of models that were published before safetensors; of these, tensors alone are ever loaded.
PICKLED = "pytorch_model.bin"
TOKENIZER = "tokenizer.json"
# For a tokenizer that is published as its words alone, and how to read them.
WORDS = ("vocab.txt", "tokenizer_config.json")

log = logging.getLogger("dissent")


class Published(NamedTuple):
    """A folder with a model's files, and the installed package that it is of, if any."""

    folder: Path
    package: str | None = None


def unpinned(what: str) -> InputError:
    """What to say of bytes that nothing names yet."""
    return InputError(
        f"{what} is not pinned yet: 'python -m dissent.pin FILE' asks the hub which bytes it has "
        "now, and writes that into the model table or run file FILE"
    )


def find(name: str, revision: str, sha256: str, into: Path) -> Published:
    """The files of a model on the hub, whose weights have the pinned bytes.

    They are a mirror's (see `fetching.fetch`), or else an installed package's, where they stay, or
    else are fetched into the folder `into`; HF_ENDPOINT may name another hub. The config, and the
    tokenizer if there is one, come from where the weights are. Raises InputError.
    """
    address = _address(name, revision)
    if not in_mirror(f"{address}/{WEIGHTS}", sha256) and (found := packaged(sha256)):
        log.info("%s: taken from the installed package %s", name, found.package)
        return found
    _fetch_all(address, sha256, into)
    return Published(into)


def find_tokenizer(name: str, revision: str, into: Path) -> None:
    """Fetch the tokenizer of a model on the hub, as `find` does. Raises InputError."""
    _fetch_tokenizer(_address(name, revision), into)


def _address(name: str, revision: str) -> str:
    if not re.fullmatch(HUB_ID, name):
        raise InputError(
            f"{name!r} is no id on the hub: write it as org/name in the model table, or leave "
            f"`revision` empty for a folder"
        )
    if revision == NOW:
        raise unpinned(name)
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise InputError(
            f"the revision {revision!r} of {name} is no commit: give its 40 digits of 0-9 and a-f"
        )
    return f"{HUB}/{name}/resolve/{revision}"


def packaged(sha256: str) -> Published | None:
    """The installed package that has a model.safetensors of these bytes, if any does.

    What packages hold is read from their RECORD (Binary distribution format, the packaging
    specifications); none is imported.
    """
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
    for package in metadata.distributions():
        # As text first: to parse all records takes seconds.
        if f"{WEIGHTS},sha256={digest}," not in (package.read_text("RECORD") or ""):
            continue
        for file in package.files or ():
            if file.name == WEIGHTS and file.hash and file.hash.value == digest:
                return Published(Path(str(file.locate())).parent, package.name)
    return None


def _fetch_all(address: str, sha256: str, into: Path) -> None:
    name = PICKLED if in_mirror(f"{address}/{PICKLED}", sha256) else WEIGHTS
    try:
        fetch(f"{address}/{name}", sha256, into / name)
    except AbsentError:
        log.info("%s/%s: there is none, looking for %s", address, WEIGHTS, PICKLED)
        fetch(f"{address}/{PICKLED}", sha256, into / PICKLED)
    fetch(f"{address}/{CONFIG}", None, into / CONFIG)
    _fetch_tokenizer(address, into)


def _fetch_tokenizer(address: str, into: Path) -> None:
    try:
        fetch(f"{address}/{TOKENIZER}", None, into / TOKENIZER)
    except AbsentError:
        for name in WORDS:
            _fetch_if_there(f"{address}/{name}", into / name)


def _fetch_if_there(url: str, output: Path) -> None:
    try:
        fetch(url, None, output)
    except AbsentError:
        log.info("%s: there is none", url)
