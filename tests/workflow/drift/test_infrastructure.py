"""Tests of drift issues on the loopback GitLab, with scheduled pipelines that leave drift reports."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from factory.gitlab import issues, pipelines, schedules, tracking_issue
from factory.gitlab.connect import connect
from factory.model.facts import PlannedChange
from factory.model.gitlab import MAIN, Issue, Note
from factory.policies.terraform import StackRule
from factory.system import canonical
from factory.terraform import drift as reports
from factory.workflow.context import Context
from factory.workflow.drift import infrastructure
from tests.servers import LocalGitlab, wait_for
from tests.workflow import loopback

COMMIT = "c" * 40
DEFINITION = """
drift:
  rules: [{if: $CI_PIPELINE_SOURCE == "schedule"}]
  script:
    - mkdir -p .factory/drift
    - 'printf %s "$REPORT" > .factory/drift/production.json'
    - exit "$CODE"
  artifacts: {when: always, paths: [.factory/drift/]}
pushed:
  rules: [{if: $CI_PIPELINE_SOURCE == "push"}]
  script: [echo yes]
"""
CLEAN = reports.Report("production", COMMIT)
BROKEN = reports.Report("production", COMMIT, problem="no token")


def differs(after: str) -> reports.Report:
    change = PlannedChange("dns.www", "dns", ("update",), {"content": "a"}, {"content": after})
    return reports.Report("production", COMMIT, (change,))


class World:
    """A project with the schedule that ``factory up`` creates; runs its pipelines and updates the issues."""

    def __init__(self, server: LocalGitlab, folder: Path) -> None:
        self.context = loopback.context(server, folder, loopback.shipped() | {".gitlab-ci.yml": DEFINITION.encode()})
        self.said: list[str] = []
        self.project = server.client().projects.get(self.context.bot.project_path)
        for _ in range(2):
            schedules.make_once(self.context.bot, description="drift", ref=MAIN, cron="23 4 * * *")
        (self.schedule,) = self.context.bot.project.pipelineschedules.list(get_all=True)
        for key, value in (("REPORT", ""), ("CODE", "0")):
            self.schedule.variables.create({"key": key, "value": value})

    def run(self, report: bytes, *, code: int = 0) -> int:
        """Run the schedule to its end; return the pipeline's id."""
        for key, value in (("REPORT", report.decode()), ("CODE", str(code))):
            self.schedule.variables.update(key, {"value": value})
        before = {item.id for item in self.project.pipelines.list(get_all=True)}
        self.context.bot.project.pipelineschedules.get(self.schedule.id, lazy=True).play()
        (created,) = [item for item in self.project.pipelines.list(get_all=True) if item.id not in before]
        wait_for(lambda: self.project.pipelines.get(created.id).status == ("failed" if code else "success"))
        return int(created.id)

    def tend(self, context: Context | None = None) -> list[int]:
        context = context or self.context
        newest = schedules.last_ended(context.bot, ref=MAIN)
        return infrastructure.tend(context, context.policies(), newest) if newest else []

    def found(self, report: reports.Report) -> list[int]:
        """Run the schedule with a report; return the issues that the factory wrote."""
        self.run(report.encode())
        return self.tend()

    def issues(self) -> list[Issue]:
        return tracking_issue.find(self.context.bot, "<!-- factory:drift ")

    def notes(self, iid: int) -> list[Note]:
        return issues.notes(self.context.bot, "issues", iid)


@pytest.fixture
def world(gitlab_server: LocalGitlab, tmp_path: Path) -> World:
    return World(gitlab_server, tmp_path)


@pytest.mark.long
def test_the_issue_of_a_stack_that_the_policy_no_longer_lists_is_closed(world: World) -> None:
    (iid,) = world.found(differs("b"))
    world.run(CLEAN.encode())
    policies = world.context.policies()
    terraform = policies.terraform.model_copy(update={"stacks": {"other": StackRule()}})
    newest = schedules.last_ended(world.context.bot, ref=MAIN)
    assert newest
    assert infrastructure.tend(world.context, policies.model_copy(update={"terraform": terraform}), newest) == [iid]
    assert [issue.state for issue in world.issues()] == ["closed"]
    assert "lists no stack" in world.notes(iid)[-1].body


def test_a_scheduled_pipeline_is_not_mains_latest(world: World) -> None:
    before = pipelines.latest(world.context.bot, ref=MAIN)
    assert before is not None
    assert before.source != "schedule"
    world.run(CLEAN.encode())
    after = pipelines.latest(world.context.bot, ref=MAIN)
    assert after is not None
    assert after.id == before.id


