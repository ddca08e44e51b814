"""Checks through the edge which release is served."""

import json
from http import HTTPStatus

from factory.errors import Unreachable
from factory.model.release import RELEASE_PATH
from factory.system import clock, http

_PATIENCE = 15.0
_PAUSE = 0.2


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
