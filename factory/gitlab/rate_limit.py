"""Keeps a server's rate limits: request budgets, ``Retry-After`` pauses and conditional requests.

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

# Seconds that one request may wait in total; pause after a response without a valid `Retry-After`.
PATIENCE, DEFAULT_PAUSE = 90.0, 5.0
# Shortest pause of a refused request: a server may send 0, or clocks may differ.
_LEAST = 1.0
_WORTH_TELLING = 2.0
KEPT, _LARGEST = 256, 1024 * 1024
_PAGE = "X-Page"
_REPEATABLE = frozenset({"GET", "HEAD"})
_PAUSES = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


@dataclass(frozen=True)
class Rate:
    """A budget: the number of requests allowed at once, and on average per second."""

    burst: float
    each_second: float


# By kind of request; every request also counts as "all".
GITLAB_COM: Mapping[str, Rate] = {
    "all": Rate(100, 5000 / 3600),
    "notes": Rate(60, 1.0),
    "pipelines": Rate(25, 25 / 60),
}


class Bucket:
    """A token bucket for one budget; times are seconds of a monotonic clock."""

    def __init__(self, rate: Rate) -> None:
        self._rate, self._left, self._at = rate, rate.burst, 0.0

    def take(self, now: float) -> float:
        """Count one request; return the seconds to wait before sending it."""
        grown = self._left + max(0.0, now - self._at) * self._rate.each_second
        self._left, self._at = min(self._rate.burst, grown) - 1, now
        return max(0.0, -self._left / self._rate.each_second)


def rates(url: str) -> Mapping[str, Rate]:
    """Return the known budgets of a server: those of GitLab.com; others are only limited by 429 responses."""
    return GITLAB_COM if urlsplit(url).hostname == "gitlab.com" else {}


def kinds(method: str, path: str) -> tuple[str, ...]:
    """Return the kinds of a request: creating notes and pipelines has separate budgets."""
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
    """Sends requests within the budgets, waits as ``Retry-After`` says, and caches responses by ETag.

    ``sent`` counts the sent requests by method and status. ``say`` reports pauses of 2 seconds or more. Raises
    ``RateLimited`` if a request would wait longer than ``PATIENCE``.
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
        """The number of cached responses."""
        return len(self._answers)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send one request; after a 429, wait and send it again."""
        known = self._known(request, streamed=bool(options.get("stream")))
        if known is not None:
            request.headers["If-None-Match"] = known.headers["ETag"]
        answer = self._sent(request, options)
        if known is not None and answer.status_code == HTTPStatus.NOT_MODIFIED:
            _ = answer.content  # read to its end, so that the next request uses the same connection
            if _PAGE not in known.headers or _PAGE in answer.headers:
                return _updated(known, answer)
            # The ETag covers only the body: without paging headers, a new next page would go unnoticed.
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
        """Wait; return the remaining patience. Raises ``RateLimited`` if the wait is longer than ``left``."""
        if seconds > left:
            raise RateLimited(
                f"GitLab accepts no request for {seconds:.0f} s", hint=f"Run the same command again in {seconds:.0f} s."
            )
        if seconds >= _WORTH_TELLING and self._say is not None:
            self._say(f"waiting {seconds:.0f} s for GitLab's rate limit")
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
    """Return the cache key: the response depends on URL and account."""
    return str(request.url), str(request.headers.get("PRIVATE-TOKEN"))


def _again(request: requests.PreparedRequest, answer: requests.Response) -> bool:
    """Return whether a request may be sent again: a 429 had no effect, a 503 may have had one."""
    if hasattr(request.body, "read") or hasattr(request.body, "__next__"):
        return False
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    return "Retry-After" in answer.headers and request.method in _REPEATABLE


def _updated(known: requests.Response, answer: requests.Response) -> requests.Response:
    """Return a cached response with the headers of the 304 that confirmed it (RFC 9111 section 4.3.4)."""
    updated = copy.copy(known)
    updated.headers = known.headers.copy()
    updated.headers.update(answer.headers)
    updated.request, updated.history = answer.request, []
    return updated
