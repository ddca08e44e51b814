"""What the commands of ``factory host`` share."""

from collections.abc import Mapping
from pathlib import Path

import click

from factory.config import state_home

ENVIRONMENT = click.argument("environment")
STATE = click.option(
    "--state", type=click.Path(path_type=Path, resolve_path=True), help="Where the releases are stored."
)
LOCK = "host.lock"


def folder(given: Path | None, environment: str, variables: Mapping[str, str]) -> Path:
    """Return the folder of an environment's host: the given one, or one below this user's state."""
    return given or state_home(variables) / "host" / environment
