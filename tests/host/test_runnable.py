"""What a host may run: only releases that a merge, a later plan and a later approval name, in this order."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from factory.evidence import statement
from factory.evidence.transparency_log import Entry
from factory.evidence.trust import ALONE, Trust
from factory.host import runnable
from factory.host.runnable import Release
from tests.evidence import examples
from tests.evidence.examples import commit, digest

PROJECT = "factory/shop"
MERGED = commit("merge 12")
NAME = f"shop-{MERGED}"
CHAIN = ("claim", "verdict", "merge plan", "merge approval", "merge", "plan", "deploy approval")


def step(
    name: str, changes: Mapping[str, Any] | None = None, *, mr: int = 12, archive: str = "archive"
) -> dict[str, Any]:
    """Return a statement; a plan names the archive of the app `shop` at its commit."""
    made = examples.make(name, changes, issue=mr - 5, mr=mr)
    if not name.endswith("plan") or not archive:
        return made
    named = runnable.subjects(made["predicate"]["commit"], [("shop", digest(archive))])
    return statement.build("plan", subjects={**statement.subjects_of(made), **named}, predicate=made["predicate"])


def log(values: Iterable[Mapping[str, Any]]) -> list[Entry]:
    return [
        Entry(index, statement.kind_of(value), digest(str(index)), {"signatures": []}, value)
        for index, value in enumerate(values)
    ]


def names(values: Iterable[Mapping[str, Any]], *, trust: Trust | None = None, **more: str) -> list[str]:
    asked = {"project": PROJECT, "environment": "production", **more}
    return [item.name for item in runnable.runnable(log(values), trust=trust or examples.trust(), **asked)]


def test_a_whole_chain_names_a_release_with_its_archive() -> None:
    [found] = runnable.runnable(
        log(map(step, CHAIN)), project=PROJECT, environment="production", trust=examples.trust()
    )
    assert found == Release("shop", MERGED, digest("archive"), digest("final 12 plan"), 32, 5)
    assert found.name == NAME


@pytest.mark.parametrize("left_out", ["verdict", "merge approval", "merge", "plan", "deploy approval"])
def test_without_one_link_nothing_may_run(left_out: str) -> None:
    # Without a verdict nobody knows which policy the approval names, and the verdict's absence is the merge's fault.
    expected = [NAME] if left_out == "verdict" else []
    assert names(step(name) for name in CHAIN if name != left_out) == expected


def test_every_other_order_of_what_counts_runs_nothing() -> None:
    tail = CHAIN[3:]
    for order in permutations(tail):
        found = names([*map(step, CHAIN[:3]), *map(step, order)])
        assert found == ([NAME] if order == tail else []), order


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("merge approval", {"approver": "factory-agent"}),
        ("merge approval", {"approver": "Factory-Agent"}),
        ("merge approval", {"approval_type": "simulated"}),
        ("merge approval", {"head": commit("other")}),
        ("merge approval", {"plan": digest("other")}),
        ("merge approval", {"policy": digest("other")}),
        ("merge", {"head": commit("other")}),
        ("merge", {"merge_commit": commit("other")}),
        ("merge", {"target": "develop"}),
        ("merge", {"merged_by": "factory-agent"}),
        ("plan", {"stack": "staging"}),
        ("plan", {"commit": commit("other")}),
        ("plan", {"merge_request": None}),
        ("plan", {"merge_request": 13}),
        ("plan", {"project": "factory/other"}),
        ("deploy approval", {"plan": digest("other")}),
        ("deploy approval", {"plan": digest("speculative 12 plan")}),
        ("deploy approval", {"approver": "factory-agent"}),
        ("deploy approval", {"approval_type": "simulated"}),
        ("deploy approval", {"scope": "merge"}),
        ("deploy approval", {"head": commit("other")}),
        ("deploy approval", {"merge_request": 13}),
        ("deploy approval", {"project": "factory/other"}),
    ],
)
def test_a_statement_that_is_not_the_one_it_needs_counts_for_nothing(name: str, changes: dict[str, Any]) -> None:
    assert names(step(item, changes if item == name else None) for item in CHAIN) == []


@pytest.mark.parametrize("more", [{"project": "factory/other"}, {"environment": "staging"}])
def test_another_project_and_another_environment_get_nothing(more: dict[str, Any]) -> None:
    assert names(map(step, CHAIN), **more) == []


def test_an_environment_whose_plan_asks_no_approval_needs_none() -> None:
    staging = step("plan", {"stack": "staging", "approvals": 0, "key": "staging"})
    values = [*map(step, CHAIN[:5]), staging]
    assert names(values, environment="staging") == [NAME]
    assert names(values) == []


def test_the_plan_of_a_merge_request_is_none_even_if_its_commit_is_merged_later() -> None:
    # After a fast-forward merge, head and merge commit are the same.
    same = {"commit": MERGED, "plan": digest("final 12 plan")}
    values = [step("merge plan", same) if name == "merge plan" else step(name) for name in CHAIN if name != "plan"]
    assert names(values) == []


def test_a_rebuild_with_other_bytes_never_runs_whoever_approves_it() -> None:
    again = step("plan", {"key": "again", "pipeline": 40}, archive="rebuilt")
    approval = step("deploy approval", {"key": "again too"})
    values = [*map(step, CHAIN), again, approval]
    [found] = runnable.runnable(log(values), project=PROJECT, environment="production", trust=examples.trust())
    assert found.archive == digest("archive")
    # Also if the first build was of another environment alone.
    staging = step("plan", {"stack": "staging", "approvals": 0, "key": "staging"}, archive="first")
    assert names([*map(step, CHAIN[:5]), staging, *map(step, CHAIN[5:])]) == []


def test_a_merge_request_that_was_merged_twice_runs_nothing() -> None:
    assert names([*map(step, CHAIN), step("merge", {"key": "again"})]) == []


def test_an_approval_that_counts_for_nothing_does_not_hide_one_that_counts() -> None:
    bad = step("deploy approval", {"key": "bad", "approver": "factory-agent"})
    worse = step("merge approval", {"key": "worse", "approval_type": "own"})
    assert names([*map(step, CHAIN[:3]), worse, *map(step, CHAIN[3:]), bad]) == [NAME]


def test_subjects_that_name_another_commit_or_no_app_are_no_releases() -> None:
    made = examples.make("plan")
    odd = {f"release/-{MERGED}": digest("a"), f"release/shop-{commit('other')}": digest("b"), "release": digest("c")}
    plan = statement.build("plan", subjects={**statement.subjects_of(made), **odd}, predicate=made["predicate"])
    assert names(plan if name == "plan" else step(name) for name in CHAIN) == []


def test_one_account_for_everything_needs_no_approval_which_only_it_could_give() -> None:
    values = [step(name) for name in CHAIN if not name.endswith("approval")]
    assert names(values, trust=replace(examples.trust(), separation=ALONE)) == [NAME]


POOL = [
    step(name, {**more, "key": f"{number}"}, mr=mr, archive=archive)
    for number, (name, more, mr, archive) in enumerate(
        (name, more, mr, archive)
        for mr in (12, 13)
        for name in ("merge plan", "merge approval", "merge", "plan", "deploy approval")
        for more in ({}, {"project": "factory/other"}, *({"stack": "staging"} if name == "plan" else {} for _ in "1"))
        for archive in (("archive", "other") if name == "plan" else ("archive",))
    )
]


def allowed(entries: list[Entry]) -> set[str]:
    """Return the releases that may run, by the rule of the design, tried on every triple of statements."""
    found: dict[str, str] = {}
    first: dict[str, str] = {}
    own = [item for item in entries if item.predicate["project"] == PROJECT]
    for plan in own:
        if plan.kind != "plan":
            continue
        mr = plan.predicate["merge_request"]
        of = [item for item in own if item.predicate["merge_request"] == mr]
        merges = [item for item in of if item.kind == "merge"]
        if len(merges) != 1 or merges[0].index > plan.index:
            continue
        if plan.predicate["commit"] != merges[0].predicate["merge_commit"]:
            continue
        before = [item for item in of if item.kind == "plan" and item.index < merges[0].index]
        speculative = [item for item in before if item.predicate["commit"] == merges[0].predicate["head"]]
        if not speculative:
            continue  # the approval of this pool names a plan of the head
        if not any(
            item.kind == "approval" and item.predicate["scope"] == "merge" and item.index < merges[0].index
            for item in of
        ):
            continue
        name = f"shop-{plan.predicate['commit']}"
        archive = statement.subjects_of(plan.statement)[f"release/{name}"]
        if first.setdefault(name, archive) != archive or plan.predicate["stack"] != "production":
            continue
        if any(
            item.kind == "approval" and item.predicate["scope"] == "deploy" and item.index > plan.index for item in of
        ):
            found.setdefault(name, archive)
    return {f"{name} {archive}" for name, archive in found.items()}


WHOLE = [*map(step, CHAIN[2:]), *(step(name, mr=13) for name in CHAIN[2:])]


@settings(max_examples=400, deadline=None)
@given(
    st.permutations(range(len(WHOLE))),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 14), st.sampled_from(POOL)), max_size=8),
)
def test_any_log_runs_what_the_rule_says_and_nothing_else(
    order: list[int], moved: int, more: list[tuple[int, dict[str, Any]]]
) -> None:
    # Whole chains of two merge requests, of which some statements are moved, with others between them.
    places = [place for place in range(len(WHOLE)) if place not in order[:moved]]
    values = [WHOLE[place] for place in [*places, *order[:moved]]]
    for place, value in more:
        values.insert(place, value)
    entries = log(values)
    event(f"{len(allowed(entries))} releases")
    found = runnable.runnable(entries, project=PROJECT, environment="production", trust=examples.trust())
    assert {f"{item.name} {item.archive}" for item in found} == allowed(entries)


def releases(count: int) -> list[Release]:
    return [Release("shop", commit(str(number)), digest("a"), digest("p"), 1, 10 * number) for number in range(count)]


def test_what_was_deployed_last_and_before_it_must_run_and_what_comes_after() -> None:
    known = releases(5)

    def deployed(*numbers: int, verified: bool = True) -> list[Entry]:
        changes = [
            {"commit": known[number].commit, "verified": verified, "key": str(at)} for at, number in enumerate(numbers)
        ]
        return log(examples.make("deploy", change) for change in changes)

    def must(entries: list[Entry]) -> set[int]:
        found = runnable.needed(known, entries, project=PROJECT, environment="production")
        return {number for number, item in enumerate(known) if item.name in found}

    assert must([]) == {0, 1, 2, 3, 4}
    assert must(deployed(0, 1, 2)) == {1, 2, 3, 4}
    assert must(deployed(0, 1, 2, 3, 4, 1)) == {4, 1}, "after a rollback, the release that it left stays"
    assert must(deployed(0, verified=False)) == {0, 1, 2, 3, 4}
    found = runnable.needed(known, deployed(0, 1, 2), project=PROJECT, environment="production")
    assert [found.get(item.name) for item in known] == [None, "before", "deployed", "next", "next"]


def test_the_releases_to_which_a_rollback_goes_must_run_until_it_is_deployed() -> None:
    known = releases(5)
    values = [examples.make("deploy", {"commit": known[number].commit, "key": str(number)}) for number in range(5)]
    own = values[0]["predicate"]
    predicate = {
        **{name: own[name] for name in ("project", "issue", "time", "merge_request", "environment")},
        "key": "rollback/1",
        "pipeline": 9,
        "from_commit": known[4].commit,
        "commit": known[1].commit,
        "by": "owner",
        "reason": "slow",
    }
    back = statement.build("rollback", subjects={"commit": f"gitCommit:{known[1].commit}"}, predicate=predicate)
    arrived = examples.make("deploy", {"commit": known[1].commit, "key": "back"})
    for entries, wanted in (([*values, back], {1, 3, 4}), ([*values, back, arrived], {1, 4})):
        found = runnable.needed(known, log(entries), project=PROJECT, environment="production")
        assert {number for number, item in enumerate(known) if item.name in found} == wanted
        assert found[known[1].name] == ("rollback" if 3 in wanted else "deployed")
