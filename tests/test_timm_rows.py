import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from argparse import Namespace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import timm
from huggingface_hub import constants

from dissent import pin, timm_rows
from dissent.commandline import InputError
from dissent.config_types import ID
from dissent.fetching import fetch

SOURCE = Path("src").resolve()
CONTENT = b"weights" * 1000
PIN = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
RESNET, VIT = "resnet18.a1_in1k", "vit_small_patch16_224.augreg_in21k"


def described(repository, card=None, tags=(), weights="model.safetensors", lfs=True):
    """What the hub's API says of a repository, as far as anybody looks at it."""
    pointer = {"sha256": PIN, "size": len(CONTENT), "pointerSize": 132}
    files = [
        {"rfilename": ".gitattributes", "size": 1519, "blobId": "a" * 40},
        {"rfilename": "config.json", "size": 620, "blobId": "b" * 40},
        {"rfilename": weights, "size": len(CONTENT), "blobId": "c" * 40}
        | ({"lfs": pointer} if lfs else {}),
    ]
    return {
        "_id": "64415e7f2d41b5d7d2b5a3a1",
        "id": repository,
        "modelId": repository,
        "author": repository.split("/")[0],
        "sha": COMMIT,
        "lastModified": "2024-02-10T23:38:57.000Z",
        "private": False,
        "gated": False,
        "disabled": False,
        "library_name": "timm",
        "tags": ["timm", "pytorch", "safetensors", "image-classification", *tags],
        "pipeline_tag": "image-classification",
        "cardData": {"license": "apache-2.0"} if card is None else card,
        "siblings": files,
    }


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        self.server.asked.append(self.path)
        self.server.tokens.add(self.headers["Authorization"])
        repository = parts.path.removeprefix("/api/models/")
        status, body = self.server.answers.get(repository, (401, {"error": "Invalid username"}))
        # Digests are told only to those who ask for them.
        if status == 200 and parse_qs(parts.query).get("blobs") != ["true"]:
            body = body | {"siblings": [{"rfilename": f["rfilename"]} for f in body["siblings"]]}
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "/api/models/timm/moved?blobs=true")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine; `answers` holds a status and a body for each repository."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.asked, server.tokens = [], set()
    server.answers = {f"timm/{name}": (200, described(f"timm/{name}")) for name in (RESNET, VIT)}
    server.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asked(repository):
    return timm_rows.row(repository.split("/")[1], pin.ask(repository))


def refused(call, *arguments):
    """The sentences that a call ends with."""
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return str(caught.value)


def command(endpoint, *arguments, **environment):
    """Run the command as a user does, in a process that knows the hub by HF_ENDPOINT alone."""
    environment = {"PYTHONPATH": str(SOURCE), "HF_ENDPOINT": endpoint, **environment}
    offline = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} - environment.keys()
    inherited = {key: value for key, value in os.environ.items() if key not in offline}
    return subprocess.run(
        [sys.executable, "-m", "dissent.timm_rows", *map(str, arguments)],
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


def test_the_command_prints_a_table_whose_files_can_be_fetched(hub, tmp_path, monkeypatch):
    hub.answers[f"timm/{RESNET}"][1]["tags"] += ["arxiv:2110.00476", "arxiv:1512.03385"]
    done = command(hub.url, "resnet18", VIT)
    assert done.returncode == 0, done.stderr
    first, second = csv.DictReader(done.stdout.splitlines())
    assert first == {
        "model": RESNET,
        "source": "file",
        "architecture": RESNET,
        "location": f"https://huggingface.co/timm/{RESNET}/resolve/{COMMIT}/model.safetensors",
        "sha256": PIN,
        "licence": "apache-2.0",
        "citation": f"timm/{RESNET} (arXiv 2110.00476, 1512.03385)",
    }
    assert (second["model"], second["citation"]) == (VIT, f"timm/{VIT}")
    # Sizes are told beside the table, and nothing is told of requests.
    assert done.stderr.splitlines() == [f"{RESNET}: 7,000 bytes", f"{VIT}: 7,000 bytes"]
    assert hub.tokens == {None}
    copy = tmp_path / f"huggingface.co/timm/{RESNET}/resolve/{COMMIT}/model.safetensors"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(CONTENT)
    monkeypatch.setenv("DISSENT_MIRROR", str(tmp_path))
    fetch(first["location"], first["sha256"], tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == CONTENT


def test_the_command_says_in_a_sentence_that_the_hub_is_out_of_reach():
    done = command("http://127.0.0.1:1", RESNET, no_proxy="127.0.0.1")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: http://127.0.0.1:1 gave no answer (")
    assert "Connection refused" in line


def test_every_name_of_timm_is_known_and_makes_an_id():
    names = [name for name in timm.list_pretrained() if timm.get_pretrained_cfg(name).hf_hub_id]
    known = timm_rows.full_names(names)
    assert list(known) == names
    assert len(names) > 1000
    assert all(re.match(ID, name) for name in names)
    assert set(map(known.get, (RESNET, VIT))) == {f"timm/{RESNET}", f"timm/{VIT}"}


def test_an_architecture_stands_for_its_default_weights_and_is_taken_once():
    assert list(timm_rows.full_names([RESNET, "resnet18", "test_resnet"])) == [
        RESNET,
        timm.create_model("test_resnet").pretrained_cfg["hf_hub_id"].split("/")[1],
    ]


def test_unknown_names_are_told_together_with_what_was_meant():
    said = refused(timm_rows.full_names, ["resnet18.a1_in1", "resnet18", "ViT_nowhere", ""])
    first, second, third = said.splitlines()
    assert f"no weights 'resnet18.a1_in1' on the Hugging Face hub (did you mean {RESNET!r}?)" in (
        first
    )
    assert "'ViT_nowhere'" in second
    assert "''" in third


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({"license": "cc-by-nc-4.0"}, "cc-by-nc-4.0"),
        ({"license": "other", "license_name": "dinov3-license"}, "dinov3-license"),
        ({"license": "other"}, f"other: see https://huggingface.co/timm/{RESNET}"),
        ({"license": "unknown"}, f"unknown: see https://huggingface.co/timm/{RESNET}"),
        ({"license": ["mit", "apache-2.0"]}, "mit and apache-2.0"),
        ({"tags": ["timm"]}, f"unknown: see https://huggingface.co/timm/{RESNET}"),
        ({}, f"unknown: see https://huggingface.co/timm/{RESNET}"),
    ],
)
def test_a_licence_is_that_of_the_card_and_never_empty(hub, card, licence):
    hub.answers[f"timm/{RESNET}"] = 200, described(f"timm/{RESNET}", card)
    assert asked(f"timm/{RESNET}")["licence"] == licence


