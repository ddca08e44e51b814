"""``factory setup``: installs missing external programs."""

import click

from factory.cli import environment, output
from factory.cli.current import current


@click.command()
@click.option("--agents", is_flag=True, help="Also install Codex, Claude Code and opencode (0.9 GB).")
@output.as_json
def command(agents: bool, as_json: bool) -> None:
    """Install gitlab-ci-local, and node and terraform if missing, beside the factory."""
    workspace = current()
    env = dict(environment.snapshot())
    done = workspace.tools.install(env)
    if agents:
        done += workspace.tools.install_agents(env)
    output.one(
        {"installed": done},
        json_wanted=as_json,
        text="\n".join(f"installed {line}" for line in done) or "everything is installed",
    )
