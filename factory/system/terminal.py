"""Starts programs on a separate pseudo-terminal."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.errors import MachineError
from factory.system.process import Group, start

# A session leader that opens a terminal gets it as controlling terminal, with its signals and window size.
_ON_TERMINAL = 'exec 0<>"$0" 1>&0 2>&0; exec "$@"'


@dataclass(frozen=True)
class TerminalProcess:
    """A program on a pseudo-terminal: ``ours`` is our end; ``theirs`` stays open so that reads from ``ours`` work."""

    group: Group
    ours: int
    theirs: int

    def end(self) -> int:
        """Kill the program and its process group; return its exit code."""
        self.group.kill()
        self.group.close()
        os.close(self.ours)
        os.close(self.theirs)
        return self.group.popen.returncode


def start_on(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> TerminalProcess:
    """Start a program on a new pseudo-terminal; raises ``MachineError`` if it cannot start."""
    ours, theirs = os.openpty()
    try:
        group = start(["/bin/sh", "-c", _ON_TERMINAL, os.ttyname(theirs), *argv], env=env, cwd=cwd)
    except MachineError:
        os.close(ours)
        os.close(theirs)
        raise
    return TerminalProcess(group, ours, theirs)
