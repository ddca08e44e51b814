"""Compares the evidence with GitLab's own records, and keeps one issue about the differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from factory.errors import EvidenceInvalid
from factory.evidence import compare, transparency_log, verify
from factory.evidence.compare import Difference, GitlabRecords
from factory.evidence.facts import Check
from factory.evidence.transparency_log import Entry
from factory.gitlab import deployments, merge_requests
from factory.model.gitlab import MAIN, MergeRequest, Pipeline
from factory.reports.markdown import name
from factory.system import clock, files
from factory.workflow.context import Context
from factory.workflow.drift.report_issue import Subject, settle
from factory.workflow.recorder import read_tree

_SUBJECT = Subject("evidence-drift", "Drift: evidence", "reports what the evidence and GitLab say differently")
_SEEN = "evidence-drift-seen"
# One request for each merge request; GitLab keeps approvals after the merge.
_APPROVALS_READ = 100
# The most rows that the issue shows, and the seconds in which another machine may still record a statement.
_SHOWN, _GRACE = 200, 120.0
_RESOLVE = """
What happened without a statement was done by hand, or while a branch or an environment was not protected. Find out who
did it (GitLab's events and audit events), and whether main and the deployed releases are what you want. Statements are
never added afterwards. If you close this issue by hand, it stays closed until the differences change.
"""


def tend(context: Context, newest: Pipeline) -> int | None:
    """Compare once after each scheduled pipeline; return the number of the issue if it was written.

    A file in the instance's state folder names the last scheduled pipeline. Without it the comparison is made again,
    and nothing is written twice.
    """
    path = context.machine.state / _SEEN
    seen = f"{context.bot.url} {newest.id}"
    if path.exists() and files.read_text(path) == seen:
        return None
    try:
        found = differences(context, grace=_GRACE)
    except EvidenceInvalid as error:
        found = (Difference("log", transparency_log.BRANCH, str(error)),)
    written = report(context, found)
    files.write_atomic(path, seen.encode())
    return written


def report(context: Context, found: Sequence[Difference]) -> int | None:
    """Open, update or close the one issue about the differences; return its number if it was written."""
    return settle(context, _SUBJECT, [asdict(item) for item in found], _body(found))


def differences(context: Context, *, grace: float = 0.0) -> tuple[Difference, ...]:
    """Return the differences between the evidence and GitLab's records, since the first statement.

    What ended less than ``grace`` seconds ago may lack its statement. Raises ``EvidenceInvalid`` for a broken log.
    """
    context.fetch()
    tree, trust = read_tree(context), context.trust()
    found = verify.verify(tree, trust=trust, merge_request=0).findings
    broken = [item for item in found if not _of_chain(item) and (tree or item.rule == "EV-LOG-CONSISTENCY")]
    if broken:
        raise EvidenceInvalid(f"the evidence is broken: {broken[0].reason}", hint="Run `factory evidence verify`.")
    entries = transparency_log.valid(tree, trust)
    return compare.differences(entries, _records(context, entries, grace)) if entries else ()


def _of_chain(item: Check) -> bool:
    return item.rule.startswith(("EV-CHAIN", "EV-APPROVAL"))


def _records(context: Context, entries: Sequence[Entry], grace: float) -> GitlabRecords:
    began = clock.parse(min(entry.predicate["time"] for entry in entries))
    stated = {entry.predicate["merge_request"] for entry in entries if entry.kind == "merge"}
    every = [item for item in merge_requests.find(context.bot, state="merged") if item.target_branch == MAIN]
    merged = [item for item in every if item.iid in stated or _since(item.merged_at, began)]
    ended = deployments.listed(context.bot, status="success")
    found = [item for item in ended if _since(item.updated_at or item.created_at, began)]
    settled = clock.now() - timedelta(seconds=grace)
    unexplained, lost = _pushes(context, entries, every)
    return GitlabRecords(
        unexplained=unexplained,
        lost=lost,
        merged=tuple(merged),
        deployments=tuple(found),
        approvers=_approvers(context, merged),
        recent_merges=frozenset(item.iid for item in merged if grace and _since(item.merged_at, settled)),
        recent_deployments=frozenset(item.id for item in found if grace and _since(item.updated_at, settled)),
    )


def _since(time: str, moment: datetime) -> bool:
    """Return whether a time is at or after a moment; older servers leave some times out."""
    return not time or clock.parse(time) >= moment


def _pushes(
    context: Context, entries: Sequence[Entry], merged: Sequence[MergeRequest]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return main's commits, since the first attempt's base, of no merged merge request, and those that main lost."""
    main = context.main()
    bases = [entry.predicate["base"] for entry in entries if entry.kind == "attempt"]
    named = [entry.predicate["merge_commit"] for entry in entries if entry.kind == "merge"]
    kept = dict.fromkeys([*bases[:1], *named])
    lost = tuple(commit for commit in kept if not context.mirror.is_ancestor(commit, main))
    if not bases or bases[0] in lost:
        return (), lost
    known = {commit for item in merged for commit in (item.sha, *item.merged_as)} | set(named)
    listed = (commit for commit, _ in context.mirror.messages(f"{bases[0]}..{main}"))
    left = dict.fromkeys(commit for commit in listed if commit not in known)
    for item in reversed(merged):
        if not left:
            break
        for commit in merge_requests.commits(context.bot, item.iid):
            left.pop(commit, None)
    return tuple(left), lost


def _approvers(context: Context, merged: Sequence[MergeRequest]) -> Mapping[int, frozenset[str]]:
    newest = merged[-_APPROVALS_READ:]
    return {
        item.iid: frozenset(given.username for given in merge_requests.approvals(context.bot, item.iid))
        for item in newest
    }


def _body(found: Sequence[Difference]) -> str:
    if not found:
        return "The evidence and GitLab's own records say the same.\n"
    head = ["| What | Which | Difference |", "|---|---|---|"]
    lines = [f"| {item.kind} | {name(item.subject)} | {name(item.said)} |" for item in found[:_SHOWN]]
    more = f"\nand {len(found) - _SHOWN} more: see `factory evidence drift`\n" if len(found) > _SHOWN else ""
    return "The evidence and GitLab's own records differ:\n\n" + "\n".join([*head, *lines]) + "\n" + more + _RESOLVE
