"""The apps' own checks of the gates lint, types, security and contract: new findings block, old ones do not."""

from dataclasses import replace

import pytest

from factory.gates import GATES
from factory.model.facts import Change, ChangedFile, Coverage, Facts, Origin, TestCase, TestRun
from factory.model.tool_run import OwnCheck, Problem, ToolRun
from factory.model.verdict import Verdict
from tests.gates.test_gates import policies

APP, TOLD = "web", "npm run lint, which leaves lint.sarif"
OLD = Problem("no-var", "apps/web/a.js", 3, "Use let.")
MOVED = replace(OLD, line=9)
NEW = Problem("no-eval", "apps/web/a.js", 4, "Evil.")
SILENT = Problem("suppressed", "apps/web/a.js", 4, "no-eval: Evil.")
KINDS = ("lint", "types", "security", "contract")
ONLY_OWN = policies(
    gates="gates: {lint: {where: local, required: true}, unit: {where: local, required: true}}\n"
    "checks: {unit: [python, -m, pytest]}\n"
    "thresholds: {changed_lines_covered: 90, slowdown: 2.0}\ndependencies: {known: {}, licences: [MIT]}"
)


def found(*problems: Problem, problem: str = "") -> ToolRun:
    return ToolRun(problems, problem)


def judged(
    gate: str,
    head: ToolRun | None,
    base: ToolRun | None = None,
    *,
    told: str = TOLD,
    was: str = TOLD,
    person: bool = True,
    path: str = "apps/web/a.js",
) -> Verdict:
    origin = Origin("ann", branch="a") if person else Origin("factory-agent", branch="factory/1")
    facts = Facts(
        change=Change("b", "h", (ChangedFile(path, "M", 1, 0, ((4, "x"),)),), origin=origin),
        checks_before=(OwnCheck(APP, gate, was),) if was else (),
        checks_after=(OwnCheck(APP, gate, told),),
        checks_base=(OwnCheck(APP, gate, told, base),) if base else (),
        checks_head=(OwnCheck(APP, gate, told, head),) if head else (),
    )
    return GATES[gate](facts, ONLY_OWN)


@pytest.mark.parametrize("gate", KINDS)
@pytest.mark.parametrize(
    ("head", "base", "rules"),
    [
        (found(), found(), []),
        (found(NEW), found(), ["no-eval"]),
        (found(NEW), None, ["no-eval"]),
        (found(MOVED), found(OLD), []),
        (found(OLD, MOVED), found(OLD), ["no-var"]),
        (found(NEW, MOVED), found(OLD), ["no-eval"]),
        (found(OLD), found(problem="it crashed"), ["no-var"]),
        (found(problem="the command left no lint.sarif"), found(), ["not-run"]),
        (None, found(), ["not-run"]),
    ],
)
def test_a_new_finding_blocks_and_an_old_one_does_not(
    gate: str, head: ToolRun | None, base: ToolRun | None, rules: list[str]
) -> None:
    verdict = judged(gate, head, base)
    assert [item.rule for item in verdict.findings] == [f"{gate}.{rule}" for rule in rules]
    assert verdict.result == ("failed" if rules else "passed")
    assert [item.rule for item in verdict.flags] == [f"{gate}.reported"]


def test_an_exit_code_is_marked() -> None:
    failed = Problem("exit-code", "apps/web", 0, "make lint ended with 2 (exit code)")
    verdict = judged("lint", found(failed), found(), told="make lint", was="make lint")
    assert [(item.rule, "(exit code)" in item.message) for item in verdict.findings] == [("lint.exit-code", True)]
    assert "(exit code)" in verdict.flags[0].message
    old = judged("lint", found(failed), found(failed), told="make lint", was="make lint")
    assert old.result == "passed"
    assert "which had 1 of them" in old.flags[0].message


@pytest.mark.parametrize(("person", "result"), [(True, "passed"), (False, "failed")])
def test_an_agent_changes_no_command_and_silences_no_rule(*, person: bool, result: str) -> None:
    assert judged("lint", found(), found(), was="npm run other", person=person).result == result
    assert judged("lint", found(), found(), was="", person=person).result == result
    silenced = judged("lint", found(SILENT), found(), person=person)
    assert silenced.result == result
    assert "lint.suppressed" in [item.rule for item in (*silenced.findings, *silenced.flags)]


def test_a_change_of_another_app_needs_no_check() -> None:
    assert judged("lint", None, path="apps/other/a.js") == Verdict("lint", "skipped", reason="the tool was not run")


def test_a_tool_of_policy_that_did_not_run_is_not_replaced() -> None:
    change = Change("b", "h", (ChangedFile("apps/web/a.js", "M", 1, 0),), origin=Origin("ann", branch="a"))
    own = OwnCheck(APP, "lint", TOLD)
    facts = Facts(change=change, checks_after=(own,), checks_head=(replace(own, run=found()),))
    assert GATES["lint"](facts, policies()).result == "skipped"


@pytest.mark.parametrize(("missing", "rules"), [((), []), ((4,), ["unit.uncovered"])])
def test_changed_lines_count_in_every_language(missing: tuple[int, ...], rules: list[str]) -> None:
    paths = ("apps/web/a.js", "apps/web/a.test.js")
    changed = tuple(ChangedFile(path, "M", 1, 0, ((4, "x"),)) for path in paths)
    facts = Facts(
        change=Change("b", "h", changed, origin=Origin("ann", branch="a")),
        tests=(("unit", TestRun((TestCase("a", "success", app=APP),), code=0)),),
        own_after=((APP, "npm test"),),
        coverage=Coverage(tuple((path, (1,)) for path in paths), ((paths[0], missing), (paths[1], (4,)))),
    )
    assert [item.rule for item in GATES["unit"](facts, policies()).findings] == rules
