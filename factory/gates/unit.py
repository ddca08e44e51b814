"""Gate `unit`: all tests ran and passed, they cover the changed lines, and none was removed, skipped or weakened.

The test report is self-reported by the merge request; the judge compares it with the tests in the sources.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from factory.gates.suite import judge_suite
from factory.gates.tool import for_agents
from factory.model.app_paths import APPS, AppPaths
from factory.model.facts import EXIT_CODE, Change, CitedTest, Coverage, Facts, TestRun
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "unit"
_SHOWN = 10
_RUNNER = re.compile(
    r"\batexit\b|\bsys\.argv\b|\bos\._exit\b|\b_pytest\b|\bpytest_plugins\b|\bdef pytest_\w+|\bjunitxml\b"
)
# Files of tests in other languages, by the names that their runners look for. What other Python is code, policy says.
_TESTS = re.compile(r"/(?:tests?|__tests__)/|[._](?:test|spec)\.\w+$|\.py$")


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return findings for tests that failed, did not run or got weaker, and for changed lines that no test runs."""
    if facts.change and facts.change.problem:
        return Verdict(GATE, "skipped", reason=facts.change.problem)
    verdict = judge_suite(GATE, facts, policies, fix="Fix the code, or fix the test if it contradicts the spec.")
    if verdict.result == "skipped":
        return verdict
    run, apps = _of_sources(facts), policies.apps.paths
    after = [test for test in facts.after or () if not is_contract(test)]
    found = [*verdict.findings, *_unreported(facts), *_unrun(run, after, facts.change, policies.apps.unrun)]
    found += _uncovered(facts.change, facts.coverage, policies.gates.thresholds.changed_lines_covered, apps)
    weaker = _weaker([test for test in facts.before or () if not is_contract(test)], after)
    weaker += [*_skipped(run, after), *_unreached(facts.change, facts.coverage, after)]
    weaker += [*_tampering(facts.change, apps), *_other_command(facts), *_fewer(facts)]
    return for_agents(judged(GATE, found, flags=_reported(facts)), policies, facts.change, weaker)


def _of_sources(facts: Facts) -> TestRun:
    """Return the cases whose tests are in the sources that the judge reads."""
    run, own = facts.suite(GATE) or TestRun(), dict(facts.own_after)
    return replace(run, cases=tuple(case for case in run.cases if case.app not in own))


def _unreported(facts: Facts) -> list[Finding]:
    """Return a finding for each app with tests of its own of which none passed."""
    passed = {case.app for case in facts.own_cases() if case.outcome == "success"}
    return [
        Finding("unit.empty", f"no test of {app} passed", f"Make the command run tests: {told}", f"{APPS}{app}")
        for app, told in facts.own_after
        if app not in passed
    ]


def _reported(facts: Facts) -> tuple[Finding, ...]:
    """Return what a person must know of tests whose sources are not read."""
    found = []
    for app, told in facts.own_after:
        cases = [case for case in facts.own_cases() if case.app == app]
        alone = len(cases) == 1 and cases[0].name.endswith(EXIT_CODE)
        skipped = sum(case.outcome == "skipped" for case in cases)
        known = "by their exit code alone" if alone else f"by their report alone: {len(cases)}, {skipped} skipped"
        compared = ", compared with the one before the change" if app in facts.own_touched and not alone else ""
        message = f"the tests of {app} are known {known}{compared}; they run by {told}"
        found.append(Finding("unit.reported", message, "Read what changed in them.", f"{APPS}{app}"))
    return tuple(found)


def _fewer(facts: Facts) -> list[Finding]:
    """Return findings for tests of an app's own that passed before the change, and no longer run or count."""
    found = []
    for app in facts.own_touched:
        before = [case for case in facts.own_base.cases if case.app == app]
        after = [case for case in facts.own_cases() if case.app == app]
        place = f"{APPS}{app}"
        if not before:
            message = f"no report says what the tests of {app} did before the change"
            found.append(Finding("unit.unrun", message, "Let the job `unit` run them.", place))
        passed = [case.name for case in before if case.outcome == "success"]
        skipped = sorted({case.name for case in after if case.outcome == "skipped"} & set(passed))
        found += [Finding("unit.skipped", f"{name} was skipped", "Make it run.", place) for name in skipped[:_SHOWN]]
        ids = [""] + [requirement for requirement, _ in (facts.spec.requirements if facts.spec else ())]
        for requirement in ids:
            was, now = (sum(not requirement or case.cites(requirement) for case in cases) for cases in (before, after))
            if now < was:
                message = f"{was - now} fewer tests of {app} for {requirement or 'all requirements together'}"
                found.append(
                    Finding("unit.deleted", message, "Restore the tests; only a person may remove them.", place)
                )
    return found


