"""What test gates share: a suite that is missing or empty has not passed."""

from factory.model.facts import Facts, TestRun
from factory.model.verdict import Finding, Verdict, judged


def judge_suite(gate: str, facts: Facts, *, fix: str) -> Verdict:
    """Return the verdict on the suite named like the gate: no report is skipped, an empty or failed one is failed."""
    run = facts.suite(gate)
    if run is None or run.problem:
        return Verdict(gate, "skipped", reason=run.problem if run else "the tests were not run")
    if not any(case.outcome == "success" for case in run.cases):
        return judged(
            gate, [Finding(f"{gate}.empty", "no test passed", "Run the tests; a suite without tests proves nothing.")]
        )
    findings = [
        Finding(f"{gate}.{case.outcome}", f"{case.name}: {case.message}", fix, case.path, case.line)
        for case in run.cases
        if case.outcome in {"failed", "error"}
    ]
    return judged(gate, [*findings, *_exit(gate, run)])


def _exit(gate: str, run: TestRun) -> list[Finding]:
    """Return a finding where the exit code and the report contradict each other (pytest: 0 passed, 1 tests failed)."""
    failed = any(case.outcome in {"failed", "error"} for case in run.cases)
    if run.code is None or run.code == int(failed):
        return []
    message = f"the run ended with {run.code}, and its report tells of {'failures' if failed else 'none'}"
    return [Finding(f"{gate}.exit", message, "Let the whole suite run to its end.")]
