"""``factory agent``: lists the coding agents of policy, tries them out, and runs the built-in ones."""

import functools
import sys
from dataclasses import asdict
from pathlib import Path

import click

from factory.agents import mcp, outputs
from factory.cli import environment, output
from factory.cli.agent import output_request
from factory.system import mcp as server


@click.group()
def command() -> None:
    """List coding agents and try them out."""


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List the agents of policies/agents.yml, what each needs, and what is installed."""
    from factory.cli.agent import report  # noqa: PLC0415 - `mcp` starts in every attempt and does not need it
    from factory.cli.current import current  # noqa: PLC0415 - `mcp` starts in every attempt and does not need it

    found = report.listed(current())
    output.rows(found, report.COLUMNS, json_wanted=as_json, empty="policies/agents.yml names no agent")


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--own-login", is_flag=True, help="Let one agent do a tiny task on its real model, with your login.")
@output.as_json
def doctor(names: tuple[str, ...], own_login: bool, as_json: bool) -> None:
    """Try agents out on a stub model, in the sandbox and with the tools of an attempt; without names, try all.

    Exits with 6 if an agent lacks a capability that policy claims. Uses no network and none of your credentials. With
    --own-login, one agent writes one file for at most two minutes and half a dollar; exits with 11 if it does not.
    """
    from factory.cli.agent import report  # noqa: PLC0415 - see above
    from factory.cli.current import current  # noqa: PLC0415 - see above

    if own_login:
        turn = report.tiny_turn(current(), names)
        output.one(turn, json_wanted=as_json, text=report.turn_text(turn))
        report.require_written(turn)
        return
    found = report.tried(current(), names)
    output.one([asdict(item) for item in found], json_wanted=as_json, text=report.text(found))
    report.require(found)


@command.command(hidden=True)
@click.option(
    "--recordings",
    type=click.Path(path_type=Path),
    help="A folder of the worktree with your own recordings (default: the built-in ones).",
)
def replay(recordings: Path | None) -> None:
    """Play a recording to an ACP client on standard input and output."""
    from factory.agents.replay import main  # noqa: PLC0415 - the ACP SDK costs half a second

    main(dict(environment.snapshot()), recordings)


@command.command(name="mcp", hidden=True)
def mcp_() -> None:
    """Serve the tools with which an agent requests writes to an MCP client on standard input and output."""
    target = output_request.path()
    server.serve(sys.stdin.buffer, sys.stdout.buffer, mcp.tools(functools.partial(outputs.append, target)))
