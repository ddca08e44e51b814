"""``factory evidence bundle``: writes an archive that anyone verifies and reads without the factory."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.current import number
from factory.cli.evidence.source import files_of, trust_of
from factory.errors import EvidenceInvalid, InvalidInput, NotFound
from factory.evidence import bundle, timeline, transparency_log, verify
from factory.evidence.transparency_log import Entry
from factory.operations import seen_checkpoint
from factory.reports.markdown import count
from factory.system import files


@click.command(name="bundle")
@click.argument("subject", metavar="[!MR|RELEASE]", required=False)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Everything since this day (UTC).")
@click.option("--from", "source", help="Read the evidence of this clone or address, instead of the instance's.")
@click.option("--trust", "root", type=click.Path(path_type=Path), help="The trust root, instead of the instance's.")
@click.option("--out", type=click.Path(path_type=Path), help="The archive (default: evidence-SUBJECT.zip).")
@output.as_json
def command(
    subject: str | None, since: datetime | None, source: str | None, root: Path | None, out: Path | None, as_json: bool
) -> None:
    """Write an archive of a merge request's (!7), a release's or a time's evidence.

    It has the log, proofs, the trust root, a verifier in one file, and a page to read and print. The evidence is
    verified first; broken evidence gives no archive.
    """
    if (subject is None) == (since is None):
        raise InvalidInput("give either a merge request or release, or --since", hint="See --help.")
    found, trust = files_of(source), trust_of(source, root)
    merge_request = number(subject, "!") if subject and subject.startswith("!") else None
    known = seen_checkpoint.trusted(seen_checkpoint.folder(environment.snapshot()), trust)
    report = verify.verify(found.content, trust=known, merge_request=merge_request, modes=found.modes)
    if not report.passed:
        raise EvidenceInvalid(f"{count(len(report.findings), 'check')} failed: {report.findings[0].reason}")
    about = _about(transparency_log.read(found.content), subject, since)
    named = subject or f"since {since:%Y-%m-%d}"
    if not about:
        raise NotFound(
            f"the evidence has no statement of {named}", hint="List the statements with `factory evidence list`."
        )
    path = out or Path(f"evidence-{named.removeprefix('!').replace(' ', '-')}.zip")
    content = bundle.pack(found.content, trust, subject=named, about=about, report=report)
    files.write_atomic(path, content)
    size = f"{len(about)} of {count(report.size, 'statement')}, {len(content)} bytes"
    text = f"{path}: {size}\n  next: unpack it and open index.html"
    value = {"file": str(path), "statements": sorted(about), "size": report.size, "bytes": len(content)}
    output.one(value, json_wanted=as_json, text=text)


def _about(entries: Sequence[Entry], subject: str | None, since: datetime | None) -> set[int]:
    if since is not None:
        day = since.replace(tzinfo=UTC).strftime("%Y-%m-%d")
        return {entry.index for entry in entries if str(entry.predicate["time"]) >= day}
    named = subject or ""
    if named.startswith("!"):
        return {event.index for event in timeline.of_merge_request(entries, number(named, "!"))}
    return {event.index for event in timeline.of_release(entries, named)}
