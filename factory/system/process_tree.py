"""Suspends, resumes and lists a process and its descendants, found in /proc."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from factory.system import process

# Bounds the search: a process that forks endlessly has a new child in every round.
_ROUNDS = 50


def suspend(pid: int) -> None:
    """Suspend a process and its descendants, until ``carry_on``.

    This includes processes started in the meantime, but not the lifelines of ``process.start``.
    """
    suspended: set[int] = set()
    for _ in range(_ROUNDS):
        running = [one for one in family(pid) if one not in suspended and not process.is_lifeline(one)]
        if not running:
            return
        for one in running:
            _signal(one, signal.SIGSTOP)
        suspended.update(running)


def carry_on(pid: int) -> None:
    """Resume a suspended process and its descendants."""
    for one in family(pid):
        _signal(one, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """Return the pids of a process and its live descendants, parents first; without /proc, only ``pid``."""
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


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
