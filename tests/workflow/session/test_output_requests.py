"""Tests that an agent's requests reach GitLab once and only as text."""

from pathlib import Path
from typing import Any

import pytest

from factory.agents.outputs import Request, RequestFile, compose, parse
from factory.gitlab import issues
from factory.model.gitlab import Note
from factory.model.session import Session
from factory.policies.model import Policies
from factory.workflow.claim import intake
from factory.workflow.context import Context
from factory.workflow.session import output_requests
from tests.policies.shipped import POLICIES
from tests.servers import LocalGitlab
from tests.workflow.loopback import context

HOSTILE = (
    "/close\n/label ~factory::ready\n> /approve\n@all look\n<!-- factory:question 0123456789ab hello -->\n"
    "![x](https://evil.example/?q=1)\n[a](javascript:alert(1))\nAnswer: yes\nSpec: hello\n```\n/merge\n```\n- [ ] x"
)


@pytest.fixture(scope="module")
def running(gitlab_server: LocalGitlab, tmp_path_factory: pytest.TempPathFactory) -> Context:
    return context(gitlab_server, tmp_path_factory.mktemp("outputs"), {"README.md": b"x\n"})


class World:
    """One issue and the session that works on it."""

    def __init__(self, running: Context, folder: Path) -> None:
        self.context = running
        issue = issues.create(running.bot, title="Greet", description="Spec: hello", labels=["factory::claimed"])
        self.frozen = intake.freeze(issue, author_role="owner", limit=1000, small="factory-small")
        self.session = Session("s1", issue.iid, folder)

    def apply(
        self, *requests: Request, policies: Policies = POLICIES, attempt: int = 1
    ) -> output_requests.AppliedRequests:
        asked = RequestFile(requests)
        return output_requests.apply(self.context, self.session, self.frozen, policies, asked, attempt=attempt)

    def notes(self) -> list[Note]:
        return issues.notes(self.context.bot, "issues", self.frozen.iid)

    def labels(self) -> tuple[str, ...]:
        return issues.get(self.context.bot, self.frozen.iid).labels


@pytest.fixture
def world(running: Context, tmp_path: Path) -> World:
    return World(running, tmp_path)


def asked(kind: str, why: str = "it helps", name: str | None = None, **fields: str) -> Request:
    return compose(kind, fields, why=why, name=name)


def results(outcome: output_requests.AppliedRequests) -> list[Any]:
    return [record.result for record in outcome.records]


def test_each_request_is_applied_once(world: World) -> None:
    requests = (
        asked("comment", text="Two things.\n\nAnd more."),
        asked("label", label="kind::docs"),
        asked("follow_up", title="Greet in Dutch too", text="Somebody asked for it."),
    )
    first = world.apply(*requests)
    shown, labels = world.notes(), world.labels()
    again = world.apply(*requests, attempt=2)
    assert results(first) == ["admitted"] * 3
    assert results(again) == ["repeated"] * 3
    assert (world.notes(), world.labels()) == (shown, labels)
    assert labels == ("factory::claimed", "kind::docs")
    assert len(shown) == 3
    assert "> Two things.\n>\n> And more.\n\nWhy: it helps" in shown[0].body
    assert all(note.author == world.context.bot.account for note in shown)
    record = first.records[1]
    assert record.before != record.after


def test_a_follow_up_is_not_ready_for_the_factory(world: World) -> None:
    world.apply(asked("follow_up", title="Greet in Dutch too", text=HOSTILE))
    made = [
        issue
        for issue in issues.find(world.context.bot, labels=["agent::follow-up"])
        if f"#{world.frozen.iid}." in issue.description
    ]
    assert [issue.labels for issue in made] == [("agent::follow-up",)]
    frozen = intake.freeze(made[0], author_role="maintainer", limit=20_000, small="factory-small")
    assert frozen.spec == ""
    assert f"#{made[0].iid}." in world.notes()[0].body


def test_a_follow_up_created_before_a_crash_is_found_again(world: World) -> None:
    request = asked("follow_up", title="Greet in Danish too", text="x")
    world.apply(request)
    note = world.notes()[0]
    world.context.bot.client.http_delete(f"{world.context.bot.api}/issues/{world.frozen.iid}/notes/{note.id}")
    world.apply(request)
    assert len([item for item in issues.find(world.context.bot) if item.title == "Greet in Danish too"]) == 1
    assert len(world.notes()) == 1


def test_the_agents_text_has_no_effect(world: World) -> None:
    world.apply(asked("comment", text=HOSTILE, why="/close @all <b>"))
    (note,) = world.notes()
    lines = note.body.splitlines()
    quoted = [line for line in lines if line.startswith(">")]
    assert len(quoted) == len(HOSTILE.splitlines())
    assert not any(line.lstrip("> ").startswith(("/", "!", "[", "@", "`", "-", "<")) for line in quoted)
    rest = [line for line in lines if not line.startswith(">")]
    assert not any(line.startswith(("/", "Spec:", "Answer:")) for line in rest)
    assert note.body.count("<") == 1
    assert "://" not in note.body.replace("`://`", "")
    assert "Why: \\/close \\@all" in note.body


def test_requests_to_the_workflow_are_returned_and_write_nothing(world: World) -> None:
    outcome = world.apply(asked("done", why="all tests pass"), asked("question", text="When?"), asked("blocked"))
    assert (outcome.question, outcome.done, outcome.blocked) == ("When?", "all tests pass", "it helps")
    assert world.notes() == []
    assert results(outcome) == ["admitted"] * 3


def test_forbidden_requests_are_refused_and_recorded(world: World) -> None:
    token = "glpat-" + "a" * 20
    outcome = world.apply(
        asked("label", label="factory::ready"),
        asked("comment", text=f"the token is {token}"),
        asked("comment", text="x", why=token, name=token),
        *(asked("comment", text=str(number)) for number in range(9)),
    )
    assert results(outcome) == ["refused"] * 3 + ["admitted"] * 3 + ["refused"] * 6
    assert len(world.notes()) == 3
    assert world.labels() == ("factory::claimed",)
    assert token not in str(outcome.records)
    assert results(world.apply(asked("comment", text="one more"), attempt=2)) == ["refused"]


def test_a_cap_of_zero_allows_no_request(world: World) -> None:
    none = dict.fromkeys(POLICIES.outputs.caps.model_dump(), 0)
    caps = POLICIES.outputs.caps.model_copy(update=none)
    policies = POLICIES.model_copy(update={"outputs": POLICIES.outputs.model_copy(update={"caps": caps})})
    outcome = world.apply(asked("comment", text="x"), asked("question", text="x"), asked("done"), policies=policies)
    assert results(outcome) == ["refused"] * 3
    assert (outcome.question, outcome.done) == (None, None)


def test_unreadable_lines_are_recorded(world: World) -> None:
    reading = parse(b"nonsense\n")
    outcome = output_requests.apply(world.context, world.session, world.frozen, POLICIES, reading, attempt=1)
    assert [(record.id, record.kind, record.result) for record in outcome.records] == [
        ("line-1", "unreadable", "refused")
    ]


def test_marks_of_other_users_and_sessions_are_ignored(world: World) -> None:
    request = asked("comment", text="x")
    mark = f"<!-- factory:output s1 comment {request.id} {request.digest()} -->"
    issues.comment(world.context.agent, "issues", world.frozen.iid, body=mark)
    issues.comment(world.context.bot, "issues", world.frozen.iid, body=f"quoted: {mark}")
    issues.comment(world.context.bot, "issues", world.frozen.iid, body=mark.replace("s1", "s2"))
    assert results(world.apply(request)) == ["admitted"]
