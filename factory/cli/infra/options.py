"""Options that the commands of ``factory infra`` share."""

from pathlib import Path

import click

STACK = click.option("--stack", required=True, help="A folder of terraform/live.")
JUDGE = click.option(
    "--judge", type=click.Path(path_type=Path), default=Path(), help="The folder of policies/ (default: here)."
)
ARCHIVES = click.option("--archives", type=click.Path(path_type=Path), help="The folder with the apps' archives.")
