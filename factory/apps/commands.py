"""Splits the commands that an app's files name into words. A release has no shell. Pure."""

import re
import shlex

from factory.errors import InvalidInput
from factory.policies.apps import FILE

# What only a shell understands; `$PORT`, `${PORT}` and `$SOCKET` are replaced without one.
_SHELL = re.compile(r"[|&;<>`*?~#]|\$\(|\$(?!PORT\b|SOCKET\b|\{PORT\}|\{SOCKET\})")


def split(command: str, source: str) -> tuple[str, ...]:
    """Return the words of a command that ``source`` names; raises ``InvalidInput`` if only a shell could run it."""
    hint = f"Write `run` in {FILE}."
    if _SHELL.search(command):
        raise InvalidInput(f"{source} starts {command!r}, which needs a shell", hint=hint)
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InvalidInput(f"{source} starts {command!r}, which is not a command: {error}", hint=hint) from error
    return tuple(word.replace("${PORT}", "$PORT").replace("${SOCKET}", "$SOCKET") for word in words)
