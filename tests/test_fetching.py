import errno
import hashlib
import io
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from dissent import fetching
from dissent.commandline import InputError
from dissent.fetching import fetch, local_path
from dissent.provenance import facts

SCRIPT = Path("workflow/scripts/data/fetch.py").resolve()
CONTENT = np.random.default_rng(0).bytes(300_000)
PIN = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
TRIES = len(fetching.WAITS) + 1


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server.site
        site.ranges.append(self.headers["Range"])
        site.paths.append(self.path)
        site.encodings.add(self.headers["Accept-Encoding"])
        site.tokens.append(self.headers["Authorization"])
        answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
        with site.lock:
            site.at_once += 1
            site.most_at_once = max(site.most_at_once, site.at_once)
        try:
            answer(self)
        except OSError:
            # The client was killed, or gave up.
            pass
        finally:
            with site.lock:
                site.at_once -= 1

    def begin(self):
        """Where the asked range begins."""
        return int((self.headers["Range"] or "bytes=0-")[len("bytes=") : -1])

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Site:
    """A server on this machine that answers as it is told, the last answer again and again."""

    def __init__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.site = self
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}/folder/file.bin"
        self.answers, self.ranges, self.paths = [well], [], []
        self.encodings, self.tokens = set(), []
        self.lock, self.at_once, self.most_at_once = threading.Lock(), 0, 0
        self.over = threading.Event()


def well(handler, content=CONTENT):
    begin = handler.begin()
    if not handler.headers["Range"]:
        handler.send(200, content)
    elif begin >= len(content):
        handler.send(416, Content_Range=f"bytes */{len(content)}")
    else:
        span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        handler.send(206, content[begin:], Content_Range=span)


def truncated(handler, arriving=100_000):
    """Says how much is to come, but ends after some of it."""
    begin = handler.begin()
    span = {"Content_Range": f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}"} if begin else {}
    body = CONTENT[begin : begin + arriving]
    handler.send(206 if begin else 200, body, Content_Length=len(CONTENT) - begin, **span)


def cut_soon(handler):
    truncated(handler, 10)


@pytest.fixture
def impatient(request, monkeypatch):
    """Stalls are told in a second; elsewhere a busy machine may be slower than that."""
    if "stalls" in request.getfixturevalue("case"):
        monkeypatch.setattr(fetching, "STALL_SECONDS", 1)


def stalls_at_once(handler):
    handler.server.site.over.wait()


def stalls_midway(handler):
    truncated(handler)
    handler.wfile.flush()
    handler.server.site.over.wait()


def trickles(handler):
    """The file in forty pieces, over one second."""
    handler.send(200, Content_Length=len(CONTENT))
    for place in range(0, len(CONTENT), 7_500):
        time.sleep(0.025)
        handler.wfile.write(CONTENT[place : place + 7_500])


def other_bytes(handler):
    well(handler, OTHER)


def ignores_range(handler):
    handler.send(200, CONTENT)


def wrong_range(handler):
    if handler.headers["Range"]:
        handler.send(206, CONTENT[5:], Content_Range=f"bytes 5-299999/{len(CONTENT)}")
    else:
        handler.send(200, CONTENT)


def silent(handler):
    handler.close_connection = True


def gzip_by_name(handler):
    """As servers do that take the name's ending for an encoding of the way."""
    handler.send(200, CONTENT, Content_Encoding="gzip")


def unknown_length(handler):
    handler.send(200, CONTENT, Content_Length=None)


def chunked(handler, ending=b"0\r\n\r\n"):
    handler.protocol_version = "HTTP/1.1"
    handler.send(200, Content_Length=None, Transfer_Encoding="chunked", Connection="close")
    for place in range(0, len(CONTENT), 50_000):
        handler.wfile.write(b"%x\r\n%b\r\n" % (50_000, CONTENT[place : place + 50_000]))
    handler.wfile.write(ending)


def chunked_unended(handler):
    chunked(handler, b"")


