"""What a model's provider said, as the egress proxy saw it pass: usage, refusals, bytes. The agent has no part in it.

An answer that its provider counts nothing for, or that the agent breaks off before the count, is estimated from its
bytes: what is not reported is spent all the same.
"""

import threading
from collections.abc import Mapping
from http import HTTPStatus

from factory.agents import metering
from factory.agents.provider_answer import Answer
from factory.model.agent import Reason
from factory.system import clock

_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PAYMENT_REQUIRED})
_RETRY_AFTER = 60.0
# Seconds for which a provider may fail before the attempt ends, and answers without usage that it may give in a row.
_PATIENCE = 20.0
_MOST_USELESS = 20


class Provider:
    """Collects what passes between an agent and its model; safe to be told by several threads at once.

    ``sent`` and ``received`` count bytes; ``estimated`` tells whether some of the usage is no figure of the provider's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usage: dict[str, int] = {}
        self._open: dict[int, Answer] = {}
        self._trouble: tuple[Reason, str] | None = None
        self._rejected = ""
        self._since = self._until = 0.0
        self._useless = 0
        self._unanswered = 0
        self.estimated = False
        self.reset_at = ""
        self.heard = 0.0
        self.sent = 0
        self.received = 0

    def asked(self, size: int) -> None:
        """Take note of the bytes of a request."""
        with self._lock:
            self.sent += size
            self._unanswered += size
            self.heard = clock.monotonic()

    def answered(self, number: int, status: int, headers: Mapping[str, str]) -> None:
        """Take note of an answer's head; ``number`` names the answer until it is ``done``."""
        with self._lock:
            served = status < HTTPStatus.BAD_REQUEST
            stream = "event-stream" in headers.get("content-type", "").lower()
            # Of requests at once the first answer takes the bytes of all: the sum is right.
            self._open[number] = Answer(served=served, stream=stream, sent=self._unanswered)
            self._unanswered = 0
            if status in _REFUSED:
                self._fail(Reason.AUTH_FAILED, f"the model's provider answers {status}")
            elif status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                wait = _seconds(headers.get("retry-after", ""))
                self.reset_at = clock.iso(clock.after(wait))
                told = f"the model's provider answers {status} until {self.reset_at}"
                self._fail(Reason.PROVIDER_LIMITED, told, wait)
            elif served:
                self._trouble, self._rejected = None, ""
            else:
                self._rejected = f"the model's provider answers {status}"

    def said(self, number: int, chunk: bytes) -> None:
        """Take note of a part of an answer's body."""
        with self._lock:
            self.received += len(chunk)
            self.heard = clock.monotonic()
            if number in self._open:
                self._open[number].take(chunk)

    def done(self, number: int) -> None:
        """Take note of an answer's end."""
        with self._lock:
            answer = self._open.pop(number, None)
            if answer is None:
                return
            answer.end()
            self._usage = metering.add(self._usage, answer.spent())
            self.estimated = self.estimated or answer.estimated
            self._useless = 0 if answer.usage or answer.free else self._useless + 1
            if self._useless > _MOST_USELESS:
                told = "the model's provider answers nothing that can be used"
                self._fail(Reason.PROVIDER_LIMITED, told, _RETRY_AFTER)

    def unreachable(self, reason: str) -> None:
        """Take note that the provider could not be reached."""
        with self._lock:
            self._unanswered = 0
            self.reset_at = clock.iso(clock.after(_RETRY_AFTER))
            self._fail(Reason.PROVIDER_LIMITED, f"the model's provider cannot be reached: {reason}")

    def usage(self) -> dict[str, int]:
        """Return the tokens that passed so far; nothing where nothing did."""
        with self._lock:
            return metering.add(self._usage, *(answer.spent() for answer in self._open.values()))

    def lost(self) -> tuple[Reason, str] | None:
        """Return why waiting for the provider makes no sense any more, or ``None``; agents wait for it for ever."""
        with self._lock:
            if self._trouble is None:
                return None
            now = clock.monotonic()
            hopeless = self._until - now > _PATIENCE or self._useless > _MOST_USELESS
            # A request that is under way may be the one that is served.
            tired = now - self._since > _PATIENCE and not self._unanswered
            return self._trouble if hopeless or tired else None

    def trouble(self) -> tuple[Reason, str] | None:
        """Return why the provider does not serve, as of its last answer."""
        with self._lock:
            if self._trouble is None and self._rejected and not self._usage:
                return Reason.CRASHED, self._rejected
            return self._trouble

    def held(self, seconds: float) -> None:
        """Take note that the agent was held for so long: its provider had no chance to do better meanwhile."""
        with self._lock:
            self._since += seconds

    def _fail(self, reason: Reason, told: str, wait: float = 0.0) -> None:
        if self._trouble is None:
            self._since = clock.monotonic()
        self._until = clock.monotonic() + wait
        self._trouble = (reason, told)


def _seconds(text: str) -> float:
    plain = text.strip()
    return min(float(plain), 86400.0) if plain.isascii() and plain.isdigit() else _RETRY_AFTER
