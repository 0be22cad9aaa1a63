"""A Hugging Face hub on this machine, for what the project asks of one: its API, and files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        hub, path = self.server, urlsplit(self.path).path
        if path.startswith("/api/"):
            # Data sets are below datasets/ in addresses and in the API, models in the API alone.
            name = path.removeprefix("/api/").removeprefix("models/")
            self.answer(*described(name, hub.files))
            return
        if path.startswith("/cdn/"):
            content = hub.files[path.removeprefix("/cdn/")]
            if trouble := hub.troubles.pop(path.removeprefix("/cdn/"), None):
                trouble(self, content)
                return
            start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
            span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.answer(206 if start else 200, content[start:], **(span if start else {}))
            return
        repository, _, rest = path[1:].partition("/resolve/")
        revision, _, file = rest.partition("/")
        if revision != COMMIT or f"{repository}/{file}" not in hub.files:
            self.answer(404, b"Entry not found")
        else:
            # As the hub does: large files lie elsewhere.
            self.answer(302, b"", Location=f"/cdn/{repository}/{file}")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def described(repository: str, files: dict[str, bytes]) -> tuple[int, bytes]:
    """What the hub's API says of a repository that has some of the files."""
    names = [name for name in files if name.startswith(f"{repository}/")]
    siblings = [
        {
            "rfilename": name.removeprefix(f"{repository}/"),
            "size": len(files[name]),
            "blobId": "c" * 40,
            "lfs": {
                "sha256": hashlib.sha256(files[name]).hexdigest(),
                "size": len(files[name]),
                "pointerSize": 132,
            },
        }
        for name in names
    ]
    said = {
        "_id": "64415e7f2d41b5d7d2b5a3a1",
        "id": repository.removeprefix("datasets/"),
        "sha": COMMIT,
        "private": False,
        "tags": [],
        "cardData": {"license": "apache-2.0"},
        "siblings": siblings,
    }
    return (200, json.dumps(said).encode()) if names else (401, b'{"error": "Invalid username"}')


def cut_off(handler: Handler, content: bytes) -> None:
    """A trouble: the connection closes half-way through a file."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.close_connection = True


def too_many(handler: Handler, _: bytes) -> None:
    """A trouble: asked for too often."""
    handler.answer(429, b"", Retry_After="0")


@contextmanager
def loopback_hub(files: dict[str, bytes]) -> Iterator[ThreadingHTTPServer]:
    """A hub with files by "organisation/repository/file", and `troubles` that come once each."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.files, server.troubles = files, {}
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
