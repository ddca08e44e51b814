"""A process and all that came from it, as /proc shows it: held, let go on, counted."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from factory.system import process

# A process that forks without end is a child ahead each time it is looked at.
_ROUNDS = 50


def suspend(pid: int) -> None:
    """Stop a process and all that came from it, until ``carry_on``.

    What it starts while it is being stopped is stopped, too; what watches over its end (``process.start``) is not.
    """
    held: set[int] = set()
    for _ in range(_ROUNDS):
        free = [one for one in family(pid) if one not in held and not process.is_lifeline(one)]
        if not free:
            return
        for one in free:
            _signal(one, signal.SIGSTOP)
        held.update(free)


def carry_on(pid: int) -> None:
    """Let a suspended process and all that came from it go on."""
    for one in family(pid):
        _signal(one, signal.SIGCONT)


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


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
