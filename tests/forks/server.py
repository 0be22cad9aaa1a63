"""Runs Python programs in forks of itself, after it has loaded the packages that they import.

To load them takes longer than most programs need for what they do. Of the project itself nothing is
loaded before, so that a copy of it runs its own code. All forks have one hash seed: that results do
not depend on it shows where programs run by themselves. Argument: the file number of the socket to
serve on, until standard input ends.
"""

import atexit
import importlib
import json
import os
import runpy
import select
import signal
import site
import socket
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

PACKAGES = (
    *("dvc.cli.parser", "dvc.repo", "requests", "smart_open", "yte"),
    *("snakemake.cli", "snakemake.report.html_reporter", "snakemake.storage"),
    "snakemake_executor_plugin_slurm",
    *("pandas", "pyarrow.pandas_compat", "pydantic", "safetensors.numpy"),
    *("scipy.optimize", "scipy.stats", "sklearn.cluster", "sklearn.datasets"),
    *("matplotlib.pyplot", "matplotlib.style", "sklearn.linear_model"),
    *(f"matplotlib.backends.backend_{kind}" for kind in ("agg", "pdf", "svg")),
    *("timm", "torch.optim.swa_utils"),
)
COMMANDS = {"snakemake": "snakemake", "dissent": "dissent.provenance.main", "dvc": "dvc"}


def main(listener: socket.socket) -> None:
    for package in PACKAGES:
        importlib.import_module(package)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if not os.fork():
            listener.close()
            answer(connection)
        connection.close()


def answer(connection: socket.socket) -> NoReturn:
    """Run a program, and tell the client how it ended; if the client is killed, so is it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _, _ = socket.recv_fds(connection, 8, 4)
    request = connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
    if not (pid := os.fork()):
        connection.close()
        *standard, folder = files
        os.fchdir(folder)
        for number, file in enumerate(standard):
            os.dup2(file, number)
        for file in files:
            os.close(file)
        become(*json.loads(request))
    ended = os.pidfd_open(pid)
    if connection in select.select([ended, connection], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.send(status.to_bytes(8, "big", signed=True))
    os._exit(0)


def become(name: str, arguments: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Do what an interpreter of its own would for a command, with what this process has loaded."""
    os.environ.clear()
    os.environ.update(variables)
    np.random.seed()
    # The server's own know what its files were.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    if name in COMMANDS:
        # As if the project in this folder were the one that is installed.
        arguments, first = ["-m", COMMANDS[name], *arguments], Path("src").absolute()
    else:
        first = Path.cwd() if arguments[0] == "-m" else Path(arguments[0]).absolute().parent
    sys.path[:1] = [str(first), *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    module = arguments[0] == "-m"
    sys.orig_argv, sys.argv = [sys.executable, *arguments], arguments[module:]
    site.execsitecustomize()
    try:
        if module:
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        leave(end.code)
    except BaseException:
        traceback.print_exc()
        leave(1)
    leave(None)


def leave(code: int | str | None) -> NoReturn:
    """End as the interpreter does, but for clearing away all that was loaded: it takes seconds."""
    threading._shutdown()
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
