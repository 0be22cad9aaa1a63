"""Has a server (server.py) do in a fork what this process was asked to.

Arguments: the command's name, and its own arguments.
"""

import json
import os
import re
import signal
import socket
import sys


def main(name: str, arguments: list[str]) -> int:
    """The status with which the command ended, negative for a signal."""
    # import_text.py sets variables that the hub's packages read when they are loaded.
    program = re.fullmatch(r"-m|.+(?<!/import_text)\.py", "".join(arguments[:1]))
    if name == "python" and not program:
        os.execv(sys.executable, [sys.executable, *arguments])
    request = json.dumps([name, arguments, dict(os.environ)]).encode()
    folder = os.open(".", os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0" + os.environ["FORKS"])
        socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2, folder])
        connection.sendall(request)
        answer = connection.recv(8)
    if not answer:
        sys.exit("tests/forks/server.py has ended")
    return int.from_bytes(answer, "big", signed=True)


if __name__ == "__main__":
    status = main(sys.argv[1], sys.argv[2:])
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
