"""Tests of the comparison of the evidence with a loopback GitLab's records."""

from pathlib import Path

import pytest

from factory.gitlab import schedules, tracking_issue
from factory.model.gitlab import Issue
from factory.workflow.drift import evidence, scheduled
from factory.workflow.recorder import record
from tests.evidence import examples
from tests.servers import LocalGitlab, git, wait_for, with_token
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
        self.url = with_token(self.project.http_url_to_repo, server.root_token)
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

    def run_schedule(self) -> None:
        """Run a scheduled pipeline to its end."""
        schedules.make_once(self.context.bot, description="drift", ref="main", cron="23 4 * * *")
        (schedule,) = self.context.bot.project.pipelineschedules.list(get_all=True)
        self.context.bot.project.pipelineschedules.get(schedule.id, lazy=True).play()
        wait_for(lambda: schedules.last_ended(self.context.bot, ref="main"))

    def found(self) -> list[tuple[str, str]]:
        differences = evidence.differences(self.context)
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


def test_a_merge_of_a_moment_ago_is_left_to_the_machine_that_ships_it(world: World) -> None:
    world.write("mine")
    iid = world.merge("mine")
    assert evidence.differences(world.context, grace=600) == ()
    assert world.found() == [("merge", f"!{iid}")]


def test_a_main_that_was_rewritten_is_told(world: World) -> None:
    commit = world.write("mine")
    iid = world.merge("mine")
    world.state(iid, commit)
    world.project.protectedbranches.delete("main")
    mirror = world.context.mirror
    other = mirror.commit(dict(mirror.tree(world.base)), parent=None, message="other", author=world.context.bot_author)
    git("push", "-q", "--force", world.url, f"{other}:refs/heads/main", cwd=mirror.path)
    assert {item for item in world.found() if item[0] == "push"} == {("push", world.base[:12]), ("push", commit[:12])}


def test_a_push_that_a_branch_brings_along_is_found(world: World) -> None:
    # The branch merges main, so the push is no first parent of the merged head.
    world.project.protectedbranches.delete("main")
    mirror, author = world.context.mirror, world.context.bot_author
    side = mirror.commit({"side": b"1"}, parent=world.base, message="side", author=author)
    pushed = world.write("main")
    world.context.fetch()
    both = mirror.tree_of(mirror.commit({"side": b"1"}, parent=pushed, message="both", author=author))
    made = git("commit-tree", both, "-p", side, "-p", pushed, "-m", "merge main", cwd=mirror.path).stdout.strip()
    git("push", "-q", world.url, f"{made}:refs/heads/mine", cwd=mirror.path)
    iid = world.merge("mine")
    world.state(iid, made)
    assert ("push", pushed[:12]) in world.found()


def test_a_broken_log_is_an_issue_and_stops_no_other_work(world: World) -> None:
    world.run_schedule()
    for rule in world.project.protectedbranches.list(get_all=True):
        rule.delete()
    other = world.context.mirror.commit({"x": b""}, parent=None, message="x", author=world.context.bot_author)
    git("push", "-q", "--force", world.url, f"{other}:refs/heads/factory/evidence", cwd=world.context.mirror.path)
    scheduled.compare(world.context, scheduled.tend(world.context, world.context.policies()))
    (issue,) = world.issues()
    assert "factory/evidence" in issue.description


def test_it_is_compared_once_after_each_scheduled_pipeline(world: World) -> None:
    policies = world.context.policies()
    world.project.protectedbranches.delete("main")
    world.write("main")
    scheduled.compare(world.context, scheduled.tend(world.context, policies))
    assert world.issues() == []
    world.run_schedule()
    scheduled.compare(world.context, scheduled.tend(world.context, policies))
    (issue,) = world.issues()
    world.write("mine")
    world.merge("mine")
    scheduled.compare(world.context, scheduled.tend(world.context, policies))
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
