"""Runs an agent's own terminal interface for a person, behind the launch door, and records the screen output.

The agent gets a separate pseudo-terminal, so it cannot type into the person's shell.
"""

import contextlib
import fcntl
import os
import select
import struct
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO

from factory.agents import attempt_limits, token_costs
from factory.agents.attempt_limits import Consumption
from factory.agents.task import Ending, Record, Task, exceeded
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import PreparedLaunch
from factory.system import clock, terminal

_TICK = 0.2
_CHUNK = 65536
_SIZE = struct.Struct("HHHH")


def capable(environment_term: str) -> bool:
    """Tell whether standard input and output are a terminal that can show a full-screen interface."""
    return sys.stdin.isatty() and sys.stdout.isatty() and environment_term not in {"", "dumb"}


def run(
    prepared: PreparedLaunch, task: Task, *, record: Record, errors: IO[bytes], tick: Callable[[], Ending | None]
) -> Turn:
    """Let a person work with the agent until it ends; see ``acp.run``. No limit applies to silence."""
    del errors  # standard error goes to the screen
    started = terminal.start_on(prepared.argv, env=prepared.env, cwd=prepared.cwd)
    start = clock.monotonic()
    ending: Ending | None = None
    typed = bytearray()
    os.set_blocking(started.ours, False)
    try:
        with _raw():
            while ending is None and started.group.popen.poll() is None:
                _resize(started.ours)
                _copy(started.ours, record, typed, seconds=_TICK)
                usage = task.provider.usage()
                spent = Consumption(
                    seconds=clock.monotonic() - start,
                    tokens=token_costs.total(usage),
                    usd_micros=token_costs.cost(usage, task.rates),
                )
                ending = attempt_limits.over(spent, task.bounds) or tick()
                ending = ending or exceeded(started.group.popen.pid, task.watched)
            while _copy(started.ours, record, typed, seconds=0):
                continue
    finally:
        code = started.end()
    turn = Turn(*(ending or (Reason.DONE_FOR_REVIEW, f"the person's session with the agent ended ({code})")))
    usage, source = task.provider.usage(), "estimate" if task.provider.estimated else "provider"
    record({"event": "end", "reason": turn.reason.value, "detail": turn.detail, "usage": usage, "source": source})
    return replace(turn, usage=usage, source=source)


def _copy(ours: int, record: Record, typed: bytearray, *, seconds: float) -> bool:
    """Copy data in both directions, waiting at most ``seconds``; tell whether the program printed anything.

    ``typed`` is input that the program has not read yet; until it is empty, no more is read from the person.
    """
    sources = [ours] if typed else [ours, sys.stdin.fileno()]
    ready, free, _ = select.select(sources, [ours] if typed else [], [], seconds)
    if sys.stdin.fileno() in ready:
        typed += os.read(sys.stdin.fileno(), _CHUNK)
        free = [ours]
    if ours in free:
        with contextlib.suppress(BlockingIOError):
            del typed[: os.write(ours, typed)]
    if ours not in ready:
        return False
    shown = os.read(ours, _CHUNK)
    os.write(sys.stdout.fileno(), shown)
    record({"event": "screen", "text": shown.decode(errors="replace")})
    return True


def _resize(ours: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, b"\0" * _SIZE.size)
        if size != fcntl.ioctl(ours, termios.TIOCGWINSZ, b"\0" * _SIZE.size):
            fcntl.ioctl(ours, termios.TIOCSWINSZ, size)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Set the person's terminal to raw mode, and restore it at the end."""
    before = termios.tcgetattr(sys.stdin.fileno())
    try:
        tty.setraw(sys.stdin.fileno())
        yield
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)