def status(code, **headers):
    return lambda handler: handler.send(code, b"no", **headers)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The server, and this process in an empty folder, with no proxy and no mirror."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISSENT_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    site.waits = []
    monkeypatch.setattr(fetching, "sleep", site.waits.append)
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.over.set()
    site.server.shutdown()
    thread.join()
    site.server.server_close()


def parts():
    """What is left of downloads, but for locks."""
    return [path for path in Path(".downloads").glob("*") if path.suffix != ".lock"]


def refusal(site, *words, pin=PIN):
    """The one sentence that fetching ends with, nothing being written."""
    with pytest.raises(InputError) as caught:
        fetch(site.url, pin, "out/file.bin")
    said = str(caught.value)
    assert said.startswith(f"{site.url} ") and "\n" not in said
    assert said.endswith(
        f", or put the file at {site.host}/folder/file.bin in the folder that DISSENT_MIRROR names"
    )
    for word in words:
        assert word in said
    assert not Path("out/file.bin").exists()
    assert not Path("out").exists() or list(Path("out").iterdir()) == []
    return said


GOES_WELL = {
    # What the server answers in turn, and where the ranges begin that it is asked for.
    "well": ([well], [0]),
    "truncated once": ([truncated, well], [0, 100_000]),
    "truncated twice": ([truncated, truncated, well], [0, 100_000, 200_000]),
    "stalls once": ([stalls_midway, well], [0, 100_000]),
    "stalls at once": ([stalls_at_once, well], [0, 0]),
    "500": ([status(500), well], [0, 0]),
    "500 amid": ([truncated, status(502), well], [0, 100_000, 100_000]),
    "silent": ([silent, well], [0, 0]),
    "ignores range": ([truncated, ignores_range], [0, 100_000]),
    "wrong range": ([truncated, wrong_range], [0, 100_000, 0]),
    "wrong range twice": (
        [truncated, wrong_range, truncated, wrong_range, well],
        [0, 100_000, 0, 100_000, 0],
    ),
    "416": ([truncated, status(416), well], [0, 100_000, 0]),
    "chunked": ([chunked], [0]),
    "chunked, cut": ([chunked_unended, well], [0, 300_000]),
    "unknown length": ([unknown_length], [0]),
    "encoded by name": ([gzip_by_name], [0]),
    "redirected": ([status(302, Location="/elsewhere"), well], [0, 0]),
    "redirected amid": (
        [truncated, status(307, Location="/elsewhere"), well],
        [0, 100_000, 100_000],
    ),
}


@pytest.mark.parametrize("case", GOES_WELL)
def test_the_file_is_fetched_whole_and_only_what_is_missing_is_asked_for(site, case, impatient):
    site.answers, begins = list(GOES_WELL[case][0]), GOES_WELL[case][1]
    fetch(site.url, PIN, "out/file.bin")
    assert Path("out/file.bin").read_bytes() == CONTENT
    assert [path.name for path in Path("out").iterdir()] == ["file.bin"]
    assert site.ranges == [f"bytes={begin}-" if begin else None for begin in begins]
    assert site.encodings == {"identity"}
    assert parts() == []
    assert Path("out/file.bin").stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


FAILS = {
    # The answers, words of the sentence, how many requests, and the bytes kept for the next time.
    "truncated": ([cut_soon], ["closed the connection after 50 of 300,000 bytes"], TRIES, 50),
    "cut off": ([truncated, silent], ["gave no answer (Remote end"], TRIES, 100_000),
    "stalls": ([stalls_at_once], ["stalled for 1 s, in the last of 5 tries"], TRIES, None),
    "stalls amid": (
        [cut_soon, cut_soon, cut_soon, cut_soon, lambda handler: stalls_midway(handler)],
        ["stalled for 1 s after 100,040 of 300,000 bytes"],
        TRIES,
        100_040,
    ),
    "503": ([status(503)], ["answered 503 Service Unavailable"], TRIES, None),
    "unheard of": ([status(799)], ["answered 799,"], TRIES, None),
    "silent": ([silent], ["gave no answer"], TRIES, None),
    "404": ([status(404)], ["answered 404 Not Found: mend the address"], 1, None),
    "403": ([status(403)], ["answered 403 Forbidden"], 1, None),
    "204": ([status(204)], ["answered 204 No Content"], 1, None),
    "206 unasked": (
        [status(206, Content_Range="bytes 5-6/9")],
        ["answered 206 Partial Content"],
        1,
        None,
    ),
    "404 amid": ([truncated, status(404)], ["answered 404"], 2, 100_000),
    "loop": ([status(302, Location="/folder/file.bin")], ["redirects without end"], 31, None),
    "to ftp": ([status(302, Location="ftp://127.0.0.1/x")], ["redirects away from http"], 1, None),
    "to nowhere": ([status(302, Location="http://[/x")], ["redirects away from http"], 1, None),
    "other bytes": (
        [other_bytes],
        ["is not the pinned file", hashlib.sha256(OTHER).hexdigest(), PIN, "check the pin"],
        1,
        None,
    ),
    # Bytes of two versions: once more from scratch, where it is seen that the file is another.
    "changed amid": ([truncated, other_bytes], [hashlib.sha256(OTHER).hexdigest()], 3, None),
    "changed to and fro": ([truncated, other_bytes, truncated, other_bytes], [PIN], 4, None),
}


