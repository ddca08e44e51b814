"""What the evidence and GitLab's own records say differently."""

import dataclasses

import pytest

from factory.evidence import compare, transparency_log
from factory.evidence.compare import GitlabRecords
from factory.evidence.transparency_log import Entry
from factory.model.gitlab import Deployment, MergeRequest
from tests.evidence import examples

HEAD = examples.commit("head 12")
MERGED = MergeRequest(
    12,
    "Greet",
    "",
    "merged",
    "factory/7-s",
    "main",
    HEAD,
    "factory-bot",
    (),
    "not_open",
    "",
    "2026-11-20",
    "factory-bot",
)
DEPLOYED = Deployment(3, "success", "production", "main", False, HEAD, 92, 32, (), "2026-11-20")
EQUAL = GitlabRecords((), (), (MERGED,), (DEPLOYED,), {12: frozenset({"operator"})})


def entries(**changes: object) -> list[Entry]:
    given = {name.replace("_", " "): value for name, value in changes.items()}
    return transparency_log.read(examples.recorded(examples.statements(given)))  # type: ignore[arg-type]


def kinds(found: list[Entry], **changes: object) -> list[tuple[str, str]]:
    records = dataclasses.replace(EQUAL, **changes)  # type: ignore[arg-type]
    return [(item.kind, item.subject) for item in compare.differences(found, records)]


def test_equal_records_differ_in_nothing() -> None:
    assert kinds(entries()) == []


def test_a_push_to_main_is_told() -> None:
    assert kinds(entries(), unexplained=("f" * 40,)) == [("push", "f" * 12)]


def test_a_merge_without_a_statement_is_told_with_who_merged() -> None:
    (found,) = compare.differences(
        entries(), dataclasses.replace(EQUAL, merged=(MERGED, dataclasses.replace(MERGED, iid=13, merged_by="eve")))
    )
    assert (found.kind, found.subject) == ("merge", "!13")
    assert "eve" in found.said


@pytest.mark.parametrize("merged", [(), (dataclasses.replace(MERGED, sha="0" * 40),)])
def test_a_statement_about_a_merge_that_gitlab_does_not_know_is_told(merged: tuple[MergeRequest, ...]) -> None:
    assert kinds(entries(), merged=merged) == [("merge", "!12")]


@pytest.mark.parametrize("job", [0, 93])
def test_a_deployment_by_hand_is_told(job: int) -> None:
    by_hand = dataclasses.replace(DEPLOYED, id=4, job=job)
    assert kinds(entries(), deployments=(DEPLOYED, by_hand)) == [("deployment", "4 to production")]


def test_a_statement_about_a_deployment_that_gitlab_does_not_know_is_told() -> None:
    assert kinds(entries(), deployments=()) == [("deployment", "3")]
    unknown = {"apply": {"result": "unknown"}, "deploy": None}
    assert kinds(entries(**unknown), deployments=()) == []


def test_an_approval_that_gitlab_does_not_know_is_told() -> None:
    assert kinds(entries(), approvers={12: frozenset({"somebody"})}) == [("approval", "!12")]
    assert kinds(entries(), approvers={}) == []


def test_an_approval_of_an_earlier_head_is_not_compared() -> None:
    earlier = {"merge_approval": {"head": "0" * 40}}
    assert kinds(entries(**earlier), approvers={12: frozenset()}) == []


def test_a_commit_that_main_has_lost_is_told() -> None:
    assert kinds(entries(), lost=("e" * 40,)) == [("push", "e" * 12)]


def test_what_ended_a_moment_ago_may_still_get_its_statement() -> None:
    other = dataclasses.replace(MERGED, iid=13)
    by_hand = dataclasses.replace(DEPLOYED, id=4, job=0)
    recent = {"recent_merges": frozenset({13}), "recent_deployments": frozenset({4})}
    assert kinds(entries(), merged=(MERGED, other), deployments=(DEPLOYED, by_hand), **recent) == []
