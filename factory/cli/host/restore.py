"""``factory host restore``: replaces the state of an app by a backup."""

from pathlib import Path

import click

from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.errors import NotFound
from factory.host import requests

_SECONDS = 60.0


@click.command()
@options.ENVIRONMENT
@click.argument("app")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True))
@options.STATE
@output.as_json
def command(environment: str, app: str, file: Path, state: Path | None, as_json: bool) -> None:
    """Replace the state of APP in ENVIRONMENT by that of FILE; the app's releases stop meanwhile.

    The state before is kept as a backup, whose file is printed. Nothing but this command restores a state.
    """
    options.check(environment)
    folder = options.known(state, environment, process_environment.snapshot())
    if not options.alive(folder):
        raise NotFound(f"no host of {environment} runs here", hint="Start it: `factory host run`.")
    before = requests.restore(folder, app, file, seconds=_SECONDS, alive=lambda: options.alive(folder))
    text = f"the state of {app} is that of {file}; the one before is {before}"
    output.one({"app": app, "file": str(file), "before": str(before)}, json_wanted=as_json, text=text)
