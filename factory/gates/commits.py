"""Commits: messages that can be read later, with the trailers by which a change is traced."""

import re

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import evaluate
from factory.policies.model import Policies

GATE = "commits"
_LONGEST = 120
_ISSUE = re.compile(r"^Issue: (\S+)", re.MULTILINE)
_UNFINISHED = re.compile(r"^(?:fixup!|squash!|amend!|wip\b|tmp\b|temp\b)", re.IGNORECASE)
_TRAILERS = ("Issue", "Spec", "Factory-Session")


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return findings for subjects that say nothing, missing trailers and merge commits."""
    change = facts.change
    if change is None:
        return Verdict(GATE, "skipped", reason="the change is not known")
    findings = []
    if not change.messages:
        findings.append(Finding("commits.none", "there is no commit with a message", "Say what the commit does."))
    bound = evaluate.bound(policies, change)
    for message in change.messages:
        subject = message.strip().splitlines()[0] if message.strip() else ""
        if len(subject) > _LONGEST:
            findings.append(
                Finding("commits.subject", f"{subject[:40]!r}… has over {_LONGEST} characters", "Shorten the subject.")
            )
        if _UNFINISHED.match(subject):
            findings.append(Finding("commits.unfinished", f"{subject[:60]!r} is not finished", "Squash or reword it."))
        lacking = [name for name in _TRAILERS if not re.search(rf"^{name}: \S", message, re.MULTILINE)]
        if bound is not None and lacking:
            findings.append(
                Finding("commits.trailer", f"{subject[:60]!r} lacks {', '.join(lacking)}", "Add the trailers.")
            )
    named = {issue for message in change.messages for issue in _ISSUE.findall(message)}
    if bound is not None and len(named) > 1:
        findings.append(Finding("commits.issue", f"commits name {len(named)} issues", "One change, one issue."))
    if change.merges:
        findings.append(Finding("commits.merge", f"{change.merges} merge commits", "Rebase instead of merging."))
    return judged(GATE, findings)
