"""Which paths an agent may ask to write: inside its worktree, outside what is frozen."""

from collections.abc import Sequence
from pathlib import Path

from factory.errors import Refused
from factory.system import files


def writable(worktree: Path, path: str, frozen: Sequence[str]) -> Path:
    """Return the resolved file an agent may write; raises ``Refused`` outside the worktree or at a frozen path.

    ``frozen`` names files and folders relative to the worktree; comparison ignores case, as some file systems do.
    """
    relative = Path(path)
    if relative.is_absolute():
        try:
            relative = relative.relative_to(worktree)
        except ValueError:
            raise Refused(f"{path} lies outside the worktree") from None
    target = files.contained(worktree, str(relative))
    inside = target.relative_to(worktree.resolve()).as_posix().casefold()
    for name in frozen:
        held = name.casefold().rstrip("/")
        if inside == held or inside.startswith(held + "/"):
            raise Refused(f"{path} is read-only for agents")
    return target
