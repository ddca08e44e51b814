"""Runs the real command line in a process of its own that starts with the modules already imported.

A new Python spends most of a short command's time on imports, and the tests start thousands of them. So the test's
process imports the commands once and forks: the child gets the arguments, folder, environment and streams of a new one.
"""

import contextlib
import importlib
import os
import pkgutil
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

import factory.cli
from factory.cli import environment

_DEFAULT = (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: str | None = None, timeout: float = 400
) -> "subprocess.CompletedProcess[str]":
    """Run ``factory`` with the arguments; return the finished process. Without ``stdin`` its input is empty.

    Raises ``subprocess.TimeoutExpired`` after ``timeout`` seconds, and kills the process.
    """
    _import_commands()
    argv = ["factory", *arguments]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write((stdin or "").encode())
        given.seek(0)
        child = os.fork()
        if child == 0:
            _become(argv, cwd, env, [stream.fileno() for stream in (given, out, err)])
        code = _wait(child, argv, timeout)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(argv, code, out.read().decode(), err.read().decode())


@cache
def _import_commands() -> None:
    for module in pkgutil.walk_packages(factory.cli.__path__, "factory.cli."):
        importlib.import_module(module.name)


def _wait(child: int, argv: Sequence[str], timeout: float) -> int:
    """Return the exit code as ``subprocess`` does: negative for a signal."""
    ended = os.pidfd_open(child)
    try:
        if not select.select([ended], [], [], timeout)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise subprocess.TimeoutExpired(argv, timeout)
    finally:
        os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(argv: list[str], cwd: Path, env: Mapping[str, str], streams: Sequence[int]) -> NoReturn:
    """Turn this process into the command; never returns, and runs nothing that the tests left for their own end."""
    code = 70
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        # As a new Python has them.
        for name in _DEFAULT:
            signal.signal(name, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, encoding="utf-8", errors=errors, closefd=False)
            for number, mode, errors in ((0, "r", "strict"), (1, "w", "strict"), (2, "w", "backslashreplace"))
        )
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        environment._GIVEN = None  # noqa: SLF001 - a test of this process may have read it
        sys.argv = argv
        code = _called()
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads, as a Python that ends does
    except BaseException:  # noqa: BLE001 - nothing may reach the test's own stack
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
