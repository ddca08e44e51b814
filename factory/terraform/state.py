"""The state in GitLab's Terraform backend: read, locked with an owner and an end, unlocked, brought back.

Terraform locks for one command at a time. Here one lock holds from the check of a plan's digests until the plan after
the apply, so that nobody writes in between, and it says whose it is and when it ends (GitLab docs: Terraform state API;
Terraform docs: HTTP backend).
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from factory.errors import Conflict, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.system import clock, http

_HELD = frozenset({HTTPStatus.CONFLICT, HTTPStatus.LOCKED})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_GIVEN_BACK = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND})
_TRIES, _PAUSE = 4, 0.5


@dataclass(frozen=True)
class Lock:
    """A lock as the backend keeps it: ``who`` took it for which ``operation``, and until when it may be held.

    ``expires`` is empty where terraform itself took it, which gives it no end.
    """

    id: str
    who: str
    operation: str
    created: str
    expires: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the lock as terraform writes one; the end stands in ``Info``, which terraform shows to who waits."""
        info = f"expires {self.expires}" if self.expires else ""
        return {
            "ID": self.id,
            "Operation": self.operation,
            "Info": info,
            "Who": self.who,
            "Version": "",
            "Created": self.created,
            "Path": "",
        }

    def expired(self) -> bool:
        """Tell whether the end is past; a lock without an end has none."""
        return bool(self.expires) and clock.parse(self.expires) < clock.now()


@dataclass(frozen=True)
class Identity:
    """Which state this is (``lineage``) and how often it was written (``serial``); an absent one is ``("", 0)``."""

    lineage: str
    serial: int


