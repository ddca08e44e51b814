"""``factory session record``: exports a session as a recording for the replay agent."""

from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import NotFound
from factory.evals import recording
from factory.instance.context import make
from factory.system import files
from factory.workflow.session import credentials


@click.command()
@click.argument("session")
@click.option("--output", "target", type=click.Path(path_type=Path), help="Write the recording to this file.")
def command(session: str, target: Path | None) -> None:
    """Print a session as a recording: the agents' messages, patches, tokens and requests."""
    workspace = current()
    folder = workspace.state / "sessions" / session
    if not session.isalnum() or not folder.is_dir():
        raise NotFound(f"there is no session {session} on this machine", hint="List them with `factory session list`.")
    context = make(workspace, holder="", say=output.say)
    context.fetch()
    agents = context.policies().agents.agents.values()
    secrets = (
        context.accounts.bot_token,
        context.accounts.agent_token,
        *(secret for agent in agents for secret in credentials.secrets(context.machine, agent)),
    )
    data = recording.make(context.mirror, folder, session, secrets=secrets).encode()
    if target is None:
        click.echo(data.decode(), nl=False)
    else:
        files.write_atomic(target, data)
        output.say(
            f"{target}: copy it to factory/agents/recordings/, or play it with `factory agent replay --recordings`"
        )
