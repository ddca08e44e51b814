"""Programs on a terminal of their own: its size, its signals, its end."""

import fcntl
import os
import select
import signal
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.errors import MachineError
from factory.system import process, terminal
from tests.servers import TOOL_ENV, wait_for


def shown(tmp_path: Path, *argv: str, size: tuple[int, int] = (0, 0), typed: bytes = b"") -> tuple[bytes, int]:
    """Return what a program shows to its end, and its exit code."""
    started = terminal.start_on(argv, env=TOOL_ENV, cwd=tmp_path)
    told = b""
    try:
        fcntl.ioctl(started.ours, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        os.write(started.ours, typed)
        code = wait_for(lambda: str(started.group.popen.poll()) if started.group.popen.poll() is not None else "")
        while select.select([started.ours], [], [], 0)[0]:
            told += os.read(started.ours, 65536)
    finally:
        started.end()
    return told, int(code)


def test_the_program_has_a_terminal_of_its_own_as_large_as_it_is_made(tmp_path: Path) -> None:
    what = "sleep 0.3; test -t 0 && test -t 1 && test -t 2 && stty size && tty; echo done </dev/tty; exit 7"
    told, code = shown(tmp_path, "sh", "-c", what, size=(33, 101))
    assert b"33 101" in told
    assert b"/dev/pts/" in told
    assert b"done" in told
    assert code == 7


def test_what_is_typed_arrives() -> None:
    told, _ = shown(Path("/"), "sh", "-c", 'read -r word; echo "got $word"', typed=b"hello\n")
    assert b"got hello" in told


@pytest.fixture
def heard() -> Iterator[None]:
    """Take SIGINT: a shell starts a background job, such as this run may be, with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_a_control_key_is_a_signal(tmp_path: Path) -> None:
    what = "trap 'exit 5' INT; echo ready; while :; do sleep 0.1; done"
    started = terminal.start_on(["sh", "-c", what], env=TOOL_ENV, cwd=tmp_path)
    try:
        assert b"ready" in os.read(started.ours, 100)
        os.write(started.ours, b"\x03")
        assert started.group.popen.wait(10) == 5
    finally:
        started.end()


def test_nothing_is_left_open_or_running(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    started = terminal.start_on(["sh", "-c", "sleep 60 & echo $!; wait"], env=TOOL_ENV, cwd=tmp_path)
    child = int(os.read(started.ours, 100))
    assert started.end() == -9
    wait_for(lambda: process.started_at(child) is None)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(MachineError):
        terminal.start_on(["sh"], env={"PATH": str(tmp_path)}, cwd=tmp_path / "no/such")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert shown(tmp_path, sys.executable + "-no-such")[1] == 127
