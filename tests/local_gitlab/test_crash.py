"""Recovery after kill -9: acknowledged writes survive, and interrupted pushes are processed after the restart."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gitlab
import pytest
import requests

from tests.servers import TOOL_ENV, expander, free_port, git, wait_for, with_token

_JOB = "job:\n  script: [echo yes]\n"


class Server:
    """A server in a separate process, without a runner."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start with the same state and port."""
        options = {"state": str(self.state), "port": self.port, "expander": expander(), "tool_env": TOOL_ENV}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("run_server.py")), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.token = (self.state / "root-token").read_text()
        self.client = gitlab.Gitlab(self.url, private_token=self.token)

    def kill(self) -> None:
        """Stop the server with kill -9."""
        self.process.kill()
        self.process.communicate()

    def restart(self) -> None:
        """Kill the server and start it again."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Stop the server."""
        self.process.communicate()

    def project(self, definition: str = _JOB) -> Any:
        """Create a project with a pipeline definition on main."""
        made = self.client.projects.create({"name": "p"})
        actions = [{"action": "create", "file_path": ".gitlab-ci.yml", "content": definition}]
        made.commits.create({"branch": "main", "commit_message": "ci", "actions": actions})
        return made

    def again(self, project: Any) -> Any:
        """Return a project from a new client of the running server."""
        return self.client.projects.get(project.id)

    def move(self, project: Any, branch: str) -> str:
        """Commit to a branch of the bare repository, like a push after which the server dies."""
        bare = self.state / "repositories" / f"{project.id}.git"
        tree = git("rev-parse", "main^{tree}", cwd=bare).stdout.strip()
        sha = git("commit-tree", tree, "-p", "main", "-m", "pushed", cwd=bare).stdout.strip()
        git("update-ref", f"refs/heads/{branch}", sha, cwd=bare)
        return sha


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "state")
    yield running
    running.close()


def _pipelines(project: Any, sha: str) -> list[Any]:
    found: list[Any] = project.pipelines.list(get_all=True, sha=sha)
    return found


@pytest.mark.long
def test_every_acknowledged_write_survives_kill_9(server: Server) -> None:
    project = server.client.projects.create({"name": "p"})
    acknowledged: list[int] = []

    def write(number: int) -> None:
        theirs = gitlab.Gitlab(server.url, private_token=server.token).projects.get(project.id, lazy=True)
        with suppress(requests.RequestException):
            while True:
                acknowledged.append(theirs.issues.create({"title": f"by {number}"}).iid)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    wait_for(lambda: len(acknowledged) > 30)
    server.kill()
    for writer in writers:
        writer.join(30)
    server.start()
    kept = [issue.iid for issue in server.again(project).issues.list(get_all=True)]
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept)) <= len(acknowledged) + len(writers)
    assert server.again(project).issues.create({"title": "next"}).iid == max(kept) + 1


@pytest.mark.long
def test_a_commit_over_the_api_gets_its_pipeline_once(server: Server) -> None:
    project = server.project()
    server.restart()
    jobs = wait_for(lambda: server.again(project).jobs.list(get_all=True))
    assert [job.name for job in jobs] == ["job"]
    sha = project.branches.get("main").commit["id"]
    server.restart()
    assert len(_pipelines(server.again(project), sha)) == 1
    assert len(server.again(project).jobs.list(get_all=True)) == 1


@pytest.mark.long
def test_a_ref_that_moved_while_the_server_was_down_is_processed(server: Server) -> None:
    project = server.project()
    project.branches.create({"branch": "x", "ref": "main"})
    person = server.client.users.create({"username": "anna", "name": "Anna", "email": "anna@localhost"})
    token = person.personal_access_tokens.create({"name": "t", "scopes": ["api"]}).token
    project.members.create({"user_id": person.id, "access_level": 40})
    request = project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "t"})
    theirs = gitlab.Gitlab(server.url, private_token=token).projects.get(project.id)
    theirs.mergerequests.get(request.iid).approve()
    server.kill()
    sha = server.move(project, "x")
    server.start()
    project = server.again(project)
    assert {each.source for each in _pipelines(project, sha)} == {"push", "merge_request_event"}
    moved = project.mergerequests.get(request.iid)
    assert moved.sha == sha
    assert moved.approvals.get().approved_by == [], "approvals of the old head are void"
    assert wait_for(lambda: _pipelines(project, sha)[0].jobs.list(get_all=True))


