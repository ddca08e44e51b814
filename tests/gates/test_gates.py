"""Each gate on facts: what passes, what fails with which rule, what is skipped."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from factory.checks.dependencies import IMPORTED
from factory.errors import InvalidInput
from factory.gates import GATES
from factory.gates.run import decide, requirements
from factory.model.child_pipeline import ChildPipeline
from factory.model.facts import (
    EXIT_CODE,
    Change,
    ChangedFile,
    CitedTest,
    Coverage,
    Dependency,
    Facts,
    Origin,
    Plan,
    PlannedChange,
    SessionEvidence,
    SpecFacts,
    TestCase,
    TestRun,
    Timing,
)
from factory.model.tool_run import Problem, ToolRun
from factory.model.verdict import ProvenRequirement, TestOutcome
from factory.policies import read
from factory.policies.model import Policies
from tests.servers import ROOT

REST = "\nthresholds: {changed_lines_covered: 90, slowdown: 2.0}\ndependencies: {known: {}, licences: [MIT]}"


def policies(**changes: str) -> Policies:
    files = {f"policies/{path.name}": path.read_bytes() for path in (ROOT / "policies").glob("*.yml")}
    return read.read(files | {f"policies/{name}.yml": text.encode() for name, text in changes.items()})


def change(*paths: str, line: str = "x = 1", lines: int = 1) -> Change:
    return Change("b", "h", tuple(ChangedFile(path, "M", lines, 0, ((3, line),)) for path in paths))


def suite(*outcomes: str) -> TestRun:
    return TestRun(tuple(TestCase(f"t{n}", outcome, "why", "a.py", 4) for n, outcome in enumerate(outcomes)))


def plan(*changes: PlannedChange) -> Plan:
    return Plan("production", "sha256:0", changes)


ZONE = PlannedChange("cloudflare_zone.this", "cloudflare_zone", ("update",))
SOURCE = "apps/hello/src/hello.py"
TEST = CitedTest("apps/hello/tests/test_hello.py", "test_a", 4, ("HELLO-1",), 2)
RAN = TestRun((TestCase("apps.hello.tests.test_hello.test_a[one]", "success"),))
COVERED = Coverage(((SOURCE, (3,)),), ((SOURCE, ()),))
MESSAGE = "Greet\n\nIssue: #1\nSpec: hello\nFactory-Session: s"
CHANGE = replace(change(SOURCE), messages=(MESSAGE,), origin=Origin("factory-agent", branch="factory/1-s"))
GOOD = Facts(
    date="2026-11-20",
    change=CHANGE,
    spec=SpecFacts("hello", "decided", "sha256:0", requirements=(("HELLO-1", "sha256:1"),)),
    tests=(("unit", RAN), ("contract", suite("success"))),
    before=(TEST,),
    after=(TEST,),
    coverage=COVERED,
    lint=ToolRun(),
    types=ToolRun(),
    security=ToolRun(),
    scanned=ToolRun(),
    dependencies=((), ()),
    timings=(Timing("greet", 1.0, 1.1),),
    recorded=SessionEvidence(claim=True, attempt=True),
    plans=(plan(ZONE),),
    own_pipeline=ChildPipeline("success"),
)
PERSON = replace(GOOD, change=replace(CHANGE, origin=Origin("operator", ("operator",), "mine")))
UNNAMED = SpecFacts(problem="the commits name no spec", unnamed=True)
PROBLEM = ToolRun((Problem("F401", SOURCE, 3, "unused"),))


def changed(**facts: Any) -> Facts:
    return replace(GOOD, **facts)


def altered(**of_the_change: Any) -> Facts:
    return replace(GOOD, change=replace(CHANGE, **of_the_change))


def with_own(*outcomes: str, told: str = "npm test") -> Facts:
    """Return good facts of a repository whose app `web` has tests of its own, which nothing but their report tells."""
    cases = [TestCase(f"com.tests.t{n} HELLO-1", outcome, app="web") for n, outcome in enumerate(outcomes)]
    own = (("web", told),)
    return changed(tests=(("unit", TestRun((*RAN.cases, *cases))),), own_before=(("web", "npm test"),), own_after=own)


def touched(before: Sequence[str], after: Sequence[str], *, names: str = "abc") -> Facts:
    """Return facts of a change of the app `web`, whose own tests had and have these outcomes."""
    was, now = (
        tuple(TestCase(f"{name} HELLO-1", outcome, app="web") for name, outcome in zip(names, outcomes, strict=False))
        for outcomes in (before, after)
    )
    files = (*CHANGE.files, *change("apps/web/a.js").files)
    return replace(
        with_own("success"),
        change=replace(CHANGE, files=files),
        tests=(("unit", TestRun((*RAN.cases, *now))),),
        own_base=TestRun(was),
    )


def cookie(name: str) -> tuple[ChangedFile, ...]:
    return (ChangedFile(SOURCE, "M", 1, 0, ((1, f"# -*- coding: {name} -*-"),)),)


def package(name: str, version: str = "==1.0", *, pinned: bool = True) -> Facts:
    return changed(dependencies=((), (Dependency(name, version, "apps/hello/requirements.txt", 1, pinned),)))


def test_tests_that_an_app_runs_itself_are_told_to_a_person() -> None:
    verdict = GATES["unit"](with_own("success", "success", "skipped"), policies())
    assert (verdict.result, [flag.rule for flag in verdict.flags]) == ("passed", ["unit.reported"])
    assert "the tests of web are known by their report alone: 3, 1 skipped; they run by npm test" in str(verdict.flags)
    alone = changed(
        tests=(("unit", TestRun((*RAN.cases, TestCase(f"npm test {EXIT_CODE}", "success", app="web")))),),
        own_before=(("web", "npm test"),),
        own_after=(("web", "npm test"),),
    )
    assert "known by their exit code alone" in str(GATES["unit"](alone, policies()).flags)


def test_reports_before_and_after_are_compared_for_agents_and_shown_to_people() -> None:
    assert GATES["unit"](touched(["success"], ["success", "success"]), policies()).result == "passed"
    fewer = touched(["success", "failed"], ["success"])
    failed = GATES["unit"](fewer, policies())
    assert {(item.rule, item.message) for item in failed.findings} == {
        ("unit.deleted", "1 fewer tests of web for all requirements together"),
        ("unit.deleted", "1 fewer tests of web for HELLO-1"),
    }
    assert "compared with the one before the change" in str(failed.flags)
    assert fewer.change
    theirs = replace(fewer, change=replace(fewer.change, origin=Origin("operator", ("operator",), "mine")))
    verdict = GATES["unit"](theirs, policies())
    assert (verdict.result, sorted({flag.rule for flag in verdict.flags})) == (
        "passed",
        ["unit.deleted", "unit.reported"],
    )


def test_a_case_names_its_requirement() -> None:
    found = with_own("success", "failed")
    without = replace(found, after=(), before=())
    assert GATES["spec"](without, policies()).flags == ()
    (proven,) = requirements(without)
    assert (proven.result, [test.outcome for test in proven.tests]) == ("failed", ["success", "failed"])
    assert not TestCase("HELLO-10 and X-HELLO-1", "success").cites("HELLO-1")
    assert TestCase("a", "success", requirements=("HELLO-1",)).cites("HELLO-1")


def test_a_person_may_merge_a_history() -> None:
    theirs = replace(PERSON, change=replace(PERSON.change or CHANGE, merges=1))
    assert GATES["commits"](theirs, policies()).result == "passed"


@pytest.mark.parametrize("gate", GATES)
def test_good_facts_pass_and_none_are_skipped(gate: str) -> None:
    assert GATES[gate](GOOD, policies()).result == "passed"
    assert GATES[gate](PERSON, policies()).result == "passed"
    assert GATES[gate](Facts(), policies()).result == "skipped"


@pytest.mark.parametrize(
    ("gate", "facts", "rule"),
    [
        ("scope", Facts(change=change()), "scope.empty"),
        ("scope", Facts(change=change(".gitlab-ci.yml")), "scope.protected"),
        ("scope", Facts(change=change("factory/gates/scope.py")), "scope.path"),
        ("scope", Facts(change=change("apps/hello/openapi.yml")), "scope.protected"),
        ("scope", Facts(change=change("apps/hello/tests/contract/test_contract.py")), "scope.protected"),
        ("scope", Facts(change=change("specs/hello.md")), "scope.protected"),
        ("scope", Facts(change=change("apps/hello/tests/conftest.py")), "scope.protected"),
        ("scope", Facts(change=change("apps/.gitattributes")), "scope.protected"),
        ("scope", Facts(change=change("apps/x/.git/config")), "scope.protected"),
        ("scope", Facts(change=change("apps/pytest.ini")), "scope.protected"),
        ("scope", Facts(change=Change("b", "h", (ChangedFile("apps/x", "S", 1, 0),))), "scope.submodule"),
        ("scope", Facts(change=change("apps/a", lines=900)), "scope.size"),
        ("scope", Facts(change=change(*(f"apps/{n}" for n in range(50)))), "scope.size"),
        ("secrets", Facts(change=change("apps/a", line="-----BEGIN RSA PRIVATE KEY-----")), "secrets.private-key"),
        ("secrets", Facts(change=change("apps/a", line="t = 'glpat-abcdefghijklmnop12'")), "secrets.gitlab-token"),
        (
            "secrets",
            Facts(change=change("apps/a", line='password = "correct-horse-battery"')),
            "secrets.assigned-secret",
        ),
        ("spec", Facts(spec=SpecFacts(problem="none")), "spec.missing"),
        ("spec", Facts(spec=SpecFacts("hello", "draft")), "spec.undecided"),
        ("spec", replace(PERSON, spec=UNNAMED), "spec.missing"),
        (
            "spec",
            changed(spec=UNNAMED, change=replace(CHANGE, files=change("policies/gates.yml").files)),
            "spec.missing",
        ),
        ("scope", replace(PERSON, trust=("the key laptop is removed",)), "scope.trust"),
        ("scope", changed(trust=("the key laptop is removed",)), "scope.trust"),
        ("unit", Facts(tests=(("unit", suite("success", "failed")),)), "unit.failed"),
        ("unit", Facts(tests=(("unit", suite("success", "error")),)), "unit.error"),
        ("unit", Facts(tests=(("unit", suite()),)), "unit.empty"),
        ("unit", Facts(tests=(("unit", suite("skipped")),)), "unit.empty"),
        ("contract", Facts(tests=(("contract", suite("failed")),)), "contract.empty"),
        ("own_pipeline", Facts(own_pipeline=ChildPipeline()), "own_pipeline.not_created"),
        ("own_pipeline", Facts(own_pipeline=ChildPipeline("failed", ("a",), "http://x")), "own_pipeline.failed"),
        ("own_pipeline", Facts(own_pipeline=ChildPipeline("canceled")), "own_pipeline.failed"),
        ("plan", Facts(plans=(plan(PlannedChange("x.y", "null_resource", ("create",))),)), "plan.type"),
        ("plan", Facts(plans=(plan(PlannedChange("z", "cloudflare_zone", ("delete", "create"))),)), "plan.protected"),
        ("plan", Facts(plans=(plan(*[ZONE] * 21),)), "plan.size"),
        ("secrets", changed(scanned=ToolRun((Problem("jwt", "unit/log.txt", 9, ""),))), "secrets.jwt"),
        ("secrets", changed(scanned=ToolRun(problem="too large")), "secrets.unsearched"),
        ("secrets", changed(history=ToolRun(problem="too large")), "secrets.unsearched"),
        ("scope", changed(change=replace(CHANGE, files=(), problem="too large")), "scope.unread"),
        ("scope", replace(PERSON, change=Change("b", "h", (), origin=Origin("you"), problem="x")), "scope.unread"),
        ("spec", changed(spec=SpecFacts("hello", "decided", findings=2)), "spec.unclear"),
        ("spec", changed(spec=SpecFacts("small", small="#1"), change=change("apps/a", lines=31)), "spec.small"),
        ("spec", changed(after=(replace(TEST, path=SOURCE, requirements=("HELLO-9",)),)), "spec.orphan"),
        ("unit", changed(after=(TEST, replace(TEST, name="test_b"))), "unit.unrun"),
        ("unit", with_own("failed"), "unit.failed"),
        ("unit", with_own("skipped"), "unit.empty"),
        ("unit", with_own(), "unit.empty"),
        ("unit", with_own("success", told="true"), "unit.command"),
        ("unit", touched(["success", "success"], ["success"]), "unit.deleted"),
        ("unit", touched(["success", "success"], ["success", "skipped"]), "unit.skipped"),
        ("unit", touched([], ["success"]), "unit.unrun"),
        ("unit", replace(with_own("success"), own_after=()), "unit.command"),
        ("unit", changed(tests=(("unit", TestRun((*RAN.cases, TestCase("a.tests.x", "success")))),)), "unit.unknown"),
        ("unit", changed(before=(TEST, replace(TEST, name="test_b"))), "unit.deleted"),
        ("unit", changed(after=(replace(TEST, asserts=1),)), "unit.weakened"),
        ("unit", changed(after=(replace(TEST, requirements=()),)), "unit.deleted"),
        ("unit", changed(after=(replace(TEST, skipped=True),)), "unit.skipped"),
        ("unit", changed(before=(), after=(replace(TEST, asserts=0),)), "unit.hollow"),
        ("unit", changed(coverage=Coverage(((SOURCE, ()),), ((SOURCE, (3,)),))), "unit.uncovered"),
        ("unit", changed(coverage=Coverage()), "unit.uncovered"),
        ("unit", changed(coverage=Coverage(problem="none")), "unit.coverage-unknown"),
        ("types", changed(types=PROBLEM), "types.f401"),
        ("types", changed(types=ToolRun(problem="no mypy")), "types.not-run"),
        ("lint", changed(lint=PROBLEM), "lint.f401"),
        ("lint", altered(files=change(SOURCE, line="x = 1  # noqa").files), "lint.suppressed"),
        ("lint", altered(files=change(SOURCE, line="x = 1  # type:ignore[x]").files), "lint.suppressed"),
        ("security", changed(security=PROBLEM), "security.f401"),
        ("scope", altered(files=cookie("unicode_escape")), "scope.encoding"),
        ("scope", altered(files=cookie("utf-7")), "scope.encoding"),
        ("scope", altered(files=change(SOURCE, line="x = 1  # \u202e").files), "scope.hidden"),
        ("scope", altered(files=(ChangedFile("apps/x", "L", 1, 0),)), "scope.link"),
        ("scope", altered(files=(ChangedFile("apps/x", "A", 0, 0, binary=True),)), "scope.binary"),
        ("security", altered(files=change(SOURCE, line="runpy.run_path(x)").files), "security.loads"),
        ("unit", changed(tests=(("unit", replace(RAN, code=1)),)), "unit.exit"),
        ("contract", changed(tests=(("contract", replace(suite("success"), code=3)),)), "contract.exit"),
        ("unit", altered(files=change(SOURCE, line="import atexit").files), "unit.tampers"),
        ("types", altered(files=change(SOURCE, line="x: Any = y").files), "types.any"),
        ("commits", altered(messages=(MESSAGE, MESSAGE.replace("#1", "#2"))), "commits.issue"),
        ("plan", changed(plans=(replace(plan(ZONE), commit="other"),)), "plan.stale"),
        ("plan", changed(plans=(replace(plan(ZONE), stack="other"),)), "plan.stack"),
        ("plan", changed(plans=(Plan("", "", problem="gone"),)), "plan.unreadable"),
        ("plan", replace(altered(files=change("terraform/live/production/a.tf").files), plans=()), "plan.missing"),
        ("dependencies", package("left-pad"), "dependencies.unknown"),
        ("dependencies", package("left-pad", ">=1", pinned=False), "dependencies.unpinned"),
        ("dependencies", package("left-pad", IMPORTED), "dependencies.undeclared"),
        ("commits", altered(messages=()), "commits.none"),
        ("commits", altered(messages=("x" * 200,)), "commits.subject"),
        ("commits", altered(messages=("fixup! x",)), "commits.unfinished"),
        ("commits", altered(messages=("Greet",)), "commits.trailer"),
        ("commits", altered(merges=1), "commits.merge"),
        ("up_to_date", altered(behind=2), "up_to_date.behind"),
        ("evidence", changed(recorded=SessionEvidence(attempt=True)), "evidence.claim"),
        ("evidence", changed(recorded=SessionEvidence(claim=True)), "evidence.attempt"),
        ("performance", changed(timings=(Timing("greet", 1.0, 2.0),)), "performance.slower"),
        ("performance", changed(timings=()), "performance.empty"),
    ],
)
def test_what_each_gate_refuses(gate: str, facts: Facts, rule: str) -> None:
    verdict = GATES[gate](facts, policies())
    assert verdict.result == "failed"
    assert rule in {finding.rule for finding in verdict.findings}
    assert all(finding.fix for finding in verdict.findings)


def test_scope_binds_agents_and_not_people() -> None:
    touched = change("specs/hello.md")
    assert GATES["scope"](Facts(change=replace(touched, origin=Origin("operator"))), policies()).result == "passed"
    assert GATES["scope"](Facts(change=replace(touched, origin=Origin("factory-agent"))), policies()).result == "failed"


def test_a_licence_that_policy_does_not_accept() -> None:
    rest = REST.replace("known: {}", "known: {left-pad: GPL-3.0-only}")
    rules = policies(gates="gates: {dependencies: {where: local, required: true}}\nchecks: {}" + rest)
    verdict = GATES["dependencies"](package("left-pad"), rules)
    assert [finding.rule for finding in verdict.findings] == ["dependencies.licence"]


@pytest.mark.parametrize("branch", ["factory/1-s", "Factory/x"])
def test_a_person_who_starts_the_pipeline_of_an_agents_branch_frees_nothing(branch: str) -> None:
    facts = altered(origin=Origin("operator", branch=branch), files=change("policies/gates.yml").files)
    assert GATES["scope"](facts, policies()).result == "failed"


def test_what_a_person_takes_from_the_tests_is_flagged() -> None:
    verdict = GATES["unit"](replace(PERSON, after=(replace(TEST, asserts=1),)), policies())
    assert (verdict.result, [flag.rule for flag in verdict.flags]) == ("passed", ["unit.weakened"])


def test_a_test_that_moves_is_not_lost() -> None:
    moved = replace(TEST, path="apps/hello/tests/test_other.py")
    run = TestRun((TestCase("apps.hello.tests.test_other.test_a", "success"),))
    assert GATES["unit"](changed(after=(moved,), tests=(("unit", run),)), policies()).result == "passed"


def excepting(expires: str) -> Policies:
    item = f"{{rule: lint.f401, subject: {SOURCE}, owner: operator, reason: it is generated, expires: {expires}}}"
    return policies(exceptions=f"exceptions: [{item}]")


def test_an_exception_is_shown_and_counted_and_ends() -> None:
    facts = changed(lint=PROBLEM)
    decision = decide(facts, excepting("2026-11-20"), where="pipeline", judge_sha="j")
    assert decision.passed
    assert decision.report.excused == 1
    over = decide(facts, excepting("2026-11-19"), where="pipeline", judge_sha="j")
    assert not over.passed
    rules = {finding.rule for verdict in over.verdicts for finding in verdict.findings}
    assert rules == {"lint.f401", "exception.expired"}


def test_each_requirement_names_what_proves_it() -> None:
    proof = decide(GOOD, policies(), where="pipeline", judge_sha="j").requirements
    name = "apps.hello.tests.test_hello.test_a"
    assert proof == (ProvenRequirement("HELLO-1", "sha256:1", "passed", (TestOutcome(name, "success"),)),)
    failed = changed(tests=(("unit", TestRun((*RAN.cases, TestCase(f"{name}[two]", "failed")))),))
    assert decide(failed, policies(), where="pipeline", judge_sha="j").requirements[0].result == "failed"


def test_a_secret_is_not_repeated_in_its_finding() -> None:
    verdict = GATES["secrets"](Facts(change=change("apps/a", line="t = 'glpat-abcdefghijklmnop12'")), policies())
    assert "glpat" not in str(verdict)


def test_equal_facts_give_equal_bytes() -> None:
    first = decide(GOOD, policies(), where="pipeline", judge_sha="j")
    assert first.passed
    assert first.encode() == decide(GOOD, policies(), where="pipeline", judge_sha="j").encode()


def test_a_required_gate_that_was_skipped_blocks() -> None:
    facts = Facts(change=GOOD.change, spec=GOOD.spec, tests=GOOD.tests)
    decision = decide(facts, policies(), where="pipeline", judge_sha="j")
    assert {verdict.gate: verdict.result for verdict in decision.verdicts}["plan"] == "skipped"
    assert not decision.passed


def test_locally_only_local_gates_run() -> None:
    names = [verdict.gate for verdict in decide(GOOD, policies(), where="local", judge_sha="").verdicts]
    assert "unit" in names
    assert not {"contract", "plan"} & set(names)


def test_policy_that_names_no_gate_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no such gate"):
        decide(
            GOOD,
            policies(gates="gates: {nothing: {where: local, required: true}}\nchecks: {}" + REST),
            where="local",
            judge_sha="",
        )


def test_without_any_required_gate_nothing_passes() -> None:
    loose = policies(gates="gates: {scope: {where: local, required: false}}\nchecks: {}" + REST)
    assert not decide(GOOD, loose, where="local", judge_sha="").passed


def test_a_persons_change_outside_apps_needs_no_spec() -> None:
    made = replace(PERSON.change or CHANGE, files=change("policies/trust.yml", "factory/errors.py").files)
    assert GATES["spec"](replace(PERSON, change=made, spec=UNNAMED), policies()).result == "passed"
    several = SpecFacts(problem="the commits name several specs: a, b")
    assert GATES["spec"](replace(PERSON, change=made, spec=several), policies()).result == "failed"


def test_a_persons_change_of_hostnames_needs_no_spec() -> None:
    made = replace(PERSON.change or CHANGE, files=change("apps/hello/app.yml", "terraform/live/staging/zone.tf").files)
    assert GATES["spec"](replace(PERSON, change=made, spec=UNNAMED), policies()).result == "passed"
    made = replace(made, files=change("apps/hello/app.yml", "apps/hello/src/app.yml").files)
    assert GATES["spec"](replace(PERSON, change=made, spec=UNNAMED), policies()).result == "failed"


def test_failures_are_named_also_if_no_test_passed() -> None:
    verdict = GATES["unit"](Facts(tests=(("unit", suite("failed", "error")),)), policies())
    assert [item.rule for item in verdict.findings][:3] == ["unit.failed", "unit.error", "unit.empty"]


def test_a_repository_without_an_app_has_no_tests_to_run() -> None:
    empty = replace(GOOD, tests=(("unit", TestRun(code=0)),), before=(), after=(), coverage=Coverage())
    outside = replace(CHANGE, files=change("policies/gates.yml").files)
    assert GATES["unit"](replace(empty, change=outside), policies()).result == "passed"
    for facts in (empty, replace(empty, change=outside, before=(TEST,)), replace(empty, change=outside, after=None)):
        assert "unit.empty" in [item.rule for item in GATES["unit"](facts, policies()).findings]


def test_the_mode_observe_lifts_the_verdict_but_not_that_on_plans() -> None:
    shipped = (ROOT / "policies/gates.yml").read_text()
    observing = policies(gates=f"mode: observe\n{shipped}")
    red = changed(lint=PROBLEM)
    report = decide(red, observing, where="pipeline", judge_sha="j").report
    assert (report.result, report.would_block, report.required) == ("passed", ("lint",), ("exceptions", "plan"))
    assert decide(GOOD, observing, where="pipeline", judge_sha="j").report.would_block == ()
    assert not decide(red, observing, where="local", judge_sha="").passed, "a session's own check still blocks"
    enforced = decide(red, policies(), where="pipeline", judge_sha="j").report
    assert (enforced.result, enforced.observed, enforced.would_block) == ("failed", None, ())
    unplanned = decide(changed(plans=None), observing, where="pipeline", judge_sha="j")
    assert not unplanned.passed
    loose = policies(gates="mode: observe\ngates: {scope: {where: local, required: false}}\nchecks: {}" + REST)
    assert not decide(GOOD, loose, where="pipeline", judge_sha="j").passed, (
        "nothing is required, so nothing is observed"
    )


def test_tests_that_policy_leaves_out_and_inherited_ones_are_no_findings() -> None:
    slow = replace(TEST, name="test_slow", path="apps/hello/tests/test_slow.py")
    inherited = TestCase("apps.hello.tests.test_slow.TestAll.test_base", "success")
    facts = changed(after=(TEST, slow), tests=(("unit", TestRun((*RAN.cases, inherited))),))
    found = [finding.rule for finding in GATES["unit"](facts, policies()).findings]
    assert found == ["unit.unrun"], "the inherited test is in a file that the change leaves alone"
    left_out = policies(apps='unrun: ["apps/*/tests/test_slow.py::test_slow"]\n')
    assert GATES["unit"](facts, left_out).result == "passed"
    skipping = TestCase("apps.hello.tests.test_slow", "skipped")
    whole = changed(after=(TEST, slow), tests=(("unit", TestRun((*RAN.cases, skipping))),))
    assert GATES["unit"](whole, policies()).result == "passed"
    made_up = changed(
        after=(TEST, slow), tests=(("unit", TestRun((*RAN.cases, replace(skipping, outcome="success")))),)
    )
    assert [finding.rule for finding in GATES["unit"](made_up, policies()).findings] == ["unit.unrun"]
    assert GATES["unit"](replace(whole, change=change(SOURCE, slow.path)), policies()).result == "failed"
