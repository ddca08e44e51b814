"""Webhooks of the simulator: allowed addresses, events, and failing hooks."""

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
    """Records received events and answers with a status that the test sets."""

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
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def payloads(self, kind: str) -> list[dict[str, Any]]:
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
    return wait_for(what)


def test_each_event_is_sent_once_with_the_token_and_ids(near: LocalGitlab, receiver: Receiver) -> None:
    project, _ = hooked(near, receiver)
    issue = project.issues.create({"title": "one", "labels": "a"})
    issue.notes.create({"body": "said"})
    issue.state_event = "close"
    issue.save()
    soon(lambda: len(receiver.payloads("issue")) == 2 and receiver.payloads("note"))
    actions = {item["object_attributes"]["action"]: item["object_attributes"] for item in receiver.payloads("issue")}
    opened, closed = actions["open"], actions["close"]
    assert (opened["action"], opened["iid"], opened["title"]) == ("open", issue.iid, "one")
    assert (closed["action"], closed["state"]) == ("close", "closed")
    (note,) = receiver.payloads("note")
    assert (note["object_attributes"]["note"], note["issue"]["iid"]) == ("said", issue.iid)
    assert note["project"]["path_with_namespace"] == project.path_with_namespace
    assert note["user"]["username"] == "root"
    headers = [item for item, _ in receiver.taken]
    assert {item["X-Gitlab-Token"] for item in headers} == {"s3cret"}
    assert {item["X-Gitlab-Event"] for item in headers} == {"Issue Hook", "Note Hook"}
    assert {item["X-Gitlab-Instance"] for item in headers} == {near.url}
    assert len({item["Idempotency-Key"] for item in headers}) == len(headers)


def test_pushes_requests_and_releases_are_sent(near: LocalGitlab, receiver: Receiver) -> None:
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
    soon(lambda: receiver.payloads("release") and len(receiver.payloads("push")) == 3 and receiver.payloads("tag_push"))
    pushes = {
        (item["ref"], item["before"] == "0" * 40, item["after"] == "0" * 40) for item in receiver.payloads("push")
    }
    assert pushes == {("refs/heads/b", True, False), ("refs/heads/main", False, False), ("refs/heads/b", False, True)}
    moved = next(item for item in receiver.payloads("push") if item["ref"] == "refs/heads/main")
    assert [(item["id"], item["title"]) for item in moved["commits"]] == [(made.id, "add a")]
    assert [item["ref"] for item in receiver.payloads("tag_push")] == ["refs/tags/v1"]
    assert [item["tag"] for item in receiver.payloads("release")] == ["v1"]
    soon(lambda: len(receiver.payloads("merge_request")) == 3)
    actions = [item["object_attributes"]["action"] for item in receiver.payloads("merge_request")]
    assert sorted(actions) == ["approved", "merge", "open"]


@pytest.mark.long
def test_each_status_of_a_pipeline_and_its_jobs_is_sent(near: LocalGitlab, receiver: Receiver) -> None:
    definition = "x: {script: [echo hi], environment: {name: staging}}\n"
    project, _ = hooked(near, receiver, "pipeline", "job", "deployment", **{".gitlab-ci.yml": definition})
    action = {"action": "create", "file_path": "a", "content": "x"}
    project.commits.create({"branch": "main", "commit_message": "go", "actions": [action]})
    soon(lambda: any(item["object_attributes"]["status"] == "success" for item in receiver.payloads("pipeline")))
    soon(lambda: any(item["build_status"] == "success" for item in receiver.payloads("build")))
    soon(lambda: {item["status"] for item in receiver.payloads("deployment")} >= {"running", "success"})
    assert {item["build_name"] for item in receiver.payloads("build")} == {"x"}


def test_a_hook_gets_only_its_events_of_its_project(near: LocalGitlab, receiver: Receiver) -> None:
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


def test_a_resent_event_has_the_same_id(near: LocalGitlab, receiver: Receiver) -> None:
    project, hook = hooked(near, receiver, "issues")
    project.issues.create({"title": "one"})
    soon(lambda: receiver.taken)
    (event,) = events(project, hook)
    project.manager.gitlab.http_post(f"/projects/{project.id}/hooks/{hook.id}/events/{event['id']}/resend")
    soon(lambda: len(receiver.taken) == 2)
    assert len({item["Idempotency-Key"] for item, _ in receiver.taken}) == 1


def test_a_failing_hook_is_disabled_for_a_while(near: LocalGitlab, receiver: Receiver) -> None:
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


def test_only_addresses_that_settings_allow_are_called(gitlab_server: LocalGitlab, receiver: Receiver) -> None:
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


def test_an_event_that_cannot_be_sent_delays_no_other(near: LocalGitlab, receiver: Receiver) -> None:
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
def test_a_branch_filter_selects_pushes(near: LocalGitlab, receiver: Receiver, strategy: str, wanted: str) -> None:
    project, hook = hooked(near, receiver, "push")
    hook.push_events_branch_filter, hook.branch_filter_strategy = wanted, strategy
    hook.save()
    for name in ("mine", "release/1"):
        project.branches.create({"branch": name, "ref": "main"})
    wanted_refs = {"refs/heads/release/1"} | ({"refs/heads/mine"} if strategy == "all_branches" else set())
    soon(lambda: {item["ref"] for item in receiver.payloads("push")} >= wanted_refs)
    assert {item["ref"] for item in receiver.payloads("push")} == wanted_refs


@pytest.mark.long
def test_pending_events_are_sent_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
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
