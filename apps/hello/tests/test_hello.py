"""Tests the service by calling it as a WSGI server does."""

import json
import runpy
from pathlib import Path
from typing import Any, Self
from wsgiref.util import setup_testing_defaults

import pytest
from hello import application


def call(path: str, query: str = "", method: str = "GET") -> tuple[str, Any]:
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    seen: list[str] = []
    body = b"".join(application(environ, lambda status, _: seen.append(status)))
    return seen[0], json.loads(body)


@pytest.mark.spec("HELLO-1")
def test_greets_the_world() -> None:
    assert call("/greeting") == ("200 OK", {"greeting": "Hello, world!"})


@pytest.mark.spec("HELLO-3")
def test_is_healthy_and_names_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE", "hello-abc")
    assert call("/health") == ("200 OK", {"status": "ok"})
    assert call("/version") == ("200 OK", {"release": "hello-abc"})


@pytest.mark.spec("HELLO-4")
def test_unknown_path_and_method() -> None:
    assert call("/nothing")[0] == "404 Not Found"
    assert call("/greeting", method="POST")[0] == "405 Method Not Allowed"


@pytest.mark.spec("HELLO-3")
def test_a_release_without_a_name_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELEASE", raising=False)
    assert call("/version") == ("200 OK", {"release": "unreleased"})


@pytest.mark.spec("HELLO-4")
def test_a_refusal_says_why() -> None:
    assert call("/nothing") == ("404 Not Found", {"error": "not found"})
    assert call("/health", method="POST") == ("405 Method Not Allowed", {"error": "only GET is served"})


@pytest.mark.spec("HELLO-1")
def test_answers_json_of_a_known_length() -> None:
    seen: list[list[tuple[str, str]]] = []
    environ = {"PATH_INFO": "/greeting", "REQUEST_METHOD": "GET"}
    body = b"".join(application(environ, lambda _, headers: seen.append(headers)))
    assert body == b'{"greeting": "Hello, world!"}\n'
    assert seen == [[("Content-Type", "application/json"), ("Content-Length", str(len(body)))]]


@pytest.mark.spec("HELLO-4")
def test_a_refused_method_names_the_one_that_is_served() -> None:
    seen: list[dict[str, str]] = []
    environ = {"PATH_INFO": "/greeting", "REQUEST_METHOD": "POST"}
    list(application(environ, lambda _, headers: seen.append(dict(headers))))
    assert seen[0]["Allow"] == "GET"


@pytest.mark.spec("HELLO-3")
@pytest.mark.parametrize(
    ("given", "place"),
    [({}, ("127.0.0.1", 8000)), ({"HOST": "::1", "PORT": "81"}, ("::1", 81))],
    ids=["by default", "as told"],
)
def test_serves_where_it_is_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], place: tuple[str, int]
) -> None:
    calls: list[object] = []

    class Server:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            calls.append("closed")

        def serve_forever(self) -> None:
            calls.append("serving")

    def make_server(host: str, port: int, served: object) -> Server:
        calls.append((host, port, served))
        return Server()

    for name in ("HOST", "PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("wsgiref.simple_server.make_server", make_server)
    runpy.run_path(str(Path(__file__).parents[1] / "src/__main__.py"))
    assert calls == [(*place, application), "serving", "closed"]
