"""A person's own merge request, on a running instance: reviewed, merged by the factory or by hand, and recorded."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_refusals import connect, url
from tests.instances import Instance, founded
from tests.servers import wait_for

PATH = "factory/control"
HELLO = "apps/hello/src/hello.py"
pytestmark = pytest.mark.long


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Instance]:
    made = founded(tmp_path)
    yield made
    made.run("down", check=False)


def proposed(mine: Instance, path: str, content: str, *, branch: str = "mine", account: str = "operator") -> Any:
    """Commit a file on a branch as an account, open its merge request and wait for its pipeline."""
    project = connect(url(mine.folder()), account, mine.folder()).projects.get(PATH)
    action = "update" if (mine.clone / path).exists() else "create"
    actions = [{"action": action, "file_path": path, "content": content}]
    body = {"branch": branch, "start_branch": "main", "commit_message": "Say it\n\nSpec: hello", "actions": actions}
    project.commits.create(body)
    made = project.mergerequests.create({"source_branch": branch, "target_branch": "main", "title": "Say it"})
    ended = {"success", "failed"}
    wait_for(lambda: project.mergerequests.get(made.iid).pipelines.list(get_all=True)[0].status in ended)
    return project


def kinds(mine: Instance, iid: int) -> list[str]:
    return [item["kind"] for item in mine.json("evidence", "timeline", f"!{iid}")]


def said(mine: Instance) -> str:
    done = mine.run("work", "--once")
    return str(done.stdout + done.stderr)


@pytest.mark.slow
def test_a_persons_own_change_ships_with_their_own_approval(mine: Instance) -> None:
    text = (mine.clone / HELLO).read_text().replace("without dependencies", "on Python alone")
    project = proposed(mine, HELLO, text)
    assert "has no review note yet" in mine.run("mr", "approve", "1", check=False).stderr
    project.mergerequests.get(1).approve()
    assert "!1 is ready for review" in mine.run("work", "--once").stderr
    assert "manifest" not in mine.run("mr", "show", "1").stdout
    assert "hello at" in mine.run("mr", "try", "1", "--check").stdout
    assert "!1 waits for review" in said(mine), "the approval was given before the note said what it names"
    mine.run("mr", "approve", "1")
    mine.run("work", "--once")
    assert project.mergerequests.get(1).state == "merged"
    assert project.mergerequests.get(1).merge_user["username"] == "factory-bot"
    [waiting] = [item for item in mine.json("deploy", "list") if item["status"] == "blocked"]
    mine.run("deploy", "approve", str(waiting["id"]))
    mine.run("work", "--once")
    report = mine.json("evidence", "verify", "1")
    assert (report["passed"], report["missing"]) == (True, [])
    assert any("own approval" in text and "operator" in text for text in report["notices"])
    assert {"proposal", "verdict"} <= set(kinds(mine, 1)[:4])
    assert not {"claim", "attempt"} & set(kinds(mine, 1))
    assert "nothing to do" in said(mine)


@pytest.mark.matrix(4, group="flows")
def test_what_a_person_merged_by_hand_is_recorded(mine: Instance) -> None:
    proposed(mine, HELLO, (mine.clone / HELLO).read_text().replace("without dependencies", "on Python alone"))
    mine.run("work", "--once")
    # Whoever pushes the same commit later has not worked on it.
    agents = connect(url(mine.folder()), "factory-agent", mine.folder()).projects.get(PATH)
    agents.branches.create({"branch": "other", "ref": "mine"})
    mine.run("mr", "approve", "1")
    mine.run("mr", "merge", "1")
    mine.run("work", "--once")
    assert "FAILED" not in mine.run("evidence", "verify", "1", check=False).stdout
    assert {"proposal", "verdict", "approval", "merge", "plan"} <= set(kinds(mine, 1))
    assert [item for item in mine.json("evidence", "drift") if item["kind"] == "merge"] == []


@pytest.mark.matrix(4, group="flows")
def test_a_branch_is_proposed_pushed_and_checked_out_with_plain_git(mine: Instance) -> None:
    def own(*arguments: str, check: bool = True) -> Any:
        argv = ["git", "-c", "user.name=Op", "-c", "user.email=op@localhost", *arguments]
        return subprocess.run(argv, cwd=mine.clone, env=mine.env(), check=check, capture_output=True, text=True)

    mine.run("up")
    assert "this is main; a change needs a branch of its own" in mine.run("propose", check=False).stderr
    own("switch", "-qc", "mine")
    assert "has no commit that main lacks" in mine.run("mr", "new", check=False).stderr
    hello = mine.clone / HELLO
    hello.write_text(hello.read_text().replace("without dependencies", "on Python alone"))
    own("commit", "-qam", "Say what it needs\n\nSpec: hello")
    with (mine.clone / "apps/hello/app.yml").open("a") as file:
        file.write("# not proposed\n")
    done = mine.run("propose")
    assert "1 file +1 -1 · local gates" in done.stdout
    assert "!1 Say what it needs" in done.stdout
    assert "uncommitted changes in 1 file are" in done.stderr
    project = connect(url(mine.folder()), "operator", mine.folder()).projects.get(PATH)
    request = project.mergerequests.get(1)
    assert (request.author["username"], request.source_branch) == ("operator", "mine")
    assert mine.json("mr", "new")["iid"] == 1, "one merge request for each branch"

    own("checkout", "-q", "apps/hello/app.yml")
    own("commit", "-q", "--allow-empty", "-m", "More\n\nSpec: hello")
    own("push", "-q")
    head = own("rev-parse", "HEAD").stdout.strip()
    assert project.branches.get("mine").commit["id"] == head
    token = (mine.folder() / "tokens/operator").read_text()
    kept = [path for path in (mine.clone / ".git").rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert kept == []
    assert own("ls-remote", url(mine.folder()).replace("127.0.0.1", "localhost"), check=False).returncode != 0

    hello.write_text(hello.read_text() + "\nbroken = (\n")
    own("switch", "-qc", "broken")
    own("commit", "-qam", "Break it\n\nSpec: hello")
    refused = mine.run("propose", check=False)
    assert (refused.returncode, "nothing was pushed" in refused.stderr) == (6, True)
    assert "broken" not in [item.name for item in project.branches.list(get_all=True)]
    assert "Draft: Say what it needs" in mine.run("propose", "--draft").stdout
    own("switch", "-q", "main")
    own("branch", "-qD", "mine")
    mine.run("mr", "checkout", "!1")
    assert own("rev-parse", "HEAD").stdout.strip() == head
    assert "no pages" in mine.run("mr", "open", "1", check=False).stderr


@pytest.mark.matrix(4, group="flows")
def test_an_agents_merge_request_is_no_persons(mine: Instance) -> None:
    project = proposed(mine, "docs/note.md", "# A note\n", account="factory-agent")
    request = project.mergerequests.get(1)
    request.labels = ["factory::review"]
    request.save()
    assert "nothing to do" in said(mine)


@pytest.mark.matrix(4, group="flows")
def test_a_label_of_an_agent_on_a_change_that_failed_holds_nothing_up(mine: Instance) -> None:
    proposed(mine, HELLO, (mine.clone / HELLO).read_text() + "\nbroken = (\n")
    agents = connect(url(mine.folder()), "factory-agent", mine.folder()).projects.get(PATH)
    request = agents.mergerequests.get(1)
    request.labels = ["factory::review"]
    request.save()
    assert said(mine) == "!1 waits for its pipeline, which is failed: see `factory mr show 1`\n"
    assert not [item for item in agents.commits.get(request.sha).statuses.list() if item.name == "factory/approval"]
