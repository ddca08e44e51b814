"""A process and all that came from it, as /proc shows it: held, let go on, counted."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def suspend(pid: int) -> None:
    """Stop a process and all that came from it, until ``carry_on``."""
    _signal_family(pid, signal.SIGSTOP)


def carry_on(pid: int) -> None:
    """Let a suspended process and all that came from it go on."""
    _signal_family(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """Return a process and all that came from it and still lives, parents first; without /proc, it alone."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], [pid]
    while waiting:
        now = waiting.pop(0)
        found.append(now)
        waiting += children.get(now, [])
    return found


def _signal_family(pid: int, number: signal.Signals) -> None:
    for one in family(pid):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(one, number)
