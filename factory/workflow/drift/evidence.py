"""Compares the evidence with GitLab's own records, and keeps one issue about the differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from factory.evidence import compare, transparency_log
from factory.evidence.compare import Difference, GitlabRecords
from factory.evidence.transparency_log import Entry
from factory.gitlab import deployments, merge_requests
from factory.model.gitlab import MAIN, MergeRequest, Pipeline
from factory.policies.model import Policies
from factory.reports.markdown import name
from factory.system import clock, files
from factory.workflow.context import Context
from factory.workflow.drift.report_issue import Subject, settle
from factory.workflow.recorder import read_tree

_SUBJECT = Subject("evidence-drift", "Drift: evidence", "reports what the evidence and GitLab say differently")
_SEEN = "evidence-drift-seen"
# One request for each merge request; GitLab keeps approvals after the merge.
_APPROVALS_READ = 100
_RESOLVE = """
What happened without a statement was done by hand, or while a branch or an environment was not protected. Find out who
did it (GitLab's events and audit events), and whether main and the deployed releases are what you want. Statements are
never added afterwards. If you close this issue by hand, it stays closed until the differences change.
"""


def tend(context: Context, policies: Policies, newest: Pipeline) -> int | None:
    """Compare once after each scheduled pipeline; return the number of the issue if it was written.

    A file in the instance's state folder names the last scheduled pipeline. Without it the comparison is made again,
    and nothing is written twice.
    """
    path = context.machine.state / _SEEN
    seen = f"{context.bot.url} {newest.id}"
    if path.exists() and files.read_text(path) == seen:
        return None
    written = report(context, differences(context, policies))
    files.write_atomic(path, seen.encode())
    return written


def report(context: Context, found: Sequence[Difference]) -> int | None:
    """Open, update or close the one issue about the differences; return its number if it was written."""
    return settle(context, _SUBJECT, [asdict(item) for item in found], _body(found))


def differences(context: Context, policies: Policies) -> tuple[Difference, ...]:
    """Return the differences between the evidence and GitLab's records, since the first statement."""
    context.fetch()
    entries = transparency_log.read(read_tree(context))
    return compare.differences(entries, _records(context, policies, entries)) if entries else ()


def _records(context: Context, policies: Policies, entries: Sequence[Entry]) -> GitlabRecords:
    began = clock.parse(min(entry.predicate["time"] for entry in entries))
    stated = {entry.predicate["merge_request"] for entry in entries if entry.kind == "merge"}
    merged = [
        item
        for item in merge_requests.find(context.bot, state="merged")
        if item.target_branch == MAIN and (item.iid in stated or clock.parse(item.merged_at) >= began)
    ]
    # Statements about a merge request that another machine ships at this moment are still to come.
    labels = policies.session.labels
    shipping = [item for item in merged if labels.shipping in item.labels and labels.blocked not in item.labels]
    ended = [item for item in merged if item not in shipping]
    commits = {item.sha for item in shipping}.union(*(item.merged_as for item in shipping))
    found = [
        item
        for item in deployments.listed(context.bot, status="success")
        if clock.parse(item.created_at) >= began and item.sha not in commits
    ]
    return GitlabRecords(_unexplained(context, entries, merged), tuple(ended), tuple(found), _approvers(context, ended))


def _unexplained(context: Context, entries: Sequence[Entry], merged: Sequence[MergeRequest]) -> tuple[str, ...]:
    """Return the commits on main, since the base of the first attempt, that no merged merge request contains."""
    bases = [entry.predicate["base"] for entry in entries if entry.kind == "attempt"]
    if not bases or not context.mirror.is_ancestor(bases[0], context.main()):
        return ()
    listed = [commit for commit, _ in context.mirror.messages("--first-parent", f"{bases[0]}..{context.main()}")]
    known = {commit for item in merged for commit in (item.sha, *item.merged_as)}
    left = dict.fromkeys(commit for commit in listed if commit not in known)
    for item in reversed(merged):
        if not left:
            break
        for commit in merge_requests.commits(context.bot, item.iid):
            left.pop(commit, None)
    return tuple(left)


def _approvers(context: Context, merged: Sequence[MergeRequest]) -> Mapping[int, frozenset[str]]:
    newest = merged[-_APPROVALS_READ:]
    return {
        item.iid: frozenset(given.username for given in merge_requests.approvals(context.bot, item.iid))
        for item in newest
    }


def _body(found: Sequence[Difference]) -> str:
    if not found:
        return "The evidence and GitLab's own records say the same.\n"
    lines = ["| What | Which | Difference |", "|---|---|---|"]
    lines += [f"| {item.kind} | {name(item.subject)} | {name(item.said)} |" for item in found]
    return "The evidence and GitLab's own records differ:\n\n" + "\n".join(lines) + "\n" + _RESOLVE
