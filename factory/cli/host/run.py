"""``factory host run``: pulls the evidence, and runs the releases that it names."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.errors import InvalidInput, ToolFailed
from factory.evidence.trust import Trust
from factory.gitlab import connect as gitlab
from factory.host import archives
from factory.host.announcement import Announcement, own_key
from factory.host.host import LOCK, RELEASES, Host, Source
from factory.host.sockets import Sockets
from factory.host.status import HostStatus
from factory.host.supervisor import Supervisor
from factory.system import clock, files, process
from factory.worktrees.repository import Mirror

_PAUSE = 2.0


@click.command()
@options.ENVIRONMENT
@options.URL
@options.PROJECT
@options.TRUST
@options.SOCKETS
@options.STATE
@click.option("--every", type=click.FloatRange(min=1), default=15.0, show_default=True, help="Seconds between looks.")
@options.NAME
@click.option("--once", is_flag=True, help="Look once, start what the evidence names, say so, and stop it.")
@output.as_json
def command(
    environment: str,
    url: str,
    project: str,
    root: Path,
    sockets: Path | None,
    state: Path | None,
    every: float,
    name: str | None,
    *,
    once: bool,
    as_json: bool,
) -> None:
    """Run ENVIRONMENT's releases on this machine until SIGTERM.

    It reads the evidence of the project, verifies all of it with the trust root, and runs a release only if a merge
    whose approval holds, a plan of that merge, and the approval of that plan name its archive. It needs a token that
    may read the project (read_api, read_repository), in FACTORY_HOST_TOKEN or as systemd's credential gitlab-token, and
    outgoing connections alone. With GitLab away, what runs goes on running. With --name the token also needs
    write_repository, for the branch factory/hosts/ENVIRONMENT/NAME.
    """
    variables = process_environment.snapshot()
    options.check(environment, url, name)
    folder = files.private_folder(options.folder(state, environment, variables))
    with files.locked(folder / LOCK, wait=False):
        mirror = Mirror(folder / "repository.git", f"{url.rstrip('/')}/{project}.git")
        mirror.ensure()
        token = _token(variables)
        connection = gitlab.connect(url, project, account="", token=token, say=output.say)
        trust = Trust.read(files.read_bytes(root), source=str(root))
        source = Source(
            project, environment, mirror, token, lambda: trust, lambda item: archives.fetch(connection, item)
        )
        supervisor = Supervisor(folder / RELEASES, options.machine(variables))
        places = Sockets(options.sockets_folder(sockets, environment))
        announce = Announcement(mirror, token, name, own_key(folder)).publish if name else None
        host = Host(source, supervisor, places, folder, output.say, announce)
        process.exit_when_terminated()
        try:
            host.start_stored()
            status = host.look()
            while not once:
                _until(host, clock.monotonic() + every)
                status = host.look()
        finally:
            host.close()
    output.one(asdict(status), json_wanted=as_json, text=told(status))
    if host.problem is not None:
        raise host.problem
    if idle := [item.release for item in status.releases if not item.ready]:
        raise ToolFailed(f"{', '.join(idle)} cannot run here", hint="See `factory host status`.")


def told(status: HostStatus) -> str:
    """Return a status in lines."""
    log = f"by {status.size} statements of evidence, read at {status.read or 'no time yet'}"
    lines = [f"{status.environment} of {status.project}, {log}"]
    lines += [f"  {item.release}: {item.why or ('ready' if item.ready else 'ended')}" for item in status.releases]
    lines += [] if status.releases else ["  the evidence names no release to run"]
    return "\n".join([*lines, *([f"  problem: {status.problem}"] if status.problem else [])])


def _until(host: Host, moment: float) -> None:
    while clock.monotonic() < moment:
        clock.sleep(_PAUSE)
        host.restart_ended()


def _token(variables: Mapping[str, str]) -> str:
    found = options.token(variables)
    if not found:
        raise InvalidInput(
            f"{options.TOKEN} is not set, and there is no credential {options.CREDENTIAL}",
            hint="Make a project access token with read_api and read_repository, role Reporter or higher.",
        )
    return found
