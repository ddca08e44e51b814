"""Gate `commits`: commits have readable subjects and the trailers that tracing needs."""

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
    """Return findings for missing or unfinished subjects, missing trailers and, in an agent's change, for merges."""
    change = facts.change
    if change is None or change.problem:
        return Verdict(GATE, "skipped", reason=change.problem if change else "the change is unknown")
    findings = []
    if not change.messages:
        findings.append(Finding("commits.none", "no commit has a message", "Write a commit message."))
    bound = evaluate.bound(policies, change)
    for message in change.messages:
        subject = message.strip().splitlines()[0] if message.strip() else ""
        if len(subject) > _LONGEST:
            findings.append(
                Finding(
                    "commits.subject", f"{subject[:40]!r}… is longer than {_LONGEST} characters", "Shorten the subject."
                )
            )
        if _UNFINISHED.match(subject):
            findings.append(
                Finding("commits.unfinished", f"{subject[:60]!r} is unfinished work", "Squash or reword the commit.")
            )
        lacking = [name for name in _TRAILERS if not re.search(rf"^{name}: \S", message, re.MULTILINE)]
        if bound is not None and lacking:
            findings.append(
                Finding("commits.trailer", f"{subject[:60]!r} lacks {', '.join(lacking)}", "Add the trailers.")
            )
    named = {issue for message in change.messages for issue in _ISSUE.findall(message)}
    if bound is not None and len(named) > 1:
        findings.append(Finding("commits.issue", f"the commits name {len(named)} issues", "Split the change by issue."))
    if change.merges and bound is not None:
        findings.append(
            Finding("commits.merge", f"the change has {change.merges} merge commits", "Rebase instead of merging.")
        )
    return judged(GATE, findings)
