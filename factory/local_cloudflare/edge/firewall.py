"""Applies a zone's rulesets at the edge: custom rules block requests, and rate limits count them.

Requests pass a rule with an expression that the edge cannot parse, and a challenge, because nobody could solve it here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from factory.local_cloudflare.api import expressions
from factory.local_cloudflare.api.expressions import RequestFields
from factory.local_cloudflare.edge.routes import Answer
from factory.local_cloudflare.store import Store
from factory.model.cloudflare import CUSTOM, RATE_LIMIT

# Cloudflare's codes: 1020 access denied, 1015 rate limited.
_DENIED, _LIMITED = (403, 1020), (429, 1015)
_MOST_WINDOWS = 10_000

_parse = lru_cache(maxsize=1_000)(expressions.parse)


@dataclass
class _Window:
    """The number of matches of one client and one rule since ``start``, and the end of the block."""

    start: float
    count: int = 0
    blocked: float = 0.0


class Firewall:
    """Checks requests against rulesets; the counts are in memory, so a restart resets rate limits."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], _Window] = {}

    def refusal(self, store: Store, fields: RequestFields, client: str, now: float) -> Answer | None:
        """Return the error for a blocked request, or ``None``; ``now`` is monotonic, in seconds."""
        rulesets = {each["phase"]: each for each in _rulesets(store, fields.host)}
        for rule in _matching(rulesets.get(CUSTOM), fields):
            if rule["action"] == "block":
                return Answer(_DENIED[0], f"the rule {rule['ref']} blocks this request", code=_DENIED[1])
            if rule["action"] == "skip":
                break
        for rule in _matching(rulesets.get(RATE_LIMIT), fields):
            wait = self._wait(rule, client, now) if rule["action"] == "block" else 0.0
            if wait > 0:
                reason = f"the rule {rule['ref']} limits the rate of requests"
                return Answer(_LIMITED[0], reason, code=_LIMITED[1], retry_after=int(wait) + 1)
        return None

    def _wait(self, rule: Mapping[str, Any], client: str, now: float) -> float:
        """Count a request; return the seconds for which its client is blocked, or 0."""
        limit, key = rule["ratelimit"], (str(rule["id"]), client)
        window = self._windows.get(key)
        if window is None or (now >= window.start + limit["period"] and now >= window.blocked):
            self._forget(now)
            window = self._windows[key] = _Window(now)
        window.count += 1
        if window.count > limit["requests_per_period"] and window.blocked <= now:
            until_next = window.start + limit["period"]
            window.blocked = max(until_next, now + limit.get("mitigation_timeout", 0))
        return max(0.0, window.blocked - now)

    def _forget(self, now: float) -> None:
        """Delete expired windows once there are ``_MOST_WINDOWS``, to limit the memory."""
        if len(self._windows) >= _MOST_WINDOWS:
            oldest = now - 3600
            self._windows = {
                key: window for key, window in self._windows.items() if max(window.start, window.blocked) > oldest
            }


def _rulesets(store: Store, host: str) -> list[dict[str, Any]]:
    zones = [zone for zone in store.find("zone") if host == zone["name"] or host.endswith(f".{zone['name']}")]
    return store.find("ruleset", owner=max(zones, key=lambda zone: len(zone["name"]))["id"]) if zones else []


def _matching(ruleset: Mapping[str, Any] | None, fields: RequestFields) -> Iterator[Mapping[str, Any]]:
    for rule in ruleset["rules"] if ruleset else ():
        test = _parse(rule["expression"]) if rule["enabled"] else None
        if test is not None and test(fields):
            yield rule
