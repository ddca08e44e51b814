"""Gate `dependencies`: each new dependency is known to policy, pinned, and has an accepted licence."""

from factory.checks.dependencies import IMPORTED, SHADOWS
from factory.model.facts import Dependency, Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "dependencies"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return findings for each dependency that the change adds or alters."""
    if facts.dependencies is None:
        return Verdict(GATE, "skipped", reason="dependencies were not read")
    before, after = facts.dependencies
    known = {(item.name, item.version) for item in before}
    declared = {item.name for item in after if item.version != IMPORTED}
    return judged(
        GATE,
        [
            finding
            for item in after
            if (item.name, item.version) not in known
            for finding in _about(item, policies, declared)
        ],
    )


def _about(item: Dependency, policies: Policies, declared: set[str]) -> list[Finding]:
    rules = policies.gates.dependencies
    if item.version == IMPORTED:
        if item.name in declared or item.name in rules.known:
            return []
        message = f"{item.name} is imported but no manifest names it"
        return [
            Finding(
                "dependencies.undeclared",
                message,
                "Use a known package, or ask a person to add this one.",
                item.path,
                item.line,
            )
        ]
    if item.version == SHADOWS:
        message = f"{item.name} shadows a module of Python's standard library"
        return [Finding("dependencies.shadows", message, "Rename the module.", item.path, item.line)]
    found = []
    if item.name not in rules.known:
        fix = "Ask a person to add it with its licence to policies/gates.yml."
        found.append(Finding("dependencies.unknown", f"{item.name} is not known to policy", fix, item.path, item.line))
    elif rules.known[item.name] not in rules.licences:
        message = f"{item.name} is licensed {rules.known[item.name]}, which policy does not accept"
        found.append(Finding("dependencies.licence", message, "Use another package.", item.path, item.line))
    if not item.pinned:
        message = f"{item.name} {item.version or '(any version)'} is not pinned to one version"
        found.append(Finding("dependencies.unpinned", message, "Pin one version.", item.path, item.line))
    return found
