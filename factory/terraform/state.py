"""Reads, writes, locks and unlocks the state in GitLab's Terraform backend.

Terraform locks the state for one command at a time. A lock of this module lasts from the check of a plan's digests
until the plan after the apply, so that nobody writes in between. The lock names its owner and its expiry (GitLab docs:
Terraform state API; Terraform docs: HTTP backend).
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from factory.errors import Conflict, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.system import clock, http

_HELD = frozenset({HTTPStatus.CONFLICT, HTTPStatus.LOCKED})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_RELEASED = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND})
_TRIES, _PAUSE = 4, 0.5


@dataclass(frozen=True)
class Lock:
    """A state lock as the backend stores it: its owner (``who``), the ``operation``, creation time and expiry.

    ``expires`` is empty for a lock that terraform itself took, because such a lock has no expiry.
    """

    id: str
    who: str
    operation: str
    created: str
    expires: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the lock in terraform's JSON; ``Info`` has the expiry, because terraform prints that field."""
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
        """Return whether the expiry is past; a lock without expiry never expires."""
        return bool(self.expires) and clock.parse(self.expires) < clock.now()


@dataclass(frozen=True)
class Identity:
    """The identity of a state: its ``lineage`` and its ``serial``; ``("", 0)`` if no state exists."""

    lineage: str
    serial: int


class State:
    """Client of one stack's state; ``username`` and ``token`` are of the same GitLab account."""

    def __init__(self, address: str, *, username: str, token: str) -> None:
        self._client = http.Client(address, timeout=20.0)
        self._auth = (username, token)
        self.address = address

    def read(self) -> bytes:
        """Return the newest state, or empty bytes if no state exists."""
        answer = self._send("GET", "")
        return answer.body if answer.status == HTTPStatus.OK else b""

    def identity(self) -> Identity:
        """Return lineage and serial; raises ``InvalidInput`` if the state is not readable."""
        return identity(self.read())

    def version(self, serial: int) -> bytes:
        """Return an earlier version of the state; raises ``NotFound``."""
        answer = self._send("GET", f"/versions/{serial}")
        if answer.status != HTTPStatus.OK:
            raise NotFound(
                f"this state has no version {serial}",
                hint="GitLab lists the versions of a state in Operate > Terraform states.",
            )
        return answer.body

    def write(self, data: bytes, lock: Lock) -> None:
        """Write a state under a lock; raises ``Refused`` if the backend rejects it."""
        answer = self._send("POST", "", params={"ID": lock.id}, data=data, headers={"Content-Type": "application/json"})
        if answer.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
            raise Refused(f"the state was not accepted (HTTP {answer.status}): {answer.text[:200]}")

    def lock(self, *, who: str, operation: str, minutes: int) -> Lock:
        """Take the lock; raises ``Conflict`` naming the current holder and the expiry."""
        lock = _new(who=who, operation=operation, minutes=minutes)
        held = self._take(lock)
        if held is not None:
            raise Conflict(
                f"the state is locked {describe(held)}",
                hint="Wait until the holder's job has ended. Remove an abandoned lock with `factory infra unlock`.",
            )
        return lock

    def holder(self) -> Lock | None:
        """Return the current lock or ``None``, by trying to take the lock and releasing it again."""
        lock = _new(who="factory infra", operation="look", minutes=1)
        held = self._take(lock)
        if held is None:
            self.unlock(lock)
        return held

    def require(self, lock: Lock) -> None:
        """Verify that the lock is still held; raises ``Conflict`` if somebody removed it or took another."""
        answer = self._send("POST", "/lock", json=lock.to_json())
        held = read_lock(answer.body) if answer.status in _HELD else None
        if held is None or held.id != lock.id:
            raise Conflict(f"the lock was lost: {f'it is held {describe(held)}' if held else 'somebody removed it'}")

    def unlock(self, lock: Lock) -> None:
        """Release the lock; raises ``Conflict`` if somebody else holds it now."""
        answer = self._send("DELETE", "/lock", json=lock.to_json())
        if answer.status in _HELD:
            raise Conflict(f"the lock was lost: it is held {describe(read_lock(answer.body))}")
        if answer.status not in _RELEASED:
            raise Refused(f"the lock could not be released (HTTP {answer.status}): {answer.text[:200]}")

    @contextmanager
    def held(self, *, who: str, operation: str, minutes: int) -> Iterator[Lock]:
        """Hold the lock during the block."""
        lock = self.lock(who=who, operation=operation, minutes=minutes)
        try:
            yield lock
        finally:
            self.unlock(lock)

    def _take(self, lock: Lock) -> Lock | None:
        """Try to take a lock; return ``None``, or the lock of another holder."""
        answer = self._send("POST", "/lock", json=lock.to_json())
        if answer.status in _HELD:
            held = read_lock(answer.body) or Lock("", "an unknown holder", "", "")
            # The answer to an earlier try may have been lost.
            return None if held.id == lock.id else held
        if answer.status != HTTPStatus.OK:
            raise Refused(f"the state could not be locked (HTTP {answer.status}): {answer.text[:200]}")
        return None

    def _send(self, method: str, path: str, **arguments: object) -> http.Response:
        """Send a request and retry it if the server is busy; raises ``Unauthorized``, ``NotFound``, ``Unreachable``."""
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
                raise NotFound(
                    f"no state exists at {self.address}",
                    hint="The project does not exist, or the token may not write its Terraform states.",
                )
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return answer
            last = f"HTTP {answer.status}"
        raise Unreachable(f"the state backend does not answer: {last}", hint="Run the command again later.")


def _new(*, who: str, operation: str, minutes: int) -> Lock:
    now = clock.now()
    end = now + timedelta(minutes=minutes)
    return Lock(secrets.token_hex(16), who, operation, clock.iso(now), clock.iso(end))


def identity(data: bytes) -> Identity:
    """Return lineage and serial of a state's JSON; raises ``InvalidInput`` if it is not readable."""
    try:
        value = json.loads(data or b"{}")
        serial = int(value.get("serial", 0))
        # Terraform invents a lineage for a state that was never written.
        return Identity(str(value.get("lineage", "")) if serial else "", serial)
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidInput("the state is not readable") from error


def read_lock(data: bytes) -> Lock | None:
    """Return the lock in a response body, or ``None``."""
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
    """Return the holder, creation time and expiry of a lock as text that follows "held" or "locked"."""
    if lock is None:
        return "by an unknown holder"
    until = f", until {lock.expires}" if lock.expires else ""
    return f"by {lock.who} for {lock.operation or 'an unknown operation'} since {lock.created}{until}"
