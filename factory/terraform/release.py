"""Publishes a release to the machine behind the tunnel, and checks through the edge that it is served."""

import json
from http import HTTPStatus
from pathlib import Path

from factory.errors import Refused, Unreachable
from factory.model.release import RELEASE_PATH
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
    """Wait until a hostname answers with ``release``, and its health path with 200; return the release.

    ``edge`` is the address that serves the hostname. The supervisor says which release answers, at ``RELEASE_PATH``.
    Raises ``Unreachable`` if that does not happen within 15 s.
    """
    client = http.Client(edge, headers={"Host": hostname}, timeout=5)
    deadline = clock.monotonic() + _PATIENCE
    result = "no answer"
    while clock.monotonic() < deadline:
        try:
            result = _answering(client)
            if result == release:
                status = client.send("GET", health).status
                if status == HTTPStatus.OK:
                    return release
                result = f"HTTP {status} for {health}"
        except Unreachable:
            result = "no answer"
        clock.sleep(_PAUSE)
    raise Unreachable(f"{hostname} does not answer with {release} after {_PATIENCE:g} s: {result}")


def _answering(client: http.Client) -> str:
    answer = client.send("GET", RELEASE_PATH)
    if answer.status != HTTPStatus.OK:
        return f"HTTP {answer.status}"
    try:
        return str(json.loads(answer.body)["release"])
    except (ValueError, KeyError, TypeError):
        return f"the answer to {RELEASE_PATH} is not JSON with a `release`"