def test_a_push_is_processed_if_the_server_died_after_the_ref_update(server: Server, tmp_path: Path) -> None:
    project = server.project()
    work, started, go = tmp_path / "work", tmp_path / "started", tmp_path / "go"
    git("clone", "-q", with_token(project.http_url_to_repo, server.token), "work", cwd=tmp_path)
    (work / "a.txt").write_text("1\n")
    git("add", ".", cwd=work)
    git("commit", "-qm", "a", cwd=work)
    sha = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    hook = server.state / "hooks" / "post-receive"
    hook.write_text(f"#!/bin/sh\ntouch '{started}'\nuntil [ -e '{go}' ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    refused: list[int] = []

    def push() -> None:
        refused.append(git("push", "-q", "origin", "HEAD:main", cwd=work, check=False).returncode)

    pushing = threading.Thread(target=push)
    pushing.start()
    try:
        wait_for(started.exists)
        assert _pipelines(project, sha) == []
        server.kill()
    finally:
        go.touch()
        pushing.join(30)
    hook.unlink()
    assert refused != [0], "the client did not get a success"
    server.start()
    found = _pipelines(server.again(project), sha)
    assert [(each.ref, each.source) for each in found] == [("main", "push")]
    assert found[0].before_sha == git("rev-parse", "HEAD~1", cwd=work).stdout.strip()


@pytest.mark.long
def test_a_lost_runner_fails_its_jobs_and_retry_runs_them_again(server: Server) -> None:
    project = server.project(
        "again:\n  script: [x]\n  retry: {max: 1, when: [runner_system_failure]}\n"
        "once:\n  script: [x]\n  retry: {max: 1, when: [script_failure]}\n"
    )
    made: Any = server.client.http_post("/user/runners", post_data={"runner_type": "instance_type"})
    request = f"{server.url}/api/v4/jobs/request"
    given = [requests.post(request, json={"token": made["token"]}, timeout=30).json() for _ in range(2)]
    trace = f"{server.url}/api/v4/jobs/{given[0]['id']}/trace"
    headers = {"JOB-TOKEN": given[0]["token"], "Content-Range": "0-3"}
    assert requests.patch(trace, data="half", headers=headers, timeout=30).status_code == 202
    server.restart()
    project = server.again(project)
    running = project.jobs.list(get_all=True)
    assert {job.status for job in running} == {"running"}, "a runner may still report after a restart"
    assert project.jobs.get(given[0]["id"]).trace() == b"half"
    pipeline = project.pipelines.list(get_all=True)[0]

    def lost() -> Any:
        found = pipeline.jobs.list(get_all=True, include_retried=True)
        return len(found) == 3 and found

    found = wait_for(lost)
    assert sorted((job.name, job.status, getattr(job, "failure_reason", None)) for job in found) == [
        ("again", "failed", "runner_system_failure"),
        ("again", "pending", None),
        ("once", "failed", "runner_system_failure"),
    ]
    late = requests.put(
        f"{server.url}/api/v4/jobs/{given[0]['id']}",
        json={"token": given[0]["token"], "state": "success"},
        timeout=30,
    )
    assert (late.status_code, late.headers["Job-Status"]) == (403, "failed")
    next_one = requests.post(request, json={"token": made["token"]}, timeout=30).json()
    assert next_one["job_info"]["name"] == "again"
    assert next_one["token"] != given[0]["token"]


def test_a_lock_that_a_killed_git_left_stops_no_push(server: Server) -> None:
    project = server.project()
    server.kill()
    bare = server.state / "repositories" / f"{project.id}.git"
    for name in ("refs/heads/main.lock", "packed-refs.lock"):
        (bare / name).write_text("")
    server.start()
    made = server.again(project).files.create(
        {"file_path": "x", "branch": "main", "content": "1", "commit_message": "after"}
    )
    assert made.file_path == "x"
