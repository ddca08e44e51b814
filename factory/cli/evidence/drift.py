"""``factory evidence drift``: compares the evidence with GitLab's own records."""

import click

from factory.cli import output
from factory.cli.current import current
from factory.instance.context import make
from factory.workflow.drift import evidence

_DIFFERS = 2


@click.command(name="drift")
@output.as_json
def command(as_json: bool) -> None:
    """Compare the evidence with GitLab's merges, deployments and approvals; keep one issue about the differences.

    Exits with 2 if there are differences.
    """
    context = make(current(), holder="operator", say=output.say)
    found = evidence.differences(context)
    evidence.report(context, found)
    output.rows(found, ("kind", "subject", "said"), json_wanted=as_json, empty="the evidence and GitLab say the same")
    raise click.exceptions.Exit(_DIFFERS if found else 0)
