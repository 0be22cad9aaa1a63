"""Published files: one address, one file with the pinned bytes."""

import errno
import fcntl
import hashlib
import http.client
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from time import monotonic, sleep
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dissent import files
from dissent.commandline import InputError

if TYPE_CHECKING:
    import requests

MIRROR = "DISSENT_MIRROR"
HUB = "https://huggingface.co"
# Not beside the output: Snakemake deletes the outputs of a job that fails.
FOLDER = Path(".downloads")
STALL_SECONDS = 30
# Between one try and the next.
WAITS = (1, 4, 15, 60)
LONGEST_WAIT = 120
CHUNK_BYTES = 1 << 20
PORTS = {"http": 80, "https": 443}
# Temporary names are longer, and file systems take 255 bytes.
NAME_BYTES = 200

log = logging.getLogger("dissent")


class AbsentError(InputError):
    """There is no such file at an address."""


class _InterruptedError(Exception):
    """What went wrong may go well another time, after the seconds that the server asks for."""

    def __init__(self, what: str, wait: float = 0) -> None:
        super().__init__(what)
        self.wait = wait


def local_path(url: str) -> PurePosixPath:
    """Where a file from `url` is kept, below some folder: `<host>/<path>`, as `wget -x` does.

    Raises InputError for what is no address of a file on the web, or has an unsafe path.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("does not begin with https:// or http:// and a host")
        if parts.username is not None or parts.fragment or " " in url or not url.isprintable():
            raise ValueError("holds a user name, a fragment, or a blank")
        default = parts.port in (None, PORTS[parts.scheme])
        host = parts.hostname if default else f"{parts.hostname}:{parts.port}"
        names = [host, *(unquote(name, errors="strict") for name in parts.path.split("/")[1:])]
        if len(names) == 1 or not names[-1]:
            raise ValueError("names a folder")
        if parts.query:
            names[-1] += f"?{unquote(parts.query, errors='strict')}"
        if unsafe := [name for name in names if _is_unsafe(name)]:
            raise ValueError(f"would be kept under the unsafe name {unsafe[0]!r}")
    except ValueError as error:
        shown = re.sub(r"//[^/]*@", "//...@", url)
        raise InputError(
            f"the address {shown!r} {error}: give one such as https://host/folder/file.csv"
        ) from None
    return PurePosixPath(*names)


def _is_unsafe(name: str) -> bool:
    # Snakemake takes braces for wildcards, and warns of blanks at either end.
    odd = re.search(r"[/\\{}]", name) or not name.isprintable() or name != name.strip()
    return name in ("", ".", "..") or bool(odd) or len(name.encode()) > NAME_BYTES


def fetch(url: str, sha256: str | None, output: str | os.PathLike) -> None:
    """Write to `output` the file at `url`, or a mirror's copy of it, if it has the pinned bytes.

    Without `sha256` the address should pin them, as one with a revision does. A folder in the
    environment variable DISSENT_MIRROR, laid out as by `wget -x`, is looked at first. A download
    that was cut off, by a killed job too, is continued where it ended.
    Raises InputError, and then writes nothing; AbsentError where the server has no such file.
    """
    local_path(url)
    if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
        raise InputError(f"{url} is pinned to sha256 {sha256!r}: give 64 digits of 0-9 and a-f")
    try:
        if original := in_mirror(url, sha256):
            with files.atomic(output) as temporary:
                shutil.copyfile(original, temporary)
            log.info("%s: copied from %s", url, original)
        else:
            _download(url, sha256, output)
    except OSError as error:
        raise not_kept(url, error) from None


def in_mirror(url: str, pin: str | None) -> Path | None:
    """The mirror's copy of the file at `url`, if there is one with the pinned bytes."""
    if not (folder := os.environ.get(MIRROR)):
        return None
    if not Path(folder).is_dir():
        raise InputError(f"{MIRROR} is {folder!r}, which is no folder: mend it, or unset it")
    original = Path(folder, local_path(url))
    if not original.is_file():
        return None
    if pin and (found := files.sha256(original)) != pin:
        log.info("%s has sha256 %s, not %s: fetching %s instead", original, found, pin, url)
        return None
    return original


def _download(url: str, pin: str | None, output: str | os.PathLike) -> None:
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)  # It would log absolute paths.
    name = pin or hashlib.sha256(url.encode()).hexdigest()
    part = FOLDER / f"{name}.part"
    resumed = False

    def load(_: str, temporary: str, __: None) -> None:
        nonlocal resumed
        resumed = _complete(url, part)
        # Not moved: a job that is killed while pooch verifies the bytes keeps them.
        shutil.copy(part, temporary)

    with _locked(FOLDER / name) as folder:
        for once_more in (True, False):
            try:
                whole = pooch.retrieve(url, pin and f"sha256:{pin}", name, folder, downloader=load)
                break
            except ValueError:
                found = files.sha256(part)
                part.unlink()
                if not (resumed and once_more):
                    what = f"is not the pinned file: it has sha256 {found}, the pin is {pin}"
                    raise _failure(url, what, "check the pin in the table") from None
                log.info("%s: what was there before is not its beginning, starting again", url)
        with files.atomic(output) as temporary:
            shutil.move(whole, temporary)
        part.unlink(missing_ok=True)
    log.info("%s: downloaded", url)


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """A folder for this process alone, gone at last with all that a killed one left there."""
    folder.parent.mkdir(exist_ok=True)
    # The lock's file stays: who waits for one that is removed does not wait for a later one.
    with folder.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another job fetches the same content: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _complete(url: str, part: Path) -> bool:
    """Append to `part` all that it lacks, in several tries; whether it then holds older bytes."""
    for wait in (*WAITS, None):
        try:
            return _continue(url, part)
        except _InterruptedError as error:
            if wait is None:
                kept = ", what arrived is kept" if _size(part) else ""
                what = f"{error}, in the last of {len(WAITS) + 1} tries"
                raise _failure(url, what, f"try again{kept}") from None
            seconds = max(wait, error.wait)
            log.info("%s %s: trying again in %.0f s", url, error, seconds)
        sleep(seconds)


