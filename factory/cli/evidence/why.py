"""``factory why``: tells where a line comes from: who made it, what proves it, who approved it, where it runs."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import repository
from factory.cli.evidence import source as sources
from factory.errors import InvalidInput, NotFound, OutsideRepository
from factory.evidence import transparency_log, why
from factory.evidence.transparency_log import BRANCH
from factory.evidence.why import Provenance
from factory.reports import html_page
from factory.worktrees import blame, branch_files


@click.command()
@click.argument("where", metavar="FILE:LINE")
@click.option("--from", "source", help="Read the evidence of this clone or address.")
@output.as_html
@output.as_json
def command(where: str, source: str | None, html: Path | None, as_json: bool) -> None:
    """Show where a line comes from: who made it, what proves it, who approved it, where it runs.

    Run it in a clone of the project. A clone with an instance asks GitLab, any other has the evidence of its last `git
    fetch`. It reads statements as they are; `factory evidence verify` verifies them.
    """
    name, _, line = where.rpartition(":")
    if not name or not line.isdigit():
        raise InvalidInput(f"{where!r} is not FILE:LINE", hint="For example: `factory why README.md:1`.")
    file = Path(name).resolve()
    if not file.exists():  # findings and diffs name paths from the root of the repository
        file = repository() / name
    clone = blame.clone_of(file)
    found = blame.blame(clone, file, int(line))
    if found.commit is None:
        output.one({"commit": None}, json_wanted=as_json, text=f"{found.text}\n\nnot committed yet")
        return
    tree = branch_files.fetch(source, BRANCH).content if source else _own(clone)
    known = why.of_commit(
        transparency_log.read(tree),
        found.commit,
        containing=found.containing,
        author=found.author,
        session=found.session,
    )
    rows = [("commit", f"{found.commit[:12]} {found.title}"), *_rows(known)]
    if html:
        output.write_page(html, html_page.page(where, ("What", "Evidence"), rows, quote=found.text))
        return
    value = {"text": found.text, "commit": found.commit, "title": found.title} | asdict(known)
    lines = [f"{label:<11} {text}" for label, text in rows]
    output.one(value, json_wanted=as_json, text="\n".join([found.text, "", *lines]))


def _own(clone: Path) -> Mapping[str, bytes]:
    """Return the evidence of the instance that belongs to a clone, else that of the clone's last fetch."""
    try:
        if sources.has_instance(clone):
            return sources.read_instance(fetch=True).content
    except (NotFound, OutsideRepository):
        pass  # the clone has what it has
    return branch_files.own(clone, BRANCH)


def _rows(known: Provenance) -> list[tuple[str, str]]:
    """Return what is known as labels and sentences, in the order in which it happened."""
    rows = [
        ("issue", f"#{known.issue}" if known.issue is not None else ""),
        ("made", known.made),
        *(
            ("requires", f"{item.id} {item.result}: {', '.join(item.tests) or 'no test'}")
            for item in known.requirements
        ),
        ("judged", known.judged),
        *(("approved", item) for item in known.approvals),
        ("merged", known.merged),
        *(
            ("deployed", f"{item.environment} since {item.since}{'' if item.now else ', no longer'}")
            for item in known.deployments
        ),
        *(("unknown", item) for item in known.unknown),
    ]
    return [(label, text) for label, text in rows if text]