def test_a_repository_that_moved_is_pinned_where_it_is_now(hub):
    hub.answers[f"timm/{RESNET}"] = 307, {}
    hub.answers["timm/moved"] = 200, described("timm/moved")
    row = asked(f"timm/{RESNET}")
    assert row["location"].startswith("https://huggingface.co/timm/moved/resolve/")
    assert row["model"] == RESNET


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, described("timm/x", weights="pytorch_model.bin")), "timm/x has no model.safetens"),
        ((200, described("timm/x", lfs=False)), "does not tell the sha256"),
        ((200, {"id": "timm/x", "siblings": []}), "has no model.safetensors"),
        ((200, b"<html>Sign in to this network</html>"), "does not answer as the Hugging Face hub"),
        ((200, {"siblings": [{"rfilename": "x"}]}), "does not answer as the Hugging Face hub"),
        ((401, {"error": "Invalid username or password."}), "no public repository 'timm/x'"),
        ((404, {"error": "Repository not found"}), "no public repository 'timm/x'"),
        ((429, {"error": "slow down"}), "answered 429"),
        ((503, b"busy"), "answered 503"),
    ],
)
def test_what_the_hub_does_not_tell_is_one_sentence(hub, answer, words):
    hub.answers["timm/x"] = answer
    said = refused(asked, "timm/x")
    assert words in said
    assert "\n" not in said


def test_the_libraries_offline_mode_is_named(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(pin.ask, f"timm/{RESNET}")
    assert hub.asked == []


def arguments(*names, table):
    return Namespace(names=names, table=table, pin=None)


def test_rows_are_added_to_what_is_there(hub, tmp_path):
    table = tmp_path / "models.csv"
    timm_rows.main(arguments(RESNET, table=table))
    made = table.read_text()
    # Another order of columns, more of them, and no newline at the end.
    header = "sha256,model,category,source,location,licence,citation,architecture"
    table.write_text(f'{header}\n,mine,,file,"a,b",,,resnet50')
    timm_rows.main(arguments(RESNET, VIT, table=table))
    assert table.read_text().startswith(f'{header}\n,mine,,file,"a,b",,,resnet50\n')
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["model"] for row in rows] == ["mine", RESNET, VIT]
    (same,) = csv.DictReader(made.splitlines())
    assert rows[1] == same | {"category": ""}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{','.join(timm_rows.COLUMNS)}\na\n{RESNET}\n", f"line 3: has a row for {RESNET!r} alr"),
        ("model,source\n", "its header should name architecture, location, sha256, licence, cit"),
        ("\xff", "cannot be read as a CSV of UTF-8 text"),
        ('model,source,"', "cannot be read as a CSV of UTF-8 text"),
    ],
)
def test_a_table_that_takes_no_row_stays_as_it_is_and_the_hub_is_not_asked(
    hub, tmp_path, content, words
):
    table = tmp_path / "models.csv"
    table.write_bytes(content.encode("latin-1"))
    said = refused(timm_rows.main, arguments(RESNET, table=table))
    assert words in said
    assert said.startswith(str(table))
    assert table.read_bytes() == content.encode("latin-1")
    assert hub.asked == []


def test_an_answer_that_fails_leaves_the_table_as_it_is(hub, tmp_path):
    table = tmp_path / "models.csv"
    hub.answers[f"timm/{VIT}"] = 503, b""
    refused(timm_rows.main, arguments(RESNET, VIT, table=table))
    assert not table.exists()
