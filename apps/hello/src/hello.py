"""The greeting service, a WSGI application without dependencies (contract: openapi.yml, spec: specs/hello.md)."""

import json
import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

Start = Callable[[str, list[tuple[str, str]]], object]
GREETING = "Hello, world!"


def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """Answer one request (PEP 3333)."""
    routes = {"/greeting": greeting, "/health": health, "/version": version}
    route = routes.get(environ.get("PATH_INFO", "/"))
    if route is None:
        return answer(start, HTTPStatus.NOT_FOUND, {"error": "not found"})
    if environ.get("REQUEST_METHOD") != "GET":
        return answer(start, HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET is served"}, ("Allow", "GET"))
    query = parse_qs(environ.get("QUERY_STRING", ""))
    status, body = route(query)
    return answer(start, status, body)


def greeting(query: dict[str, list[str]]) -> tuple[HTTPStatus, dict[str, str]]:
    """Greet (HELLO-1)."""
    del query
    return HTTPStatus.OK, {"greeting": GREETING}


def health(query: dict[str, list[str]]) -> tuple[HTTPStatus, dict[str, str]]:
    """Return that the service is up (HELLO-3)."""
    del query
    return HTTPStatus.OK, {"status": "ok"}


def version(query: dict[str, list[str]]) -> tuple[HTTPStatus, dict[str, str]]:
    """Return the running release (HELLO-3)."""
    del query
    return HTTPStatus.OK, {"release": os.environ.get("RELEASE", "unreleased")}


def answer(start: Start, status: HTTPStatus, body: dict[str, str], *more: tuple[str, str]) -> Iterable[bytes]:
    """Send a JSON body with additional headers."""
    data = json.dumps(body).encode() + b"\n"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data))), *more]
    start(f"{status.value} {status.phrase}", headers)
    return [data]
