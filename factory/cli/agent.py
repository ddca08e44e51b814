"""``factory agent``: agents that ship with the factory."""

import click

from factory.cli import environment


@click.group(hidden=True)
def command() -> None:
    """Run an agent that ships with the factory."""


@command.command()
def replay() -> None:
    """Play a recording to an ACP client on standard input and output."""
    from factory.agents.replay import main  # noqa: PLC0415 - the ACP SDK costs half a second

    main(dict(environment.snapshot()))
