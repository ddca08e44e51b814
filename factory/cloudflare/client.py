"""The one door to Cloudflare's API: reads answers that may be huge, slow or wrong, and returns checked values."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from factory.errors import FactoryError, InvalidInput, NotFound, RateLimited, Unauthorized, Unreachable
from factory.model.cloudflare import visible
from factory.system import clock, http

URL = "https://api.cloudflare.com/client/v4"
_ADDRESS = re.compile(r"https://\S+|http://(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost)(:\d+)?(/\S*)?")
_LARGEST, _PER_PAGE, _MOST_PAGES = 8 * 2**20, 500, 40
_OK, _LIMITED = 200, 429
_FAMILIES: Mapping[int, type[FactoryError]] = {401: Unauthorized, 403: Unauthorized, 404: NotFound}
_RIGHTS = (
    "Use a token that reads the zone: Zone, DNS, Zone Settings and Zone WAF (the module api_token has its rights)."
)


@dataclass(frozen=True)
class Patience:
    """How long the reader waits, in seconds: for one whole answer and before another try; and how often it tries."""

    answer: float = 20.0
    pause: float = 1.0
    longest_pause: float = 10.0
    tries: int = 3


class Reader:
    """Reads with one token. The constructor raises ``InvalidInput`` for an address that would show the token."""

    def __init__(self, token: str, *, url: str = "", patience: Patience = Patience()) -> None:
        address = url or URL
        if not _ADDRESS.fullmatch(address):
            raise InvalidInput(f"{visible(address)} is not an https address, so the token is not sent there")
        headers = {"Authorization": f"Bearer {token}"}
        self._client = http.Client(address, headers=headers, timeout=patience.answer)
        self._patience = patience

    def get(self, path: str, **params: str) -> object:
        """Return the ``result`` of one request.

        Raises ``Unauthorized`` (401, 403), ``NotFound`` (404), ``RateLimited`` (429), ``Unreachable`` (5xx, no whole
        answer in time) and ``InvalidInput`` for an answer that is not Cloudflare's.
        """
        return self._envelope(path, params).get("result")

    def all(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield the items of every numbered page of a list; raises the errors of ``get``."""
        for number in range(1, _MOST_PAGES + 1):
            items = listed(self.get(path, page=str(number), per_page=str(_PER_PAGE)), path)
            yield from items
            if len(items) < _PER_PAGE:
                return
        raise InvalidInput(f"GET {path}: more than {_PER_PAGE * _MOST_PAGES} items")

    def following(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield the items of a list whose pages name the next one by a cursor; raises the errors of ``get``."""
        params: Mapping[str, str] = {}
        for _ in range(_MOST_PAGES):
            envelope = self._envelope(path, params)
            yield from listed(envelope.get("result"), path)
            info = envelope.get("result_info")
            cursors = info.get("cursors") if isinstance(info, dict) else None
            after = cursors.get("after") if isinstance(cursors, dict) else None
            if not isinstance(after, str) or not after:
                return
            params = {"cursor": after}
        raise InvalidInput(f"GET {path}: more than {_MOST_PAGES} pages")

    def _envelope(self, path: str, params: Mapping[str, str]) -> Mapping[str, object]:
        answer = self._answer(path, params)
        try:
            envelope = json.loads(answer.body)
        except (ValueError, RecursionError):
            envelope = None
        if answer.status == _OK and isinstance(envelope, dict) and envelope.get("success") is True:
            return envelope
        family = _FAMILIES.get(answer.status, InvalidInput)
        reason = f"GET {path}: HTTP {answer.status}: {_reasons(envelope)}"
        raise family(reason, hint=_RIGHTS if family is Unauthorized else None)

    def _answer(self, path: str, params: Mapping[str, str]) -> http.Response:
        wait = 0.0
        for left in reversed(range(self._patience.tries)):
            try:
                answer = self._client.fetch(path, params=params, largest=_LARGEST, seconds=self._patience.answer)
            except Unreachable:
                if not left:
                    raise
                answer = None
            if answer is not None and answer.status != _LIMITED and answer.status < 500:  # noqa: PLR2004 - server errors
                return answer
            wait = self._patience.pause if answer is None else _wait(answer, self._patience.pause)
            if not left or wait > self._patience.longest_pause:
                break
            clock.sleep(wait)
        if answer is not None and answer.status == _LIMITED:
            raise RateLimited(f"GET {path}: Cloudflare limits requests; it asks to wait {wait:g} s")
        raise Unreachable(f"GET {path}: HTTP {answer.status if answer else 'no answer'}", hint="Run the command again.")


def listed(value: object, what: str) -> list[Mapping[str, object]]:
    """Return a list of objects; raises ``InvalidInput`` for anything else."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidInput(f"Cloudflare's answer to {what} is not a list of objects")
    return value


def mapping(value: object, what: str) -> Mapping[str, object]:
    """Return an object; raises ``InvalidInput`` for anything else."""
    if not isinstance(value, dict):
        raise InvalidInput(f"Cloudflare's answer to {what} is not an object")
    return value


def text(item: Mapping[str, object], name: str, form: "re.Pattern[str] | None" = None) -> str:
    """Return a text of an object; raises ``InvalidInput`` if it is none, or has not the form."""
    value = item.get(name)
    if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
        raise InvalidInput(f"Cloudflare's answer has no valid {name}: {visible(repr(value))}")
    return value


def _wait(answer: http.Response, pause: float) -> float:
    asked = answer.headers.get("Retry-After", "")
    return float(asked[:6]) if asked.isascii() and asked.isdigit() else pause


def _reasons(envelope: object) -> str:
    errors = envelope.get("errors") if isinstance(envelope, dict) else None
    found = [item for item in errors[:3] if isinstance(item, dict)] if isinstance(errors, list) else []
    told = "; ".join(f"{item.get('code')} {item.get('message')}" for item in found)
    return visible(told) or "the answer is not Cloudflare's"
