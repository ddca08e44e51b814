"""What a person on the machine asks of a running host: files in its private folder, so that it need not listen."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factory.errors import InvalidInput, ToolTimeout
from factory.system import clock, data, files

_RESTART, _RESTORE, _RESTORED = "restart", "restore", "restored"
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_PAUSE = 0.1


@dataclass(frozen=True)
class Restored:
    """What came of a restore: the backup of the state that was replaced, or why nothing was."""

    before: str = ""
    problem: str = ""


def restart(folder: Path, release: str, *, seconds: float) -> None:
    """Ask the host that works in the folder to start a release again; return once it has taken that up.

    Raises ``ToolTimeout`` if it does not within these seconds; then the request is withdrawn.
    """
    _ask(folder, _RESTART, release, b"", seconds)


def restore(folder: Path, app: str, backup: Path, *, seconds: float, alive: Callable[[], bool]) -> Path:
    """Ask the host to replace the state of an app by a backup's; return the backup of the old state once it is done.

    Raises ``InvalidInput`` with the host's reason if it did not, and ``ToolTimeout`` if it does not take it up within
    these seconds, or is not alive any more.
    """
    answer = files.private_folder(folder / _RESTORED) / app
    with files.locked(answer.with_name(f".{app}.lock")):  # the answer is to this request
        answer.unlink(missing_ok=True)
        _ask(folder, _RESTORE, app, str(backup).encode(), seconds)
        while not answer.exists():
            if not alive():
                raise ToolTimeout("the host ended before it answered", hint="Start it, and see `factory host status`.")
            clock.sleep(_PAUSE)
        found = data.read(Restored, files.read_bytes(answer), source=str(answer))
    if found.problem:
        raise InvalidInput(
            f"nothing was restored: {found.problem}", hint="Name a file that `factory host backup` wrote."
        )
    return Path(found.before)


def taken(folder: Path) -> list[str]:
    """Return the releases whose restart was asked, and take the requests up."""
    return [name for name, _ in _taken(folder, _RESTART)]


def restores(folder: Path) -> list[tuple[str, Path]]:
    """Return the apps and backups of the restores that were asked, and take the requests up; each wants an answer."""
    return [(name, Path(content)) for name, content in _taken(folder, _RESTORE)]


def answer(folder: Path, app: str, restored: Restored) -> None:
    """Say what came of a restore."""
    files.write_atomic(files.private_folder(folder / _RESTORED) / app, data.write(restored))


def _ask(folder: Path, what: str, name: str, content: bytes, seconds: float) -> None:
    request = files.private_folder(folder / what) / name
    files.write_atomic(request, content)
    deadline = clock.monotonic() + seconds
    while request.exists():
        if clock.monotonic() > deadline:
            request.unlink(missing_ok=True)
            raise ToolTimeout("the host did not answer", hint="See `factory host status`.")
        clock.sleep(_PAUSE)


def _taken(folder: Path, what: str) -> list[tuple[str, str]]:
    found = sorted(path for path in (folder / what).glob("*") if _NAME.fullmatch(path.name))
    contents = [(path.name, files.read_text(path)) for path in found]
    for path in found:
        path.unlink(missing_ok=True)
    return contents
