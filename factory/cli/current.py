"""Returns the running command's workspace, and parses issue and merge request numbers."""

from pathlib import Path

import click

from factory.cli import environment, hints, output
from factory.config import load
from factory.errors import InvalidInput
from factory.instance.workspace import Workspace


def current() -> Workspace:
    """Return the workspace of the running command; raises ``InvalidInput`` outside a control repository."""
    flags = click.get_current_context().find_root().obj or {}
    return open_workspace(flags.get("instance"))


def open_workspace(instance: str | None) -> Workspace:
    """Return the workspace of an instance; raises ``InvalidInput`` outside a control repository."""
    variables = environment.snapshot()
    settings = load(variables, cwd=Path.cwd(), flags={"instance": instance})
    hints.use(settings["instance"])
    return Workspace(settings, variables, output.say)


def number(text: str, sign: str) -> int:
    """Return the number of an issue or merge request given as ``7``, ``#7`` or ``!7``; raises ``InvalidInput``."""
    plain = text.removeprefix(sign)
    if not plain.isdigit():
        raise InvalidInput(f"{text!r} is not a number like {sign}7")
    return int(plain)
