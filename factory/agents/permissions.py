"""What an agent may do where it asks: edits inside its worktree and policy's scope, commands that policy does not deny.

Asking is a courtesy of the agent; what contains one that does not ask is the launch door.
"""

import fnmatch
import itertools
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from factory.errors import Refused
from factory.system import files

_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ash", "fish"})
_SEPARATORS = re.compile(r"\|\||&&|[;|&\n(){}`]|\$\(")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def _anything(path: str) -> str:
    del path
    return ""


@dataclass(frozen=True)
class Permissions:
    """How requests are answered.

    ``frozen`` are paths in the worktree that stay as they are; ``allow`` and ``deny`` are patterns of commands;
    ``scope`` returns why policy forbids the change of a path, or nothing.
    """

    worktree: Path
    frozen: Sequence[str] = ()
    allow: Sequence[str] = ("*",)
    deny: Sequence[str] = ()
    scope: Callable[[str], str] = field(default=_anything)

    def edit(self, path: str) -> str:
        """Return why a file may not be changed, or nothing."""
        try:
            target = writable(self.worktree, path, self.frozen)
        except Refused as refused:
            return str(refused)
        return self.scope(target.relative_to(self.worktree.resolve()).as_posix())

    def run(self, command: str) -> str:
        """Return why a command may not run, or nothing; each command within a shell's line is looked at."""
        for words in commands(command):
            shown = " ".join(words)
            for pattern in self.deny:
                if fnmatch.fnmatchcase(shown + " ", pattern) or fnmatch.fnmatchcase(shown, pattern):
                    return f"policy denies {pattern!r}"
            if not any(fnmatch.fnmatchcase(shown, pattern) for pattern in self.allow):
                return f"policy does not allow {words[0]!r}"
        return ""


def commands(line: str, depth: int = 3) -> list[list[str]]:
    """Return the words of each command in a shell's line, programs without their folder, shells opened up."""
    found: list[list[str]] = []
    try:
        whole = shlex.split(line)
    except ValueError:
        whole = line.split()
    if whole and Path(whole[0]).name in _SHELLS and depth:
        inner = next((word for flag, word in itertools.pairwise(whole) if _runs_text(flag)), None)
        if inner is not None:
            return commands(inner, depth - 1)
    for part in _SEPARATORS.split(line):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            words = part.split()
        while words and (_ASSIGNMENT.match(words[0]) or words[0] in {"env", "exec", "command", "nohup", "time"}):
            words = words[1:]
        if words:
            found.append([Path(words[0]).name or words[0], *words[1:]])
    return found


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


def _runs_text(flag: str) -> bool:
    """Tell whether a shell's option makes its next word the commands: ``-c``, ``-lc``."""
    return flag.startswith("-") and not flag.startswith("--") and flag.endswith("c")
