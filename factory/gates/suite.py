"""Judges test suites for the gates `unit` and `contract`."""

from factory.model.facts import Facts, TestRun
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies


def judge_suite(gate: str, facts: Facts, policies: Policies, *, fix: str) -> Verdict:
    """Return the verdict on the suite of a gate: skipped without a report, failed if a test failed or none passed."""
    run = facts.suite(gate)
    if run is None or run.problem:
        return Verdict(gate, "skipped", reason=run.problem if run else "the tests were not run")
    findings = [
        Finding(f"{gate}.{case.outcome}", f"{case.name}: {case.message}", fix, case.path, case.line)
        for case in run.cases
        if case.outcome in {"failed", "error"}
    ]
    if not any(case.outcome == "success" for case in run.cases) and not _no_app(facts, policies):
        empty = Finding(f"{gate}.empty", "no test passed", "Add or run tests; an empty suite proves nothing.")
        return judged(gate, [*findings, empty])
    return judged(gate, [*findings, *_exit(gate, run)])


def _no_app(facts: Facts, policies: Policies) -> bool:
    """Return whether no app has a test, before and after a change that touches no app: so a repository begins."""
    if facts.change is None or facts.before != () or facts.after != ():
        return False
    return not any(policies.apps.paths.owns(file.path) for file in facts.change.files)


def _exit(gate: str, run: TestRun) -> list[Finding]:
    """Return a finding if the exit code contradicts the report (pytest: 0 all passed, 1 tests failed)."""
    failed = any(case.outcome in {"failed", "error"} for case in run.cases)
    if run.code is None or run.code == int(failed):
        return []
    message = f"the run exited with {run.code}, but its report has {'failures' if failed else 'no failures'}"
    return [Finding(f"{gate}.exit", message, "Make the whole suite run to its end.")]