@pytest.mark.long
def test_one_issue_is_opened_updated_in_place_closed_and_opened_again(world: World) -> None:
    assert world.tend() == []
    assert world.found(CLEAN) == []
    assert world.issues() == []

    (iid,) = world.found(differs("b"))
    (issue,) = world.issues()
    assert (issue.iid, issue.title, issue.labels) == (iid, "Drift: production", ("factory::drift",))
    assert f"<!-- factory:drift production {differs('b').fingerprint} " in issue.description
    assert "| `dns.www` | content | a | b |" in issue.description
    assert "merge request" in issue.description
    assert "factory infra rollback" in issue.description
    assert world.tend() == [], "the pipeline has been read already"

    assert world.found(differs("b")) == []
    assert world.issues() == [issue], "the same fingerprint writes nothing"
    assert world.notes(iid) == []

    assert world.found(differs("c")) == [iid]
    (issue,) = world.issues()
    assert "| content | a | c |" in issue.description
    assert "The drift has changed" in world.notes(iid)[-1].body

    assert world.found(CLEAN) == [iid]
    (issue,) = world.issues()
    assert issue.state == "closed"
    assert "The drift is gone" in world.notes(iid)[-1].body
    assert world.found(CLEAN) == []

    assert world.found(differs("c")) == [iid], "drift that returns is reported again"
    assert [item.state for item in world.issues()] == ["opened"]
    assert len(world.notes(iid)) == 3


def test_closed_by_a_person_it_stays_closed_until_something_else_differs(world: World) -> None:
    (iid,) = world.found(differs("b"))
    person = world.project.issues.get(iid)
    person.state_event = "close"
    person.labels = ["factory::ready"]
    person.save()
    assert world.found(differs("b")) == []
    assert [item.state for item in world.issues()] == ["closed"]
    assert world.found(differs("c")) == [iid]
    (issue,) = world.issues()
    assert (issue.state, issue.labels) == ("opened", ("factory::ready",)), "the factory keeps a person's labels"


@pytest.mark.long
def test_a_failed_or_invalid_report_changes_nothing(world: World) -> None:
    (iid,) = world.found(differs("b"))
    (before,) = world.issues()
    other = json.loads(CLEAN.encode()) | {"stack": "staging"}
    forged = json.loads(CLEAN.encode()) | {"fingerprint": "sha256:0"}
    for report in (BROKEN.encode(), b"", b"{", canonical.encode(other), canonical.encode(forged)):
        world.run(report, code=1)
        assert world.tend() == []
    assert world.issues() == [before]
    assert world.notes(iid) == []


def test_reports_of_a_failed_pipeline_count(world: World) -> None:
    world.run(differs("b").encode(), code=1)
    assert len(world.tend()) == 1


def test_without_its_state_file_the_pipeline_is_read_again_and_nothing_is_written(world: World) -> None:
    world.found(differs("b"))
    (before,) = world.issues()
    (world.context.machine.state / "drift-seen").unlink()
    assert world.tend() == []
    assert world.issues() == [before]


@pytest.mark.long
def test_an_issue_of_another_user_with_the_mark_is_ignored(world: World) -> None:
    mark = f"<!-- factory:drift production {differs('b').fingerprint} 1 -->"
    world.project.issues.create({"title": "Drift: production", "description": mark})
    assert len(world.found(differs("b"))) == 1
    assert len(world.issues()) == 1


@pytest.mark.long
def test_of_several_issues_opened_at_once_the_oldest_stays(world: World) -> None:
    bot, mark = world.context.bot, "<!-- factory:drift production "

    def open_one(_: int) -> int:
        own = connect(bot.url, bot.project_path, account=bot.account, token=world.context.accounts.bot_token)
        return tracking_issue.open_once(own, mark, title="t", description=f"{mark}x 1 -->", labels=[]).iid

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(open_one, range(4)))
    first, *others = world.issues()
    assert first.state == "opened"
    assert {item.state for item in others} <= {"closed"}
    assert open_one(0) == first.iid
    assert world.found(differs("b")) == [first.iid]


@pytest.mark.long
def test_an_older_pipeline_does_not_overwrite_a_newer_report(world: World) -> None:
    (iid,) = world.found(differs("b"))
    (issue,) = world.issues()
    later = issue.description.replace(" -->", "000 -->", 1)
    tracking_issue.change(world.context.bot, iid, description=later)
    assert world.found(CLEAN) == []
    assert world.issues()[0].state == "opened"


@pytest.mark.long
def test_pipelines_of_other_sources_are_ignored(world: World) -> None:
    wait_for(lambda: world.project.pipelines.list(get_all=True)[0].status == "success")
    assert schedules.newest(world.context.bot, ref=MAIN) == []
    pipeline: Any = world.run(CLEAN.encode())
    assert [item.id for item in schedules.newest(world.context.bot, ref=MAIN)] == [pipeline]
