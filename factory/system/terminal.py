"""Programs on a terminal of their own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from factory.errors import MachineError
from factory.system.process import Group, start

# A session's leader that opens a terminal makes it its own, so the program gets its signals and its size.
_ON_TERMINAL = 'exec 0<>"$0" 1>&0 2>&0; exec "$@"'


def start_on(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> tuple[Group, int]:
    """Start a program on a terminal of its own; return it and our end of that terminal."""
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    try:
        return start(["/bin/sh", "-c", _ON_TERMINAL, name, *argv], env=env, cwd=cwd), ours
    except MachineError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
