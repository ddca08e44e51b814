"""``factory host backup``: writes the state of an app into a file, and tries whether a release starts with it."""

from pathlib import Path

import click

from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.errors import InvalidInput, NotFound, ToolFailed
from factory.host import trial
from factory.host.app_state import AppStates
from factory.host.host import RELEASES
from factory.host.status import STATUS, HostStatus
from factory.system import data, files


@click.command()
@options.ENVIRONMENT
@click.argument("app")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, resolve_path=True))
@options.STATE
@output.as_json
def command(environment: str, app: str, file: Path, state: Path | None, as_json: bool) -> None:
    """Write the state of APP in ENVIRONMENT to FILE, a new .tar.gz, while the app runs.

    SQLite databases are whole in it; other files are as they are at that moment. Then the backup is tried: the deployed
    release is started with what FILE has, without traffic, and must answer its health check.
    """
    options.check(environment)
    variables = process_environment.snapshot()
    folder = options.known(state, environment, variables)
    if not (folder / STATUS).exists():
        raise NotFound(f"no host of {environment} ran here", hint="Start it: `factory host run`.")
    if file.exists():
        raise InvalidInput(f"{file} exists already", hint="Name a new file.")
    machine = options.machine(variables)
    AppStates(folder / RELEASES, machine).backup(app, file)
    status = data.read(HostStatus, files.read_bytes(folder / STATUS), source=STATUS)
    name = trial.release_of(status, app)
    if name:
        try:
            trial.start_with(folder / RELEASES, machine, name=name, app=app, backup=file)
        except ToolFailed as error:
            raise ToolFailed(f"{file} is written, but {name} does not start with it: {error}") from error
    tried = f"; {name} answers with it" if name else "; no release runs that could try it"
    output.one({"file": str(file), "app": app, "tried": name}, json_wanted=as_json, text=f"{file} is written{tried}")
