"""Suspends, resumes, ends and lists a process and its descendants, found in /proc."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from factory.system import process

# Bounds the search: a process that forks endlessly has a new child in every round.
_ROUNDS = 50
# The first process of a sandbox is number 1, and the program that it starts is the next.
_STARTED = 2


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


def terminate(pid: int) -> None:
    """Send SIGTERM to the program that a started process runs: in a PID namespace, to the one that was started there.

    The namespace's first process, number 1, only waits for it (pid_namespaces(7)); without a namespace it is ``pid``.
    """
    _signal(next((one for one in family(pid) if _number_inside(one) == _STARTED), pid), signal.SIGTERM)


def _number_inside(pid: int) -> int | None:
    """Return the number of a process in its own PID namespace, if that is not this one (proc_pid_status(5))."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return int(numbers[-1]) if len(numbers) > 1 else None


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
