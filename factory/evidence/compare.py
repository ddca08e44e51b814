"""Compares the evidence with GitLab's own records: what happened without a statement, and the reverse. Pure.

A push to main by a moment without protection, a merge or a deployment by hand leave no statement. A statement about a
merge, an approval or a deployment that GitLab does not know says what did not happen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from factory.evidence.transparency_log import Entry
from factory.model.gitlab import Deployment, MergeRequest


@dataclass(frozen=True)
class GitlabRecords:
    """What GitLab has recorded since the evidence began.

    ``unexplained`` are the commits of main that no merged merge request contains, ``lost`` those that statements name
    and main no longer contains. ``approvers`` are the accounts whose approvals a merge request has. ``recent_merges``
    and ``recent_deployments`` are numbers of those that ended a moment ago: statements about them may still come.
    """

    unexplained: tuple[str, ...]
    lost: tuple[str, ...]
    merged: tuple[MergeRequest, ...]
    deployments: tuple[Deployment, ...]
    approvers: Mapping[int, frozenset[str]]
    recent_merges: frozenset[int] = frozenset()
    recent_deployments: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Difference:
    """A difference: its kind (``push``, ``merge``, ``deployment`` or ``approval``), what it is about, and the fact."""

    kind: str
    subject: str
    said: str


def differences(entries: Sequence[Entry], records: GitlabRecords) -> tuple[Difference, ...]:
    """Return the differences between the statements and GitLab's records."""
    pushes = (
        Difference("push", commit[:12], "is on main, and no merged merge request contains it")
        for commit in records.unexplained
    )
    lost = (Difference("push", commit[:12], "is part of main in statements; main lacks it") for commit in records.lost)
    return (*pushes, *lost, *_merges(entries, records), *_deployments(entries, records), *_approvals(entries, records))


def _merges(entries: Sequence[Entry], records: GitlabRecords) -> Iterator[Difference]:
    stated = {entry.predicate["merge_request"]: entry.predicate["head"] for entry in _of(entries, "merge")}
    known = {item.iid: item for item in records.merged}
    for iid, item in known.items():
        if iid not in stated and iid not in records.recent_merges:
            said = f"was merged by {item.merged_by or 'an unknown account'}; no statement records it"
            yield Difference("merge", f"!{iid}", said)
    for iid, head in stated.items():
        if iid not in known:
            yield Difference("merge", f"!{iid}", "a statement records its merge; GitLab has not merged it into main")
        elif head != known[iid].sha:
            said = f"a statement records the merge of {head[:12]}; GitLab has merged {known[iid].sha[:12]}"
            yield Difference("merge", f"!{iid}", said)


def _deployments(entries: Sequence[Entry], records: GitlabRecords) -> Iterator[Difference]:
    numbers = {entry.predicate["deployment"] for entry in _of(entries, "apply", "deploy")}
    jobs = {entry.predicate["job"] for entry in _of(entries, "apply", "return")}
    known = {item.id for item in records.deployments}
    for item in records.deployments:
        if item.id not in numbers and item.job not in jobs and item.id not in records.recent_deployments:
            said = f"deployed {item.sha[:12]}; no statement records it"
            yield Difference("deployment", f"{item.id} to {item.environment}", said)
    for entry in _of(entries, "apply"):
        number = entry.predicate["deployment"]
        if entry.predicate["result"] == "applied" and number is not None and number not in known:
            said = "a statement records that it was applied; GitLab has no successful deployment with this number"
            yield Difference("deployment", str(number), said)


def _approvals(entries: Sequence[Entry], records: GitlabRecords) -> Iterator[Difference]:
    merged = {item.iid: item.sha for item in records.merged}
    for entry in _of(entries, "approval"):
        if entry.predicate["head"] != merged.get(entry.predicate["merge_request"]):
            continue  # GitLab forgets the approvals of earlier heads
        iid, approver = entry.predicate["merge_request"], entry.predicate["approver"]
        given = records.approvers.get(iid)
        if entry.predicate["scope"] == "merge" and given is not None and approver not in given:
            yield Difference("approval", f"!{iid}", f"a statement records an approval by {approver}; GitLab has none")


def _of(entries: Sequence[Entry], *kinds: str) -> list[Entry]:
    return [entry for entry in entries if entry.kind in kinds]
