"""A release on its way: handed to the machine behind the tunnel, then looked for through the edge."""

import json
from http import HTTPStatus
from pathlib import Path

from factory.errors import Refused, Unreachable
from factory.system import clock, files, http

_PATIENCE = 15.0
_PAUSE = 0.2


def publish(url: str, token: str, name: str, archive: Path) -> None:
    """Hand a release's archive to the supervisor at ``url``; the same bytes again are fine.

    Raises ``Refused`` where the release does not start, another of its name is there, or nobody answers.
    """
    client = http.Client(url, headers={"Authorization": f"Bearer {token}"})
    try:
        answer = client.send("PUT", f"/{name}", data=files.read_bytes(archive), timeout=_PATIENCE * 2)
    except Unreachable as error:
        raise Refused(f"the release {name} could not be handed over: {error}") from error
    if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
        raise Refused(f"the release {name} was not accepted (HTTP {answer.status}): {answer.text[:200]}")


def observe(edge: str, hostname: str, health: str, release: str) -> str:
    """Ask the hostname for its health until ``release`` answers; return the release that answered.

    ``edge`` is where requests for the hostname go, ``health`` the path whose JSON names the ``release``. Raises
    ``Unreachable`` where it does not within 15 s.
    """
    client = http.Client(edge, headers={"Host": hostname}, timeout=5)
    deadline = clock.monotonic() + _PATIENCE
    seen = "no answer"
    while clock.monotonic() < deadline:
        try:
            answer = client.send("GET", health)
            seen = (
                str(json.loads(answer.body)["release"]) if answer.status == HTTPStatus.OK else f"HTTP {answer.status}"
            )
        except Unreachable:
            seen = "no answer"
        except (ValueError, KeyError, TypeError):
            seen = f"the answer to {health} is no JSON with a `release`"
        if seen == release:
            return seen
        clock.sleep(_PAUSE)
    raise Unreachable(f"{hostname} does not answer with {release} after {_PATIENCE:g} s: {seen}")
