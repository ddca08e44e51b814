"""The provider's way to the API: bearer token, envelope, and errors that a person can read."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from factory.errors import Conflict, FactoryError, InvalidInput, NotFound, Refused, Unauthorized
from factory.local_cloudflare.tokens import refuse_foreign

T = TypeVar("T")

_LOOPBACK = re.compile(r"http://(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\])(:\d{1,5})?(/[\w./-]*)?")
_FAMILIES = {401: Unauthorized, 403: Unauthorized, 404: NotFound, 409: Conflict}
_FAILED = 400


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

    def __init__(self, base_url: str | None, token: str | None) -> None:
        url = require_loopback(base_url)
        if not token:
            raise Unauthorized("CLOUDFLARE_API_TOKEN is not set", hint="Set it to a token of the loopback Cloudflare.")
        refuse_foreign(token)
        # Terraform starts a provider three times for one plan, twice for its schemas only: those go without requests.
        from factory.system import http  # noqa: PLC0415 - saves a third of their start

        self._client = http.Client(url, headers={"Authorization": f"Bearer {token}"})

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the ``result`` of one request.

        Raises ``Unauthorized`` (401, 403), ``NotFound`` (404), ``Conflict`` (409), ``InvalidInput`` (the other
        refusals, and an answer that is no envelope) and ``Unreachable``.
        """
        answer = self._client.send(method, path, json=body) if body is not None else self._client.send(method, path)
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


def attempt(diags: Any, work: Callable[[], T], *, otherwise: T, summary: str = "") -> T:
    """Return what ``work`` returns; one of our errors becomes a diagnostic, and ``otherwise`` is returned."""
    try:
        return work()
    except FactoryError as error:
        diags.add_error(f"{summary}{error}", error.hint)
        return otherwise


def _hint(status: int) -> str:
    if _FAMILIES.get(status) is Unauthorized:
        return "The token may not do this: a plan needs a token that reads, an apply one that writes."
    return "Correct the attribute named above and plan again."
