"""Returns the running command's workspace and repository, and parses issue and merge request numbers."""

import os
from pathlib import Path

import click

from factory.cli import environment, hints, output
from factory.config import find_clone, load
from factory.errors import InvalidInput, OutsideRepository
from factory.instance.workspace import Workspace

JUDGE = click.option(
    "--judge",
    type=click.Path(path_type=Path, resolve_path=True),
    help="The folder of policies/ and specs/ (default: the repository).",
)


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


def repository() -> Path:
    """Return the control repository that contains the current folder, or else that folder."""
    here = Path.cwd()
    try:
        return find_clone(here)
    except OutsideRepository:
        return here


def enter(judge: Path | None) -> Path:
    """Change into the repository, below which commands of jobs read and write; return the judge's folder.

    Without ``judge``, which must be absolute, that is the repository.
    """
    os.chdir(repository())
    return judge or Path.cwd()


def number(text: str, sign: str) -> int:
    """Return the number of an issue or merge request given as ``7``, ``#7`` or ``!7``; raises ``InvalidInput``."""
    plain = text.removeprefix(sign)
    if not plain.isdigit():
        raise InvalidInput(f"{text!r} is not a number like {sign}7")
    return int(plain)
