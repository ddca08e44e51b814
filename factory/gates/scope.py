"""Scope: an agent changes only what policy allows, and no more than it allows (policies/scope.yml)."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies
from factory.policies.paths import matches

GATE = "scope"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each path outside ``allowed`` or inside ``protected``, and for a change too large."""
    change = facts.change
    if change is None:
        return Verdict(GATE, "skipped", reason="the change is not known")
    if not change.files:
        return judged(GATE, [Finding("scope.empty", "nothing is changed", "Change what the issue asks for.")])
    rules = policies.scope
    if change.author and change.author not in rules.agents:
        return Verdict(GATE, "passed", reason=f"pushed by {change.author}, who is no agent")
    findings = []
    for file in change.files:
        protected = matches(file.path, rules.protected)
        if file.status == "S":
            message = f"{file.path} is a submodule"
            findings.append(Finding("scope.submodule", message, "Add files, not repositories.", file.path))
        elif protected:
            message = f"{file.path} is protected by {protected!r}"
            findings.append(Finding("scope.protected", message, "Leave it as it is; a person changes it.", file.path))
        elif matches(file.path, rules.allowed) is None:
            message = f"{file.path} is outside what an agent may change"
            findings.append(Finding("scope.path", message, "Undo the change of this file.", file.path))
    lines = sum(file.added + file.removed for file in change.files)
    if len(change.files) > rules.max_files or lines > rules.max_lines:
        message = f"{len(change.files)} files and {lines} lines change; at most {rules.max_files} and {rules.max_lines}"
        findings.append(Finding("scope.size", message, "Split the work into smaller issues."))
    return judged(GATE, findings)
