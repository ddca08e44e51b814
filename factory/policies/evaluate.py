"""Judges paths, changes, approvals and exceptions by the policies. Pure; no function raises.

Everything unknown, unreadable or not covered by a rule is denied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from factory.model.facts import Change, ChangedFile, Plan
from factory.model.verdict import AppliedRisk, Finding, RequiredApprovals
from factory.policies.fields import exceptable
from factory.policies.model import Exceptions, Excuse, Policies, Risk
from factory.policies.path_patterns import matches, odd, touches

_WIDE = 200
_JUDGE = "judge"
# The branches of the factory, from which it opens the merge requests of its agents.
OURS = "factory/"
ACTIONS = frozenset({"create", "update", "delete", "read", "no-op", "import", "move"})
# GitLab's private commit addresses are `<id>-<account>@users.noreply.…`. An owner may add a suffix after a plus sign.


@dataclass(frozen=True)
class Ruling:
    """One rule's decision on one subject: allowed or denied, the reason, the facts and the policies' digest."""

    rule: str
    allowed: bool
    reason: str
    facts: Mapping[str, object]
    policy: str

    def to_json(self) -> dict[str, object]:
        """Return the ruling as a JSON value."""
        return {**vars(self), "facts": dict(self.facts)}


@dataclass(frozen=True)
class ExceptionResult:
    """Findings after exceptions: the remaining and the accepted ones, and findings about the exceptions themselves."""

    kept: tuple[Finding, ...]
    excused: tuple[Finding, ...]
    expired: tuple[Finding, ...]


def allows(rulings: Sequence[Ruling]) -> bool:
    """Return whether all rulings allow; without any ruling the answer is no."""
    return bool(rulings) and all(ruling.allowed for ruling in rulings)


def bound(policies: Policies, change: Change) -> str | None:
    """Return why the agents' rules apply to a change, or ``None`` if it is a known person's change."""
    agents = {name.casefold() for name in policies.scope.agents}
    origin = change.origin
    if not origin.author:
        return origin.problem or "who opened it is unknown"
    if origin.author.casefold() in agents:
        return f"{origin.author}, who opened it, is an agent"
    for account in origin.pushers:
        if account.casefold() in agents:
            return f"{account}, who pushed commits of it, is an agent"
    if origin.branch.casefold().startswith(OURS):
        return f"the branch {origin.branch} belongs to the factory"
    return None


def scope(policies: Policies, made: Change) -> tuple[Ruling, ...]:
    """Return the ruling ``scope.person`` for a person's change, else the rulings of ``change``."""
    if not made.files or bound(policies, made):
        return change(policies, made)
    origin = made.origin
    facts = {"author": origin.author, "pushers": list(origin.pushers), "branch": origin.branch}
    return (
        Ruling("scope.person", True, f"{origin.author} opened it, and no agent pushed to it", facts, policies.digest),
    )


def path(policies: Policies, path: str, *, status: str = "M") -> Ruling:
    """Judge whether an agent may change a path; ``status`` is git's letter, ``S`` a submodule, ``L`` a link."""
    rules = policies.scope
    facts = {"path": path, "status": status}
    protected = touches(path, rules.protected)
    allowed = matches(path, rules.allowed)
    if problem := odd(path):
        rule, reason = "scope.odd-path", f"{path!r} {problem}"
    elif status == "S":
        rule, reason = "scope.submodule", f"{path} is a submodule"
    elif status == "L":
        rule, reason = "scope.link", f"{path} is a symbolic link"
    elif protected is not None:
        rule, reason = "scope.protected", f"{path} is protected by {protected!r}"
        facts["pattern"] = protected
    elif allowed is None:
        rule, reason = "scope.path", f"{path} is not a path that an agent may change"
    else:
        facts["pattern"] = allowed
        return Ruling("scope.allowed", True, f"{path} is allowed by {allowed!r}", facts, policies.digest)
    return Ruling(rule, False, reason, facts, policies.digest)


def size(policies: Policies, files: int, lines: int) -> Ruling:
    """Judge whether an agent may change this number of files and lines at once."""
    most = policies.scope
    facts = {"files": files, "lines": lines, "max_files": most.max_files, "max_lines": most.max_lines}
    fits = 0 <= files <= most.max_files and 0 <= lines <= most.max_lines
    reason = f"{files} files and {lines} lines change; the maximum is {most.max_files} and {most.max_lines}"
    return Ruling("scope.size", fits, reason, facts, policies.digest)


