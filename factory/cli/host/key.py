"""``factory host key``: the public key with which a host signs what it says."""

from pathlib import Path

import click

from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.host.announcement import own_key


@click.command()
@options.ENVIRONMENT
@options.STATE
@output.as_json
def command(environment: str, state: Path | None, as_json: bool) -> None:
    """Show the public key of this machine's host of ENVIRONMENT, which is made the first time."""
    options.check(environment)
    public = own_key(options.folder(state, environment, process_environment.snapshot())).public
    next_ = f"factory evidence keys enrol-host NAME {public} --environment {environment}"
    output.one({"environment": environment, "key": public}, json_wanted=as_json, text=f"{public}\n  next: {next_}")
