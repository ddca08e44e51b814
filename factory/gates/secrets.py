"""Gate `secrets`: no added line, job log or artifact contains a key or token."""

from factory.checks.leaks import shapes
from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "secrets"
_FIX = "Remove the secret and revoke it: a pushed secret is no longer secret."


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each line that looks like a secret; no finding contains the secret."""
    del policies
    if facts.change is None:
        return Verdict(GATE, "skipped", reason="the change is unknown")
    findings = [
        Finding(f"secrets.{name}", f"line {number} looks like a secret ({name})", _FIX, file.path, number)
        for file in facts.change.files
        for number, line in file.lines
        for name in shapes(line)
    ]
    if facts.scanned is not None and facts.scanned.problem:
        findings.append(Finding("secrets.unsearched", facts.scanned.problem, "Make logs and artifacts smaller."))
    findings += [
        Finding(f"secrets.{item.rule}", f"line {item.line} of a job's output looks like a secret", _FIX, item.path)
        for item in (facts.scanned.problems if facts.scanned else ())
    ]
    findings += [
        Finding(f"secrets.{item.rule}", f"{item.path} contains a line that looks like a secret", _FIX)
        for item in (facts.history.problems if facts.history else ())
    ]
    return judged(GATE, findings)
