"""What the factory knows of a Cloudflare zone: records, rules, and what a zone's plan can do. No I/O."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

CUSTOM, RATE_LIMIT = "http_request_firewall_custom", "http_ratelimit"
# The setting of a root's zone.tf that leaves out a phase.
SETTINGS: Mapping[str, str] = {CUSTOM: "custom_rules", RATE_LIMIT: "rate_limited"}
# Types of records that lead a hostname to a server; a hostname has one CNAME, or any number of the others.
ADDRESS_TYPES = frozenset({"A", "AAAA", "CNAME"})


@dataclass(frozen=True)
class Record:
    """A DNS record; ``name`` is the full name in lower case."""

    id: str
    name: str
    type: str
    content: str


@dataclass(frozen=True)
class Rule:
    """A rule of a ruleset; ``period`` and ``timeout`` (seconds) are those of a rate limit, else 0."""

    id: str
    ref: str
    description: str
    expression: str
    period: int = 0
    timeout: int = 0


@dataclass(frozen=True)
class Ruleset:
    """The one ruleset of a zone's phase."""

    id: str
    phase: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class ZoneFacts:
    """A zone: ``plan`` is Cloudflare's ``legacy_id`` of its plan, such as ``free``."""

    id: str
    name: str
    account: str
    plan: str


@dataclass(frozen=True)
class ZoneContents:
    """What a zone has: its records, the rulesets of its phases, and its settings' ids."""

    zone: ZoneFacts
    records: tuple[Record, ...]
    rulesets: tuple[Ruleset, ...]
    settings: tuple[str, ...]


@dataclass(frozen=True)
class PlannedRuleset:
    """A ruleset that a Terraform plan changes.

    ``id`` is empty if the plan creates it, ``rules`` are those after the change. ``recorded`` has the ids of the rules
    that the last apply left, and ``owned`` says whether Terraform also has the zone itself.
    """

    address: str
    zone: str
    phase: str
    id: str
    rules: tuple[Rule, ...]
    recorded: frozenset[str]
    owned: bool


@dataclass(frozen=True)
class RateLimits:
    """What a plan's rate limiting rules can do; times in seconds. ``fields`` is ``None`` if any field is allowed."""

    rules: int
    longest_period: int
    longest_timeout: int
    fields: frozenset[str] | None


_PRO = frozenset(
    {
        "cf.bot_management.verified_bot",
        "http.host",
        "http.request.full_uri",
        "http.request.uri",
        "http.request.uri.path",
        "http.request.uri.query",
    }
)
# Source: Cloudflare docs, "Rate limiting rules: Availability"
# (developers.cloudflare.com/waf/rate-limiting-rules/#availability).
PLANS: Mapping[str, RateLimits] = {
    "free": RateLimits(1, 10, 10, frozenset({"cf.bot_management.verified_bot", "http.request.uri.path"})),
    "pro": RateLimits(2, 60, 3600, _PRO),
    "business": RateLimits(5, 600, 86_400, _PRO | {"http.request.method", "http.user_agent", "ip.src"}),
    "enterprise": RateLimits(100, 65_535, 86_400, None),
}
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_FIELD = re.compile(r"\b[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+\b")


def beyond_plan(plan: str, rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """Return what a plan cannot do of a zone's rate limiting rules, one reason each; none for an unlisted plan."""
    limits = PLANS.get(plan)
    if limits is None:
        return ()
    found = [reason for rule in rules for reason in _beyond(limits, rule)]
    if len(rules) > limits.rules:
        found.append(f"{len(rules)} rules, but at most {limits.rules}")
    return tuple(found)


def foreign_rules(live: Ruleset | None, planned: PlannedRuleset) -> tuple[Rule, ...]:
    """Return the rules of a phase that a plan would remove, and that Terraform did not make.

    Ours are the rules that the last apply left. Of a ruleset that the plan changes or imports, a rule with the ``ref``
    of a planned rule is ours too: a person has written it into the configuration.
    """
    if live is None or planned.owned:
        return ()
    named = {rule.ref for rule in planned.rules} if planned.id == live.id else frozenset[str]()
    return tuple(rule for rule in live.rules if rule.id not in planned.recorded and rule.ref not in named)


def visible(text: str, most: int = 200) -> str:
    """Return the beginning of a text from outside, without control and invisible characters."""
    kept = "".join(letter for letter in text if unicodedata.category(letter)[0] not in {"C", "Z"} or letter == " ")
    return kept if len(kept) <= most else f"{kept[:most]}…"


def _beyond(limits: RateLimits, rule: Rule) -> tuple[str, ...]:
    found = []
    used = set(_FIELD.findall(_TEXT.sub("", rule.expression)))
    if limits.fields is not None and (other := sorted(used - limits.fields)):
        found.append(
            f"the rule {rule.ref} matches {', '.join(other)}, but rules can match only {_listed(limits.fields)}"
        )
    if rule.period > limits.longest_period:
        found.append(
            f"the rule {rule.ref} counts for {rule.period} s, but at most {limits.longest_period} s are possible"
        )
    if rule.timeout > limits.longest_timeout:
        found.append(
            f"the rule {rule.ref} blocks for {rule.timeout} s, but at most {limits.longest_timeout} s are possible"
        )
    return tuple(found)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
