"""Webhooks of the double: whom it calls, what it tells, and what becomes of one that does not answer."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab, running_gitlab, wait_for

EVENTS = ("push", "tag_push", "issues", "note", "merge_requests", "pipeline", "job", "deployment", "releases")


class Receiver:
    """Takes what is sent, and answers with a status that a test chooses."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.status, self.pause = 200, 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.taken.append((dict(self.headers.items()), body))
                time.sleep(receiver.pause)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [body for _, body in self.taken if body["object_kind"] == kind]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def hooked(server: LocalGitlab, receiver: Receiver, *events: str, **files: str) -> tuple[Any, Any]:
    project = server.project({"README": "x", **files})
    flags = {f"{name}_events": name in (events or EVENTS) for name in EVENTS}
    return project, project.hooks.create({"url": receiver.url, "token": "s3cret", **flags})


def heard(receiver: Receiver, count: int) -> bool:
    return len(receiver.taken) == count


def soon(what: Callable[[], Any]) -> Any:
    return wait_for(what, seconds=20)


def test_each_event_is_told_once_with_the_token_and_ids(near: LocalGitlab, receiver: Receiver) -> None:
    project, _ = hooked(near, receiver)
    issue = project.issues.create({"title": "one", "labels": "a"})
    issue.notes.create({"body": "said"})
    issue.state_event = "close"
    issue.save()
    soon(lambda: len(receiver.told("issue")) == 2 and receiver.told("note"))
    told = {item["object_attributes"]["action"]: item["object_attributes"] for item in receiver.told("issue")}
    opened, closed = told["open"], told["close"]
    assert (opened["action"], opened["iid"], opened["title"]) == ("open", issue.iid, "one")
    assert (closed["action"], closed["state"]) == ("close", "closed")
    (note,) = receiver.told("note")
    assert (note["object_attributes"]["note"], note["issue"]["iid"]) == ("said", issue.iid)
    assert note["project"]["path_with_namespace"] == project.path_with_namespace
    assert note["user"]["username"] == "root"
    headers = [item for item, _ in receiver.taken]
    assert {item["X-Gitlab-Token"] for item in headers} == {"s3cret"}
    assert {item["X-Gitlab-Event"] for item in headers} == {"Issue Hook", "Note Hook"}
    assert {item["X-Gitlab-Instance"] for item in headers} == {near.url}
    assert len({item["Idempotency-Key"] for item in headers}) == len(headers)


def test_pushes_requests_and_releases_are_told(near: LocalGitlab, receiver: Receiver) -> None:
    project, _ = hooked(near, receiver)
    action = {"action": "create", "file_path": "a", "content": "x"}
    given = {"branch": "b", "start_branch": "main", "commit_message": "add a", "actions": [action]}
    made = project.commits.create(given)
    request = project.mergerequests.create({"source_branch": "b", "target_branch": "main", "title": "b"})
    person, token = near.user("person")
    project.members.create({"user_id": person.id, "access_level": 30})
    near.client(token).projects.get(project.id).mergerequests.get(request.iid).approve()
    request.merge()
    project.releases.create({"tag_name": "v1", "ref": "main"})
    soon(lambda: receiver.told("release") and len(receiver.told("push")) == 3 and receiver.told("tag_push"))
    pushes = {(item["ref"], item["before"] == "0" * 40, item["after"] == "0" * 40) for item in receiver.told("push")}
    assert pushes == {("refs/heads/b", True, False), ("refs/heads/main", False, False), ("refs/heads/b", False, True)}
    moved = next(item for item in receiver.told("push") if item["ref"] == "refs/heads/main")
    assert [(item["id"], item["title"]) for item in moved["commits"]] == [(made.id, "add a")]
    assert [item["ref"] for item in receiver.told("tag_push")] == ["refs/tags/v1"]
    assert [item["tag"] for item in receiver.told("release")] == ["v1"]
    soon(lambda: len(receiver.told("merge_request")) == 3)
    told = [item["object_attributes"]["action"] for item in receiver.told("merge_request")]
    assert sorted(told) == ["approved", "merge", "open"]


def test_a_pipeline_and_its_jobs_are_told_as_they_move(near: LocalGitlab, receiver: Receiver) -> None:
    definition = "x: {script: [echo hi], environment: {name: staging}}\n"
    project, _ = hooked(near, receiver, "pipeline", "job", "deployment", **{".gitlab-ci.yml": definition})
    action = {"action": "create", "file_path": "a", "content": "x"}
    project.commits.create({"branch": "main", "commit_message": "go", "actions": [action]})
    soon(lambda: any(item["object_attributes"]["status"] == "success" for item in receiver.told("pipeline")))
    soon(lambda: any(item["build_status"] == "success" for item in receiver.told("build")))
    soon(lambda: {item["status"] for item in receiver.told("deployment")} >= {"running", "success"})
    assert {item["build_name"] for item in receiver.told("build")} == {"x"}


