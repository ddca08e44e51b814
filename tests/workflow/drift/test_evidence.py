"""Tests of the comparison of the evidence with a loopback GitLab's records."""

from pathlib import Path

import pytest

from factory.gitlab import schedules, tracking_issue
from factory.model.gitlab import Issue
from factory.workflow.drift import evidence, scheduled
from factory.workflow.recorder import record
from tests.evidence import examples
from tests.servers import LocalGitlab, wait_for
from tests.workflow import loopback

DEFINITION = b"""
check:
  rules: [{if: $CI_PIPELINE_SOURCE == "schedule"}]
  script: [echo checked]
deploy:
  rules: [{if: $CI_PIPELINE_SOURCE == "push", when: manual}]
  environment: {name: production}
  script: [echo deployed]
"""


class World:
    """A project whose evidence has begun with the attempt at main's first commit."""

    def __init__(self, server: LocalGitlab, folder: Path) -> None:
        self.context = loopback.context(server, folder, {**loopback.shipped(), ".gitlab-ci.yml": DEFINITION})
        self.project = server.client().projects.get(self.context.bot.project_path)
        self.base = self.context.main()
        written = examples.predicates(1, 1)["attempt"]
        predicate = {"key": "attempt/1", **written, "base": self.base, "head": self.base}
        subjects = examples.subjects("attempt", {**predicate, "issue": 1})
        record(self.context, "attempt", issue=1, subjects=subjects, predicate=predicate)

    def write(self, branch: str, *, message: str = "Change by hand") -> str:
        """Commit a file on a branch, which begins at main; return the commit."""
        action = {"action": "create", "file_path": f"apps/{branch}.txt", "content": message}
        more = {} if branch == "main" else {"start_branch": "main"}
        made = self.project.commits.create({"branch": branch, "commit_message": message, "actions": [action], **more})
        return str(made.id)

    def merge(self, branch: str) -> int:
        """Merge a branch by a merge request; return its number."""
        request = self.project.mergerequests.create({"source_branch": branch, "target_branch": "main", "title": branch})
        wait_for(lambda: self.project.mergerequests.get(request.iid).detailed_merge_status == "mergeable")
        self.project.mergerequests.get(request.iid).merge()
        return int(request.iid)

    def state(self, iid: int, sha: str) -> None:
        """Record a merge."""
        predicate = {"key": f"merge/{iid}", **examples.predicates(1, iid)["merge"], "head": sha, "merge_commit": sha}
        subjects = examples.subjects("merge", {**predicate, "issue": 1})
        record(self.context, "merge", issue=1, subjects=subjects, predicate=predicate)

    def found(self) -> list[tuple[str, str]]:
        differences = evidence.differences(self.context, self.context.policies())
        evidence.report(self.context, differences)
        return [(item.kind, item.subject) for item in differences]

    def issues(self) -> list[Issue]:
        return tracking_issue.find(self.context.bot, "<!-- factory:evidence-drift ")


@pytest.fixture
def world(gitlab_server: LocalGitlab, tmp_path: Path) -> World:
    return World(gitlab_server, tmp_path)


def test_a_push_to_main_without_its_protection_is_one_issue(world: World) -> None:
    assert world.found() == []
    assert world.issues() == []
    world.project.protectedbranches.delete("main")
    commit = world.write("main")
    assert world.found() == [("push", commit[:12])]
    (issue,) = world.issues()
    assert commit[:12] in issue.description
    assert world.found() == [("push", commit[:12])]
    assert len(world.issues()) == 1


def test_a_merge_is_told_until_a_statement_records_it_and_its_issue_closes(world: World) -> None:
    commit = world.write("mine")
    iid = world.merge("mine")
    assert world.found() == [("merge", f"!{iid}")]
    world.state(iid, commit)
    assert world.found() == []
    assert [item.state for item in world.issues()] == ["closed"]


def test_a_push_below_a_merge_is_found(world: World) -> None:
    world.project.protectedbranches.delete("main")
    pushed = world.write("main")
    commit = world.write("mine")
    iid = world.merge("mine")
    world.state(iid, commit)
    assert world.found() == [("push", pushed[:12])]


def test_a_merge_request_that_is_being_shipped_is_left_alone(world: World) -> None:
    world.write("mine")
    iid = world.merge("mine")
    request = world.project.mergerequests.get(iid)
    labels = world.context.policies().session.labels
    request.labels = [labels.shipping]
    request.save()
    assert world.found() == []
    request.labels = [labels.shipping, labels.blocked]
    request.save()
    assert world.found() == [("merge", f"!{iid}")]


def test_it_is_compared_once_after_each_scheduled_pipeline(world: World) -> None:
    policies = world.context.policies()
    world.project.protectedbranches.delete("main")
    world.write("main")
    scheduled.tend(world.context, policies)
    assert world.issues() == []
    schedules.make_once(world.context.bot, description="drift", ref="main", cron="23 4 * * *")
    (schedule,) = world.context.bot.project.pipelineschedules.list(get_all=True)
    world.context.bot.project.pipelineschedules.get(schedule.id, lazy=True).play()
    wait_for(lambda: schedules.last_ended(world.context.bot, ref="main"))
    scheduled.tend(world.context, policies)
    (issue,) = world.issues()
    world.write("mine")
    world.merge("mine")
    scheduled.tend(world.context, policies)
    assert world.issues() == [issue]


def test_a_deployment_by_hand_is_told(world: World) -> None:
    commit = world.write("mine")
    iid = world.merge("mine")
    world.state(iid, commit)
    assert world.found() == []
    pipeline = wait_for(lambda: world.project.pipelines.list(sha=commit, ref="main", get_all=True))[0]
    (job,) = pipeline.jobs.list(get_all=True)
    world.project.jobs.get(job.id).play()
    wait_for(lambda: world.project.jobs.get(job.id).status == "success")
    (deployment,) = world.project.deployments.list(get_all=True, status="success")
    assert world.found() == [("deployment", f"{deployment.id} to production")]
