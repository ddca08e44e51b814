"""Webhooks over real HTTP: who may wake the loop, how often, and what a sender can not do."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from email.message import Message

import pytest
import requests

from factory.errors import PortInUse
from factory.gitlab.connect import connect
from factory.gitlab.settings import run
from factory.gitlab.settings.run import DesiredSection
from factory.gitlab.webhook import Inbox, listening
from factory.model.secret import Secret
from tests.servers import LocalGitlab, free_port, wait_for

SECRET = "planted-webhook-secret"


@pytest.fixture
def served() -> Iterator[tuple[str, Inbox]]:
    port = free_port()
    with listening(port, Secret(SECRET)) as inbox:
        yield f"http://127.0.0.1:{port}/", inbox


def send(url: str, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(url, json={"object_kind": "push"}, headers=given, timeout=30).status_code


def test_an_event_wakes_once_and_its_repetition_nobody(served: tuple[str, Inbox]) -> None:
    url, inbox = served
    assert not inbox.wait(0)
    assert send(url, X_Gitlab_Token=SECRET, X_Gitlab_Event_UUID="1") == 200
    assert inbox.wait(5)
    assert not inbox.wait(0)
    assert send(url, X_Gitlab_Token=SECRET, X_Gitlab_Event_UUID="1") == 200
    assert not inbox.wait(0.1)
    assert send(url, X_Gitlab_Token=SECRET, webhook_id="2", X_Gitlab_Event_UUID="1") == 200
    assert inbox.wait(5)
    for _ in range(2):
        assert send(url, X_Gitlab_Token=SECRET) == 200
        assert inbox.wait(5)


def test_who_does_not_know_the_secret_wakes_nobody(served: tuple[str, Inbox]) -> None:
    url, inbox = served
    assert send(url) == 401
    assert send(url, X_Gitlab_Token=SECRET[:-1]) == 401
    assert send(url, X_Gitlab_Token="") == 401
    assert not inbox.wait(0.1)
    # What was refused is not remembered: its own event still counts.
    assert send(url, X_Gitlab_Token="x", X_Gitlab_Event_UUID="3") == 401
    assert send(url, X_Gitlab_Token=SECRET, X_Gitlab_Event_UUID="3") == 200
    assert inbox.wait(5)


def test_other_methods_and_what_is_too_large_are_refused(served: tuple[str, Inbox]) -> None:
    url, inbox = served
    assert requests.get(url, timeout=30).status_code == 501
    for length in ("26214401", "-1", "x", "9" * 40, "0" * 5000 + "1"):
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1].strip("/"))), timeout=30) as raw:
            raw.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode())
            assert b" 413 " in raw.recv(1000)
    assert not inbox.wait(0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:1"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "hooks.test"}, 200),
        ({"Host": "hooks.test:443"}, 200),
        ({"Host": "evil.test"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_it_answers_under_its_own_names_and_to_no_page(headers: dict[str, str], status: int) -> None:
    port = free_port()
    with listening(port, Secret(SECRET), names=["hooks.test"]) as inbox:
        given = {"X-Gitlab-Token": SECRET, **headers}
        answer = requests.post(f"http://127.0.0.1:{port}/", json={}, headers=given, timeout=30)
        assert answer.status_code == status
        assert inbox.wait(0) is (status == 200)


@pytest.mark.long
def test_a_sender_that_never_ends_is_hung_up_on(served: tuple[str, Inbox]) -> None:
    url, inbox = served
    port = int(url.rsplit(":", 1)[1].strip("/"))
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n")
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - start < 120:
                slow.sendall(b"X-More: 1\r\n")
                time.sleep(0.5)
    assert time.monotonic() - start < 60
    assert send(url, X_Gitlab_Token=SECRET) == 200
    assert inbox.wait(5)


def test_many_open_connections_are_refused_and_free_threads_again(served: tuple[str, Inbox]) -> None:
    url, inbox = served
    port = int(url.rsplit(":", 1)[1].strip("/"))
    with ExitStack() as stack:
        for _ in range(32):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        with pytest.raises(requests.ConnectionError):
            send(url, X_Gitlab_Token=SECRET)

    def heard() -> bool:
        with suppress(requests.ConnectionError):
            return send(url, X_Gitlab_Token=SECRET) == 200
        return False

    wait_for(heard)
    assert inbox.wait(5)


def test_a_sender_that_stalls_keeps_nobody_from_being_heard(served: tuple[str, Inbox]) -> None:
    url, inbox = served
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1].strip("/"))), timeout=30) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\n")
        assert send(url, X_Gitlab_Token=SECRET) == 200
        assert inbox.wait(5)


def test_a_wait_ends_at_once_when_an_event_comes(served: tuple[str, Inbox]) -> None:
    url, inbox = served
    threading.Timer(0.2, send, args=(url,), kwargs={"X_Gitlab_Token": SECRET}).start()
    before = time.monotonic()
    assert inbox.wait(120)
    assert time.monotonic() - before < 60


def test_an_empty_secret_lets_nobody_in() -> None:
    message = Message()
    message["X-Gitlab-Token"] = ""
    assert Inbox(Secret("")).take(message) == 401


def test_a_port_that_is_taken_is_told() -> None:
    port = free_port()
    with listening(port, Secret(SECRET)), pytest.raises(PortInUse, match=str(port)), listening(port, Secret(SECRET)):
        pass


def test_a_hook_that_settings_make_wakes_it_and_once_only(near: LocalGitlab) -> None:
    port, secret, project = free_port(), Secret(SECRET), near.project({"README": "x"})
    root = connect(near.url, project.path_with_namespace, account="root", token=near.root_token)
    url = f"http://127.0.0.1:{port}/"
    hook = {"events": ["issues"], "ssl_verification": True, "secret_token": True}
    run.settle(
        run.opened(root, acting={}, hook_token=lambda: secret),
        {"hooks": DesiredSection({url: hook})},
        say=lambda _: None,
    )
    with listening(port, secret) as inbox:
        project.issues.create({"title": "wake up"})
        assert inbox.wait(10)
        (made,) = project.hooks.list(get_all=True)
        path = f"/projects/{project.id}/hooks/{made.id}/events"

        def sent() -> list[str]:
            return [event["response_status"] for event in near.client().http_list(path, get_all=True)]

        wait_for(lambda: sent() == ["200"])
        (event,) = near.client().http_list(path, get_all=True)
        near.client().http_post(f"{path}/{event['id']}/resend")
        assert not inbox.wait(1)
        wait_for(lambda: sent() == ["200"])
    with listening(port, Secret("another")) as inbox:
        project.issues.create({"title": "unheard"})
        wait_for(lambda: sent() == ["401", "200"])
        assert not inbox.wait(0)
