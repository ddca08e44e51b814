"""``factory evidence timeline``: shows every statement about an issue, a merge request or a release."""

import click

from factory.cli import output
from factory.cli.current import number
from factory.cli.evidence.source import files_of
from factory.errors import NotFound
from factory.evidence import timeline, transparency_log


@click.command(name="timeline")
@click.argument("subject", metavar="ISSUE|!MR|RELEASE")
@click.option("--from", "source", help="Read the evidence of this clone or address, instead of the instance's.")
@output.as_json
def command(subject: str, source: str | None, as_json: bool) -> None:
    """Show what happened to an issue (7 or #7), a merge request (!7) or a release, oldest first."""
    found = files_of(source, fetch=False)
    entries = transparency_log.read(found.content)
    if subject.startswith("!"):
        events = timeline.of_merge_request(entries, number(subject, "!"))
    elif subject.removeprefix("#").isdigit():
        events = timeline.of_issue(entries, number(subject, "#"))
    else:
        events = timeline.of_release(entries, subject)
    if not events:
        raise NotFound(
            f"the evidence has no statement about {subject}", hint="List the statements with `factory evidence list`."
        )
    output.rows(events, ("index", "time", "kind", "said"), json_wanted=as_json, empty="no evidence")
