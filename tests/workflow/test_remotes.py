"""Results pushed over ssh and to S3, and pulled by another clone: `make test-remotes`.

With docs/share_results.md's environment for such remotes. ssh is a real sshd on loopback; S3 is
moto, a stand-in.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from conftest import ROOT, TOOLS, commit_all, contents, copy_project, run, under_git

pytestmark = pytest.mark.remotes
# An address, what DVC has to know beside it, and the variables that it reads.
Remote = tuple[str, dict[str, str], dict[str, str]]
DATA = "results/demo/data"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile {folder}/sshd.pid
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
Subsystem sftp internal-sftp
"""


@pytest.fixture(scope="module")
def tools(tmp_path_factory) -> Path:
    """The folder of the programs of an environment that has the docs' DVC, and moto."""
    text = (ROOT / "docs/share_results.md").read_text()
    [dvc] = re.findall(r"pip install '(dvc\[ssh,s3\]==[\d.]+)'", text)
    folder = tmp_path_factory.mktemp("dvc-remotes")
    uv = TOOLS / "uv"
    run(folder, uv, "venv", "--quiet", "--clear", "--python", sys.executable, ".")
    run(folder, uv, "pip", "install", "--quiet", "--python", ".", dvc, "moto[server]")
    return folder / "bin"


@pytest.fixture(scope="module")
def sealed_data(tmp_path_factory) -> Path:
    """The `test` run under the demo's name, its data recorded by `dvc repro` and committed."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    demo = (folder / "config/test.yaml").read_text().replace("run: test", "run: demo")
    (folder / "config/demo.yaml").write_text(demo)
    (folder / "dvc.lock").unlink(missing_ok=True)
    under_git(folder)
    run(folder, "dvc", "repro", "data")
    commit_all(folder, "The project and its data")
    return folder


@pytest.fixture
def over_ssh(tmp_path) -> Iterator[Remote]:
    """A folder behind an sshd."""
    if not (sshd := shutil.which("sshd")) or os.geteuid():
        pytest.skip("needs sshd (Debian's openssh-server), and to be root")
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host_key", "key"):
        path = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    port = free_port()
    config = tmp_path / "sshd_config"
    config.write_text(SSHD.format(port=port, folder=tmp_path))
    with running([sshd, "-D", "-f", config], port):
        address = f"ssh://root@127.0.0.1:{port}{tmp_path}/store"
        yield address, {"keyfile": str(tmp_path / "key")}, {}


@pytest.fixture
def in_s3(tools) -> Iterator[Remote]:
    """A bucket."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    client = f"boto3.client('s3', endpoint_url={endpoint!r})"
    make = f"import boto3; {client}.create_bucket(Bucket='bucket')"
    variables = os.environ | KEYS
    with running([tools / "moto_server", "-p", str(port)], port):
        subprocess.run([tools / "python", "-c", make], env=variables, check=True)
        yield "s3://bucket/store", {"endpointurl": endpoint}, KEYS


@pytest.mark.parametrize("remote", ["over_ssh", "in_s3"])
def test_another_clone_gets_what_was_pushed(remote, request, sealed_data, tools, tmp_path):
    address, settings, variables = request.getfixturevalue(remote)

    def dvc(folder: Path, *command: str) -> None:
        run(folder, tools / "dvc", *command, **variables)

    def name_remote(folder: Path) -> None:
        dvc(folder, "remote", "add", "--local", "--force", "--default", "store", address)
        for name, value in settings.items():
            dvc(folder, "remote", "modify", "--local", "store", name, value)

    name_remote(sealed_data)
    dvc(sealed_data, "push")
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", sealed_data, clone)
    assert not (clone / DATA).exists()
    name_remote(clone)
    dvc(clone, "pull", "data")
    assert contents(clone / DATA) == contents(sealed_data / DATA) != {}
    run(clone, "dissent", "restore")
    assert "Nothing to be done" in run(clone, "snakemake", "--cores", "1", "-n", "data")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running(command: list[str | os.PathLike], port: int) -> Iterator[None]:
    """Have a server run that listens at a port of this machine."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()
