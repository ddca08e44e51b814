"""``factory evidence list``: lists the statements."""

import click

from factory.cli import output
from factory.cli.evidence.source import read_instance
from factory.evidence import transparency_log


@click.command(name="list")
@output.as_json
def command(as_json: bool) -> None:
    """List the statements in the log."""
    found = [
        {
            "index": entry.index,
            "kind": entry.kind,
            "key": entry.key,
            "time": entry.predicate["time"],
            "digest": entry.digest,
        }
        for entry in transparency_log.read(read_instance(fetch=True).content)
    ]
    output.rows(found, ("index", "kind", "key", "time"), json_wanted=as_json, empty="no evidence")
