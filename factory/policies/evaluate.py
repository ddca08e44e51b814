"""Judges paths, changes, plans and exceptions by the policies: values in, rulings out.

Nothing here reads a file, a clock or a server, and nothing raises. What is not known, not covered by a rule or not
understood is denied.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from factory.model.facts import Change, Plan
from factory.model.verdict import Finding
from factory.policies.fields import exceptable
from factory.policies.model import Exceptions, Excuse, Policies, Risk
from factory.policies.paths import matches, odd, touches

# How to mend what a rule denies, by rule.
MENDS: Mapping[str, str] = {
    "scope.empty": "Change what the issue asks for.",
    "scope.odd-path": "Give the file a plain name.",
    "scope.submodule": "Add files, not repositories.",
    "scope.link": "Add the file itself.",
    "scope.protected": "Leave it as it is; a person changes it.",
    "scope.path": "Undo the change of this file.",
    "scope.size": "Split the work into smaller issues.",
    "plan.unreadable": "Make the plan again; read what terraform says.",
    "plan.type": "A person adds the type to policies/terraform.yml.",
    "plan.action": "Change it in place, or ask a person.",
    "plan.destroy": "Change it in place, or ask a person.",
    "plan.protected": "Change it in place; a person takes it off the protected ones first.",
    "plan.demand": "Set the attribute to what policy asks for.",
    "plan.companion": "Add the resource that policy asks for.",
    "plan.size": "Split the change.",
    "plan.destroys": "Split the change.",
    "plan.percent": "Split the change.",
}
_WIDE = 200
_JUDGE = "judge"
ACTIONS = frozenset({"create", "update", "delete", "read", "no-op", "import", "move"})
# GitLab's private commit addresses are `<id>-<account>@users.noreply.…`; what follows a plus sign is the owner's.
_ADDRESS_NUMBER = re.compile(r"^\d+-")


@dataclass(frozen=True)
class Ruling:
    """One rule's answer on one subject: allowed or denied, why, on which facts, and by policies of which digest."""

    rule: str
    allowed: bool
    reason: str
    facts: Mapping[str, Any]
    policy: str

    def to_json(self) -> dict[str, Any]:
        """Return the ruling as a JSON value."""
        return {**vars(self), "facts": dict(self.facts)}


@dataclass(frozen=True)
class AppliedRisk:
    """A risk that applies: how many must approve, what they are asked, and the paths or actions that are why."""

    name: str
    required: int
    decide: str
    because: tuple[str, ...]


@dataclass(frozen=True)
class RequiredApprovals:
    """How many approvals a merge needs, and the risks that say so."""

    approvals: int
    risks: tuple[AppliedRisk, ...]
    policy: str

    @property
    def judge_changed(self) -> bool:
        """Tell whether the change touches what judges changes."""
        return any(risk.name == _JUDGE for risk in self.risks)

    def to_json(self) -> dict[str, Any]:
        """Return what is needed as a JSON value."""
        risks = [asdict(risk) | {"because": list(risk.because)} for risk in self.risks]
        return {"approvals": self.approvals, "judge_changed": self.judge_changed, "risks": risks, "policy": self.policy}


@dataclass(frozen=True)
class ExceptionResult:
    """Findings parted by the exceptions: what stands, what is accepted, and what is wrong with exceptions."""

    kept: tuple[Finding, ...]
    excused: tuple[Finding, ...]
    expired: tuple[Finding, ...]


def allows(rulings: Sequence[Ruling]) -> bool:
    """Tell whether rulings allow; no ruling at all is a denial."""
    return bool(rulings) and all(ruling.allowed for ruling in rulings)


def bound(policies: Policies, change: Change) -> str | None:
    """Return why the agents' rules bind a change, or ``None`` where only a known person made it."""
    agents = {name.casefold() for name in policies.scope.agents}
    if not change.author:
        return "nobody is known to have pushed it"
    if change.author.casefold() in agents:
        return f"{change.author} is an agent"
    for email in change.emails:
        if _account(email) in agents:
            return f"a commit is by {email}, an agent"
    if change.branch.casefold().startswith("factory/"):
        return f"the branch {change.branch} is the factory's"
    return None


def scope(policies: Policies, made: Change) -> tuple[Ruling, ...]:
    """Return the rulings on a change by whose it is: ``scope.person`` for a person's, else those of ``change``."""
    if not made.files or bound(policies, made):
        return change(policies, made)
    facts = {"author": made.author, "emails": list(made.emails), "branch": made.branch}
    return (Ruling("scope.person", True, f"{made.author}, who is no agent, made it", facts, policies.digest),)


