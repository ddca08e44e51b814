"""Starts other programs; no other module does.

Every program starts without a shell, with exactly the environment that the caller passes, in a separate process group.
It dies with the process that started it, unless it is a daemon.
"""

import os
import select
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from factory.errors import MachineError, OutputTooLarge, ToolFailed, ToolTimeout

if TYPE_CHECKING:
    import asyncio

PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT

_REAP_SECONDS = 5.0
_MOST, _CHUNK = 256 * 2**20, 65536

# A shell in the child's process group reads from a pipe; only the parent has the write end. When the parent dies for
# any reason, the read returns and the shell kills the whole group. This works on Linux and macOS.
_LIFELINE = '(read -r _ < "$0"; kill -KILL 0) </dev/null >/dev/null 2>&1 & exec "$@"'


@dataclass(frozen=True)
class CompletedProcess:
    """A program that has ended: its exit code and its output."""

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
    most: int = _MOST,
    check: bool = True,
) -> CompletedProcess:
    """Run a program until it ends.

    ``timeout`` is in seconds. Raises ``MachineError`` if the program cannot start, ``ToolTimeout`` after the timeout
    and ``OutputTooLarge`` after more than ``most`` bytes on one of its outputs (its whole process group is killed),
    ``ToolFailed`` for an exit code other than 0 unless ``check`` is false.
    """
    group = start(argv, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = _exchange(group.popen, stdin, time.monotonic() + timeout, most)
    except OutputTooLarge:
        raise OutputTooLarge(f"{Path(argv[0]).name} wrote more than {most >> 20} MiB") from None
    except (subprocess.TimeoutExpired, TimeoutError):
        raise ToolTimeout(f"{argv[0]} ran longer than {timeout:g} s") from None
    finally:
        group.kill()
        group.close()
    done = CompletedProcess(tuple(argv), group.popen.returncode, out, err)
    if check and done.returncode != 0:
        last = (done.errors.strip() or done.text.strip()).splitlines()
        raise ToolFailed(f"{Path(argv[0]).name} ended with {done.returncode}: {last[-1] if last else 'no message'}")
    return done


def _exchange(popen: "subprocess.Popen[bytes]", stdin: bytes, deadline: float, most: int) -> tuple[bytes, bytes]:
    """Write ``stdin`` to a program, read both outputs to their ends, and wait for its own; keeps ``most`` bytes each.

    Raises ``TimeoutError`` or ``subprocess.TimeoutExpired`` at the deadline, and ``OutputTooLarge``.
    """
    found = {name: bytearray() for name in ("stdout", "stderr")}
    left = memoryview(stdin)
    with selectors.DefaultSelector() as waiting:
        for name in found:
            waiting.register(getattr(popen, name), selectors.EVENT_READ, name)
        assert popen.stdin is not None  # noqa: S101 - run() pipes all three
        waiting.register(popen.stdin, selectors.EVENT_WRITE)
        while waiting.get_map():
            ready = waiting.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.data is None:
                    left = left[_write(key.fd, left) :]
                    if not left:
                        waiting.unregister(popen.stdin)
                        with suppress(BrokenPipeError):
                            popen.stdin.close()
                    continue
                chunk = os.read(key.fd, _CHUNK)
                found[key.data] += chunk
                if len(found[key.data]) > most:
                    raise OutputTooLarge("the output is too large")
                if not chunk:
                    waiting.unregister(key.fileobj)
    popen.wait(max(0.0, deadline - time.monotonic()))
    return bytes(found["stdout"]), bytes(found["stderr"])


def _write(handle: int, data: memoryview) -> int:
    """Write what a pipe takes; a program that no longer reads takes everything."""
    try:
        return os.write(handle, data[: select.PIPE_BUF])
    except BrokenPipeError:
        return len(data)


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
        """Send SIGINT to the program, and tell whether it ended within ``patience`` seconds."""
        signal_process(self.popen.pid, politely=True)
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kill every process of the group, and reap the leader."""
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
    """Start a program in its own process group; raises ``MachineError`` if it cannot start."""
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
    """Start a program that outlives this one, in its own session; append its output to ``log`` and return its pid."""
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
    process.returncode = 0  # so that this object neither waits for the daemon nor warns about it
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
    import asyncio  # noqa: PLC0415 - the import takes a third of the start of `factory`, and few commands need it

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
        """Kill every process of the group, close its pipes, and return the leader's exit code."""
        import asyncio  # noqa: PLC0415 - see above

        _kill_group(self.process.pid)
        # asyncio's wait() returns only once every pipe is closed. A pipe that nobody reads, or that a process outside
        # the group keeps open, never closes by itself.
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
    """Turn SIGTERM into ``SystemExit``, so that cleanup code runs and ends the programs that this process started."""

    def end(*_: object) -> None:
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def was_killed(code: int | None) -> bool:
    """Return whether a program was killed, for example by a machine without memory left.

    ``code`` is its exit code, its signal as a negative number, or 128 and the signal if a program between passed it on.
    """
    return code in {-signal.SIGKILL, 128 + signal.SIGKILL}


def find(name: str, path: str | None) -> str | None:
    """Return the absolute path of a program on ``path`` (a ``PATH`` value), or ``None``."""
    return shutil.which(name, path=path)


def attended(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> int:
    """Run a program on the person's terminal until it ends; return its exit code. Raises ``MachineError``."""
    try:
        return subprocess.run(argv, cwd=cwd, env=dict(env), check=False).returncode
    except OSError as error:
        raise MachineError(
            f"{argv[0]} cannot start: {error.strerror}", hint="Install it, or check your PATH."
        ) from error


def python() -> str:
    """Return the Python interpreter that runs this program."""
    return sys.executable


def ours(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command with the program ``python`` replaced by the interpreter that runs this program."""
    return (sys.executable if argv[0] == "python" else argv[0], *argv[1:])


def started_at(pid: int) -> str | None:
    """Return an opaque start time of a live process, or ``None``; pid and start time identify a process uniquely."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text().rsplit(")", 1)[1].split()
    except OSError:
        return _started_at_by_ps(pid) if not stat.parent.parent.joinpath("self").exists() else None
    state, start = fields[0], fields[19]
    return None if state in {"Z", "X"} else start


def is_lifeline(pid: int) -> bool:
    """Tell whether a process is a lifeline: the shell that kills its group when the parent program dies."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[:3] == [b"/bin/sh", b"-c", _LIFELINE.encode()]


def signal_process(pid: int, *, force: bool = False, politely: bool = False) -> None:
    """Send SIGTERM, or SIGINT if ``politely``, or SIGKILL if ``force``; a process that has ended is not an error."""
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
