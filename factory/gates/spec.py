"""Gate `spec`: the change names a decided and clear spec, and its tests cite requirements that exist."""

from factory.model.facts import Facts, SpecFacts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import apps as app_files
from factory.policies import evaluate
from factory.policies.model import Policies

GATE = "spec"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return findings for a missing, undecided or unclear spec, and for tests that cite missing requirements."""
    spec = facts.spec
    if spec is None:
        return Verdict(GATE, "skipped", reason="the spec was not looked up")
    if spec.small:
        return _small(spec, facts, policies)
    if spec.unnamed and _persons_outside_apps(facts, policies):
        return Verdict(GATE, "passed", reason="a person's change outside the apps needs no spec")
    if spec.problem:
        fix = "Name exactly one spec of specs/ in a trailer `Spec: <id>`."
        return judged(GATE, [Finding("spec.missing", spec.problem, fix)])
    findings = []
    if spec.status != "decided":
        message = f"spec {spec.id} is {spec.status}"
        findings.append(Finding("spec.undecided", message, "Ask a person to set its status to `decided`."))
    if spec.findings:
        message = f"spec {spec.id} has {spec.findings} lint findings"
        findings.append(Finding("spec.unclear", message, "Ask a person to fix what `factory spec lint` finds."))
    findings += _orphans(spec, facts)
    return judged(GATE, findings, flags=_unproven(spec, facts))


def _persons_outside_apps(facts: Facts, policies: Policies) -> bool:
    if facts.change is None or evaluate.bound(policies, facts.change) is not None:
        return False
    # What an app needs of the infrastructure, its hostnames, is no requirement of a spec.
    paths = [file.path for file in facts.change.files if not app_files.PATH.fullmatch(file.path)]
    return not any(policies.apps.paths.owns(path) for path in paths)


def _small(spec: SpecFacts, facts: Facts, policies: Policies) -> Verdict:
    most = policies.scope.small_lines
    lines = sum(file.added + file.removed for file in facts.change.files) if facts.change else most + 1
    message = f"{lines} lines change; the maximum for an issue without a spec is {most}"
    findings = [Finding("spec.small", message, "Write a spec, or change less.")] if lines > most else []
    return judged(
        GATE,
        findings,
        flags=(Finding("spec.none", f"{spec.small} names no spec", "Compare the change with the issue."),),
    )


def _orphans(spec: SpecFacts, facts: Facts) -> list[Finding]:
    """Return a finding for each test in a changed file that cites a missing requirement of this spec."""
    prefixes = {name.rsplit("-", 1)[0] for name, _ in spec.requirements}
    known = {name for name, _ in spec.requirements}
    changed = {file.path for file in facts.change.files} if facts.change else set()
    return [
        Finding(
            "spec.orphan",
            f"{test.name} cites {cited}, which is not in the spec",
            "Correct the id.",
            test.path,
            test.line,
        )
        for test in facts.after or ()
        if test.path in changed
        for cited in test.requirements
        if cited.rsplit("-", 1)[0] in prefixes and cited not in known
    ]


def _unproven(spec: SpecFacts, facts: Facts) -> tuple[Finding, ...]:
    cited = {name for test in facts.after or () for name in test.requirements}
    fix = "Check whether the requirement matters to this change."
    return tuple(
        Finding("spec.unproven", f"no test cites {name}", fix, f"specs/{spec.id}.md")
        for name, _ in spec.requirements
        if facts.after is not None and name not in cited and not any(case.cites(name) for case in facts.own_cases())
    )
