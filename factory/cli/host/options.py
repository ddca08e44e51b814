"""What the commands of ``factory host`` share."""

import re
from collections.abc import Mapping
from pathlib import Path

import click

from factory.config import state_home
from factory.errors import InvalidInput

ENVIRONMENT = click.argument("environment")
STATE = click.option(
    "--state", type=click.Path(path_type=Path, resolve_path=True), help="Where the releases are stored."
)
LOCK = "host.lock"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def folder(given: Path | None, environment: str, variables: Mapping[str, str]) -> Path:
    """Return the folder of an environment's host: the given one, or one below this user's state.

    Raises ``InvalidInput`` for a name that no environment can have.
    """
    if not _NAME.fullmatch(environment):
        raise InvalidInput(f"{environment!r} is not the name of an environment")
    return given or state_home(variables) / "host" / environment