def path(policies: Policies, path: str, *, status: str = "M") -> Ruling:
    """Whether an agent may change a path; ``status`` is git's letter, ``S`` for a submodule, ``L`` for a link."""
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
        rule, reason = "scope.path", f"{path} is outside what an agent may change"
    else:
        facts["pattern"] = allowed
        return Ruling("scope.allowed", True, f"{path} is allowed by {allowed!r}", facts, policies.digest)
    return Ruling(rule, False, reason, facts, policies.digest)


def size(policies: Policies, files: int, lines: int) -> Ruling:
    """Return whether an agent may change so many files and lines at once."""
    most = policies.scope
    facts = {"files": files, "lines": lines, "max_files": most.max_files, "max_lines": most.max_lines}
    fits = 0 <= files <= most.max_files and 0 <= lines <= most.max_lines
    reason = f"{files} files and {lines} lines change; at most {most.max_files} and {most.max_lines}"
    return Ruling("scope.size", fits, reason, facts, policies.digest)


def change(policies: Policies, change: Change) -> tuple[Ruling, ...]:
    """Return a ruling for each file of a change and one for its size, as if an agent made it."""
    if not change.files:
        return (Ruling("scope.empty", False, "nothing is changed", {"files": 0}, policies.digest),)
    each = [path(policies, file.path, status=file.status) for file in change.files]
    # A line counts once for each 200 characters: a blob in one line is not small.
    lines = sum(file.added + file.removed + sum(len(line) // _WIDE for _, line in file.lines) for file in change.files)
    return (*each, size(policies, len(change.files), lines))


def needed(policies: Policies, change: Change | None, plans: Sequence[Plan]) -> RequiredApprovals:
    """Return how many must approve a merge, and the risks that apply.

    A change that is not known, and a path that can't be compared, take every risk with paths; a plan with a problem
    takes every risk with actions.
    """
    found = []
    for name, risk in policies.approvals.risks.items():
        because = (*_touched(risk, change), *(reason for plan in plans for reason in _taken(risk, plan)))
        if because:
            found.append(AppliedRisk(name, risk.required, risk.decide, because))
    most = max([policies.approvals.merge.required, *(risk.required for risk in found)])
    return RequiredApprovals(most, tuple(found), policies.digest)


def approved(policies: Policies, needed: RequiredApprovals, given: int) -> tuple[Ruling, ...]:
    """Return whether so many approvals are enough: for any merge, and for each risk that applies."""
    asked = [("merge", policies.approvals.merge.required, ()), *((r.name, r.required, r.because) for r in needed.risks)]
    return tuple(
        Ruling(
            f"approvals.{name}",
            given >= required,
            f"{given} of {required} approvals are given",
            {"required": required, "given": given, "because": list(because)},
            policies.digest,
        )
        for name, required, because in asked
    )


def excuse(findings: Sequence[Finding], exceptions: Exceptions, *, today: str) -> ExceptionResult:
    """Part findings by the exceptions that hold on ``today`` (``2026-12-31``).

    An excused finding says in ``fix`` who accepts it, until when and why. An exception past its date excuses nothing
    and is a finding itself; so is every day that can't be read, where there are exceptions.
    """
    accepted = exceptions.exceptions
    now = day(today)
    if now is None:
        unread = Finding(
            "exception.no-date",
            f"{len(accepted)} exceptions are of no use: {today!r} is no day",
            "Judge with a date, such as 2026-12-31.",
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
    """Return the day that a text such as ``2026-12-31`` names, or ``None``."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _account(email: str) -> str:
    local = email.strip().removeprefix("<").rpartition("@")[0] or email
    return _ADDRESS_NUMBER.sub("", local.partition("+")[0]).strip().casefold()


def _touched(risk: Risk, change: Change | None) -> tuple[str, ...]:
    if not risk.paths:
        return ()
    if change is None:
        return ("the change is not known",)
    return tuple(file.path for file in change.files if odd(file.path) or touches(file.path, risk.paths) is not None)


def _taken(risk: Risk, plan: Plan) -> tuple[str, ...]:
    if not risk.actions:
        return ()
    if plan.problem:
        return (f"the plan is not readable: {plan.problem}",)
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
        f"the exception from {item.rule} for {item.subject} ended on {item.expires}; {item.owner} accepted it",
        "Mend what it excused, or let its owner decide anew in policies/exceptions.yml.",
        "policies/exceptions.yml",
    )