def _other_command(facts: Facts) -> list[Finding]:
    """Return a finding for each app whose tests run otherwise than before."""
    before, after = dict(facts.own_before), dict(facts.own_after)
    return [
        Finding(
            "unit.command",
            f"the tests of {app} ran by {before.get(app) or 'what policy names'}, "
            f"and now by {after.get(app) or 'what policy names'}",
            "Only a person may change how tests run.",
            f"{APPS}{app}",
        )
        for app in sorted(before.keys() | after.keys())
        if before.get(app) != after.get(app)
    ]


def is_contract(test: CitedTest) -> bool:
    """Return whether a test is a contract test; these run in the suite `contract`."""
    return "/tests/contract/" in f"/{test.path}"


def case_name(test: CitedTest) -> str:
    """Return the name of a test in a JUnit report: its path as a module, and its function."""
    return f"{_module(test.path)}.{test.name}"


def _unrun(run: TestRun, after: Sequence[CitedTest], change: Change | None, left_out: Sequence[str]) -> list[Finding]:
    """Return findings for tests that only the sources or only the report contains.

    ``left_out`` are the tests that policy lets the suite leave out. In a file that the change leaves alone, a test that
    only the report has is an inherited or generated one.
    """
    seen = {case.name.split("[", 1)[0] for case in run.cases}
    held = {case_name(test) for test in after}
    changed = {file.path for file in (change.files if change else ())}
    settled = {_module(test.path) for test in after if test.path not in changed}
    # A module that skips itself has a case of its own, in place of those of its tests.
    skipping = settled & {case.name for case in run.cases if case.outcome == "skipped"}
    missing = [
        test
        for test in after
        if case_name(test) not in seen
        and _module(test.path) not in skipping
        and not any(fnmatchcase(f"{test.path}::{test.name}", pattern) for pattern in left_out)
    ]
    fix = "Run the whole suite, or let a person list the test in `unrun` of policies/apps.yml."
    found = [Finding("unit.unrun", f"{test.name} is not in the report", fix, test.path, test.line) for test in missing]
    strange = sorted(
        name
        for name in seen - held - settled
        if ".tests." in f".{name}" and ".contract." not in name and not _within(name, settled)
    )
    found += [
        Finding("unit.unknown", f"the report names {name[:200]}, which is not in the sources", fix)
        for name in strange[:_SHOWN]
    ]
    return found


def _module(path: str) -> str:
    """Return the name that a JUnit report gives to a file of tests."""
    return path.removesuffix(".py").replace("/", ".")


