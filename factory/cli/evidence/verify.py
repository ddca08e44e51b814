"""``factory evidence verify``: checks a merge request's whole chain, or the whole log."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.current import number
from factory.cli.evidence.source import files_of, trust_of
from factory.errors import EvidenceInvalid, NotFound
from factory.evidence import transparency_log, verify
from factory.operations import seen_checkpoint
from factory.reports.markdown import count


@click.command(name="verify")
@click.argument("merge_request", required=False)
@click.option("--from", "source", help="Read the evidence of this clone or address, instead of the instance's.")
@click.option("--trust", "root", type=click.Path(path_type=Path), help="The trust root, instead of the instance's.")
@click.option("--offline", is_flag=True, help="Do not fetch newer evidence from GitLab first.")
@output.as_json
def command(merge_request: str | None, source: str | None, root: Path | None, offline: bool, as_json: bool) -> None:
    """Verify a merge request's whole chain, or the whole log: signatures, log, digests, order.

    With --from and --trust it needs nothing else: no instance, key, token or server. In a clone without an instance,
    it reads the clone's evidence, and the keys of its policies/trust.yml.
    """
    iid = number(merge_request, "!") if merge_request else None
    found, rooted = files_of(source, fetch=not offline), trust_of(source, root)
    kept = seen_checkpoint.folder(environment.snapshot())
    seen = seen_checkpoint.read(kept, rooted) if rooted.previous_checkpoint is None else None
    if not found.content and not (seen or rooted.previous_checkpoint or rooted.pinned):
        raise NotFound(
            "the project has no evidence yet",
            hint="The factory records its first statement when it claims an issue: `factory work`.",
        )
    if iid is not None and not _mentions(found.content, iid):
        raise NotFound(
            f"the evidence has no statement about !{iid}", hint="List the statements with `factory evidence list`."
        )
    report = verify.verify(
        found.content,
        trust=seen_checkpoint.trusted(kept, rooted),
        merge_request=iid,
        modes=found.modes,
    )
    if report.passed:
        seen_checkpoint.keep(kept, rooted, found.content[transparency_log.CHECKPOINT])
    history = _history(report, seen)
    lines = [f"log of {report.size} statements, root {report.root}", history]
    lines += [f"note: {notice}" for notice in report.notices]
    lines += [f"FAILED {check.rule}: {check.reason}" for check in report.findings]
    lines.append(f"{sum(check.passed for check in report.checks)} checks passed, {len(report.findings)} failed")
    if iid is not None:
        lines.append("the chain is complete" if report.complete else f"still missing: {', '.join(report.missing)}")
    value = asdict(report) | {"passed": report.passed, "history": history}
    output.one(value, json_wanted=as_json, text="\n".join(lines))
    if not report.passed:
        raise EvidenceInvalid(f"{count(len(report.findings), 'check')} failed")
    if iid is not None and not report.complete:
        raise EvidenceInvalid(
            f"the chain of !{iid} is not complete: {', '.join(report.missing)}",
            hint="What is there is valid. Continue with `factory work`, or see what waits with `factory status`.",
        )


def _history(report: verify.VerifyReport, seen: seen_checkpoint.SeenCheckpoint | None) -> str:
    """Return what is known of the log's past, in one line."""
    if report.findings:
        first = report.findings[0]
        return f"broken at {first.rule if first.statement is None else f'statement {first.statement} ({first.rule})'}"
    if seen:
        return f"continued from the checkpoint that this machine saw at {seen.seen}"
    return "consistent: this machine has seen no earlier checkpoint, and nobody else has witnessed this one"


def _mentions(tree: Mapping[str, bytes], merge_request: int) -> bool:
    return any(entry.predicate.get("merge_request") == merge_request for entry in transparency_log.read(tree))
