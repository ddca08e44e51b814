"""``factory evidence timeline``: shows every statement about an issue, a merge request or a release."""

from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import number
from factory.cli.evidence.source import files_of
from factory.errors import NotFound
from factory.evidence import timeline, transparency_log
from factory.reports import html_page


@click.command(name="timeline")
@click.argument("subject", metavar="ISSUE|!MR|RELEASE")
@click.option("--from", "source", help="Read the evidence of this clone or address, instead of the instance's.")
@output.as_html
@output.as_json
def command(subject: str, source: str | None, html: Path | None, as_json: bool) -> None:
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
    if html:
        rows = [(event.index, event.time[:19].replace("T", " "), event.kind, event.said) for event in events]
        head = ("Statement", "Time (UTC)", "Kind", "What")
        output.write_page(html, html_page.page(f"Timeline of {subject}", head, rows))
        return
    output.rows(events, ("index", "time", "kind", "said"), json_wanted=as_json, empty="no evidence")
