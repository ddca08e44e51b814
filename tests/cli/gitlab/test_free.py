"""The main job on GitLab Free with two accounts: the factory enforces what GitLab Free does not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gitlab
import pytest
from gitlab import GitlabError

from tests.cli.test_refusals import assert_told, connect, url
from tests.instances import Instance, founded, name_agent
from tests.servers import git, wait_for

MINE = ("--instance", "mine")
PATH = "factory/control"
pytestmark = pytest.mark.long


def connected(folder: Path) -> Instance:
    """Connect a clone, with two accounts, to a Free server that another instance of it runs."""
    made = founded(folder, tier="free", change=lambda clone: name_agent(clone, "factory-bot"))
    for account, more in (("operator", ()), ("factory-bot", ("--bot",))):
        token = (made.folder() / "tokens" / account).read_text()
        made.run(*MINE, "connect", url(made.folder()), "--project", PATH, "--yes", *more, stdin=token)
    trust_in_jobs(made, *MINE)
    return made


def trust_in_jobs(made: Instance, *words: str) -> None:
    """Let jobs and hosts trust the evidence of the connected instance, in place of the one that runs the server."""
    own = made.folder() / "trust.json"
    text = json.dumps(made.json(*words, "evidence", "trust") | {"hosts": json.loads(own.read_text())["hosts"]})
    own.write_text(text)
    project(made, "operator").variables.update("FACTORY_TRUST_ROOT", {"value": text})


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    made = connected(tmp_path_factory.mktemp("free"))
    yield made
    made.run("down", check=False)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Instance]:
    """Return one in which the replay agent has not answered its one issue yet."""
    made = connected(tmp_path)
    yield made
    made.run("down", check=False)


def project(mine: Instance, account: str) -> Any:
    return connect(url(mine.folder()), account, mine.folder()).projects.get(PATH)


def requests(mine: Instance) -> list[str]:
    return [item["state"] for item in mine.json(*MINE, "mr", "list", "--all")]


@pytest.mark.slow
def test_a_change_is_approved_by_a_person_and_deployed_by_their_click(mine: Instance) -> None:
    mine.run(*MINE, "issue", "new", "Greet a visitor by name", "--spec", "hello")
    mine.run(*MINE, "work", "--once")
    assert requests(mine) == ["opened"]
    held = project(mine, "operator").mergerequests.get(1)
    wait_for(lambda: project(mine, "operator").mergerequests.get(1).detailed_merge_status == "ci_still_running")
    with pytest.raises(gitlab.GitlabMRClosedError, match="405"):
        held.merge()
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
    wait_for(lambda: merge.get(1).detailed_merge_status == "mergeable")
    mine.run(*MINE, "work", "--once")
    assert requests(mine) == ["opened"], "an approval from before the push is of what was pushed then"
    statuses = project(mine, "operator").commits.get(head.sha).statuses.list(get_all=True)
    assert {(item.name, item.status) for item in statuses} == {("factory/approval", "pending")}

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


@pytest.mark.matrix(4, group="flows")
def test_the_factorys_account_starts_no_apply_that_needs_approval(fresh: Instance) -> None:
    made = project(fresh, "operator").pipelines.create({"ref": "main"})
    wait_for(lambda: project(fresh, "operator").pipelines.get(made.id).status in {"manual", "failed"})
    jobs = {job.name: job.id for job in project(fresh, "operator").pipelines.get(made.id).jobs.list(get_all=True)}
    with pytest.raises(GitlabError, match="403"):
        project(fresh, "factory-agent").jobs.get(jobs["apply-staging"]).play()
    bot = project(fresh, "factory-bot").jobs
    bot.get(jobs["apply-staging"]).play()
    wait_for(lambda: bot.get(jobs["apply-production"]).status == "manual")
    bot.get(jobs["apply-production"]).play()
    ended = wait_for(lambda: (now := bot.get(jobs["apply-production"])).finished_at and now)
    assert ended.status == "failed"
    assert "a person must start this job" in ended.trace().decode()


@pytest.mark.matrix(4, group="flows")
def test_one_account_alone_leaves_the_click_to_a_person(mine: Instance) -> None:
    alone = ("--instance", "alone")
    token = (mine.folder() / "tokens/operator").read_text()
    mine.run(*alone, "connect", url(mine.folder()), "--project", PATH, "--yes", stdin=token)
    made = project(mine, "operator").pipelines.create({"ref": "main"})
    wait_for(lambda: project(mine, "operator").pipelines.get(made.id).status in {"manual", "failed"})
    waiting = mine.json(*alone, "deploy", "list")[0]
    refused = mine.run(*alone, "deploy", "approve", str(waiting["id"]), check=False)
    assert_told(refused, 5, "only a click in GitLab", f"/-/jobs/{waiting['job']}")


def commits(by: Any, branch: str, files: dict[str, str], **more: str) -> Any:
    known = {item["path"] for item in by.repository_tree(recursive=True, get_all=True)}
    actions = [
        {"action": "update" if name in known else "create", "file_path": name, "content": text}
        for name, text in files.items()
    ]
    return by.commits.create({"branch": branch, "commit_message": "x", "actions": actions, **more})


def ended(by: Any, iid: int) -> Any:
    """Return a merge request's newest pipeline once it has ended."""

    def found() -> Any:
        runs = by.mergerequests.get(iid).pipelines.list(get_all=True)
        return runs[0] if runs and runs[0].status in {"success", "failed"} else None

    return wait_for(found)


