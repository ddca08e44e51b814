"""Collects a model provider's usage reports, refusals and byte counts from the egress proxy, independent of the agent.

If the provider reports no usage for an answer, or the agent closes the connection before the report, the usage is
estimated from the bytes.
"""

import threading
from collections.abc import Mapping
from http import HTTPStatus

from factory.agents import plan_windows, token_costs
from factory.agents.provider_answer import Answer
from factory.model.agent import Reason
from factory.system import clock

_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PAYMENT_REQUIRED})
_RETRY_AFTER = 60.0
# The attempt ends after so many seconds of failures, or after so many consecutive answers without usage.
_PATIENCE = 20.0
_MOST_USELESS = 20


class Provider:
    """Collects the traffic between an agent and its model; thread-safe.

    ``sent`` and ``received`` count bytes; ``estimated`` tells whether a part of the usage is an estimate.
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
        # A plan's windows, as of the newest answer that told of them.
        self.windows: plan_windows.Windows = ()

    def asked(self, size: int) -> None:
        """Record the bytes of a request."""
        with self._lock:
            self.sent += size
            self._unanswered += size
            self.heard = clock.monotonic()

    def answered(self, number: int, status: int, headers: Mapping[str, str]) -> None:
        """Record an answer's status and headers; ``number`` identifies the answer until it is ``done``."""
        with self._lock:
            served = status < HTTPStatus.BAD_REQUEST
            stream = "event-stream" in headers.get("content-type", "").lower()
            # With concurrent requests, the first answer gets the bytes of all of them; the sum is correct.
            self._open[number] = Answer(served=served, stream=stream, sent=self._unanswered)
            self._unanswered = 0
            self.windows = plan_windows.read(headers, clock.now()) or self.windows
            if status in _REFUSED:
                self._fail(Reason.AUTH_FAILED, f"the model's provider answers {status}")
            elif status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                wait = _seconds(headers.get("retry-after", ""))
                self.reset_at = clock.iso(clock.after(wait))
                detail = f"the model's provider answers {status} until {self.reset_at}"
                self._fail(Reason.PROVIDER_LIMITED, detail, wait)
            elif served:
                self._trouble, self._rejected = None, ""
            else:
                self._rejected = f"the model's provider answers {status}"

    def said(self, number: int, chunk: bytes) -> None:
        """Record a part of an answer's body."""
        with self._lock:
            self.received += len(chunk)
            self.heard = clock.monotonic()
            if number in self._open:
                self._open[number].take(chunk)

    def done(self, number: int) -> None:
        """Record an answer's end."""
        with self._lock:
            answer = self._open.pop(number, None)
            if answer is None:
                return
            answer.end()
            self._usage = token_costs.add(self._usage, answer.spent())
            self.estimated = self.estimated or answer.estimated
            self._useless = 0 if answer.usage or answer.free else self._useless + 1
            if self._useless > _MOST_USELESS:
                detail = f"the model's provider sent more than {_MOST_USELESS} answers without usage"
                self._fail(Reason.PROVIDER_LIMITED, detail, _RETRY_AFTER)

    def unreachable(self, reason: str) -> None:
        """Record that the provider could not be reached."""
        with self._lock:
            self._unanswered = 0
            self.reset_at = clock.iso(clock.after(_RETRY_AFTER))
            self._fail(Reason.PROVIDER_LIMITED, f"the model's provider cannot be reached: {reason}")

    def usage(self) -> dict[str, int]:
        """Return the tokens used so far; empty if none."""
        with self._lock:
            return token_costs.add(self._usage, *(answer.spent() for answer in self._open.values()))

    def lost(self) -> tuple[Reason, str] | None:
        """Return why the attempt must not wait for the provider any longer, or ``None``; agents would wait forever."""
        with self._lock:
            if self._trouble is None:
                return None
            now = clock.monotonic()
            hopeless = self._until - now > _PATIENCE or self._useless > _MOST_USELESS
            # A pending request may still succeed.
            tired = now - self._since > _PATIENCE and not self._unanswered
            return self._trouble if hopeless or tired else None

    def trouble(self) -> tuple[Reason, str] | None:
        """Return the provider's failure as of its last answer, or ``None``."""
        with self._lock:
            if self._trouble is None and self._rejected and not self._usage:
                return Reason.CRASHED, self._rejected
            return self._trouble

    def held(self, seconds: float) -> None:
        """Record a pause of the agent in seconds: it does not count as the provider's failure time."""
        with self._lock:
            self._since += seconds

    def _fail(self, reason: Reason, detail: str, wait: float = 0.0) -> None:
        if self._trouble is None:
            self._since = clock.monotonic()
        self._until = clock.monotonic() + wait
        self._trouble = (reason, detail)


def _seconds(text: str) -> float:
    plain = text.strip()
    return min(float(plain), 86400.0) if plain.isascii() and plain.isdigit() else _RETRY_AFTER
