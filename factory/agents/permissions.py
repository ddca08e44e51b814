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
_BEFORE = frozenset({"env", "exec", "command", "nohup", "time"})
_GIT_WITH_VALUE = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"})
# Splitting a shell's line takes time that grows with the square of a word's length.
_LONGEST = 32_000


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
        if len(command) > _LONGEST:
            return f"a command of more than {_LONGEST} characters"
        for words in commands(command):
            shown = " ".join(words)
            for pattern in self.deny:
                if fnmatch.fnmatchcase(shown + " ", pattern) or fnmatch.fnmatchcase(shown, pattern):
                    return f"policy denies {pattern!r}"
            if not any(fnmatch.fnmatchcase(shown, pattern) for pattern in self.allow):
                return f"policy does not allow {words[0]!r}"
        return ""


def commands(line: str, depth: int = 3) -> list[list[str]]:
    """Return the words of each command in a shell's line: programs without their folder, shells opened up.

    What comes before a program (assignments, ``env``) and git's own options before its command are left out.
    """
    inner = _inner(_split(line)) if depth else None
    # Within quotes too, a separator is taken for one: that finds a command too many, and none too few.
    found = commands(inner, depth - 1) if inner is not None else []
    for part in _SEPARATORS.split(line):
        words = _split(part)
        while words and (_ASSIGNMENT.match(words[0]) or words[0] in _BEFORE):
            words = words[1:]
        if not words:
            continue
        if depth and (inner := _inner(words)) is not None:
            found += commands(inner, depth - 1)
        name = Path(words[0]).name or words[0]
        found.append([name, *(_git(words[1:]) if name == "git" else words[1:])])
    return found


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


def _inner(words: list[str]) -> str | None:
    """Return the line that a shell is given to run, or ``None`` where this is no shell or it is given none."""
    if not words or Path(words[0]).name not in _SHELLS:
        return None
    return next((word for flag, word in itertools.pairwise(words) if _runs_text(flag)), None)


def _git(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in _GIT_WITH_VALUE else 1 :]
    return words


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
    try:
        target = files.contained(worktree, str(relative))
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null character, links that lead in a circle
        raise Refused(f"{path[:200]!r} is no path of a file: {type(error).__name__}") from None
    inside = target.relative_to(worktree.resolve()).as_posix().casefold()
    for name in frozen:
        held = name.casefold().rstrip("/")
        if inside == held or inside.startswith(held + "/"):
            raise Refused(f"{path} is read-only for agents")
    return target


def _runs_text(flag: str) -> bool:
    """Tell whether a shell's option makes its next word the commands: ``-c``, ``-lc``, ``-ce``."""
    return flag.startswith("-") and not flag.startswith("--") and "c" in flag
