"""What a person on the machine asks of a running host: files in its private folder, so that it need not listen."""

import re
from pathlib import Path

from factory.errors import ToolTimeout
from factory.system import clock, files

_FOLDER = "restart"
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_PAUSE = 0.1


def restart(folder: Path, release: str, *, seconds: float) -> None:
    """Ask the host that works in the folder to start a release again; return once it has taken that up.

    Raises ``ToolTimeout`` if it does not within these seconds; then the request is withdrawn.
    """
    request = files.private_folder(folder / _FOLDER) / release
    files.write_atomic(request, b"")
    deadline = clock.monotonic() + seconds
    while request.exists():
        if clock.monotonic() > deadline:
            request.unlink(missing_ok=True)
            raise ToolTimeout("the host did not answer", hint="See `factory host status`.")
        clock.sleep(_PAUSE)


def taken(folder: Path) -> list[str]:
    """Return the releases whose restart was asked, and take the requests up."""
    found = sorted(path for path in (folder / _FOLDER).glob("*") if _NAME.fullmatch(path.name))
    for path in found:
        path.unlink(missing_ok=True)
    return [path.name for path in found]
