"""Sends requests to OpenBao with retries, and turns every failure into a ``FactoryError``.

Reads are retried after 429 and 5xx. Writes are retried only after 429 and 503, because the server has then not
processed them. After other errors it is unknown whether the write was done.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from hvac import adapters

from factory.errors import Conflict, FactoryError, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.system import clock

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PAUSES = (0.2, 0.6, 1.8)
# If the server asks for a longer pause, the request is not retried.
_LONGEST_PAUSE = 10.0
_NOT_PROCESSED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_READS = frozenset({"get", "list", "head"})
_LONGEST_REASON = 300
_BY_STATUS: Mapping[int, type[FactoryError]] = {
    HTTPStatus.BAD_REQUEST: InvalidInput,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.METHOD_NOT_ALLOWED: Refused,
    HTTPStatus.PRECONDITION_FAILED: Conflict,
}
_HINTS: Mapping[type[FactoryError], str] = {
    Unauthorized: "The token is wrong, expired or revoked; log in again with `factory secrets login`.",
    Refused: "The token's policy does not allow it; `factory secrets doctor` shows what the token may do.",
    Unreachable: "Check the server with `factory secrets doctor`; `factory secrets init` starts the local server.",
    NotFound: "Store it with `factory secrets put`.",
}


def refuse_plain(address: str) -> None:
    """Raise ``Refused`` for an address that would get secrets unencrypted over a network."""
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise Refused(
            f"{address} is neither https nor on this machine: secrets would cross the network unencrypted",
            hint="Use an address that begins with https://.",
        )


def inside(answer: Any, *keys: str) -> Any:
    """Return the value at these keys of a response; raises ``Unreachable`` if it is not a response of OpenBao."""
    for key in keys:
        if not isinstance(answer, Mapping) or key not in answer:
            raise Unreachable(
                f"the server is not OpenBao: its response has no {'.'.join(keys)}", hint=_HINTS[Unreachable]
            )
        answer = answer[key]
    return answer


class Adapter(adapters.JSONAdapter):  # type: ignore[misc] # hvac has no types
    """Sends hvac's requests with retries, and raises ``FactoryError``."""

    def request(self, method: str, url: str, *, headers: Any = None, raise_exception: bool = True, **more: Any) -> Any:
        """Send one request and return its JSON, or the response itself if it has no body (204)."""
        del raise_exception  # error responses are always raised
        pauses = iter(_PAUSES)
        while True:
            try:
                # For an error status, hvac returns the response itself.
                answer = super().request(method, url, headers=dict(headers or {}), raise_exception=False, **more)
            except OSError as error:  # the base class of the errors of requests
                what = type(error).__name__
                raise Unreachable(
                    f"OpenBao did not answer at {self.base_uri} ({what})", hint=_HINTS[Unreachable]
                ) from None
            if isinstance(answer, dict | list) or answer.status_code == HTTPStatus.NO_CONTENT:
                return answer
            if answer.status_code < HTTPStatus.BAD_REQUEST:  # an HTML page, or a redirect, which is not followed
                raise Unreachable(
                    f"the server at {self.base_uri} is not OpenBao (HTTP {answer.status_code})",
                    hint=_HINTS[Unreachable],
                )
            pause = next(pauses, None)
            delay = _delay(answer, pause) if _may_repeat(method, answer.status_code) else None
            if delay is None:
                raise self._error(method, url, answer, more)
            clock.sleep(delay)

    def _error(self, method: str, url: str, answer: Any, sent: Mapping[str, Any]) -> FactoryError:
        """Return the error for an error response."""
        status = answer.status_code
        kind = _BY_STATUS.get(status, Unreachable)
        if status == HTTPStatus.FORBIDDEN:
            kind = Refused if self._token_is_valid(url) else Unauthorized
        body = {name: value for name, value in (sent.get("json") or {}).items() if name != "role"}
        reason = _reason(answer, [self.token, *body.values()])
        text = f"OpenBao refused {url.removeprefix('/v1/')}: {reason} (HTTP {status})"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            text = f"OpenBao at {self.base_uri} fails: {reason} (HTTP {status})"
            if method not in _READS and status not in _NOT_PROCESSED:
                text += "; it is unknown whether the write was done"
        return kind(text, hint=_HINTS.get(kind))

    def _token_is_valid(self, url: str) -> bool:
        """Return whether the token is valid; the server sends 403 for invalid tokens and for missing permissions."""
        if not self.token or url.endswith("/lookup-self"):
            return False
        try:
            self.request("get", "/v1/auth/token/lookup-self")
        except FactoryError:
            return False
        return True


def _may_repeat(method: str, status: int) -> bool:
    return status in _NOT_PROCESSED or (method in _READS and status >= HTTPStatus.INTERNAL_SERVER_ERROR)


def _delay(answer: Any, pause: float | None) -> float | None:
    """Return the seconds until the next try: ``Retry-After`` or else ``pause``. ``None`` means no further try."""
    if pause is None:
        return None
    requested = answer.headers.get("Retry-After", "")
    delay = float(requested) if requested.isdigit() else pause
    return delay if delay <= _LONGEST_PAUSE else None


def _reason(answer: Any, secrets: list[Any]) -> str:
    """Return the server's own error message without any value of the request."""
    try:
        errors = answer.json().get("errors")
    except (ValueError, AttributeError):
        errors = None
    lines = [" ".join(str(item).split()) for item in errors] if isinstance(errors, list) else []
    text = "; ".join(lines) if lines else "no reason"
    for secret in secrets:
        for value in secret.values() if isinstance(secret, dict) else [secret]:
            if isinstance(value, str) and len(value) > 3:  # noqa: PLR2004 - hiding shorter values would hide parts of words
                text = text.replace(value, "[hidden]")
    return text[:_LONGEST_REASON]
