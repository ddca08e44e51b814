"""What test gates share: a suite that is missing or empty has not passed."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged


def judge_suite(gate: str, facts: Facts, *, mend: str) -> Verdict:
    """Return the verdict on the suite named like the gate: no report is skipped, an empty or failed one is failed."""
    run = facts.suite(gate)
    if run is None or run.problem:
        return Verdict(gate, "skipped", reason=run.problem if run else "the tests were not run")
    if not any(case.outcome == "success" for case in run.cases):
        return judged(
            gate, [Finding(f"{gate}.empty", "no test passed", "Run the tests; a suite without tests proves nothing.")]
        )
    findings = [
        Finding(f"{gate}.{case.outcome}", f"{case.name}: {case.message}", mend, case.path, case.line)
        for case in run.cases
        if case.outcome in {"failed", "error"}
    ]
    return judged(gate, findings)
