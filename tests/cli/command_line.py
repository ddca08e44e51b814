"""Runs the real command line in a process of its own that starts with the modules already imported.

A new Python spends most of a short command's time on imports, and the tests start thousands of them. So a server
(``tests.cli.command_server``) imports the commands once and forks for each of them. It is a process of its own, because
a fork of the test's process would take locks along that threads of that process hold.
"""

import atexit
import json
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from tests.servers import PATIENCE

ROOT = Path(__file__).parents[2]
_STARTING = threading.Lock()


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: str | None = None, timeout: float = PATIENCE
) -> "subprocess.CompletedProcess[str]":
    """Run ``factory`` with the arguments; return the finished process. Without ``stdin`` its input is empty.

    Raises ``subprocess.TimeoutExpired`` after ``timeout`` seconds, and kills the process.
    """
    argv = ["factory", *arguments]
    asked = json.dumps({"argv": argv, "cwd": str(cwd), "env": dict(env)})
    ours, theirs = socket.socketpair()
    with _file(asked) as request, _file(stdin or "") as given, _file("") as out, _file("") as err:
        with theirs:
            files = (request, given, out, err)
            socket.send_fds(_server(), [b"."], [theirs.fileno(), *(file.fileno() for file in files)])
        with ours:  # closed, it makes the server kill a command that still runs
            if not select.select([ours], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(argv, timeout)
            code = int(ours.recv(16))
        return subprocess.CompletedProcess(argv, code, _content(out), _content(err))


def _server() -> socket.socket:
    with _STARTING:
        return _started()


@cache
def _started() -> socket.socket:
    """Start the server, which ends when the test's process does: its end of the connection closes then."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        argv = [sys.executable, "-m", "tests.cli.command_server", str(theirs.fileno())]
        server = subprocess.Popen(argv, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    atexit.register(_end, server, ours)
    return ours


def _end(server: "subprocess.Popen[bytes]", control: socket.socket) -> None:
    control.close()
    server.wait()


@contextmanager
def _file(text: str) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(text.encode())
        file.seek(0)
        yield file


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
