"""Secrets: no added line, no log and no artifact of a job holds a key or token."""

from factory.checks.leaks import shapes
from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "secrets"
_MEND = "Remove it and revoke it: what was pushed is known."


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each line that has the shape of a secret; the secret itself is not repeated."""
    del policies
    if facts.change is None:
        return Verdict(GATE, "skipped", reason="the change is not known")
    findings = [
        Finding(f"secrets.{name}", f"line {number} looks like a secret ({name})", _MEND, file.path, number)
        for file in facts.change.files
        for number, line in file.lines
        for name in shapes(line)
    ]
    if facts.scanned is not None and facts.scanned.problem:
        findings.append(Finding("secrets.unsearched", facts.scanned.problem, "Make logs and artifacts smaller."))
    findings += [
        Finding(f"secrets.{item.rule}", f"line {item.line} of a job's output looks like a secret", _MEND, item.path)
        for item in (facts.scanned.problems if facts.scanned else ())
    ]
    findings += [
        Finding(f"secrets.{item.rule}", f"{item.path} holds what looks like a secret", _MEND)
        for item in (facts.history.problems if facts.history else ())
    ]
    return judged(GATE, findings)
