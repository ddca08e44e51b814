"""What a client owes a server that counts its requests: pauses it asks for, budgets, and no answer fetched twice.

Sources: GitLab docs, Rate limits on GitLab.com, and the limits announced for the Free tier (5,000 an hour in bursts of
100); RFC 9110 sections 10.2.3 (``Retry-After``) and 13.1.2 (``If-None-Match``).
"""

import copy
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from factory.errors import RateLimited
from factory.system import clock

# Seconds that one request waits in all before it is given up, and what a 429 without `Retry-After` is taken for.
PATIENCE, DEFAULT_PAUSE = 90.0, 5.0
# The least that a refused request waits: a server may ask for nothing, or clocks may differ.
_LEAST = 1.0
_WORTH_TELLING = 2.0
KEPT, _LARGEST = 256, 1024 * 1024
_PAGE = "X-Page"
_REPEATABLE = frozenset({"GET", "HEAD"})
_PAUSES = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


@dataclass(frozen=True)
class Rate:
    """How many requests of a kind a server takes: a burst at once, and so many each second on average."""

    burst: float
    each_second: float


# By kind of request; every request is of the kind "all" too.
GITLAB_COM: Mapping[str, Rate] = {
    "all": Rate(100, 5000 / 3600),
    "notes": Rate(60, 1.0),
    "pipelines": Rate(25, 25 / 60),
}


class Bucket:
    """A token bucket: what is left of a budget at a moment, in seconds of a clock that never goes back."""

    def __init__(self, rate: Rate) -> None:
        self._rate, self._left, self._at = rate, rate.burst, 0.0

    def take(self, now: float) -> float:
        """Take one request; return how many seconds to wait before it is sent."""
        grown = self._left + max(0.0, now - self._at) * self._rate.each_second
        self._left, self._at = min(self._rate.burst, grown) - 1, now
        return max(0.0, -self._left / self._rate.each_second)


def rates(url: str) -> Mapping[str, Rate]:
    """Return the budgets of a server: GitLab.com's are known; any other tells by its 429 answers."""
    return GITLAB_COM if urlsplit(url).hostname == "gitlab.com" else {}


def kinds(method: str, path: str) -> tuple[str, ...]:
    """Return the kinds of a request that have budgets: making notes and pipelines are counted apart."""
    if method == "POST" and path.endswith("/notes"):
        return ("all", "notes")
    if method == "POST" and path.endswith(("/pipeline", "/pipelines")):
        return ("all", "pipelines")
    return ("all",)


def pause(headers: Mapping[str, str], now: datetime) -> float:
    """Return the seconds that ``Retry-After`` asks for, as a number or a date (RFC 9110 section 10.2.3)."""
    text = str(headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return DEFAULT_PAUSE


class RateLimiter(HTTPAdapter):
    """Sends requests within the budgets, waits where it is asked to, and remembers answers by their ETag.

    ``sent`` counts what went over the wire, by method and status. ``say`` is told of a pause that a person would
    notice. Raises ``RateLimited`` where one is longer than anybody would wait for.
    """

    def __init__(
        self,
        budgets: Mapping[str, Rate],
        *,
        say: Callable[[str], None] | None = None,
        wait: Callable[[float], None] = clock.sleep,
    ) -> None:
        super().__init__()
        self._buckets = {kind: Bucket(rate) for kind, rate in budgets.items()}
        self._say, self._wait = say, wait
        self.sent: Counter[tuple[str, int]] = Counter()
        self._answers: OrderedDict[tuple[str, str], requests.Response] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def kept(self) -> int:
        """How many answers are remembered."""
        return len(self._answers)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send one request; a 429 is sent again after its pause, for it was not carried out."""
        known = self._known(request, streamed=bool(options.get("stream")))
        if known is not None:
            request.headers["If-None-Match"] = known.headers["ETag"]
        answer = self._sent(request, options)
        if known is not None and answer.status_code == HTTPStatus.NOT_MODIFIED:
            answer.close()
            if _PAGE not in known.headers or _PAGE in answer.headers:
                return _updated(known, answer)
            # An ETag is of the body alone: without its headers nobody knows whether a page follows by now.
            del request.headers["If-None-Match"]
            answer = self._sent(request, options)
        self._remember(request, answer, streamed=bool(options.get("stream")))
        return answer

    def _sent(self, request: requests.PreparedRequest, options: Mapping[str, Any]) -> requests.Response:
        left = PATIENCE
        while True:
            left = self._rest(self._budgeted(request), left)
            answer = super().send(request, **options)
            self.sent[str(request.method), answer.status_code] += 1
            if answer.status_code not in _PAUSES or not _again(request, answer):
                return answer
            answer.close()
            left = self._rest(max(_LEAST, pause(answer.headers, clock.now())), left)

    def _budgeted(self, request: requests.PreparedRequest) -> float:
        path = urlsplit(str(request.url)).path
        with self._lock:
            now = clock.monotonic()
            mine = [kind for kind in kinds(str(request.method), path) if kind in self._buckets]
            return max([self._buckets[kind].take(now) for kind in mine], default=0.0)

    def _rest(self, seconds: float, left: float) -> float:
        """Wait, and return what is left of the patience; raises ``RateLimited`` where it is not enough."""
        if seconds > left:
            raise RateLimited(
                f"GitLab takes no request for {seconds:.0f} s", hint=f"Run the same command again in {seconds:.0f} s."
            )
        if seconds >= _WORTH_TELLING and self._say is not None:
            self._say(f"GitLab asks for a pause of {seconds:.0f} s")
        if seconds > 0:
            self._wait(seconds)
        return left - seconds

    def _known(self, request: requests.PreparedRequest, *, streamed: bool) -> requests.Response | None:
        with self._lock:
            return None if streamed or request.method != "GET" else self._answers.get(_key(request))

    def _remember(self, request: requests.PreparedRequest, answer: requests.Response, *, streamed: bool) -> None:
        fits = request.method == "GET" and not streamed and answer.status_code == HTTPStatus.OK
        if not fits or "ETag" not in answer.headers or len(answer.content) > _LARGEST:
            return
        with self._lock:
            self._answers[_key(request)] = answer
            self._answers.move_to_end(_key(request))
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)


def _key(request: requests.PreparedRequest) -> tuple[str, str]:
    """Return what an answer is of: another account sees another one."""
    return str(request.url), str(request.headers.get("PRIVATE-TOKEN"))


def _again(request: requests.PreparedRequest, answer: requests.Response) -> bool:
    """Tell whether a request can be sent a second time: a 429 did nothing, a 503 may have."""
    if hasattr(request.body, "read") or hasattr(request.body, "__next__"):
        return False
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    return "Retry-After" in answer.headers and request.method in _REPEATABLE


def _updated(known: requests.Response, answer: requests.Response) -> requests.Response:
    """Return a known answer with the newer headers of the 304 that confirmed it (RFC 9111 section 4.3.4)."""
    made = copy.copy(known)
    made.headers = known.headers.copy()
    made.headers.update(answer.headers)
    made.request, made.history = answer.request, []
    return made
