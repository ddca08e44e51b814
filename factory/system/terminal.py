"""Programs on a terminal of their own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.errors import MachineError
from factory.system.process import Group, start

# A session's leader that opens a terminal makes it its own, so the program gets its signals and its size.
_ON_TERMINAL = 'exec 0<>"$0" 1>&0 2>&0; exec "$@"'


@dataclass(frozen=True)
class TerminalProcess:
    """A program on a terminal of its own: ``ours`` is our end of it, ``theirs`` kept open so that ours never fails."""

    group: Group
    ours: int
    theirs: int

    def end(self) -> int:
        """End the program and all of its group; return its exit code."""
        self.group.kill()
        self.group.close()
        os.close(self.ours)
        os.close(self.theirs)
        return self.group.popen.returncode


def start_on(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> TerminalProcess:
    """Start a program on a terminal of its own; raises ``MachineError`` where it can't start."""
    ours, theirs = os.openpty()
    try:
        group = start(["/bin/sh", "-c", _ON_TERMINAL, os.ttyname(theirs), *argv], env=env, cwd=cwd)
    except MachineError:
        os.close(ours)
        os.close(theirs)
        raise
    return TerminalProcess(group, ours, theirs)
