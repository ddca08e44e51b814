"""``factory setup``: install the outside programs that are missing."""

import click

from factory.cli import environment, output
from factory.cli.workplace import current


@click.command()
@output.as_json
def command(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Install gitlab-ci-local, and node and terraform where the machine has none, below .tools/ and .venv/."""
    place = current()
    done = place.tools.install(dict(environment.snapshot()))
    output.one(
        {"installed": done}, json_wanted=as_json, text="\n".join(f"installed {line}" for line in done) or "all there"
    )