@pytest.mark.parametrize("case", FAILS)
def test_a_failure_is_one_sentence_and_no_file(site, case, impatient):
    answers, words, requested, kept = FAILS[case]
    site.answers = list(answers)
    said = refusal(site, *words)
    assert len(site.ranges) == requested
    assert [path.stat().st_size for path in parts()] == ([kept] if kept else [])
    assert ("what arrived is kept" in said) == (kept is not None and requested == TRIES)


def test_what_arrived_is_continued_by_the_next_call(site):
    site.answers = [truncated, status(404)]
    refusal(site, "404")
    site.answers, site.ranges = [well], []
    fetch(site.url, PIN, "out/file.bin")
    assert site.ranges == ["bytes=100000-"]
    assert Path("out/file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("begin", [CONTENT, OTHER, OTHER + b"more", b"another beginning"])
@pytest.mark.parametrize("answer", [well, ignores_range, wrong_range])
def test_whatever_was_there_before_the_file_is_right(site, begin, answer):
    Path(f".downloads/{PIN}").mkdir(parents=True)
    Path(f".downloads/{PIN}/left").write_text("by a job that was killed while it verified")
    Path(f".downloads/{PIN}.part").write_bytes(begin)
    site.answers = [answer]
    fetch(site.url, PIN, "out/file.bin")
    assert Path("out/file.bin").read_bytes() == CONTENT
    assert parts() == []
    assert site.ranges[0] == f"bytes={len(begin)}-"
    assert (len(site.ranges) == 1) == (
        answer is ignores_range or (answer, begin) == (well, CONTENT)
    )


def test_an_empty_file_is_fetched(site):
    site.answers = [status(503), lambda handler: handler.send(200)]
    fetch(site.url, hashlib.sha256(b"").hexdigest(), "empty")
    assert Path("empty").read_bytes() == b""


def test_a_closed_port_gives_no_answer(site):
    site.url = "http://127.0.0.1:9/folder/file.bin"
    site.host = "127.0.0.1:9"
    refusal(site, "gave no answer (Connection refused), in the last of 5 tries: try again")


def test_a_proxy_is_asked_and_named(site, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", f"http://{site.host}")
    fetch("http://files.invalid/file.bin", PIN, "file.bin")
    assert site.paths == ["http://files.invalid/file.bin"]
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    refusal(site, "through a proxy gave no answer (Connection refused)")


def test_no_redirection_leads_from_https_to_http(site, monkeypatch):
    def send(adapter, request, **_):
        response = requests.Response()
        response.status_code, response.url, response.request = 302, request.url, request
        response.headers["Location"], response.raw = site.url, io.BytesIO()
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(InputError, match=r"redirects away from https \(.*127.0.0.1.*mend the addr"):
        fetch("https://files.invalid/file.bin", PIN, "file.bin")
    assert not Path("file.bin").exists()


def test_waits_grow_and_heed_the_server_within_limits(site):
    date = formatdate(time.time() + 50, usegmt=True)
    asked = ["7", date, "soon", "99999"]
    site.answers = [*(status(429, Retry_After=text) for text in asked), well]
    fetch(site.url, PIN, "file.bin")
    first, second, third, fourth = site.waits
    assert (first, third, fourth) == (7, fetching.WAITS[2], fetching.LONGEST_WAIT)
    assert 40 < second <= 50
    site.answers, site.waits[:] = [status(503)], []
    refusal(site, "503", pin="0" * 64)
    assert tuple(site.waits) == fetching.WAITS
    assert sorted(set(site.waits)) == site.waits


@pytest.mark.parametrize("pin", ["", "0" * 63, "../../../x", PIN.upper(), PIN + "\n"])
def test_a_pin_is_a_sha256(site, pin):
    with pytest.raises(InputError, match="give 64 digits"):
        fetch(site.url, pin, "file.bin")
    assert list(Path().iterdir()) == []


@pytest.fixture
def mirrored(site, tmp_path, monkeypatch):
    monkeypatch.setenv("DISSENT_MIRROR", str(tmp_path / "mirror"))
    path = tmp_path / "mirror" / site.host / "folder" / "file.bin"
    path.parent.mkdir(parents=True)
    return path


def test_the_mirrors_file_needs_no_request(site, mirrored):
    mirrored.write_bytes(CONTENT)
    fetch(site.url, PIN, "out/file.bin")
    assert Path("out/file.bin").read_bytes() == CONTENT == mirrored.read_bytes()
    assert site.ranges == []
    assert not Path(".downloads").exists()


def test_another_file_in_the_mirror_is_told_and_passed_over(site, mirrored, caplog):
    mirrored.write_bytes(OTHER)
    with caplog.at_level("INFO", logger="dissent"):
        fetch(site.url, PIN, "out/file.bin")
    assert Path("out/file.bin").read_bytes() == CONTENT
    assert len(site.ranges) == 1
    (line,) = [text for text in caplog.messages if str(mirrored) in text]
    assert PIN in line and hashlib.sha256(OTHER).hexdigest() in line


@pytest.mark.parametrize("there", ["nothing", "folder"])
def test_without_a_file_in_the_mirror_it_is_downloaded(site, mirrored, there):
    if there == "folder":
        mirrored.mkdir()
    fetch(site.url, PIN, "out/file.bin")
    assert Path("out/file.bin").read_bytes() == CONTENT


def test_a_mirror_that_is_no_folder_is_refused(site, monkeypatch):
    monkeypatch.setenv("DISSENT_MIRROR", "nowhere")
    with pytest.raises(InputError, match="DISSENT_MIRROR is 'nowhere', which is no folder"):
        fetch(site.url, PIN, "file.bin")
    assert site.ranges == []


def run_script(site, output, sha256=PIN, page="", **options):
    command = [sys.executable, SCRIPT, "--url", site.url, "--sha256", sha256, "--output", output]
    command += ["--page", page]
    terms = ["--licence", "MIT", "--citation", "", "--log", f"{output}.log"]
    return subprocess.Popen([*command, *terms], stderr=subprocess.PIPE, text=True, **options)


def wait_until(holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_job_is_continued_by_the_next_which_declares_its_source(site, tmp_path):
    site.answers = [trickles]
    job = run_script(site, "out/file.bin")
    part = Path(f".downloads/{PIN}.part")
    wait_until(lambda: part.exists() and part.stat().st_size > 50_000)
    job.kill()
    assert job.wait() == -signal.SIGKILL
    job.stderr.close()
    assert not Path("out/file.bin").exists()
    arrived = part.stat().st_size
    assert part.read_bytes() == CONTENT[:arrived]
    site.answers, site.ranges = [well], []
    again = run_script(site, "out/file.bin", env={**os.environ, facts.VARIABLE: "told"})
    assert again.communicate()[1] == f"{site.url}: downloaded\n"
    assert again.returncode == 0
    assert site.ranges == [f"bytes={arrived}-"]
    assert Path("out/file.bin").read_bytes() == CONTENT
    source = {"name": site.url, "licence": "MIT", "sha256": PIN}
    assert facts.declared(Path("told")) == {"sources": [source]}


def test_two_jobs_at_once_do_not_download_into_each_other(site):
    site.answers = [trickles]
    jobs = [run_script(site, f"out/{name}.bin") for name in ("one", "two")]
    said = [job.communicate()[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    for name in ("one", "two"):
        assert Path(f"out/{name}.bin").read_bytes() == CONTENT
    assert site.ranges == [None, None]
    assert site.most_at_once == 1
    assert sum("another job fetches the same content" in text for text in said) == 1


def test_the_script_ends_with_one_sentence(site):
    site.answers = [status(404)]
    job = run_script(site, "out/file.bin")
    said = job.communicate()[1]
    assert job.returncode == 1
    assert re.fullmatch(r"error: http://\S+ answered 404 Not Found: [^\n]*\n", said)
    assert Path("out/file.bin.log").read_text() == said
    assert not Path("out/file.bin").exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"sha256": ""}, r"is not pinned yet: 'python -m dissent\.pin FILE' asks"),
        (
            {"page": "https://example.org/terms"},
            rf"get the file from https://example\.org/terms and put it at \S+/folder/file\.bin in "
            rf"the folder that DISSENT_MIRROR names; its sha256 is {PIN}",
        ),
    ],
)
def test_what_no_job_can_fetch_is_not_asked_for(site, given, sentence):
    job = run_script(site, "out/file.bin", **given)
    said = job.communicate()[1]
    assert job.returncode == 1
    assert said.count("\n") == 1
    assert re.search(sentence, said)
    assert site.paths == []


@pytest.mark.parametrize("sha256", [PIN, ""])
def test_what_people_got_by_hand_is_taken_from_the_mirror(site, mirrored, sha256):
    mirrored.write_bytes(CONTENT)
    job = run_script(site, "out/file.bin", page="https://example.org/terms", sha256=sha256)
    assert job.communicate() and job.returncode == 0
    assert Path("out/file.bin").read_bytes() == CONTENT
    assert site.paths == []


HUB_FILE = "https://huggingface.co/org/name/resolve/0123/model.safetensors"


@pytest.fixture
def elsewhere(site):
    """Another host, which the first one sends on to."""
    other = Site()
    thread = threading.Thread(target=other.server.serve_forever, args=(0.01,))
    thread.start()
    address = other.url.replace("127.0.0.1", "localhost")
    site.answers = [lambda handler: handler.send(302, Location=address)]
    yield other
    other.server.shutdown()
    thread.join()
    other.server.server_close()


def test_a_file_of_the_hub_is_asked_for_where_hf_endpoint_says(site, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"http://{site.host}/")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    fetch(HUB_FILE, PIN, "out/file.bin")
    assert Path("out/file.bin").read_bytes() == CONTENT
    assert site.paths == ["/org/name/resolve/0123/model.safetensors"]
    assert site.tokens == [None]


def test_a_token_is_shown_to_the_hub_and_to_none_that_it_sends_on_to(site, elsewhere, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setenv("HF_ENDPOINT", f"http://{site.host}")
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetch(HUB_FILE, PIN, "out/file.bin")
    assert (site.tokens, elsewhere.tokens) == (["Bearer secret"], [None])
    fetch(elsewhere.url, PIN, "out/other.bin")
    assert elsewhere.tokens == [None, None]


@pytest.mark.parametrize("number", [401, 403])
def test_what_is_behind_terms_on_the_hub_says_so(site, monkeypatch, number):
    monkeypatch.setenv("HF_ENDPOINT", f"http://{site.host}")
    site.answers = [status(number)]
    with pytest.raises(InputError, match="accept its terms on its page, and set HF_TOKEN") as told:
        fetch(HUB_FILE, PIN, "out/file.bin")
    assert str(told.value).startswith(f"{HUB_FILE} answered {number}")


def test_a_file_that_cannot_be_written_whole_is_one_sentence(site):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    job = run_script(site, "out/file.bin", preexec_fn=limit)
    said = job.communicate()[1]
    assert job.returncode == 1
    assert re.fullmatch(r"error: http://\S+ cannot be kept \(.*File too large\): [^\n]*\n", said)
    assert not Path("out/file.bin").exists()


def test_a_full_disk_is_told(site, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fetching.shutil, "move", full)
    with pytest.raises(InputError, match="does not fit on the disk: free some space"):
        fetch(site.url, PIN, "out/file.bin")
    assert list(Path().rglob("file*")) == []


def test_progress_is_told_in_bytes(site, monkeypatch, caplog):
    ticks = iter(range(1000))
    monkeypatch.setattr(fetching, "monotonic", lambda: 5 * next(ticks))
    with caplog.at_level("INFO", logger="dissent"):
        fetch(site.url, PIN, "file.bin")
    shown = [re.fullmatch(r"file.bin: ([\d,]+) of 300,000 bytes", m) for m in caplog.messages]
    counts = [int(match[1].replace(",", "")) for match in shown if match]
    assert counts == sorted(set(counts)) and counts[-1] == 300_000


def test_progress_is_a_bar_on_a_terminal(site, monkeypatch, caplog):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(fetching, "monotonic", iter(range(0, 10**6, 100)).__next__)
    with caplog.at_level("INFO", logger="dissent"):
        fetch(site.url, PIN, "file.bin")
    assert re.search(r"file.bin: .*\| 0.00/300k ", terminal.getvalue())
    assert caplog.messages == [f"{site.url}: downloaded"]


def test_importing_the_module_loads_no_library():
    code = "import sys, dissent.fetching; print(*{'requests', 'pooch', 'tqdm'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "\n"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://host.org/a/b.csv", "host.org/a/b.csv"),
        ("http://Host.ORG:80/a/b.csv", "host.org/a/b.csv"),
        ("https://host.org:443/b.csv", "host.org/b.csv"),
        ("https://host.org:80/b.csv", "host.org:80/b.csv"),
        ("http://127.0.0.1:8080/b.csv", "127.0.0.1:8080/b.csv"),
        ("https://host.org/a%20b/c+d.csv", "host.org/a b/c+d.csv"),
        ("https://host.org/%C3%A9.csv", "host.org/é.csv"),
        ("https://host.org/x.csv?download=1", "host.org/x.csv?download=1"),
        ("https://host.org/uc?id=a%20b&x=1", "host.org/uc?id=a b&x=1"),
    ],
)
def test_files_are_kept_where_wget_would(url, path):
    assert local_path(url) == PurePosixPath(path)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "file.csv",
            "/a/file.csv",
            "ftp://host/a",
            "file:///etc/passwd",
            "//host/a",
            "s3://b/k",
        ),
        *(
            "https://",
            "https:///a",
            "https://host",
            "https://host/",
            "https://host/a/",
            "https://?a",
        ),
        *("https://host/../a", "https://host/a/..", "https://host/./a", "https://host//a"),
        *("https://host/%2e%2e/a", "https://host/a%2Fb", "https://host/a%00", "https://host/a%0A"),
        *(
            "https://host/a\\b",
            "https://host/{a}",
            "https://host/a b",
            "https://host/a\n",
            " https://h/a",
        ),
        *(
            "https://host/%20",
            "https://host/a%20",
            "https://host/%ff",
            "https://../a",
            "https://./a",
        ),
        *(
            "https://host/a?b/../c",
            "https://host/a?%2e%2e%2f",
            "https://host/a?{b}",
            "https://host/a#b",
        ),
        *("https://user@host/a", "https://user:secret@host/a", "https://@host/a"),
        *(
            "https://host:no/a",
            "https://host:99999/a",
            "https://[::1/a",
            "https://host/" + "a" * 201,
        ),
    ],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(InputError) as caught:
        local_path(url)
    assert str(caught.value).endswith(": give one such as https://host/folder/file.csv")
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


@given(st.text(alphabet=st.sampled_from("a.%2eEfF/\\?#@:[]{} \t\n\0é"), max_size=30))
def test_no_address_leads_out_of_the_folder(text):
    try:
        path = local_path(f"https://host/{text}")
    except InputError:
        return
    assert os.path.normpath(f"/of/all/{path}") == f"/of/all/{path}"
    assert len(path.parts) >= 2