def change(policies: Policies, change: Change) -> tuple[Ruling, ...]:
    """Return a ruling for each file of a change and one for its size, as if an agent made the change."""
    if not change.files:
        return (Ruling("scope.empty", False, "the change has no files", {"files": 0}, policies.digest),)
    each = [path(policies, file.path, status=file.status) for file in change.files]
    # A long line counts once more for each 200 characters, so that a blob in one line counts as large.
    lines = sum(file.added + file.removed + sum(len(line) // _WIDE for _, line in file.lines) for file in change.files)
    return (*each, size(policies, len(change.files), lines))


def needed(policies: Policies, change: Change | None, plans: Sequence[Plan]) -> RequiredApprovals:
    """Return how many must approve a merge, and the risks that apply.

    An unknown change, or a path that cannot be compared, triggers every risk with paths. An unreadable plan triggers
    every risk with actions.
    """
    found = []
    for name, risk in policies.approvals.risks.items():
        because = (*_touched(risk, change), *(reason for plan in plans for reason in _taken(risk, plan)))
        if because:
            found.append(AppliedRisk(name, risk.required, risk.decide, because))
    most = max([policies.approvals.merge.required, *(risk.required for risk in found)])
    return RequiredApprovals(
        most, tuple(found), policies.digest, judge_changed=any(risk.name == _JUDGE for risk in found)
    )


def approved(policies: Policies, needed: RequiredApprovals, given: int) -> tuple[Ruling, ...]:
    """Judge whether ``given`` approvals are enough: one ruling for the merge, and one for each risk that applies."""
    asked = [("merge", policies.approvals.merge.required, ()), *((r.name, r.required, r.because) for r in needed.risks)]
    return tuple(
        Ruling(
            f"approvals.{name}",
            given >= required,
            f"{given} of {required} required approvals are given",
            {"required": required, "given": given, "because": list(because)},
            policies.digest,
        )
        for name, required, because in asked
    )


def excuse(findings: Sequence[Finding], exceptions: Exceptions, *, today: str) -> ExceptionResult:
    """Separate the findings that exceptions accept on the day ``today`` (``2026-12-31``).

    The ``fix`` of an accepted finding says who accepts it, until when and why. An expired exception accepts nothing and
    is itself a finding. If there are exceptions and ``today`` is not a date, that is a finding too.
    """
    accepted = exceptions.exceptions
    now = day(today)
    if now is None:
        unread = Finding(
            "exception.no-date",
            f"{len(accepted)} exceptions are ignored: {today!r} is not a date",
            "Pass a date such as 2026-12-31.",
            "policies/exceptions.yml",
        )
        return ExceptionResult(tuple(findings), (), (unread,) if accepted else ())
    live = {(item.rule, item.subject): item for item in accepted if _holds(item, now)}
    kept, excused = [], []
    for finding in findings:
        item = live.get((finding.rule, finding.subject))
        if item is None or not exceptable(finding.rule):
            kept.append(finding)
        else:
            excused.append(replace(finding, fix=f"Accepted by {item.owner} until {item.expires}: {item.reason}"))
    return ExceptionResult(
        tuple(kept), tuple(excused), tuple(_expired(item) for item in accepted if not _holds(item, now))
    )


def day(text: str) -> date | None:
    """Return the date in a text such as ``2026-12-31``, or ``None``."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _touched(risk: Risk, change: Change | None) -> tuple[str, ...]:
    if not risk.paths:
        return ()
    if change is None:
        return ("the change is unknown",)
    found = [file for file in change.files if odd(file.path) or touches(file.path, risk.paths) is not None]
    return tuple(file.path for file in found if not risk.lines or _adds(file, risk.lines))


def _adds(file: ChangedFile, texts: Sequence[str]) -> bool:
    """Return whether the lines that a file gains contain one of the texts; true if these lines are not known."""
    if file.binary or file.added != len(file.lines):
        return True
    gained = _plain(" ".join(line for _, line in file.lines))
    return any(_plain(text) in gained for text in texts)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _taken(risk: Risk, plan: Plan) -> tuple[str, ...]:
    if not risk.actions:
        return ()
    if plan.problem:
        return (f"the plan cannot be read: {plan.problem}",)
    return tuple(
        f"{item.address}: {action}"
        for item in plan.changes
        for action in item.actions
        if action in risk.actions or action not in ACTIONS
    )


def _holds(item: Excuse, now: date) -> bool:
    last = day(item.expires)
    return last is not None and now <= last


def _expired(item: Excuse) -> Finding:
    return Finding(
        "exception.expired",
        f"the exception from {item.rule} for {item.subject} by {item.owner} expired on {item.expires}",
        "Fix the finding and remove the exception, or ask the owner to extend it in policies/exceptions.yml.",
        "policies/exceptions.yml",
    )
