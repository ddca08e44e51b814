"""``factory host status``: what the host of an environment last wrote, and whether it runs."""

from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.errors import NotFound
from factory.host.status import STATUS, HostStatus
from factory.system import data, files


@click.command()
@options.ENVIRONMENT
@options.STATE
@output.as_json
def command(environment: str, state: Path | None, as_json: bool) -> None:
    """Show the releases of ENVIRONMENT that this machine runs, their sockets, and what hinders it.

    A release's role is why it must run: it is `deployed`, it was `before` the deployed one, it may be deployed `next`,
    or a `rollback` goes to it. With GitLab away after a restart it is not known.
    """
    options.check(environment)
    folder = options.known(state, environment, process_environment.snapshot())
    path = folder / STATUS
    if not path.exists():
        raise NotFound(f"no host of {environment} ran here", hint="Start it: `factory host run`.")
    status = data.read(HostStatus, files.read_bytes(path), source=str(path))
    alive = options.alive(folder)
    if as_json:
        output.one(asdict(status) | {"runs": alive}, json_wanted=True, text="")
        return
    output.say(f"{status.environment} of {status.project}: {'running' if alive else 'not running'}")
    output.say(f"evidence: {status.size} statements, root {status.root or '-'}, read at {status.read or '-'}")
    if status.problem:
        output.say(f"problem: {status.problem}")
    rows = [asdict(item) | {"ready": "yes" if item.ready and alive else "no"} for item in status.releases]
    output.rows(rows, ("release", "role", "ready", "socket", "why"), json_wanted=False, empty="no release")
