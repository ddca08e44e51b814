"""Options that the commands of ``factory infra`` share."""

from pathlib import Path

import click

STACK = click.option("--stack", required=True, help="A folder of terraform/live.")
ARCHIVES = click.option(
    "--archives", type=click.Path(path_type=Path, resolve_path=True), help="The folder with the apps' archives."
)
