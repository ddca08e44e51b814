"""The service's behaviour, called as a WSGI server would."""

import json
from typing import Any
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