def test_a_change_of_the_judge_is_judged_by_the_previous_judge(mine: Instance) -> None:
    bot = project(mine, "factory-bot")
    lax = {
        ".gitlab-ci.yml": 'gate: {script: ["true"]}\n',
        "policies/scope.yml": 'allowed: ["**"]\nprotected: []\nagents: []\nmax_files: 99\nmax_lines: 999\n',
    }
    commits(bot, "judge", lax, start_branch="main")
    request = bot.mergerequests.create({"source_branch": "judge", "target_branch": "main", "title": "lax"})
    run = ended(bot, request.iid)
    assert run.status == "failed"
    jobs = {job.name: job for job in bot.pipelines.get(run.id).jobs.list(get_all=True)}
    assert {"validate", "unit", "contract", "plan", "gate"} == set(jobs)
    told = bot.jobs.get(jobs["gate"].id).trace().decode()
    assert "scope.protected  .gitlab-ci.yml" in told
    assert "scope.path  policies/scope.yml" in told
    with pytest.raises(gitlab.GitlabMRClosedError):
        request.merge()
    request.state_event = "close"
    request.save()


def test_who_starts_a_pipeline_again_frees_no_agents_change(mine: Instance) -> None:
    bot, person = project(mine, "factory-bot"), project(mine, "operator")
    policy = {"policies/retention.yml": "session_days: 31\n"}
    told = {}
    for branch, by in {"theirs": bot, "own": person}.items():
        # Both commits name the person, and the person opens both merge requests.
        commits(by, branch, policy, start_branch="main", author_name="operator", author_email="operator@localhost")
        request = person.mergerequests.create({"source_branch": branch, "target_branch": "main", "title": branch})
        first = ended(person, request.iid)
        again = request.pipelines.create({})
        run = wait_for(lambda: (now := ended(person, request.iid)).id == again.id and now)  # noqa: B023
        assert (run.id != first.id, run.source) == (True, "merge_request_event")
        jobs = {job.name: job for job in person.pipelines.get(run.id).jobs.list(get_all=True)}
        assert jobs["gate"].user["username"] == "operator"
        told[branch] = person.jobs.get(jobs["gate"].id).trace().decode()
        assert "FACTORY_TOKEN_JUDGE" not in person.jobs.get(jobs["unit"].id).trace().decode()
        request.state_event = "close"
        request.save()
    assert "scope.path  policies/retention.yml" in told["theirs"]
    # The gate downloaded the results of the jobs that ran the change's code.
    assert all("✓ contract" in text for text in told.values())
    # A person's own change is told of, and passes.
    assert ("✓ scope" in told["own"], "✓ scope" in told["theirs"]) == (True, False)


