"""Sends the provider's requests to the API, with the bearer token, retries and readable errors."""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from factory.errors import Conflict, FactoryError, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.local_cloudflare.tokens import refuse_foreign
from factory.system import clock

T = TypeVar("T")

_LOOPBACK = re.compile(r"http://(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\])(:\d{1,5})?(/[\w./-]*)?")
_FAMILIES = {401: Unauthorized, 403: Unauthorized, 404: NotFound, 409: Conflict}
_FAILED, _LIMITED, _NO_CONTENT = 400, 429, 204
_BROKEN = range(500, 600)


@dataclass(frozen=True)
class Patience:
    """The client's timeouts in seconds: for one answer, before the second try, and the maximum before any try.

    The client stops after ``tries`` tries, or once ``altogether`` seconds have passed.
    """

    answer: float = 10.0
    tries: int = 4
    first_pause: float = 0.25
    longest_pause: float = 5.0
    altogether: float = 15.0


def require_loopback(base_url: str | None) -> str:
    """Return the base URL; raises ``Refused`` if it is missing or not on loopback."""
    if base_url and _LOOPBACK.fullmatch(base_url):
        return base_url
    raise Refused(
        f"CLOUDFLARE_BASE_URL is {base_url or 'not set'}, but this provider is a loopback double",
        hint="To reach Cloudflare itself, run terraform without the double's CLI configuration (TF_CLI_CONFIG_FILE).",
    )


class Cloudflare:
    """A client of the loopback API.

    The constructor raises ``Refused`` for a URL outside loopback or a token that is not the double's, and
    ``Unauthorized`` if the token is missing.
    """

    def __init__(self, base_url: str | None, token: str | None, patience: Patience = Patience()) -> None:
        url = require_loopback(base_url)
        if not token:
            raise Unauthorized("CLOUDFLARE_API_TOKEN is not set", hint="Set it to a token of the loopback Cloudflare.")
        refuse_foreign(token)
        # Terraform starts a provider three times for one plan, twice only for its schemas, without any request.
        from factory.system import http  # noqa: PLC0415 - saves a third of the start-up time

        self._client = http.Client(url, headers={"Authorization": f"Bearer {token}"}, timeout=patience.answer)
        self._patience = patience

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the ``result`` of one request; ``None`` if the answer has no body.

        The request is retried after 429, after 5xx and if there is no answer, except a POST that the server may have
        processed, because a retry could create a second object. Raises ``Unauthorized`` (401, 403), ``NotFound``
        (404), ``Conflict`` (409), ``InvalidInput`` (other 4xx, and an answer that is not an envelope) and
        ``Unreachable``.
        """
        answer = self._answer(
            method, path, ({} if body is None else {"json": body}) | ({"params": params} if params else {})
        )
        if answer.status == _NO_CONTENT:
            return None
        envelope = answer.json()
        if not isinstance(envelope, dict):
            raise InvalidInput(f"{method} {path}: the answer is not Cloudflare's envelope")
        if answer.status < _FAILED and envelope.get("success"):
            return envelope.get("result")
        reasons = "; ".join(f"{each['code']} {each['message']}" for each in envelope.get("errors") or [])
        family = _FAMILIES.get(answer.status, InvalidInput)
        raise family(
            f"{method} {path}: HTTP {answer.status}: {reasons or 'no reason given'}", hint=_hint(answer.status)
        )

    def require_active(self) -> None:
        """Verify the token with the API; raises ``Unauthorized`` if it is unknown, expired or revoked."""
        try:
            status = self.send("GET", "/user/tokens/verify")["status"]
        except Unauthorized as error:
            raise Unauthorized(_STATE.format(state="unknown or revoked"), hint=_RENEW) from error
        if status != "active":
            raise Unauthorized(_STATE.format(state=status), hint=_RENEW)

    def _answer(self, method: str, path: str, arguments: Mapping[str, Any]) -> Any:
        """Return the first answer that needs no retry; raises ``Unreachable``."""
        end = clock.monotonic() + self._patience.altogether
        for number in range(1, self._patience.tries + 1):
            try:
                answer = self._client.send(method, path, **arguments)
            except Unreachable as error:
                if method == "POST":
                    raise _lost(method, path, str(error)) from error
                reason, retry_after = str(error), None
            else:
                if answer.status != _LIMITED and answer.status not in _BROKEN:
                    return answer
                if method == "POST" and answer.status != _LIMITED:
                    raise _lost(method, path, f"HTTP {answer.status}")
                reason, retry_after = f"HTTP {answer.status}", answer.headers.get("Retry-After")
            pause = self._pause(number, retry_after)
            if number == self._patience.tries or pause > self._patience.longest_pause or clock.monotonic() > end:
                break
            clock.sleep(pause)
        wait = f"; the server asks to wait {retry_after} s" if retry_after else ""
        raise Unreachable(f"{method} {path}: {reason}, tries: {number}{wait}", hint=_AGAIN)

    def _pause(self, tried: int, retry_after: str | None) -> float:
        """Return the seconds before the next try: ``Retry-After``, or an exponential backoff with jitter."""
        if retry_after and retry_after.isascii() and retry_after.isdigit():
            return float(retry_after)
        # Jitter spreads the retries of resources that terraform handles in parallel; it has no security purpose.
        share = 0.75 + random.random() / 4  # noqa: S311
        return min(self._patience.first_pause * float(2 ** (tried - 1)) * share, self._patience.longest_pause)


def attempt(diags: Any, work: Callable[[], T], *, otherwise: T, summary: str = "") -> T:
    """Return the result of ``work``; a ``FactoryError`` becomes a diagnostic, and ``otherwise`` is returned."""
    try:
        return work()
    except FactoryError as error:
        diags.add_error(f"{summary}{error}", error.hint)
        return otherwise


_STATE = "CLOUDFLARE_API_TOKEN is {state}: the API rejects it"
_RENEW = "Create a new token, store it where the pipeline reads it, and plan again."
_AGAIN = "Plan again once the API answers."


def _lost(method: str, path: str, reason: str) -> Unreachable:
    return Unreachable(
        f"{method} {path}: {reason}; it is unknown whether the object was created, so the request is not repeated",
        hint="Look for the object at Cloudflare. If it exists, import it with `terraform import`. Then plan again.",
    )


def _hint(status: int) -> str:
    if _FAMILIES.get(status) is Unauthorized:
        return "The token lacks the permission: a plan needs a read token, an apply a write token."
    return "Correct the attribute named above and plan again."
