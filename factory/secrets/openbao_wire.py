"""How requests go to OpenBao: again where that may help; whatever goes wrong comes out as an error of ours.

Reads are tried again after 429 and 5xx. A write is tried again only where the server says that it did not take it
(429, 503): after another error nobody knows whether it was done.
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
# A server that asks for more patience than this gets none: the caller is told instead.
_LONGEST_PAUSE = 10.0
_NOT_TAKEN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
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
    Refused: "The token's policy does not allow it; `factory secrets doctor` shows what it may do.",
    Unreachable: "Look with `factory secrets doctor`; `factory secrets init` starts the local server.",
    NotFound: "Store it with `factory secrets put`.",
}


def refuse_plain(address: str) -> None:
    """Raise ``Refused`` for an address to which secrets would go unencrypted over a network."""
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise Refused(
            f"{address} is neither https nor on this machine: secrets would cross the network unencrypted",
            hint="Name an address that begins with https://.",
        )


def inside(answer: Any, *keys: str) -> Any:
    """Return what lies at these keys of an answer; raises ``Unreachable`` where it is not OpenBao's."""
    for key in keys:
        if not isinstance(answer, Mapping) or key not in answer:
            raise Unreachable(
                f"what answers is no OpenBao: its answer has no {'.'.join(keys)}", hint=_HINTS[Unreachable]
            )
        answer = answer[key]
    return answer


class Adapter(adapters.JSONAdapter):  # type: ignore[misc] # hvac has no types
    """Sends hvac's requests, again where that may help, and raises our errors."""

    def request(self, method: str, url: str, *, headers: Any = None, raise_exception: bool = True, **more: Any) -> Any:
        """Send one request and return its JSON, or the response itself where it has none (204)."""
        del raise_exception  # an answer that is an error is always raised
        pauses = iter(_PAUSES)
        while True:
            try:
                # A status that is an error comes back as the response itself.
                answer = super().request(method, url, headers=dict(headers or {}), raise_exception=False, **more)
            except OSError as error:  # every error of requests is one
                what = type(error).__name__
                raise Unreachable(
                    f"OpenBao did not answer at {self.base_uri} ({what})", hint=_HINTS[Unreachable]
                ) from None
            if isinstance(answer, dict | list) or answer.status_code == HTTPStatus.NO_CONTENT:
                return answer
            if answer.status_code < HTTPStatus.BAD_REQUEST:  # a page, or a redirect, which could lead anywhere
                raise Unreachable(
                    f"what answers at {self.base_uri} is no OpenBao (HTTP {answer.status_code})",
                    hint=_HINTS[Unreachable],
                )
            pause = next(pauses, None)
            wanted = _asked_for(answer, pause) if _may_repeat(method, answer.status_code) else None
            if wanted is None:
                raise self._told(method, url, answer, more)
            clock.sleep(wanted)

    def _told(self, method: str, url: str, answer: Any, sent: Mapping[str, Any]) -> FactoryError:
        """Return the error that an answer is."""
        status = answer.status_code
        kind = _BY_STATUS.get(status, Unreachable)
        if status == HTTPStatus.FORBIDDEN:
            kind = Refused if self._token_stands(url) else Unauthorized
        body = {name: value for name, value in (sent.get("json") or {}).items() if name != "role"}
        reason = _reason(answer, [self.token, *body.values()])
        text = f"OpenBao refused {url.removeprefix('/v1/')}: {reason} (HTTP {status})"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            text = f"OpenBao at {self.base_uri} fails: {reason} (HTTP {status})"
            if method not in _READS and status not in _NOT_TAKEN:
                text += "; whether it was done is not known"
        return kind(text, hint=_HINTS.get(kind))

    def _token_stands(self, url: str) -> bool:
        """Tell whether the server still knows the token: it answers 403 to a bad token and to a good one alike."""
        if not self.token or url.endswith("/lookup-self"):
            return False
        try:
            self.request("get", "/v1/auth/token/lookup-self")
        except FactoryError:
            return False
        return True


def _may_repeat(method: str, status: int) -> bool:
    return status in _NOT_TAKEN or (method in _READS and status >= HTTPStatus.INTERNAL_SERVER_ERROR)


def _asked_for(answer: Any, pause: float | None) -> float | None:
    """Return how long to wait before the next try: as the server asks, else as planned; ``None`` is not at all."""
    if pause is None:
        return None
    asked = answer.headers.get("Retry-After", "")
    wanted = float(asked) if asked.isdigit() else pause
    return wanted if wanted <= _LONGEST_PAUSE else None


def _reason(answer: Any, secrets: list[Any]) -> str:
    """Return the server's own words, without anything that was sent to it."""
    try:
        said = answer.json().get("errors")
    except (ValueError, AttributeError):
        said = None
    text = "; ".join(" ".join(str(item).split()) for item in said) if isinstance(said, list) and said else "no reason"
    for secret in secrets:
        for value in secret.values() if isinstance(secret, dict) else [secret]:
            if isinstance(value, str) and len(value) > 3:  # noqa: PLR2004 - a shorter one would blank words
                text = text.replace(value, "[hidden]")
    return text[:_LONGEST_REASON]