def test_the_factory_can_not_change_main_tags_and_settings(mine: Instance) -> None:
    bot = project(mine, "factory-bot")
    with pytest.raises(gitlab.GitlabCreateError):
        commits(bot, "main", {"docs/pushed.md": "x"})
    folder = mine.clone.parent / "pushing"
    token = (mine.folder() / "tokens/factory-bot").read_text()
    address = url(mine.folder()).replace("//", f"//factory-bot:{token}@") + f"/{PATH}.git"
    git("clone", "-q", address, str(folder), cwd=mine.clone)
    git("commit", "-q", "--allow-empty", "-m", "pushed", cwd=folder)
    for pushed in ("HEAD:main", "+HEAD~2:main", ":main"):
        assert git("push", "-q", "origin", pushed, cwd=folder, check=False).returncode != 0
    # Its account is a maintainer, so that it may merge: what it changes of the settings is told, and put back.
    bot.protectedbranches.delete("main")
    told = mine.run(*MINE, "gitlab", "plan", check=False)
    assert (told.returncode, "branches: main" in told.stdout) == (2, True)
    mine.run(*MINE, "gitlab", "apply")
    assert mine.run(*MINE, "gitlab", "plan").returncode == 0


@pytest.mark.matrix(4, group="flows")
@pytest.mark.slow
def test_a_merge_that_nobody_approved_is_no_evidence(fresh: Instance) -> None:
    fresh.run(*MINE, "issue", "new", "Greet a visitor by name", "--spec", "hello")
    fresh.run(*MINE, "work", "--once")
    bot = project(fresh, "factory-bot")
    held = bot.mergerequests.get(1)
    assert held.detailed_merge_status == "ci_still_running"
    assert [item["merge_status"] for item in fresh.json(*MINE, "mr", "list")] == ["waits_for_approval"]
    assert "waits_for_approval" in fresh.run(*MINE, "mr", "show", "1").stdout
    assert "waits_for_approval" in fresh.run(*MINE, "status").stdout
    status = {"state": "success", "name": "factory/approval", "pipeline_id": held.head_pipeline["id"]}
    bot.commits.get(held.sha).statuses.create(status)
    wait_for(lambda: bot.mergerequests.get(1).detailed_merge_status == "mergeable")
    bot.mergerequests.get(1).merge()
    fresh.run(*MINE, "work", "--once")
    told = fresh.run(*MINE, "evidence", "verify", "1", check=False)
    assert told.returncode == 13
    assert "EV-APPROVAL-MERGE: missing: an approval to merge" in told.stdout
    assert "that no agent merged is not checked" in told.stdout


@pytest.mark.matrix(4, group="flows")
@pytest.mark.slow
def test_with_one_account_every_verdict_says_which_rules_are_not_checked(fresh: Instance) -> None:
    alone = ("--instance", "alone")
    token = (fresh.folder() / "tokens/operator").read_text()
    connected = fresh.run(*alone, "connect", url(fresh.folder()), "--project", PATH, "--yes", stdin=token)
    assert "separation: none" in connected.stdout
    trust_in_jobs(fresh, *alone)
    fresh.run(*alone, "issue", "new", "Greet a visitor by name", "--spec", "hello")
    fresh.run(*alone, "work", "--once")
    person = project(fresh, "operator").mergerequests
    wait_for(lambda: person.get(1).detailed_merge_status == "mergeable")
    notes = [note.body for note in person.get(1).notes.list(get_all=True)]
    assert any("separation: none" in body for body in notes), notes
    person.get(1).approve()
    fresh.run(*alone, "work", "--once")
    assert person.get(1).state == "opened", "an author's own approval does not count"
    person.get(1).merge()
    fresh.run(*alone, "work", "--once")
    told = fresh.run(*alone, "evidence", "verify", "1", check=False)
    assert told.returncode == 13
    assert "separation: none" in told.stdout