class State:
    """One stack's state, by its address, an account's name and that account's token."""

    def __init__(self, address: str, *, username: str, token: str) -> None:
        self._client = http.Client(address, timeout=20.0)
        self._auth = (username, token)
        self.address = address

    def read(self) -> bytes:
        """Return the newest state; empty where there is none."""
        answer = self._send("GET", "")
        return answer.body if answer.status == HTTPStatus.OK else b""

    def identity(self) -> Identity:
        """Return lineage and serial; raises ``InvalidInput`` where the state is not readable."""
        return identity(self.read())

    def version(self, serial: int) -> bytes:
        """Return an earlier version of the state; raises ``NotFound``."""
        answer = self._send("GET", f"/versions/{serial}")
        if answer.status != HTTPStatus.OK:
            raise NotFound(f"there is no version {serial} of this state")
        return answer.body

    def write(self, data: bytes, lock: Lock) -> None:
        """Write a state that could not be saved, under a lock; raises ``Refused`` where it is not accepted."""
        answer = self._send("POST", "", params={"ID": lock.id}, data=data, headers={"Content-Type": "application/json"})
        if answer.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
            raise Refused(f"the state was not accepted (HTTP {answer.status}): {answer.text[:200]}")

    def lock(self, *, who: str, operation: str, minutes: int) -> Lock:
        """Take the lock; raises ``Conflict`` naming who holds it and until when."""
        taken = _new(who=who, operation=operation, minutes=minutes)
        held = self._take(taken)
        if held is not None:
            raise Conflict(
                f"the state is locked: {describe(held)}",
                hint="Wait until its job has ended; a lock left behind is taken off with `factory infra unlock`.",
            )
        return taken

    def holder(self) -> Lock | None:
        """Return the lock that is held now, found out by asking for it; ``None`` where the state is free."""
        taken = _new(who="factory infra", operation="look", minutes=1)
        held = self._take(taken)
        if held is None:
            self.unlock(taken)
        return held

    def require(self, lock: Lock) -> None:
        """Make sure that the lock is still held; raises ``Conflict`` where somebody took it off or over."""
        answer = self._send("POST", "/lock", json=lock.to_json())
        held = read_lock(answer.body) if answer.status in _HELD else None
        if held is None or held.id != lock.id:
            raise Conflict(f"the lock was lost: {f'it is held {describe(held)}' if held else 'somebody took it off'}")

    def unlock(self, lock: Lock) -> None:
        """Give the lock back; raises ``Conflict`` where it is another's by now."""
        answer = self._send("DELETE", "/lock", json=lock.to_json())
        if answer.status in _HELD:
            raise Conflict(f"the lock was lost: it is held {describe(read_lock(answer.body))}")
        if answer.status not in _GIVEN_BACK:
            raise Refused(f"the lock could not be given back (HTTP {answer.status}): {answer.text[:200]}")

    @contextmanager
    def held(self, *, who: str, operation: str, minutes: int) -> Iterator[Lock]:
        """Hold the lock during the block."""
        lock = self.lock(who=who, operation=operation, minutes=minutes)
        try:
            yield lock
        finally:
            self.unlock(lock)

    def _take(self, lock: Lock) -> Lock | None:
        """Ask for a lock; return the one that is held instead, or ``None`` where it is ours now."""
        answer = self._send("POST", "/lock", json=lock.to_json())
        if answer.status in _HELD:
            held = read_lock(answer.body) or Lock("", "somebody who is not named", "", "")
            # The answer to an earlier try may have been lost.
            return None if held.id == lock.id else held
        if answer.status != HTTPStatus.OK:
            raise Refused(f"the state could not be locked (HTTP {answer.status}): {answer.text[:200]}")
        return None

    def _send(self, method: str, path: str, **arguments: Any) -> http.Response:
        """Send one request, again where the server is busy; raises ``Unauthorized``, ``NotFound``, ``Unreachable``."""
        last = ""
        for attempt in range(_TRIES):
            if attempt:
                clock.sleep(_PAUSE * 2**attempt)
            try:
                answer = self._client.send(method, path, auth=self._auth, **arguments)
            except Unreachable as error:
                last = str(error)
                continue
            if answer.status in _DENIED:
                raise Unauthorized(f"the state backend does not accept the token (HTTP {answer.status})")
            if answer.status == HTTPStatus.NOT_FOUND and path == "" and method == "GET":
                return http.Response(HTTPStatus.NO_CONTENT, {}, b"")
            if answer.status == HTTPStatus.NOT_FOUND and method == "POST":
                raise NotFound(f"there is no state at {self.address}")
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return answer
            last = f"HTTP {answer.status}"
        raise Unreachable(f"the state backend does not answer: {last}", hint="Nothing was changed; run it again later.")


def _new(*, who: str, operation: str, minutes: int) -> Lock:
    now = clock.now()
    end = now + timedelta(minutes=minutes)
    return Lock(secrets.token_hex(16), who, operation, clock.iso(now), clock.iso(end))


def identity(data: bytes) -> Identity:
    """Return lineage and serial of a state's JSON; raises ``InvalidInput`` where it is not readable."""
    try:
        value = json.loads(data or b"{}")
        serial = int(value.get("serial", 0))
        # Terraform makes a lineage up for a state that was never written.
        return Identity(str(value.get("lineage", "")) if serial else "", serial)
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidInput("the state is not readable") from error


def read_lock(data: bytes) -> Lock | None:
    """Return the lock in an answer; ``None`` where it is none."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    if not isinstance(value, Mapping) or not value.get("ID"):
        return None
    info = str(value.get("Info") or "")
    return Lock(
        str(value["ID"]),
        str(value.get("Who") or "somebody"),
        str(value.get("Operation") or ""),
        str(value.get("Created") or ""),
        info.removeprefix("expires ") if info.startswith("expires ") else "",
    )


def describe(lock: Lock | None) -> str:
    """Return who holds a lock, since when and until when, in one line."""
    if lock is None:
        return "by somebody who is not named"
    until = f", until {lock.expires}" if lock.expires else ""
    return f"by {lock.who} for {lock.operation or 'something'} since {lock.created}{until}"
