"""``factory git-credential``: gives git the token for the project's server (gitcredentials(7), git-credential(1))."""

import sys

import click

from factory.cli.current import current
from factory.errors import InvalidInput
from factory.instance.workspace import OPERATOR
from factory.worktrees.person_clone import origin_of

_LONGEST = 65536


@click.command(hidden=True)
@click.argument("action")
def command(action: str) -> None:
    """Answer git's question for a user name and a password, if it is about the project's server.

    git calls it as the clone's credential helper. `store` and `erase` do nothing, because nothing is stored.
    """
    asked = dict(line.partition("=")[::2] for line in sys.stdin.read(_LONGEST).splitlines() if "=" in line)
    if action != "get":
        return
    workspace = current()
    if f"{asked.get('protocol')}://{asked.get('host')}" != origin_of(workspace.url):
        return
    token = workspace.token(OPERATOR)
    if not token.isprintable():
        raise InvalidInput("the token has characters that git's protocol cannot carry")
    click.echo(f"username={workspace.username(OPERATOR)}\npassword={token}")
