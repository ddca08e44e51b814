"""The deciders for a zone that others use too: whose a rule is, and what the zone's plan can do."""

import itertools

import pytest

from factory.model.cloudflare import (
    ADDRESS_TYPES,
    PLANS,
    SETTINGS,
    PlannedRuleset,
    Rule,
    Ruleset,
    beyond_plan,
    foreign_rules,
    visible,
)

HOST, PATH = 'http.host eq "www.acme.com"', 'http.request.uri.path eq "/http.host"'
OURS, THEIRS = Rule("1" * 32, "hello", "", HOST), Rule("2" * 32, "2" * 32, "theirs", "ssl")


def rate(expression: str = HOST, *, period: int = 10, timeout: int = 10, ref: str = "hello") -> Rule:
    return Rule("", ref, "", expression, period, timeout)


@pytest.mark.parametrize(
    ("plan", "rules", "reasons"),
    [
        ("free", (rate(PATH),), ()),
        ("free", (rate(),), ("the rule hello matches http.host",)),
        ("free", (rate(PATH), rate(PATH)), ("2 rules, but at most 1",)),
        ("free", (rate(PATH, period=60),), ("counts for 60 s",)),
        ("free", (rate(PATH, timeout=60),), ("blocks for 60 s",)),
        ("pro", (rate(period=60, timeout=60),) * 2, ()),
        ("pro", (rate(period=60),) * 3, ("3 rules, but at most 2",)),
        ("pro", (rate('ip.src in {192.0.2.1} and http.request.method eq "POST"'),), ("http.request.method, ip.src",)),
        ("business", (rate("ip.src eq 192.0.2.1", period=600),), ()),
        ("business", (rate(period=3600),), ("counts for 3600 s",)),
        ("enterprise", (rate("cf.bot_management.score lt 30", period=3600),) * 100, ()),
        ("of tomorrow", (rate(),) * 1000, ()),
    ],
)
def test_a_plan_has_the_limits_of_cloudflares_documentation(
    plan: str, rules: tuple[Rule, ...], reasons: tuple[str, ...]
) -> None:
    found = beyond_plan(plan, rules)
    assert len(found) == len(reasons)
    assert all(reason in told for reason, told in zip(reasons, found, strict=True))


def test_the_limits_are_those_of_the_documentation() -> None:
    """Read from "Rate limiting rules: Availability" of Cloudflare's documentation in December 2026."""
    assert {name: (each.rules, each.longest_period, each.longest_timeout) for name, each in PLANS.items()} == {
        "free": (1, 10, 10),
        "pro": (2, 60, 3600),
        "business": (5, 600, 86_400),
        "enterprise": (100, 65_535, 86_400),
    }
    free = {"cf.bot_management.verified_bot", "http.request.uri.path"}
    pro = free | {"http.host", "http.request.full_uri", "http.request.uri", "http.request.uri.query"}
    business = pro | {"http.request.method", "http.user_agent", "ip.src"}
    assert [each.fields for each in PLANS.values()] == [free, pro, business, None]


def test_a_phase_has_its_setting_and_a_rule_without_times_has_none() -> None:
    assert SETTINGS == {"http_request_firewall_custom": "custom_rules", "http_ratelimit": "rate_limited"}
    assert {"A", "AAAA", "CNAME"} == ADDRESS_TYPES
    assert (OURS.period, OURS.timeout) == (0, 0)


def test_a_larger_plan_can_do_no_less() -> None:
    limits = list(PLANS.values())
    for small, large in itertools.pairwise(limits):
        assert (small.rules, small.longest_period) < (large.rules, large.longest_period)
        assert large.fields is None or (small.fields is not None and small.fields < large.fields)


def planned(*, key: str = "r", rules: tuple[Rule, ...] = (OURS,), recorded: tuple[Rule, ...] = ()) -> PlannedRuleset:
    return PlannedRuleset("a", "z", "http_ratelimit", key, rules, frozenset(rule.id for rule in recorded), owned=False)


LIVE = Ruleset("r", "http_ratelimit", (OURS, THEIRS))


@pytest.mark.parametrize(
    ("live", "change", "lost"),
    [
        (None, planned(key=""), ()),
        (Ruleset("r", "http_ratelimit", ()), planned(key=""), ()),
        (LIVE, planned(key=""), (OURS, THEIRS)),
        (LIVE, planned(recorded=(OURS,)), (THEIRS,)),
        (LIVE, planned(recorded=(OURS, THEIRS)), ()),
        (LIVE, planned(), (THEIRS,)),
        (LIVE, planned(rules=(), recorded=(OURS,)), (THEIRS,)),
        (LIVE, planned(rules=(OURS, THEIRS)), ()),
        (LIVE, planned(key="other"), (OURS, THEIRS)),
    ],
    ids=[
        "nothing is there",
        "an empty ruleset",
        "a ruleset that we would create",
        "a rule was added to ours",
        "all is ours, and one goes",
        "an import without its rules",
        "our ruleset is deleted, with a rule of others in it",
        "an import with its rules",
        "another ruleset took the place of ours",
    ],
)
def test_a_rule_is_ours_if_terraform_made_it_or_names_it(
    live: Ruleset | None, change: PlannedRuleset, lost: tuple[Rule, ...]
) -> None:
    assert foreign_rules(live, change) == lost


def test_in_a_zone_that_terraform_made_every_rule_is_ours() -> None:
    assert foreign_rules(LIVE, PlannedRuleset("a", "z", "p", "", (), frozenset(), owned=True)) == ()


def test_a_text_from_outside_cannot_move_the_cursor_or_flood_the_log() -> None:
    assert visible("a\x1b[31m\u202eb\nc\u2028d") == "a[31mbcd"
    assert visible("x" * 1000) == "x" * 200 + "…"
