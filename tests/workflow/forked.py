"""Commands in forks of a process that has loaded what they import (tests/forks)."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

STANDINS = Path(__file__).parents[1] / "forks"


def in_forks(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with which whatever is run by a name in `STANDINS` is forked.

    Elsewhere than on Linux they are as they were.
    """
    if sys.platform != "linux":
        return dict(environment)
    return environment | {
        "PATH": f"{STANDINS}{os.pathsep}{environment['PATH']}",
        "FORKED_PYTHON": sys.executable,
        "FORKS": server(),
    }


def standin(command: str | os.PathLike) -> str | os.PathLike:
    """What stands in for a command, whatever PATH says; a command's path stays what it is."""
    path = STANDINS / command
    return path if sys.platform == "linux" and path.exists() else command


@cache
def server() -> str:
    """The name of the socket of a server that ends with this process."""
    name = f"dissent-tests-{os.getpid()}"
    # As Snakemake tells jobs of one thread; what is loaded reads it only then.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen(64)
        number = listener.fileno()
        # It ends with its standard input, which is open while this is kept.
        server.process = subprocess.Popen(
            [sys.executable, STANDINS / "server.py", str(number)],
            env=environment,
            stdin=subprocess.PIPE,
            pass_fds=[number],
        )
    return name
