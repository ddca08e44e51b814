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
    findings += [
        Finding("secrets.unsearched", run.problem, fix)
        for run, fix in (
            (facts.scanned, "Make logs and artifacts smaller."),
            (facts.history, "Leave large files out of each commit, or split the change."),
        )
        if run is not None and run.problem
    ]
    findings += [
        Finding(f"secrets.{item.rule}", f"line {item.line} of a job's output looks like a secret", _FIX, item.path)
        for item in (facts.scanned.problems if facts.scanned else ())
    ]
    findings += [
        Finding(f"secrets.{item.rule}", f"{item.path} contains a line that looks like a secret", _FIX)
        for item in (facts.history.problems if facts.history else ())
    ]
    return judged(GATE, findings)
