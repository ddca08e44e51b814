"""``factory up``: starts the embedded servers."""

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import Refused
from factory.instance import servers


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
    ports = workspace.record.ports
    value = {"gitlab": workspace.url, "edge": f"http://127.0.0.1:{ports['edge']}", "started": started}
    word = "up" if started else "already up"
    output.one(value, json_wanted=as_json, text=f"{word}: GitLab {value['gitlab']}  edge {value['edge']}")
