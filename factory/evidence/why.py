"""What the evidence says of a commit: who made it, what was proven, who approved it, where it runs. Pure.

It verifies nothing; ``verify`` does. What no statement names is listed as unknown, never guessed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from factory.evidence import timeline
from factory.evidence.transparency_log import Entry


@dataclass(frozen=True)
class Requirement:
    """A requirement of the merge request's spec, its result in the last passed verdict, and the tests that prove it."""

    id: str
    result: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Deployment:
    """An environment that got the commit: since when, and whether its newest deployment contains the commit."""

    environment: str
    since: str
    now: bool


@dataclass(frozen=True)
class Provenance:
    """What is known of a commit. ``made`` and ``merged`` are sentences; an empty one is explained in ``unknown``."""

    issue: int | None
    merge_request: int | None
    made: str
    merged: str
    judged: str
    requirements: tuple[Requirement, ...]
    approvals: tuple[str, ...]
    deployments: tuple[Deployment, ...]
    unknown: tuple[str, ...]


def of_commit(
    entries: Sequence[Entry], commit: str, *, containing: Collection[str], author: str, session: str
) -> Provenance:
    """Return the provenance of a commit.

    ``containing`` are the commits that contain it. ``author`` and ``session`` are what the commit itself claims.
    """
    unknown: list[str] = []
    made = _made(entries, commit)
    if made is None and session:
        unknown.append(f"who made it: the commit names session {session}, but no statement names the commit")
    merge = _brought(entries, containing)
    if merge is None:
        unknown.append("how it came to the default branch: no statement records the merge that brought it")
    number = merge.predicate["merge_request"] if merge else None
    proposal = _proposed(entries, merge)
    written = f"written by {author}{f'; {timeline.said(proposal)}' if proposal else ', in no session'}"
    verdicts = [item for item in entries if item.kind == "verdict" and merge and _judges(item, merge)]
    if merge and not verdicts:
        unknown.append(f"what was checked: no passed verdict names the head of !{number}")
    return Provenance(
        issue=_issue(made) or _issue(proposal) or _issue(merge),
        merge_request=number,
        made=timeline.said(made) if made else "" if session else written,
        merged=timeline.said(merge) if merge else "",
        judged=timeline.said(verdicts[-1]) if verdicts else "",
        requirements=_requirements(verdicts[-1]) if verdicts else (),
        approvals=tuple(
            timeline.said(item)
            for item in entries
            if item.kind == "approval" and number is not None and item.predicate["merge_request"] == number
        ),
        deployments=_deployments(entries, containing),
        unknown=tuple(unknown),
    )


def _issue(entry: Entry | None) -> int | None:
    """Return the issue that a statement names, or the one that a person's own proposal says it answers."""
    return (entry.predicate["issue"] or entry.predicate.get("asked") or None) if entry else None


def _made(entries: Sequence[Entry], commit: str) -> Entry | None:
    """Return the attempt, the handover or the person's own proposal whose commit it is."""
    kinds = {"attempt", "handover", "proposal"}
    return next((item for item in entries if item.kind in kinds and item.predicate["head"] == commit), None)


def _proposed(entries: Sequence[Entry], merge: Entry | None) -> Entry | None:
    """Return the person's proposal of what a merge merged, if it was one."""
    if merge is None:
        return None
    same = [item for item in entries if item.kind == "proposal" and item.predicate["head"] == merge.predicate["head"]]
    return next((item for item in same if item.predicate["merge_request"] == merge.predicate["merge_request"]), None)


def _brought(entries: Sequence[Entry], containing: Collection[str]) -> Entry | None:
    """Return the first merge that contains a commit, unless its session or its proposal began with the commit."""
    merge = next(
        (item for item in entries if item.kind == "merge" and item.predicate["merge_commit"] in containing), None
    )
    if merge is None:
        return None
    began = [
        str(item.predicate["base"])
        for item in entries
        if item.index < merge.index
        and item.kind == "attempt"
        and item.predicate["attempt"] == 1
        and item.predicate["issue"] == merge.predicate["issue"]
    ]
    proposal = _proposed(entries, merge)
    began += [str(proposal.predicate["base"])] if proposal else []
    return None if began and began[-1] in containing else merge


def _judges(verdict: Entry, merge: Entry) -> bool:
    same = all(verdict.predicate[name] == merge.predicate[name] for name in ("merge_request", "head"))
    return same and str(verdict.predicate["result"]) == "passed"


def _requirements(verdict: Entry) -> tuple[Requirement, ...]:
    found = verdict.predicate["requirements"]
    return tuple(Requirement(item["id"], item["result"], tuple(item["tests"])) for item in found)


def _deployments(entries: Sequence[Entry], containing: Collection[str]) -> tuple[Deployment, ...]:
    found: dict[str, Deployment] = {}
    for item in (item for item in entries if item.kind == "deploy"):
        name, carries = item.predicate["environment"], item.predicate["commit"] in containing
        first = found.get(name)
        if carries and (first is None or not first.now):
            found[name] = Deployment(name, item.predicate["time"], now=True)
        elif first is not None and not carries:
            found[name] = Deployment(name, first.since, now=False)
    return tuple(found.values())
