"""Gate `performance`: no benchmark takes much longer at the head than at the base."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "performance"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each benchmark that is slower than the threshold allows."""
    if facts.timings is None:
        return Verdict(GATE, "skipped", reason="no benchmark was measured")
    most = policies.gates.thresholds.slowdown
    findings = []
    for item in facts.timings:
        ratio = item.head / item.base if item.base > 0 else float("inf")
        if ratio > most:
            message = f"{item.name} takes {ratio:.2f} times as long as at the base; the maximum is {most:g}"
            findings.append(Finding("performance.slower", message, "Find and fix the cause."))
    if not facts.timings:
        findings.append(Finding("performance.empty", "no benchmark ran at both commits", "Keep the benchmarks."))
    return judged(GATE, findings)
