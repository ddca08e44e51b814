"""The door to other programs: the one module that starts processes.

Every program starts without a shell, with an environment that the caller names in full, in a process group of
its own, and dies with the process that started it.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from factory.errors import MachineError, ToolFailed, ToolTimeout

if TYPE_CHECKING:
    import asyncio

PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT

_REAP_SECONDS = 5.0

# A watcher in the child's own process group blocks on a pipe whose other end only the parent holds: when the
# parent dies, however it dies, the read ends and the whole group is killed. Works on Linux and macOS alike.
_LIFELINE = '(read -r _ < "$0"; kill -KILL 0) </dev/null >/dev/null 2>&1 & exec "$@"'


@dataclass(frozen=True)
class CompletedProcess:
    """A program that has ended: its exit code and what it printed."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode(errors="replace")

    @property
    def errors(self) -> str:
        """Standard error as text; bytes that are not UTF-8 are replaced."""
        return self.stderr.decode(errors="replace")


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float = 60.0,
    check: bool = True,
) -> CompletedProcess:
    """Run a program to its end.

    ``timeout`` is in seconds. Raises ``MachineError`` where it can't start, ``ToolTimeout`` past the limit (its
    whole process group is killed), ``ToolFailed`` on an exit code other than 0 unless ``check`` is false.
    """
    group = start(argv, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = group.popen.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise ToolTimeout(f"{argv[0]} ran longer than {timeout:g} s") from None
    finally:
        group.kill()
        group.close()
    done = CompletedProcess(tuple(argv), group.popen.returncode, out, err)
    if check and done.returncode != 0:
        last = (done.errors.strip() or done.text.strip()).splitlines()
        raise ToolFailed(f"{Path(argv[0]).name} ended with {done.returncode}: {last[-1] if last else 'no message'}")
    return done


@dataclass(frozen=True)
class Group:
    """A running program and its process group."""

    popen: "subprocess.Popen[bytes]"
    lifeline: int = field(repr=False)

    def read(self) -> bytes:
        """Return the next output of a program started with ``stdout=PIPE``; empty at its end."""
        return os.read(self.popen.stdout.fileno(), 65536) if self.popen.stdout else b""

    def close(self) -> None:
        """Close the pipes to the program."""
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()

    def wait(self, timeout: float) -> int:
        """Return the exit code once the program has ended; raises ``ToolTimeout`` after ``timeout`` seconds."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ToolTimeout(f"the program ran longer than {timeout:g} s") from None

    def interrupt(self, patience: float) -> bool:
        """Ask the program to end in order (SIGINT), and tell whether it did within ``patience`` seconds."""
        signal_process(self.popen.pid, politely=True)
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End every process of the group at once, and reap the leader."""
        _kill_group(self.popen.pid)
        self.popen.wait()
        with suppress(OSError):
            os.close(self.lifeline)


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = subprocess.DEVNULL,
    stderr: int | IO[bytes] | None = subprocess.DEVNULL,
) -> Group:
    """Start a program in its own process group; raises ``MachineError`` where it can't start."""
    _require(argv[0], env)
    read_end, write_end = os.pipe()
    try:
        popen = subprocess.Popen(
            _with_lifeline(argv, read_end),
            cwd=cwd,
            env=dict(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            pass_fds=(read_end,),
        )
    except OSError as error:
        os.close(write_end)
        raise MachineError(f"cannot start {argv[0]}: {error.strerror}") from error
    finally:
        os.close(read_end)
    return Group(popen, write_end)


def start_daemon(argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path) -> int:
    """Start a program that outlives this one, in its own session, its output appended to ``log``; return its pid."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
        )
    pid = process.pid
    process.returncode = 0  # handed over: this object must neither wait for it nor warn about it
    return pid


async def start_async(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    limit: int = 2**16,
    stderr: int | IO[bytes] | None = subprocess.DEVNULL,
) -> "AsyncGroup":
    """Start a program with piped standard input and output on the running event loop; ``limit`` bounds one line."""
    import asyncio  # noqa: PLC0415 - it takes a third of the start of `factory`, and few commands need it

    _require(argv[0], env)
    read_end, write_end = os.pipe()
    try:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=limit, loop=loop),
            *_with_lifeline(argv, read_end),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            pass_fds=(read_end,),
        )
    except OSError as error:
        os.close(write_end)
        raise MachineError(f"cannot start {argv[0]}: {error.strerror}") from error
    finally:
        os.close(read_end)
    return AsyncGroup(asyncio.subprocess.Process(transport, protocol, loop), transport, write_end)


@dataclass(frozen=True)
class AsyncGroup:
    """A running program on an event loop, and its process group."""

    process: "asyncio.subprocess.Process"
    transport: "asyncio.SubprocessTransport" = field(repr=False)
    lifeline: int = field(repr=False)

    async def kill(self) -> int:
        """End every process of the group at once, close its pipes, and return the leader's exit code."""
        import asyncio  # noqa: PLC0415 - see above

        _kill_group(self.process.pid)
        # asyncio's wait() ends only once every pipe is closed, and a pipe whose reader has had enough never closes by
        # itself: neither does one that a process outside the group holds open.
        stdin, stdout = self.process.stdin, self.transport.get_pipe_transport(1)
        if stdin and (not stdin.transport.is_closing() or stdin.transport.get_write_buffer_size()):
            stdin.transport.abort()
        if stdout:
            stdout.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_REAP_SECONDS):
                await self.process.wait()
        with suppress(OSError):
            os.close(self.lifeline)
        code = self.transport.get_returncode()
        return -signal.SIGKILL if code is None else code


def exit_when_terminated() -> None:
    """End with an exception when this process is asked to end (SIGTERM), so that what it started ends in order."""

    def end(*_: object) -> None:
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def find(name: str, path: str | None) -> str | None:
    """Return the absolute path of a program on ``path`` (a ``PATH`` value), or ``None``."""
    return shutil.which(name, path=path)


def python() -> str:
    """Return the Python interpreter that runs this program."""
    return sys.executable


def ours(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command whose program ``python`` is the interpreter that runs this program."""
    return (sys.executable if argv[0] == "python" else argv[0], *argv[1:])


def started_at(pid: int) -> str | None:
    """Return an opaque start time of a live process, or ``None``; with the pid it names a process for good."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text().rsplit(")", 1)[1].split()
    except OSError:
        return _started_at_by_ps(pid) if not stat.parent.parent.joinpath("self").exists() else None
    state, start = fields[0], fields[19]
    return None if state in {"Z", "X"} else start


def is_lifeline(pid: int) -> bool:
    """Tell whether a process is what ends a group when the program that started it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[:3] == [b"/bin/sh", b"-c", _LIFELINE.encode()]


def signal_process(pid: int, *, force: bool = False, politely: bool = False) -> None:
    """Ask a process to end (SIGTERM, ``politely`` SIGINT), or end it (SIGKILL); a process that is gone is fine."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL if force else signal.SIGINT if politely else signal.SIGTERM)


def _started_at_by_ps(pid: int) -> str | None:
    done = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, check=False)
    return done.stdout.decode().strip() or None


def _with_lifeline(argv: Sequence[str], read_end: int) -> list[str]:
    return ["/bin/sh", "-c", _LIFELINE, f"/dev/fd/{read_end}", *argv]


def _require(program: str, env: Mapping[str, str]) -> None:
    if find(program, env.get("PATH")) is None:
        raise MachineError(
            f"the program {program} is not installed", hint=f"Install {program} and run the command again."
        )


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
