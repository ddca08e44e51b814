"""``factory config``: shows each setting and its source."""

import click

from factory.cli import output
from factory.cli.current import current


@click.command()
@output.as_json
def command(as_json: bool) -> None:
    """Show each setting, its value and where it comes from (defaults < file < environment < flag)."""
    settings = current().settings
    found = [{"name": name, "value": item.value, "from": item.source} for name, item in settings.values.items()]
    found.append({"name": "state", "value": str(settings.state), "from": "clone and instance"})
    output.rows(found, ("name", "value", "from"), json_wanted=as_json, empty="")
