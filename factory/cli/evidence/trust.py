"""``factory evidence trust``: prints the trust root."""

import json

import click

from factory.cli import output
from factory.cli.evidence.source import trust_of


@click.command(name="trust")
@output.as_json
def command(as_json: bool) -> None:
    """Print the trust root, a JSON file with which anyone verifies the evidence."""
    root = trust_of(None, None).write()
    output.one(json.loads(root), json_wanted=as_json, text=root.decode())