def test_only_what_a_hook_asks_for_and_only_its_project(near: LocalGitlab, receiver: Receiver) -> None:
    project, hook = hooked(near, receiver, "note")
    other = near.project()
    other.issues.create({"title": "elsewhere"}).notes.create({"body": "no"})
    issue = project.issues.create({"title": "quiet"})
    issue.notes.create({"body": "yes"})
    soon(lambda: receiver.taken)
    assert [body["object_attributes"]["note"] for _, body in receiver.taken] == ["yes"]
    (event,) = soon(lambda: [item for item in events(project, hook) if item["response_status"] != "pending"])
    assert (event["trigger"], event["response_status"]) == ("note_hooks", "200")
    assert "s3cret" not in json.dumps(event)


def events(project: Any, hook: Any) -> list[dict[str, Any]]:
    return list(project.manager.gitlab.http_list(f"/projects/{project.id}/hooks/{hook.id}/events", get_all=True))


def test_an_event_sent_again_is_the_same_one(near: LocalGitlab, receiver: Receiver) -> None:
    project, hook = hooked(near, receiver, "issues")
    project.issues.create({"title": "one"})
    soon(lambda: receiver.taken)
    (event,) = events(project, hook)
    project.manager.gitlab.http_post(f"/projects/{project.id}/hooks/{hook.id}/events/{event['id']}/resend")
    soon(lambda: len(receiver.taken) == 2)
    assert len({item["Idempotency-Key"] for item, _ in receiver.taken}) == 1


def test_one_that_fails_again_and_again_is_left_alone_for_a_while(near: LocalGitlab, receiver: Receiver) -> None:
    project, hook = hooked(near, receiver, "issues")
    receiver.status = 500
    for count in range(1, 5):
        project.issues.create({"title": str(count)})
        soon(partial(heard, receiver, count))
    assert soon(lambda: project.hooks.get(hook.id).alert_status == "temporarily_disabled")
    assert project.hooks.get(hook.id).disabled_until
    project.issues.create({"title": "unheard"})
    soon(lambda: [item for item in events(project, hook) if "disabled" in item["response_body"]])
    assert len(receiver.taken) == 4


def test_nobody_is_called_whom_settings_do_not_allow(gitlab_server: LocalGitlab, receiver: Receiver) -> None:
    project = gitlab_server.project({"README": "x"})
    with pytest.raises(gitlab.GitlabCreateError, match="Invalid url given"):
        project.hooks.create({"url": receiver.url})
    settings = gitlab_server.client().settings.get()
    settings.allow_local_requests_from_web_hooks_and_services = True
    settings.save()
    hook = project.hooks.create({"url": receiver.url, "issues_events": True})
    settings.allow_local_requests_from_web_hooks_and_services = False
    settings.save()
    far = project.hooks.create({"url": f"https://{uuid.uuid4()}.invalid/", "issues_events": True})
    project.issues.create({"title": "one"})
    assert events(project, hook) == events(project, far) == []
    assert receiver.taken == []


def test_what_can_not_be_sent_is_answered_and_keeps_no_other_waiting(near: LocalGitlab, receiver: Receiver) -> None:
    broken, bad = hooked(near, receiver, "issues")
    bad.token = "two\nlines"
    bad.save()
    for count in range(6):
        broken.issues.create({"title": str(count)})
    project, _ = hooked(near, receiver, "issues")
    project.issues.create({"title": "heard"})
    soon(lambda: receiver.taken)
    soon(lambda: all(item["response_status"] != "pending" for item in events(broken, bad)))
    assert [body["object_attributes"]["title"] for _, body in receiver.taken] == ["heard"]


@pytest.mark.parametrize(
    ("strategy", "wanted"), [("wildcard", "release/*"), ("regex", "^release/"), ("all_branches", "other")]
)
def test_a_hook_hears_of_the_branches_that_it_names(
    near: LocalGitlab, receiver: Receiver, strategy: str, wanted: str
) -> None:
    project, hook = hooked(near, receiver, "push")
    hook.push_events_branch_filter, hook.branch_filter_strategy = wanted, strategy
    hook.save()
    for name in ("mine", "release/1"):
        project.branches.create({"branch": name, "ref": "main"})
    soon(lambda: any(item["ref"] == "refs/heads/release/1" for item in receiver.told("push")))
    heard_of = {item["ref"] for item in receiver.told("push")}
    assert ("refs/heads/mine" in heard_of) is (strategy == "all_branches")


def test_what_waits_when_the_server_ends_is_sent_by_the_next(tmp_path: Path, receiver: Receiver) -> None:
    receiver.pause = 1.0
    with running_gitlab(tmp_path) as server:
        settings = server.client().settings.get()
        settings.allow_local_requests_from_web_hooks_and_services = True
        settings.save()
        project, _ = hooked(server, receiver, "issues")
        for count in range(60):
            project.issues.create({"title": str(count)})
    receiver.pause = 0.0
    with running_gitlab(tmp_path) as server:
        soon(lambda: len({body["object_attributes"]["iid"] for _, body in receiver.taken}) == 60)
        (hook,) = server.client().projects.get(project.id).hooks.list(get_all=True)
        assert hook.alert_status == "executable"
