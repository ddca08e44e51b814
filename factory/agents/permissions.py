"""Decides an agent's permission requests: edits inside the worktree and policy's scope, commands that policy allows.

An agent is not forced to ask; the launch door contains agents that do not.
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
# The time to split a shell's line grows with the square of a word's length.
_LONGEST = 32_000


def _anything(path: str) -> str:
    del path
    return ""


@dataclass(frozen=True)
class Permissions:
    """The rules by which requests are answered.

    ``frozen`` are read-only paths in the worktree; ``allow`` and ``deny`` are patterns of commands; ``scope`` returns
    why policy forbids the change of a path, or an empty text.
    """

    worktree: Path
    frozen: Sequence[str] = ()
    allow: Sequence[str] = ("*",)
    deny: Sequence[str] = ()
    scope: Callable[[str], str] = field(default=_anything)

    def edit(self, path: str) -> str:
        """Return why a file may not be changed, or an empty text."""
        try:
            target = writable(self.worktree, path, self.frozen)
        except Refused as refused:
            return str(refused)
        return self.scope(target.relative_to(self.worktree.resolve()).as_posix())

    def run(self, command: str) -> str:
        """Return why a command may not run, or an empty text; each command within a shell's line is checked."""
        if len(command) > _LONGEST:
            return f"the command is longer than {_LONGEST} characters"
        for words in commands(command):
            shown = " ".join(words)
            for pattern in self.deny:
                if fnmatch.fnmatchcase(shown + " ", pattern) or fnmatch.fnmatchcase(shown, pattern):
                    return f"policy denies {pattern!r}"
            if not any(fnmatch.fnmatchcase(shown, pattern) for pattern in self.allow):
                return f"policy does not allow {words[0]!r}"
        return ""


def commands(line: str, depth: int = 3) -> list[list[str]]:
    """Return the words of each command in a shell's line, including the commands that ``sh -c`` runs.

    Programs are named without their folder. Prefixes of a program (assignments, ``env``) and git's options before its
    subcommand are left out.
    """
    inner = _inner(_split(line)) if depth else None
    # Separators within quotes count too: this may find extra commands, but misses none.
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
    """Return the line that ``words`` let a shell run (``sh -c LINE``), or ``None``."""
    if not words or Path(words[0]).name not in _SHELLS:
        return None
    return next((word for flag, word in itertools.pairwise(words) if _runs_text(flag)), None)


def _git(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in _GIT_WITH_VALUE else 1 :]
    return words


def writable(worktree: Path, path: str, frozen: Sequence[str]) -> Path:
    """Return the resolved path of a file that an agent may write; raises ``Refused`` for any other path.

    ``frozen`` names read-only files and folders relative to the worktree; the comparison ignores case, as some file
    systems do.
    """
    relative = Path(path)
    if relative.is_absolute():
        try:
            relative = relative.relative_to(worktree)
        except ValueError:
            raise Refused(f"{path} is outside the worktree") from None
    try:
        target = files.contained(worktree, str(relative))
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null character, a loop of links
        raise Refused(f"{path[:200]!r} is not a valid path: {type(error).__name__}") from None
    inside = target.relative_to(worktree.resolve()).as_posix().casefold()
    for name in frozen:
        folded = name.casefold().rstrip("/")
        if inside == folded or inside.startswith(folded + "/"):
            raise Refused(f"{path} is read-only for agents")
    return target


def _runs_text(flag: str) -> bool:
    """Tell whether the word after a shell's option is a command line: ``-c``, ``-lc``, ``-ce``."""
    return flag.startswith("-") and not flag.startswith("--") and "c" in flag
