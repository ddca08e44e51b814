"""What a model's provider said, as the egress proxy saw it pass: usage, refusals, bytes. The agent has no part in it.

Reads the three shapes that providers stream or send whole: Responses (``response.usage``), Messages (``message.usage``
and ``usage`` of ``message_delta``), Chat Completions (``usage``).
"""

import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from factory.agents import metering
from factory.model.agent import Reason
from factory.system import clock

_LONGEST = 4 * 1024 * 1024
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PAYMENT_REQUIRED})
_RETRY_AFTER = 60.0
# Seconds for which a provider may fail before the attempt ends, and answers without usage that it may give in a row.
_PATIENCE = 20.0
_MOST_USELESS = 20


class Provider:
    """Collects what passes between an agent and its model; safe to be told by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usage: dict[str, int] = {}
        self._open: dict[int, tuple[bytearray, dict[str, int]]] = {}
        self._trouble: tuple[Reason, str] | None = None
        self._since = self._until = 0.0
        self._useless = 0
        self.reset_at = ""
        self.heard = 0.0
        self.sent = 0
        self.received = 0

    def asked(self, size: int) -> None:
        """Take note of the bytes of a request."""
        with self._lock:
            self.sent += size
            self.heard = clock.monotonic()

    def answered(self, number: int, status: int, headers: Mapping[str, str]) -> None:
        """Take note of an answer's head; ``number`` names the answer until it is ``done``."""
        with self._lock:
            self._open[number] = (bytearray(), {})
            if status in _REFUSED:
                self._fail(Reason.AUTH_FAILED, f"the model's provider answers {status}")
            elif status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                wait = _seconds(headers.get("retry-after", ""))
                self.reset_at = clock.iso(clock.after(wait))
                told = f"the model's provider answers {status} until {self.reset_at}"
                self._fail(Reason.PROVIDER_LIMITED, told, wait)
            elif status < HTTPStatus.BAD_REQUEST:
                self._trouble = None

    def said(self, number: int, chunk: bytes) -> None:
        """Take note of a part of an answer's body."""
        with self._lock:
            self.received += len(chunk)
            self.heard = clock.monotonic()
            if number not in self._open:
                return
            rest, usage = self._open[number]
            rest += chunk
            *lines, last = rest.split(b"\n")
            for line in lines:
                _read(bytes(line), usage)
            rest[:] = last[-_LONGEST:]

    def done(self, number: int) -> None:
        """Take note of an answer's end."""
        with self._lock:
            rest, usage = self._open.pop(number, (bytearray(), {}))
            _read(bytes(rest), usage)
            self._usage = metering.add(self._usage, usage)
            self._useless = 0 if usage else self._useless + 1
            if self._useless > _MOST_USELESS:
                self._fail(
                    Reason.PROVIDER_LIMITED, "the model's provider answers nothing that can be used", _RETRY_AFTER
                )

    def unreachable(self, reason: str) -> None:
        """Take note that the provider could not be reached."""
        with self._lock:
            self.reset_at = clock.iso(clock.after(_RETRY_AFTER))
            self._fail(Reason.PROVIDER_LIMITED, f"the model's provider cannot be reached: {reason}")

    def usage(self) -> dict[str, int]:
        """Return the tokens that the provider counted so far; nothing where it counted none."""
        with self._lock:
            return metering.add(self._usage, *(usage for _, usage in self._open.values()))

    def lost(self) -> tuple[Reason, str] | None:
        """Return why waiting for the provider makes no sense any more, or ``None``; agents wait for it for ever."""
        with self._lock:
            if self._trouble is None:
                return None
            now = clock.monotonic()
            hopeless = self._until - now > _PATIENCE or self._useless > _MOST_USELESS
            return self._trouble if hopeless or now - self._since > _PATIENCE else None

    def trouble(self) -> tuple[Reason, str] | None:
        """Return why the provider does not serve, as of its last answer."""
        with self._lock:
            return self._trouble

    def _fail(self, reason: Reason, told: str, wait: float = 0.0) -> None:
        if self._trouble is None:
            self._since = clock.monotonic()
        self._until = clock.monotonic() + wait
        self._trouble = (reason, told)


def _read(line: bytes, usage: dict[str, int]) -> None:
    """Take the usage that a line of a stream, or a whole body, carries; a later figure replaces an earlier one."""
    text = line.strip().removeprefix(b"data:").strip()
    if b'"usage"' not in text:
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    for holder in (value, value.get("response"), value.get("message")) if isinstance(value, dict) else ():
        found = holder.get("usage") if isinstance(holder, dict) else None
        if isinstance(found, dict):
            usage |= _normal(found, usage)


def _normal(found: Mapping[str, Any], before: Mapping[str, int]) -> dict[str, int]:
    """Return a usage in our names; what Messages counts apart (cached input) becomes part of the input."""
    cached = _number(found, "cache_read_input_tokens")
    apart = cached + _number(found, "cache_creation_input_tokens")
    details = found.get("input_tokens_details") or found.get("prompt_tokens_details")
    if isinstance(details, dict):
        cached = _number(details, "cached_tokens")
    given = _number(found, "input_tokens") + _number(found, "prompt_tokens") + apart
    made = {
        "input_tokens": given or before.get("input_tokens", 0),
        "cached_read_tokens": cached or before.get("cached_read_tokens", 0),
        "output_tokens": _number(found, "output_tokens") + _number(found, "completion_tokens"),
    }
    return {**made, "total_tokens": made["input_tokens"] + made["output_tokens"]}


def _number(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12 else 0


def _seconds(text: str) -> float:
    return min(float(text), 86400.0) if text.strip().isdigit() else _RETRY_AFTER
