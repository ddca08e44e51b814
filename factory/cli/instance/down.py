"""``factory down``: stops the embedded servers."""

import click

from factory.cli import output
from factory.cli.current import current
from factory.instance import servers


@click.command()
@output.as_json
def command(as_json: bool) -> None:
    """Stop the embedded servers; keep their state."""
    stopped = servers.stop(current())
    output.one({"stopped": stopped}, json_wanted=as_json, text="stopped" if stopped else "nothing was running")
