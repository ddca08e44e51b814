"""The provider's way to the API: bearer token, envelope, tries again, and errors that a person can read."""

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
    """How long the client goes on, in seconds: for one answer, before its second try, and before any try at most.

    After ``tries``, or once ``altogether`` has passed, it begins no further try.
    """

    answer: float = 10.0
    tries: int = 4
    first_pause: float = 0.25
    longest_pause: float = 5.0
    altogether: float = 15.0


def require_loopback(base_url: str | None) -> str:
    """Return the base URL; raises ``Refused`` where it is missing or leaves this machine."""
    if base_url and _LOOPBACK.fullmatch(base_url):
        return base_url
    raise Refused(
        f"CLOUDFLARE_BASE_URL is {base_url or 'not set'}, but this provider is a loopback double",
        hint="To reach Cloudflare itself, run terraform without the double's CLI configuration (TF_CLI_CONFIG_FILE).",
    )


class Cloudflare:
    """A client of the loopback API.

    Making one raises ``Refused`` for a URL outside loopback or a token that is not the double's, and
    ``Unauthorized`` where there is no token.
    """

    def __init__(self, base_url: str | None, token: str | None, patience: Patience = Patience()) -> None:
        url = require_loopback(base_url)
        if not token:
            raise Unauthorized("CLOUDFLARE_API_TOKEN is not set", hint="Set it to a token of the loopback Cloudflare.")
        refuse_foreign(token)
        # Terraform starts a provider three times for one plan, twice for its schemas only: those go without requests.
        from factory.system import http  # noqa: PLC0415 - saves a third of their start

        self._client = http.Client(url, headers={"Authorization": f"Bearer {token}"}, timeout=patience.answer)
        self._patience = patience

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the ``result`` of one request; ``None`` where the answer has no body.

        It is tried again after 429, after a failure of the server and without an answer, but never a POST that may
        have been carried out: that would make a second object. Raises ``Unauthorized`` (401, 403), ``NotFound``
        (404), ``Conflict`` (409), ``InvalidInput`` (the other refusals, and an answer that is no envelope) and
        ``Unreachable``, which says what may have happened.
        """
        answer = self._answer(method, path, body)
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
        """Ask what the token is; raises ``Unauthorized`` for one that is unknown, expired or revoked."""
        try:
            status = self.send("GET", "/user/tokens/verify")["status"]
        except Unauthorized as error:
            raise Unauthorized(_STATE.format(state="unknown or revoked"), hint=_RENEW) from error
        if status != "active":
            raise Unauthorized(_STATE.format(state=status), hint=_RENEW)

    def _answer(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        """Return the first answer that another try would not better; raises ``Unreachable``."""
        arguments = {} if body is None else {"json": body}
        end = clock.monotonic() + self._patience.altogether
        for number in range(1, self._patience.tries + 1):
            try:
                answer = self._client.send(method, path, **arguments)
            except Unreachable as error:
                if method == "POST":
                    raise _lost(method, path, str(error)) from error
                reason, asked = str(error), None
            else:
                if answer.status != _LIMITED and answer.status not in _BROKEN:
                    return answer
                if method == "POST" and answer.status != _LIMITED:
                    raise _lost(method, path, f"HTTP {answer.status}")
                reason, asked = f"HTTP {answer.status}", answer.headers.get("Retry-After")
            pause = self._pause(number, asked)
            if number == self._patience.tries or pause > self._patience.longest_pause or clock.monotonic() > end:
                break
            clock.sleep(pause)
        wait = f"; it asks to wait {asked} s" if asked else ""
        raise Unreachable(f"{method} {path}: {reason}, tries: {number}{wait}", hint=_AGAIN)

    def _pause(self, tried: int, asked: str | None) -> float:
        """Return the seconds before the next try: what the server asks for, or twice as long each time, with jitter."""
        if asked and asked.isascii() and asked.isdigit():
            return float(asked)
        # Jitter spreads the tries of resources that terraform handles at once; it protects nothing.
        share = 0.75 + random.random() / 4  # noqa: S311
        return min(self._patience.first_pause * float(2 ** (tried - 1)) * share, self._patience.longest_pause)


def attempt(diags: Any, work: Callable[[], T], *, otherwise: T, summary: str = "") -> T:
    """Return what ``work`` returns; one of our errors becomes a diagnostic, and ``otherwise`` is returned."""
    try:
        return work()
    except FactoryError as error:
        diags.add_error(f"{summary}{error}", error.hint)
        return otherwise


_STATE = "CLOUDFLARE_API_TOKEN is {state}: the API does not take it"
_RENEW = "Make a new token, store it where the pipeline reads it, and plan again."
_AGAIN = "Nothing is known to be lost: plan again once the API answers."


def _lost(method: str, path: str, reason: str) -> Unreachable:
    return Unreachable(
        f"{method} {path}: {reason}, so that nobody knows whether the object was made; it is not tried again",
        hint="Look for the object at Cloudflare. If it is there, `terraform import` it; then plan again.",
    )


def _hint(status: int) -> str:
    if _FAMILIES.get(status) is Unauthorized:
        return "The token may not do this: a plan needs a token that reads, an apply one that writes."
    return "Correct the attribute named above and plan again."
