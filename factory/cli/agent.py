"""``factory agent``: agents that ship with the factory."""

import functools
import sys
from pathlib import Path

import click

from factory.agents import mcp, outputs
from factory.cli import environment, output_request


@click.group(hidden=True)
def command() -> None:
    """Run an agent that ships with the factory."""


@command.command()
@click.option(
    "--recordings",
    type=click.Path(path_type=Path),
    help="A folder of the worktree with recordings of one's own; without it, those that ship.",
)
def replay(recordings: Path | None) -> None:
    """Play a recording to an ACP client on standard input and output."""
    from factory.agents.replay import main  # noqa: PLC0415 - the ACP SDK costs half a second

    main(dict(environment.snapshot()), recordings)


@command.command(name="mcp")
def mcp_() -> None:
    """Serve the tools by which an agent asks for writes to an MCP client on standard input and output."""
    target = output_request.path()
    mcp.serve(sys.stdin.buffer, sys.stdout.buffer, functools.partial(outputs.append, target))
