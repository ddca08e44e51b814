"""The whole flow on GitLab Free, by a person's account and the factory's: what GitLab does not hold there, we do."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.instance import Instance, make_instance
from tests.cli.test_refusals import assert_told, connect, url
from tests.servers import git, wait_for

MINE = ("--instance", "mine")
PATH = "factory/control"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Connect a clone, with two accounts, to a Free server that another instance of it runs."""
    made = make_instance(tmp_path_factory.mktemp("free"))
    scope = made.clone / "policies/scope.yml"
    scope.write_text(scope.read_text().replace("[factory-agent]", "[factory-agent, factory-bot]"))
    git("commit", "-qam", "bind the factory's account", cwd=made.clone)
    made.run("up", FACTORY_TIER="free")
    for account, more in (("operator", ()), ("factory-bot", ("--bot",))):
        token = (made.folder() / "tokens" / account).read_text()
        made.run(*MINE, "connect", url(made.folder()), "--project", PATH, "--yes", *more, stdin=token)
    yield made
    made.run("down", check=False)


def project(mine: Instance, account: str) -> Any:
    return connect(url(mine.folder()), account, mine.folder()).projects.get(PATH)


def requests(mine: Instance) -> list[str]:
    return [item["state"] for item in mine.json(*MINE, "mr", "list", "--all")]


def test_a_change_is_approved_by_a_person_and_deployed_by_their_click(mine: Instance) -> None:
    mine.run(*MINE, "issue", "new", "Greet a visitor by name", "--spec", "hello")
    mine.run(*MINE, "work", "--once")
    assert requests(mine) == ["opened"]
    project(mine, "factory-bot").mergerequests.get(1).approve()
    mine.run(*MINE, "work", "--once")
    assert requests(mine) == ["opened"], "Free lets authors approve; it counts for nothing"

    mine.run(*MINE, "mr", "approve", "1")
    head = project(mine, "operator").mergerequests.get(1)
    sneaked = [{"action": "create", "file_path": "docs/sneaked.md", "content": "x"}]
    body = {"branch": head.source_branch, "commit_message": "more", "actions": sneaked}
    project(mine, "factory-bot").commits.create(body)
    wait_for(lambda: project(mine, "operator").mergerequests.get(1).sha != head.sha)
    assert project(mine, "operator").mergerequests.get(1).approvals.get().approved_by, "Free keeps it past the push"
    mine.run(*MINE, "work", "--once")
    assert requests(mine) == ["opened"], "what was approved is another commit"
    folder = mine.clone.parent / "back"
    address = url(mine.folder()).replace("//", f"//factory-bot:{(mine.folder() / 'tokens/factory-bot').read_text()}@")
    git("clone", "-q", f"{address}/{PATH}.git", str(folder), cwd=mine.clone)
    git("push", "-qf", "origin", f"{head.sha}:refs/heads/{head.source_branch}", cwd=folder)
    merge = project(mine, "operator").mergerequests
    wait_for(lambda: merge.get(1).detailed_merge_status == "mergeable", seconds=120)
    mine.run(*MINE, "work", "--once")
    assert requests(mine) == ["opened"], "an approval from before the push is of what was pushed then"

    mine.run(*MINE, "mr", "approve", "1")
    mine.run(*MINE, "work", "--once")
    assert requests(mine) == ["merged"]
    waiting = mine.json(*MINE, "deploy", "list")[0]
    assert (waiting["environment"], waiting["status"]) == ("production", "created")
    mine.run(*MINE, "work", "--once")
    assert mine.json(*MINE, "deploy", "list")[0]["status"] == "created", "nobody decided"
    mine.run(*MINE, "deploy", "approve", str(waiting["id"]))
    mine.run(*MINE, "work", "--once")
    assert mine.json(*MINE, "issue", "list", "--all")[0]["state"] == "closed"
    report = json.loads(mine.run(*MINE, "evidence", "verify", "1", "--json").stdout)
    assert (report["passed"], report["complete"]) == (True, True)
    assert any(notice.startswith("separation: two accounts") for notice in report["notices"])
    approvals = [item["key"] for item in mine.json(*MINE, "evidence", "list") if item["kind"] == "approval"]
    assert [key.rsplit("/", 1)[-1] for key in approvals] == ["operator", "operator"]


def test_the_factorys_account_starts_no_apply(mine: Instance) -> None:
    made = project(mine, "operator").pipelines.create({"ref": "main"})
    pipelines = project(mine, "factory-bot").pipelines
    wait_for(lambda: pipelines.get(made.id).status in {"manual", "failed"}, seconds=120)
    jobs = {job.name: job.id for job in pipelines.get(made.id).jobs.list(get_all=True)}
    job = project(mine, "factory-bot").jobs.get(jobs["apply-production"])
    job.play()
    ended = wait_for(lambda: (now := project(mine, "operator").jobs.get(job.id)).finished_at and now, seconds=120)
    assert ended.status == "failed"
    assert "a person must start this job" in ended.trace().decode()


def test_one_account_alone_leaves_the_click_to_a_person(mine: Instance) -> None:
    alone = ("--instance", "alone")
    token = (mine.folder() / "tokens/operator").read_text()
    mine.run(*alone, "connect", url(mine.folder()), "--project", PATH, "--yes", stdin=token)
    made = project(mine, "operator").pipelines.create({"ref": "main"})
    wait_for(lambda: project(mine, "operator").pipelines.get(made.id).status in {"manual", "failed"}, seconds=120)
    waiting = mine.json(*alone, "deploy", "list")[0]
    refused = mine.run(*alone, "deploy", "approve", str(waiting["id"]), check=False)
    assert_told(refused, 5, "only your own click", f"/-/jobs/{waiting['job']}")
