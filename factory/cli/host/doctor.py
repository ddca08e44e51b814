"""``factory host doctor``: checks whether this machine can run an environment's releases."""

from dataclasses import asdict, replace
from pathlib import Path

import click

from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.errors import MachineError
from factory.gitlab import connect as gitlab
from factory.host.doctor import HostPlace, diagnose
from factory.reports import diagnoses
from factory.sandbox import diagnosis
from factory.system import files
from factory.system.toolchain import toolchain


@click.command()
@options.ENVIRONMENT
@options.URL
@options.PROJECT
@options.TRUST
@options.SOCKETS
@options.STATE
@options.NAME
@output.as_json
def command(
    environment: str,
    url: str,
    project: str,
    root: Path,
    sockets: Path | None,
    state: Path | None,
    name: str | None,
    *,
    as_json: bool,
) -> None:
    """Check what `factory host run` needs with the same options; show how to fix what is missing.

    Starts no release, and changes nothing on GitLab. Exits with 10 if something required is missing.
    """
    options.check(environment, url, name)
    variables = process_environment.snapshot()
    folder = files.private_folder(options.folder(state, environment, variables))
    token = options.token(variables)
    connection = gitlab.connect(url, project, account="", token=token, say=output.say) if token else None
    place = HostPlace(root, options.sockets_folder(sockets, environment), folder, named=bool(name))
    found = (
        *(replace(item, required=True) for item in diagnosis.contained(toolchain(variables, Path.cwd()).search_path)),
        diagnosis.limited(),
        *diagnose(connection, place),
    )
    value = {"findings": [asdict(item) for item in found]}
    output.one(value, json_wanted=as_json, text="\n".join(diagnoses.lines(found)))
    if lacking := diagnoses.lacking(found):
        raise MachineError(f"this host lacks: {lacking}", hint="Apply the fixes above, then run it again.")
