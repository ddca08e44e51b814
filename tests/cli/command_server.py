"""Imports the commands once, and forks a process for each command that ``tests.cli.command_line`` sends.

A message has the descriptors of the reply, the request (JSON), and the command's three streams. The reply is the exit
code, negative for a signal; if the other end of the reply closes, the command is killed.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import NoReturn

import factory.cli

_DEFAULT = (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


def serve(control: socket.socket) -> None:
    """Fork for each message until the tests' end of the connection closes."""
    for module in pkgutil.walk_packages(factory.cli.__path__, "factory.cli."):
        importlib.import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the watchers
    while True:
        message, (*descriptors,), _, _ = socket.recv_fds(control, 1, 5)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _watch(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(reply: int, request: int, *streams: int) -> NoReturn:
    """Fork the command and report its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        with os.fdopen(request, "rb") as given:
            asked = json.load(given)
        os.close(reply)
        _become(asked["argv"], asked["cwd"], asked["env"], streams)
    ended = os.pidfd_open(child)
    if ended not in select.select([ended, reply], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        os.write(reply, str(code).encode())
    os._exit(0)


def _become(argv: list[str], cwd: str, env: Mapping[str, str], streams: Sequence[int]) -> NoReturn:
    """Turn this process into the command; never returns."""
    code = 70
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        # As a new Python has them.
        for name in _DEFAULT:
            signal.signal(name, signal.SIG_DFL)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, encoding="utf-8", errors=errors, closefd=False)
            for number, mode, errors in ((0, "r", "strict"), (1, "w", "strict"), (2, "w", "backslashreplace"))
        )
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = argv
        code = _called()
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads, as a Python that ends does
    except BaseException:  # noqa: BLE001 - nothing may reach the server's own stack
        traceback.print_exc()
        code = 1
    finally:
        for written in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                written.flush()
        os._exit(code)


def _called() -> int:
    try:
        factory.cli.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
