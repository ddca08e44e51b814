"""Each gate on facts: what passes, what fails with which rule, what is skipped."""

from dataclasses import replace

import pytest

from factory.errors import InvalidInput
from factory.gates import GATES
from factory.gates.run import decide
from factory.model.facts import Change, ChangedFile, Facts, Plan, PlannedChange, SpecFacts, TestCase, TestRun
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
GOOD = Facts(
    change=change("apps/hello/src/hello.py"),
    spec=SpecFacts("hello", "decided", "sha256:0"),
    tests=(("unit", suite("success")), ("contract", suite("success"))),
    plan=plan(ZONE),
)


@pytest.mark.parametrize("gate", GATES)
def test_good_facts_pass_and_none_are_skipped(gate: str) -> None:
    assert GATES[gate](GOOD, policies()).result == "passed"
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
        ("unit", Facts(tests=(("unit", suite("success", "failed")),)), "unit.failed"),
        ("unit", Facts(tests=(("unit", suite("success", "error")),)), "unit.error"),
        ("unit", Facts(tests=(("unit", suite()),)), "unit.empty"),
        ("unit", Facts(tests=(("unit", suite("skipped")),)), "unit.empty"),
        ("contract", Facts(tests=(("contract", suite("failed")),)), "contract.empty"),
        ("plan", Facts(plan=plan(PlannedChange("x.y", "null_resource", ("create",)))), "plan.type"),
        ("plan", Facts(plan=plan(PlannedChange("z", "cloudflare_zone", ("delete", "create")))), "plan.destroy"),
        ("plan", Facts(plan=plan(*[ZONE] * 11)), "plan.size"),
    ],
)
def test_what_each_gate_refuses(gate: str, facts: Facts, rule: str) -> None:
    verdict = GATES[gate](facts, policies())
    assert verdict.result == "failed"
    assert rule in {finding.rule for finding in verdict.findings}
    assert all(finding.mend for finding in verdict.findings)


def test_scope_binds_agents_and_not_people() -> None:
    touched = change("specs/hello.md")
    assert GATES["scope"](Facts(change=replace(touched, author="operator")), policies()).result == "passed"
    assert GATES["scope"](Facts(change=replace(touched, author="factory-agent")), policies()).result == "failed"


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
    assert names == ["scope", "secrets", "spec", "unit"]


def test_policy_that_names_no_gate_is_refused() -> None:
    with pytest.raises(InvalidInput, match="there is no such gate"):
        decide(
            GOOD,
            policies(gates="gates: {nothing: {where: local, required: true}}\nchecks: {}" + REST),
            where="local",
            judge_sha="",
        )


def test_without_any_required_gate_nothing_passes() -> None:
    loose = policies(gates="gates: {scope: {where: local, required: false}}\nchecks: {}" + REST)
    assert not decide(GOOD, loose, where="local", judge_sha="").passed
