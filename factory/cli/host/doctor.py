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
from factory.reports.tables import table
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
    options.check(environment, url)
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
    rows = [[item.thing, item.state, item.found, item.fix.split("\n")[0]] for item in found]
    more = [f"\n{item.thing}:\n{item.fix}" for item in found if "\n" in item.fix]
    text = "\n".join([table(["", "", "found", "fix"], rows), *more])
    output.one({"findings": [asdict(item) for item in found]}, json_wanted=as_json, text=text)
    if lacking := [item.thing for item in found if item.required and item.state != "ok"]:
        raise MachineError(f"this host lacks: {', '.join(lacking)}", hint="Apply the fixes above, then run it again.")
