"""Rulings: what is allowed and denied, by which rule, and that everything unknown is denied."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.model.facts import Change, ChangedFile, Origin, Plan, PlannedChange
from factory.model.verdict import Finding, RequiredApprovals
from factory.policies import evaluate, plans, rule_source
from factory.policies.model import Exceptions, Excuse, Policies
from factory.policies.rules import RULES
from tests.policies.shipped import FILES, POLICIES

PATHS = st.text(max_size=20) | st.lists(
    st.sampled_from(
        ["apps", "docs", "specs", "policies", "hello", "openapi.yml", "tests", "contract", ".git", "..", ""]
    ),
    max_size=5,
).map("/".join)
STATUSES = st.sampled_from(["A", "M", "D", "T", "S", ""])
FILE = st.builds(ChangedFile, PATHS, STATUSES, st.integers(-5, 900), st.integers(-5, 900))
NAMES = st.sampled_from(["", "operator", "factory-agent", "Factory-Agent"]) | st.text(max_size=8)
CHANGES = st.builds(
    Change, st.just("b"), st.just("h"), st.lists(FILE, max_size=4).map(tuple),
    origin=st.builds(Origin, NAMES, st.lists(NAMES, max_size=2).map(tuple), NAMES, NAMES),
)  # fmt: skip
RESOURCES = st.builds(
    PlannedChange, st.text(max_size=5), st.sampled_from([*POLICIES.terraform.types, "null_resource", ""]),
    st.lists(st.sampled_from(["create", "update", "delete", "read", "no-op", "forget", ""]), max_size=3).map(tuple),
)  # fmt: skip
PLANS = st.builds(Plan, st.just("s"), st.just("d"), st.lists(RESOURCES, max_size=12).map(tuple), st.text(max_size=3))


def change(*paths: str, author: str = "factory-agent", lines: int = 1) -> Change:
    return Change("b", "h", tuple(ChangedFile(path, "M", lines, 0) for path in paths), origin=Origin(author))


def plan(*changes: PlannedChange) -> Plan:
    return Plan("production", "sha256:0", changes)


def with_scope(**changes: object) -> Policies:
    return POLICIES.model_copy(update={"scope": POLICIES.scope.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (Origin(), "is unknown"),
        (Origin(branch="mine", problem="the server named nobody"), "the server named nobody"),
        (Origin("factory-agent"), "factory-agent, who opened it, is an agent"),
        (Origin("Factory-Agent"), "is an agent"),
        (Origin("operator", ("operator", "factory-agent")), "factory-agent, who pushed commits of it, is an agent"),
        (Origin("operator", ("FACTORY-AGENT",)), "is an agent"),
        (Origin("operator", branch="factory/issue-7"), "belongs to the factory"),
        (Origin("operator", branch="Factory/issue-7"), "belongs to the factory"),
    ],
)
def test_whom_the_rules_bind(origin: Origin, told: str) -> None:
    assert told in (evaluate.bound(POLICIES, Change("b", "h", (), origin=origin)) or "")


def test_a_person_is_not_bound_and_an_empty_change_is_denied_to_everybody() -> None:
    made = replace(change("policies/scope.yml"), origin=Origin("operator", ("operator",), "mine"))
    assert evaluate.bound(POLICIES, made) is None
    assert [item.rule for item in evaluate.scope(POLICIES, made)] == ["scope.person"]
    assert [item.rule for item in evaluate.scope(POLICIES, replace(made, files=()))] == ["scope.empty"]
    assert not evaluate.allows(evaluate.scope(POLICIES, replace(made, origin=Origin())))


@pytest.mark.parametrize(
    ("path", "status", "rule"),
    [
        ("apps/hello/src/hello.py", "M", "scope.allowed"),
        ("apps/x", "S", "scope.submodule"),
        ("specs/hello.md", "M", "scope.protected"),
        ("apps/x/OPENAPI.yml", "A", "scope.protected"),
        ("Specs/hello.md", "M", "scope.protected"),
        ("APPS/x", "M", "scope.path"),
        ("factory/x.py", "M", "scope.path"),
        ("apps/../specs/x", "S", "scope.odd-path"),
        ("", "M", "scope.odd-path"),
    ],
)
def test_paths(path: str, status: str, rule: str) -> None:
    ruling = evaluate.path(POLICIES, path, status=status)
    assert ruling.rule == rule
    assert ruling.allowed is (rule == "scope.allowed")
    assert ruling.policy == POLICIES.digest
    assert ruling.facts["path"] == path
    assert ruling.allowed or RULES[rule].fix
    assert json.loads(json.dumps(ruling.to_json()))["rule"] == rule


def test_without_any_rule_everything_is_denied() -> None:
    assert evaluate.path(with_scope(allowed=()), "apps/x").rule == "scope.path"
    assert not evaluate.allows(())
    none = POLICIES.model_copy(update={"terraform": POLICIES.terraform.model_copy(update={"types": ()})})
    assert not evaluate.allows(plans.judge(none, plan(PlannedChange("a", "cloudflare_zone", ("create",))), today=""))


def test_size() -> None:
    most = POLICIES.scope
    assert evaluate.size(POLICIES, most.max_files, most.max_lines).allowed
    assert not evaluate.size(POLICIES, most.max_files + 1, 0).allowed
    assert not evaluate.size(POLICIES, 0, most.max_lines + 1).allowed
    assert not evaluate.size(POLICIES, -1, 0).allowed
    assert [item.rule for item in evaluate.change(POLICIES, change("apps/a"))] == ["scope.allowed", "scope.size"]
    assert [item.rule for item in evaluate.change(POLICIES, change())] == ["scope.empty"]


@pytest.mark.parametrize(
    ("planned", "rules"),
    [
        (plan(), set()),
        (plan(PlannedChange("z", "cloudflare_zone", ("update",))), set()),
        (plan(PlannedChange("z", "null_resource", ("create",))), {"plan.type"}),
        (plan(PlannedChange("z", "cloudflare_zone", ("delete", "create"))), {"plan.protected"}),
        (plan(PlannedChange("z", "cloudflare_ruleset", ("delete", "create"))), set()),
        (plan(PlannedChange("z", "cloudflare_zone", ("forget",))), {"plan.action"}),
        (plan(PlannedChange("z", "cloudflare_zone", ())), {"plan.action"}),
        (plan(*[PlannedChange("z", "cloudflare_zone", ("create",))] * 21), {"plan.size"}),
        (plan(*[PlannedChange("z", "cloudflare_ruleset", ("delete",))] * 6), {"plan.destroys"}),
        (Plan("", "", problem="no plan"), {"plan.unreadable"}),
    ],
)
def test_plans(planned: Plan, rules: set[str]) -> None:
    rulings = plans.judge(POLICIES, planned, today="")
    assert {item.rule for item in rulings if not item.allowed} == rules
    assert evaluate.allows(rulings) is not bool(rules)
    assert rules <= set(RULES)


def test_what_a_merge_needs() -> None:
    strict = POLICIES.approvals.risks["judge"].model_copy(update={"required": 3})
    approvals = POLICIES.approvals.model_copy(update={"risks": POLICIES.approvals.risks | {"judge": strict}})
    policies = POLICIES.model_copy(update={"approvals": approvals})
    assert evaluate.needed(policies, change("apps/a.py"), ()) == RequiredApprovals(1, (), policies.digest)
    found = evaluate.needed(policies, change("apps/a.py", "Policies/x.yml"), (plan(),))
    assert (found.approvals, found.judge_changed) == (3, True)
    assert found.risks[0].because == ("Policies/x.yml",)
    assert json.loads(json.dumps(asdict(found)))["risks"][0]["decide"] == strict.decide
    assert [item.allowed for item in evaluate.approved(policies, found, 2)] == [True, False]
    assert evaluate.allows(evaluate.approved(policies, found, 3))
    destroyed = evaluate.needed(policies, change(), (plan(PlannedChange("z", "t", ("delete", "create"))),))
    assert [(item.name, item.because) for item in destroyed.risks] == [("destroy", ("z: delete",))]


def test_what_is_not_known_takes_every_risk() -> None:
    both = evaluate.needed(POLICIES, None, (Plan("", "", problem="gone"),))
    assert {item.name for item in both.risks} == set(POLICIES.approvals.risks)
    assert evaluate.needed(POLICIES, change("a\\b"), ()).judge_changed
    assert evaluate.needed(POLICIES, change(), (plan(PlannedChange("z", "t", ("forget",))),)).risks


EXCUSE = Excuse(rule="types.error", subject="a.py", owner="me", reason="the stub is wrong", expires="2026-06-30")
FINDING = Finding("types.error", "it is wrong", "mend it", "a.py", 3)


@pytest.mark.parametrize(
    ("finding", "today", "excused", "told"),
    [
        (FINDING, "2026-06-30", True, set()),
        (FINDING, "2026-01-01", True, set()),
        (FINDING, "2026-07-01", False, {"exception.expired"}),
        (FINDING, "", False, {"exception.no-date"}),
        (FINDING, "today", False, {"exception.no-date"}),
        (replace(FINDING, path="b.py"), "2026-06-30", False, set()),
        (replace(FINDING, path="A.py"), "2026-06-30", False, set()),
        (replace(FINDING, rule="types.other"), "2026-06-30", False, set()),
        (Finding("types.error", "a.py", "fix"), "2026-06-30", True, set()),
    ],
)
def test_exceptions(finding: Finding, today: str, excused: bool, told: set[str]) -> None:  # noqa: FBT001 - parametrized
    parted = evaluate.excuse([finding], Exceptions(exceptions=(EXCUSE,)), today=today)
    assert bool(parted.excused) is excused
    assert bool(parted.kept) is not excused
    assert {item.rule for item in parted.expired} == told
    assert not excused or parted.excused[0].fix == "Accepted by me until 2026-06-30: the stub is wrong"


def test_what_nobody_may_except_stays() -> None:
    for rule in ("scope.protected", "secrets.token", "exception.expired"):
        forced = EXCUSE.model_copy(update={"rule": rule})
        parted = evaluate.excuse([replace(FINDING, rule=rule)], Exceptions(exceptions=(forced,)), today="2026-01-01")
        assert (len(parted.kept), parted.excused) == (1, ())
    assert evaluate.excuse([FINDING], Exceptions(exceptions=()), today="").expired == ()


@pytest.mark.parametrize(
    ("ruling", "clauses"),
    [
        (evaluate.path(POLICIES, "specs/a"), b"specs/**"),
        (evaluate.path(POLICIES, "apps/a"), b"allowed"),
        (evaluate.size(POLICIES, 1, 1), b"max_files"),
        (plans.judge(POLICIES, plan(), today="")[0], b"changes: 20"),
        (evaluate.approved(POLICIES, evaluate.needed(POLICIES, change("policies/x"), ()), 1)[1], b"judge"),
    ],
)
def test_where_a_clause_stands(ruling: evaluate.Ruling, clauses: bytes) -> None:
    path, _, line = rule_source.where(FILES, ruling).partition(":")
    assert clauses in FILES[path].splitlines()[int(line) - 1]


def test_built_in_rules_stand_nowhere() -> None:
    assert rule_source.where(FILES, evaluate.path(POLICIES, "a/../b")) == ""


@given(CHANGES, PLANS, st.integers(-1, 5), st.text(max_size=10))
def test_nothing_raises_and_every_ruling_carries_the_policy(
    made: Change, planned: Plan, given: int, today: str
) -> None:
    evaluate.bound(POLICIES, made)
    needed = evaluate.needed(POLICIES, made, (planned,))
    rulings = [*evaluate.scope(POLICIES, made), *plans.judge(POLICIES, planned, today=today)]
    rulings += [*evaluate.change(POLICIES, made), *evaluate.approved(POLICIES, needed, given)]
    assert all(item.policy == POLICIES.digest and item.rule and item.reason for item in rulings)
    assert all(item.allowed or item.rule in RULES or item.rule.startswith("approvals.") for item in rulings)
    assert evaluate.scope(POLICIES, made)
    assert plans.judge(POLICIES, planned, today=today)
    assert needed.approvals >= POLICIES.approvals.merge.required
    json.dumps([item.to_json() for item in rulings] + [asdict(needed)])


@given(CHANGES)
def test_one_denied_file_denies_a_bound_change(made: Change) -> None:
    each = [evaluate.path(POLICIES, file.path, status=file.status).allowed for file in made.files]
    if evaluate.allows(evaluate.change(POLICIES, made)):
        assert each
        assert all(each)


@given(PATHS, STATUSES, st.lists(PATHS, max_size=2))
def test_protected_always_wins(path: str, status: str, allowed: list[str]) -> None:
    assert not evaluate.path(with_scope(allowed=(*allowed, "**", path), protected=("**",)), path, status=status).allowed
    assert not evaluate.path(with_scope(allowed=("**",), protected=(path.upper(),)), path, status=status).allowed


@given(PATHS, STATUSES, PATHS | st.sampled_from(["**", "apps/**", "*"]))
def test_protecting_more_never_allows_more(path: str, status: str, pattern: str) -> None:
    before = evaluate.path(POLICIES, path, status=status)
    after = evaluate.path(with_scope(protected=(*POLICIES.scope.protected, pattern)), path, status=status)
    assert before.allowed or not after.allowed


@given(PLANS, RESOURCES)
def test_a_larger_plan_is_never_allowed_more(planned: Plan, more: PlannedChange) -> None:
    larger = replace(planned, resources=(*planned.resources, more))
    if not evaluate.allows(plans.judge(POLICIES, planned, today="")):
        assert not evaluate.allows(plans.judge(POLICIES, larger, today=""))


@given(
    st.lists(st.builds(Finding, st.sampled_from(["a.b", "secrets.x"]), st.text(max_size=3), st.text(max_size=3))),
    st.dates().map(str) | st.text(max_size=12),
)
def test_no_finding_is_lost(found: list[Finding], today: str) -> None:
    exceptions = Exceptions(exceptions=(EXCUSE.model_copy(update={"rule": "a.b", "subject": "x"}),))
    parted = evaluate.excuse(found, exceptions, today=today)
    assert len(parted.kept) + len(parted.excused) == len(found)
    assert not parted.expired or not parted.excused


@pytest.mark.parametrize(
    ("file", "applies"),
    [
        (ChangedFile("apps/a/migrations/2.sql", "A", 1, 0, ((1, "ALTER TABLE x  DROP\tColumn y;"),)), True),
        (ChangedFile("apps/a/migrations/2.sql", "A", 2, 0, ((1, "DROP"), (2, "  TABLE x;"))), True),
        (ChangedFile("apps/a/migrations/2.sql", "A", 1, 0, ((1, "ALTER TABLE x ADD COLUMN y;"),)), False),
        (ChangedFile("apps/a/migrations/2.sql", "D", 0, 9), False),
        (ChangedFile("apps/a/migrations/2.sql", "A", 1, 0), True),
        (ChangedFile("apps/a/migrations/2.bin", "A", 0, 0, binary=True), True),
        (ChangedFile("apps/a/shop.py", "A", 1, 0, ((1, "drop table x"),)), False),
    ],
    ids=["another case", "over two lines", "adds", "deleted", "not read", "binary", "elsewhere"],
)
def test_a_migration_that_destroys_data_is_a_risk_of_its_own(file: ChangedFile, *, applies: bool) -> None:
    found = evaluate.needed(POLICIES, Change("b", "h", (file,)), ())
    assert ("data-loss" in {risk.name for risk in found.risks}) == applies