def _within(name: str, modules: Collection[str]) -> bool:
    """Return whether a case is of one of the modules, whatever classes it is in."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in modules for count in range(1, len(parts)))


def _weaker(before: Sequence[CitedTest], after: Sequence[CitedTest]) -> list[Finding]:
    """Return findings for removed or weakened tests; assertions may move between tests of one requirement."""
    found = []
    now = {(test.path, test.name): test for test in after}
    was = {(test.path, test.name): test for test in before}
    counts = _counts(after)
    for lost, total in (_counts(before) - counts).items():
        kind, requirement = lost
        what = f"{total} fewer {kind} for {requirement or 'tests without a requirement'}"
        fix = "Restore the tests; only a person may remove them."
        path, line = _place(requirement, kind, before, now)
        found.append(Finding("unit.deleted" if kind == "tests" else "unit.weakened", what, fix, path, line))
    for key, test in now.items():
        if test.skipped and not (key in was and was[key].skipped):
            found.append(
                Finding("unit.skipped", f"{test.name} may be skipped", "Remove the skip.", test.path, test.line),
            )
        if not test.asserts and not (key in was and not was[key].asserts):
            found.append(
                Finding(
                    "unit.hollow",
                    f"{test.name} asserts nothing",
                    "Assert what the spec requires.",
                    test.path,
                    test.line,
                )
            )
    return found


def _skipped(run: TestRun, after: Sequence[CitedTest]) -> list[Finding]:
    """Return findings for tests that the report lists as skipped but whose sources contain no skip."""
    places = {case_name(test): test for test in after if not test.skipped}
    names = sorted({case.name.split("[", 1)[0] for case in run.cases if case.outcome == "skipped"} & places.keys())
    return [
        Finding("unit.skipped", f"{name} was skipped", "Make it run.", places[name].path, places[name].line)
        for name in names
    ]


def _unreached(change: Change | None, coverage: Coverage | None, after: Sequence[CitedTest]) -> list[Finding]:
    """Return findings for assertions in changed tests that the run did not execute."""
    changed = {file.path for file in (change.files if change else ())}
    missing = dict(coverage.missing) if coverage else {}
    return [
        Finding(
            "unit.unreached", f"{test.name} never reaches this assertion", "Make the test reach it.", test.path, line
        )
        for test in after
        if test.path in changed and not test.skipped
        for line in test.lines
        if line in missing.get(test.path, ())
    ]


def _tampering(change: Change | None, apps: AppPaths) -> list[Finding]:
    """Return findings for added lines that use the test runner's internals and could forge its report."""
    fix = "Do not use the test runner's internals."
    return [
        Finding("unit.tampers", f"{found.group()!r} uses the test runner's internals", fix, file.path, number)
        for file in (change.files if change else ())
        if apps.owns(file.path) and file.path.endswith(".py")
        for number, line in file.lines
        if (found := _RUNNER.search(line))
    ]


def _counts(tests: Sequence[CitedTest]) -> Counter[tuple[str, str]]:
    """Return the number of tests and assertions for each requirement, and for tests without one."""
    counts: Counter[tuple[str, str]] = Counter()
    for test in tests:
        for requirement in test.requirements or ("",):
            counts["tests", requirement] += 1
            counts["assertions", requirement] += test.asserts
    return counts


def _place(
    requirement: str, kind: str, before: Sequence[CitedTest], now: dict[tuple[str, str], CitedTest]
) -> tuple[str, int]:
    """Return the place of a loss: the first test of the requirement that is gone or asserts less."""
    for test in before:
        current = now.get((test.path, test.name))
        if requirement in (test.requirements or ("",)) and (current is None or current.asserts < test.asserts):
            return test.path, test.line if current is None and kind == "tests" else getattr(current, "line", test.line)
    return "", 0


def _uncovered(change: Change | None, coverage: Coverage | None, least: int, apps: AppPaths) -> list[Finding]:
    """Return a finding if tests run less than ``least`` percent of the changed source lines."""
    reported = {path for path, _ in coverage.executed} if coverage else set()
    files = [
        file
        for file in (change.files if change else ())
        if file.lines and (_measured(file.path, apps) or (file.path in reported and not _TESTS.search(file.path)))
    ]
    if not files:
        return []
    if coverage is None or coverage.problem:
        reason = coverage.problem if coverage else "coverage was not measured"
        return [Finding("unit.coverage-unknown", reason, "Run the tests with coverage.")]
    executed, missing = dict(coverage.executed), dict(coverage.missing)
    ran, missed = 0, []
    for file in files:
        numbers = {number for number, _ in file.lines}
        if file.path not in executed:
            missed += [(file.path, number) for number, line in file.lines if line.strip()]
            continue
        ran += len(numbers & set(executed[file.path]))
        missed += [(file.path, number) for number in sorted(numbers & set(missing[file.path]))]
    total = ran + len(missed)
    percent = 100 if not total else 100 * ran // total
    if percent >= least:
        return []
    shown = ", ".join(f"{path}:{number}" for path, number in missed[:_SHOWN])
    more = f" and {len(missed) - _SHOWN} more" if len(missed) > _SHOWN else ""
    message = f"tests run {percent} % of the changed lines; the minimum is {least} %; not run: {shown}{more}"
    return [Finding("unit.uncovered", message, "Add tests that run these lines.", *missed[0])]


def _measured(path: str, apps: AppPaths) -> bool:
    return apps.is_code(path) and path.endswith(".py")
