"""Examples beside the policies: ours hold, and a wrong one is seen."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.policies import cases
from factory.system import strict_yaml
from tests.policies.shipped import POLICIES
from tests.servers import ROOT

FILES = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in (ROOT / "policies").rglob("*.yml")}
PATH = "policies/cases/x.yml"


def run(text: str) -> tuple[cases.CaseResult, ...]:
    return cases.run(POLICIES, cases.read({PATH: text.encode()}))


def test_our_own_cases_hold() -> None:
    results = cases.run(POLICIES, cases.read(FILES))
    assert [f"{item.where}: {item.got}" for item in results if not item.passed] == []
    assert cases.passed(results)
    assert len(results) >= 20
    assert all(json.dumps(item.to_json()) for item in results)


def test_our_cases_show_every_rule_that_denies() -> None:
    rules = {case.example.rule for case in cases.read(FILES) if case.example.expect == "denied"}
    assert rules >= {
        "scope.empty", "scope.odd-path", "scope.submodule", "scope.protected", "scope.path", "scope.size",
        "plan.unreadable", "plan.type", "plan.action", "plan.protected", "plan.demand", "plan.companion", "plan.size",
        "plan.destroys", "plan.percent",
        "approvals.merge", *(f"approvals.{name}" for name in POLICIES.approvals.risks),
    }  # fmt: skip


@pytest.mark.parametrize("path", [name for name in FILES if "cases" in name])
def test_our_own_cases_fit_the_published_schema(path: str) -> None:
    schema = json.loads((ROOT / "docs/reference/cases.schema.json").read_text())
    jsonschema.validate(strict_yaml.load(FILES[path].decode(), source=path), schema)


def test_no_case_is_a_failure() -> None:
    assert cases.read({}) == ()
    assert not cases.passed(())
    with pytest.raises(InvalidInput, match=r"x\.yml:1: cases: give at least one"):
        run("cases: []")


@pytest.mark.parametrize(
    ("case", "got"),
    [
        ("path: specs/a.md, expect: allowed, rule: scope.allowed", "denied by scope.protected"),
        ("path: specs/a.md, expect: denied, rule: scope.path", "denied by scope.protected"),
        ("path: apps/a, expect: denied, rule: scope.path", "allowed by scope.allowed"),
        ("plan: {}, expect: denied, rule: plan.size", "allowed by plan.destroys, plan.percent, plan.size"),
        ("approval: {given: 0}, expect: allowed, rule: approvals.merge", "denied by approvals.merge"),
        ("change: {files: []}, expect: allowed, rule: scope.empty", "denied by scope.empty"),
    ],
)
def test_a_case_that_is_decided_otherwise_fails(case: str, got: str) -> None:
    results = run("cases:\n  - {name: a, " + case + "}")
    assert not cases.passed(results)
    assert results[0].got == got
    assert results[0].where == f"{PATH}:2"


GOOD = "name: a, path: x, expect: denied, rule: scope.path"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cases:\n- {name: a, expect: denied, rule: scope.path}", ":2: cases.0: give exactly one of path"),
        ("cases:\n- {" + GOOD + ", plan: {}}", ":2: cases.0: give exactly one"),
        ("cases:\n- {" + GOOD + "}\n- {" + GOOD + "}", ":3: cases.1.name: policies/cases/x.yml:2 already has the name"),
        ("cases:\n- {" + GOOD.replace("denied", "deny") + "}", "did you mean denied?"),
        ("cases:\n- {" + GOOD.replace("rule", "rul") + "}", ":2: cases.0.rul: no such key; did you mean rule?"),
        ("case: []", ":1: case: no such key; did you mean cases?"),
        ("cases: [", "x.yml:1"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=r"policies/cases/x\.yml") as refused:
        run(text)
    assert told in str(refused.value)


@given(st.binary(max_size=100) | st.text(max_size=60).map(lambda text: f"cases: {text}".encode()))
def test_bad_bytes_never_give_a_traceback(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"x\.yml"):
        cases.read({PATH: data})