def _continue(url: str, part: Path) -> bool:
    """One try of `_complete`; raises _InterruptedError where another may do better."""
    from urllib3 import exceptions

    done = _size(part)
    with _answer(url, done) as response:
        status, span = response.status_code, response.headers.get("Content-Range", "")
        if status == 416 and span == f"bytes */{done}":
            return True
        resumed = done > 0 and status == 206 and span.startswith(f"bytes {done}-")
        if done and status in (206, 416) and not resumed:
            part.unlink()
            raise _InterruptedError("does not give the rest of the file alone")
        if status != 200 and not resumed:
            raise _refusal(url, response)
        done = done if resumed else 0
        left = response.raw.length_remaining
        total = None if left is None else done + left
        try:
            with part.open("ab" if resumed else "wb") as file:
                for chunk in _shown(response, local_path(url).name, done, total):
                    file.write(chunk)
            return resumed
        except exceptions.ReadTimeoutError:
            what = f"stalled for {STALL_SECONDS:g} s"
        except exceptions.HTTPError:
            what = "closed the connection"
        raise _InterruptedError(f"{what} after {_of(_size(part), total)}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _answer(url: str, done: int) -> "requests.Response":
    """The server's answer, its body still to be read, to a request for all but `done` bytes."""
    import requests
    from requests import exceptions

    url, token = _at_the_hub(url)
    scheme = urlsplit(url).scheme
    # The pin is of the file itself, not of what a server packs for the way.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    headers |= token
    try:
        with requests.Session() as session:
            if scheme == "https":
                # So that no redirection leads to where anybody on the way may answer.
                del session.adapters["http://"]
            return session.get(url, headers=headers, timeout=STALL_SECONDS, stream=True)
    except exceptions.TooManyRedirects:
        raise _failure(url, "redirects without end", "mend the address") from None
    except ValueError as error:
        what = f"cannot be asked for, or redirects away from {scheme} ({error})"
        raise _failure(url, what, "mend the address") from None
    except exceptions.Timeout:
        raise _InterruptedError(f"stalled for {STALL_SECONDS:g} s") from None
    except exceptions.RequestException as error:
        through = "through a proxy " if isinstance(error, exceptions.ProxyError) else ""
        raise _InterruptedError(f"{through}gave no answer ({_innermost(error)})") from None


def _at_the_hub(url: str) -> tuple[str, dict[str, str]]:
    """Where to ask for a file of the Hugging Face hub, and as whom; other addresses as they are.

    HF_ENDPOINT names another hub with the same files. HF_TOKEN is shown to that one alone, and only
    over https: another host that it redirects to does not see it (requests, "rebuild_auth").
    """
    if not url.startswith(f"{HUB}/"):
        return url, {}
    endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    token = os.environ.get("HF_TOKEN")
    trusted = endpoint.startswith(("https://", "http://127.0.0.1:", "http://localhost:"))
    shown = {"Authorization": f"Bearer {token}"} if token and trusted else {}
    return endpoint + url.removeprefix(HUB), shown


def _refusal(url: str, response: "requests.Response") -> Exception:
    """What an answer without the file means: to try again, or not to."""
    from urllib3 import Retry, exceptions

    status = response.status_code
    what = f"answered {status} {http.client.responses.get(status, '')}".strip()
    if status in (401, 403) and url.startswith(f"{HUB}/"):
        mend = "accept its terms on its page, and set HF_TOKEN to a token of yours"
        return _failure(url, what, mend)
    if status != 429 and status < 500:
        return _failure(url, what, "mend the address", AbsentError if status == 404 else InputError)
    try:
        wait = Retry(retry_after_max=LONGEST_WAIT).get_retry_after(response.raw)
    except exceptions.InvalidHeader:
        wait = None
    return _InterruptedError(what, wait or 0)


def _shown(
    response: "requests.Response", name: str, done: int, total: int | None
) -> Iterator[bytes]:
    """The body of an answer as it comes, telling how far along the file is."""
    from tqdm import tqdm

    from dissent.progress import SECONDS_BETWEEN_LINES

    scale = {"initial": done, "total": total, "unit": "B", "unit_scale": True}
    with tqdm(desc=name, leave=False, disable=None, **scale) as bar:
        last = monotonic()
        # A read of many pieces would lose those before a stall.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            yield chunk
            bar.update(len(chunk))
            done += len(chunk)
            if bar.disable and monotonic() - last >= SECONDS_BETWEEN_LINES:
                log.info("%s: %s", name, _of(done, total))
                last = monotonic()


def _of(done: int, total: int | None) -> str:
    return f"{done:,} bytes" if total is None else f"{done:,} of {total:,} bytes"


def _innermost(error: BaseException) -> str:
    while error.__context__:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error)


def _failure(url: str, what: str, mend: str, kind: type[InputError] = InputError) -> InputError:
    place = f"{local_path(url)} in the folder that {MIRROR} names"
    return kind(f"{url} {what}: {mend}, or put the file at {place}")


def not_kept(what: str | os.PathLike, error: OSError) -> InputError:
    """What to say where the disk does not take a file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"{what} does not fit on the disk: free some space, then try again")
    return InputError(f"{what} cannot be kept ({error}): mend that, then try again")
