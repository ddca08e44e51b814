"""``factory host restart``: starts a release again."""

from pathlib import Path

import click

from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.errors import InvalidInput, NotFound
from factory.host import requests
from factory.host.status import STATUS, HostStatus
from factory.system import data, files

_SECONDS = 60.0


@click.command()
@options.ENVIRONMENT
@click.argument("release")
@options.STATE
@output.as_json
def command(environment: str, release: str, state: Path | None, as_json: bool) -> None:
    """Start the release of ENVIRONMENT again whose name begins with RELEASE (as an app's name does)."""
    options.check(environment)
    folder = options.known(state, environment, process_environment.snapshot())
    if not options.alive(folder):
        raise NotFound(f"no host of {environment} runs here", hint="Start it: `factory host run`.")
    status = data.read(HostStatus, files.read_bytes(folder / STATUS), source=STATUS)
    found = [item.release for item in status.releases if item.release.startswith(release)]
    if len(found) != 1:
        known = ", ".join(found or [item.release for item in status.releases]) or "none"
        problem = f"{len(found)} releases begin with {release}" if found else f"no release here begins with {release}"
        raise InvalidInput(problem, hint=f"There are: {known}.")
    requests.restart(folder, found[0], seconds=_SECONDS)
    output.one({"release": found[0]}, json_wanted=as_json, text=f"{found[0]} is started again")
