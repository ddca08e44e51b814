"""``factory up``: starts the embedded servers."""

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import FactoryError, Refused
from factory.instance import person_remote, servers
from factory.instance.workspace import Workspace
from factory.operations.repository import app_tests
from factory.policies.folder import read_folder


@click.command()
@click.option("--new-ports", is_flag=True, help="Choose new ports; later starts use them too.")
@click.option("--fresh", is_flag=True, help="First delete the instance with its project, state and evidence.")
@output.as_json
def command(new_ports: bool, fresh: bool, as_json: bool) -> None:
    """Start the embedded GitLab, Cloudflare and runner, and set up a new instance from this clone's HEAD."""
    workspace = current()
    if not workspace.settings.embedded:
        raise Refused(
            "gitlab_url is set, so this instance uses that server and has none to start",
            hint="Unset FACTORY_GITLAB_URL.",
        )
    if fresh:
        servers.discard(workspace)
    started = servers.ensure_up(workspace, say=output.say, new_ports=new_ports)
    remote = _remote(workspace)
    ports = workspace.record.ports
    value = {"gitlab": workspace.url, "edge": f"http://127.0.0.1:{ports['edge']}", "started": started, "remote": remote}
    word = "up" if started else "already up"
    text = f"{word}: GitLab {value['gitlab']}  edge {value['edge']}{f'  git remote {remote}' if remote else ''}"
    clone = workspace.settings.clone
    if not read_folder(clone).apps.root and not app_tests.apps_in(clone):
        text += "\n  next: factory app add PATH, which opens a merge request with an app"
    output.one(value, json_wanted=as_json, text=text)


def _remote(workspace: Workspace) -> str:
    """Return the name of the clone's remote for the project; without one, the instance works all the same."""
    try:
        return person_remote.ensure(workspace)
    except FactoryError as error:
        output.say(f"`git push` does not reach this instance: {error} ({error.hint})")
        return ""
