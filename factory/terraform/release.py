"""Publishes a release to the machine behind the tunnel, and checks through the edge that it is served."""

import json
from http import HTTPStatus
from pathlib import Path

from factory.errors import Refused, Unreachable
from factory.system import clock, files, http

_PATIENCE = 15.0
_PAUSE = 0.2


def publish(url: str, token: str, name: str, archive: Path) -> None:
    """Send a release's archive to the supervisor at ``url``; sending the same bytes again is allowed.

    Raises ``Refused`` if the release does not start, if a different release of this name exists, or if the supervisor
    does not answer.
    """
    client = http.Client(url, headers={"Authorization": f"Bearer {token}"})
    try:
        answer = client.send("PUT", f"/{name}", data=files.read_bytes(archive), timeout=_PATIENCE * 2)
    except Unreachable as error:
        raise Refused(f"the release {name} could not be published: {error}") from error
    if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
        raise Refused(f"the release {name} was not accepted (HTTP {answer.status}): {answer.text[:200]}")


def observe(edge: str, hostname: str, health: str, release: str) -> str:
    """Request the health path of the hostname until ``release`` answers; return the release that answered.

    ``edge`` is the address that serves the hostname. ``health`` is the path that returns JSON with a ``release``.
    Raises ``Unreachable`` if ``release`` does not answer within 15 s.
    """
    client = http.Client(edge, headers={"Host": hostname}, timeout=5)
    deadline = clock.monotonic() + _PATIENCE
    result = "no answer"
    while clock.monotonic() < deadline:
        try:
            answer = client.send("GET", health)
            result = (
                str(json.loads(answer.body)["release"]) if answer.status == HTTPStatus.OK else f"HTTP {answer.status}"
            )
        except Unreachable:
            result = "no answer"
        except (ValueError, KeyError, TypeError):
            result = f"the answer to {health} is not JSON with a `release`"
        if result == release:
            return result
        clock.sleep(_PAUSE)
    raise Unreachable(f"{hostname} does not answer with {release} after {_PATIENCE:g} s: {result}")
