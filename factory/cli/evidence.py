"""``factory evidence``: lists and verifies the evidence."""

from dataclasses import asdict

import click

from factory.cli import output
from factory.cli.current import current, number
from factory.errors import EvidenceInvalid, NotFound
from factory.evidence import transparency_log, verify
from factory.instance.context import make, trust
from factory.workflow.recorder import read_tree


@click.group()
def command() -> None:
    """List the evidence and verify it offline."""


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List the statements in the log."""
    found = [
        {
            "index": entry.index,
            "kind": entry.kind,
            "key": entry.key,
            "time": entry.predicate["time"],
            "digest": entry.digest,
        }
        for entry in transparency_log.read(_tree(fetch=True))
    ]
    output.rows(found, ("index", "kind", "key", "time"), json_wanted=as_json, empty="no evidence")


@command.command(name="verify")
@click.argument("merge_request", required=False)
@click.option("--offline", is_flag=True, help="Do not fetch newer evidence from GitLab first.")
@output.as_json
def verify_(merge_request: str | None, offline: bool, as_json: bool) -> None:
    """Verify a merge request's whole chain, or the whole log: signatures, log, digests, order."""
    iid = number(merge_request, "!") if merge_request else None
    tree = _tree(fetch=not offline)
    if iid is not None and not any(
        entry.predicate.get("merge_request") == iid for entry in transparency_log.read(tree)
    ):
        raise NotFound(
            f"the evidence has no statement about !{iid}", hint="List the statements with `factory evidence list`."
        )
    report = verify.verify(tree, trust=trust(current()), merge_request=iid)
    lines = [f"log of {report.size} statements, root {report.root}"]
    lines += [f"note: {notice}" for notice in report.notices]
    lines += [f"FAILED {check.rule}: {check.reason}" for check in report.findings]
    lines.append(f"{sum(check.passed for check in report.checks)} checks passed, {len(report.findings)} failed")
    if iid is not None:
        lines.append("the chain is complete" if report.complete else f"still missing: {', '.join(report.missing)}")
    value = asdict(report) | {"passed": report.passed}
    output.one(value, json_wanted=as_json, text="\n".join(lines))
    if not report.passed:
        raise EvidenceInvalid(f"{len(report.findings)} checks failed")
    if iid is not None and not report.complete:
        raise EvidenceInvalid(f"the chain of !{iid} is not complete: {', '.join(report.missing)}")


def _tree(*, fetch: bool) -> dict[str, bytes]:
    context = make(current(), holder="", say=output.say)
    if fetch:
        context.fetch()
    return read_tree(context)
