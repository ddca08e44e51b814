"""The edge refuses what rulesets refuse, and reads only the expressions that it says it reads."""

from pathlib import Path
from typing import Any

import pytest

from factory.local_cloudflare.api import expressions
from factory.local_cloudflare.api.expressions import RequestFields
from factory.local_cloudflare.edge.firewall import Firewall
from factory.local_cloudflare.store import Store
from tests.local_cloudflare.double import Double
from tests.local_cloudflare.test_api import fresh
from tests.local_cloudflare.test_protection import LIMIT, RATE, ruleset

HERE = RequestFields("www.a.test", "/admin/users")


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('http.host eq "www.a.test"', True),
        ('http.host == "other.test"', False),
        ('(http.host eq "www.a.test")', True),
        ('http.request.uri.path eq "/admin"', False),
        ('starts_with(http.request.uri.path, "/admin")', True),
        ('starts_with( http.request.uri.path , "/")', True),
        ('http.host eq "www.a.test" and starts_with(http.request.uri.path, "/admin")', True),
        ('(http.host eq "www.a.test" && http.request.uri.path eq "/")', False),
        (r'http.request.uri.path eq "/\"x\\"', False),
        ('(http.host eq "www.a.test") and (http.host eq "b")', False),
        ('http.host in {"b" "www.a.test"}', True),
        ('http.host in {"b"}', False),
        ('(http.host in {"www.a.test"}) and (starts_with(http.request.uri.path, "/admin"))', True),
    ],
)
def test_an_expression_that_is_read(text: str, *, matches: bool) -> None:
    test = expressions.parse(text)
    assert test is not None
    assert test(HERE) is matches


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssl",
        "()",
        'http.host eq "a" or http.host eq "b"',
        'not http.host eq "a"',
        'http.host eq "a" and',
        "http.host in {}",
        'http.host in {"a" "b"',
        '(http.host eq "a" and',
        '(http.host eq "a") or (http.host eq "b")',
        'http.host eq "a',
        'ip.src eq "192.0.2.1"',
        'http.host matches ".*"',
    ],
)
def test_an_expression_that_is_not_read(text: str) -> None:
    assert expressions.parse(text) is None


def served(shared: Double) -> tuple[str, str]:
    """Return host and zone id of a site that answers 204 by itself."""
    zone = fresh()
    return f"www.{zone}", shared.serve_host(zone, "http_status:204")["zone"]


def rule(ref: str, expression: str, action: str = "block", **fields: Any) -> dict[str, Any]:
    return {"ref": ref, "action": action, "expression": expression} | fields


def test_a_custom_rule_blocks_what_it_names(shared: Double) -> None:
    host, zone_id = served(shared)
    prefix = 'starts_with(http.request.uri.path, "{}")'
    rules = [
        rule("off", prefix.format("/"), enabled=False),
        rule("unread", 'http.user_agent contains "curl"'),
        rule("seen", prefix.format("/.git"), "log"),
        rule("open", prefix.format("/.git/open"), "skip", action_parameters={"ruleset": "current"}),
        rule("git", prefix.format("/.git")),
    ]
    assert ruleset(shared, zone_id, rules).status == 200
    blocked = shared.visit(host, "/.git/config")
    assert blocked.status == 403
    assert "Error 1020" in blocked.text
    assert "the rule git blocks" in blocked.text
    assert shared.visit(host, "/.git/open").status == 204
    assert shared.visit(host, "/").status == 204
    other, _ = served(shared)
    assert shared.visit(other, "/.git/config").status == 204
    assert '"rules": ["unread"]' in shared.log()


def test_who_asks_too_often_waits(shared: Double) -> None:
    host, zone_id = served(shared)
    limit = LIMIT | {"requests_per_period": 3, "period": 10, "mitigation_timeout": 30}
    assert ruleset(shared, zone_id, [rule("few", f'(http.host eq "{host}")', ratelimit=limit)], RATE).status == 200
    assert [shared.visit(host).status for _ in range(5)] == [204, 204, 204, 429, 429]
    refused = shared.visit(host)
    assert "Error 1015" in refused.text
    assert 20 <= int(refused.headers["Retry-After"]) <= 31


def test_a_limit_is_of_one_client_and_ends(tmp_path: Path) -> None:
    store = Store(tmp_path / "cloudflare.sqlite3")
    limit = LIMIT | {"requests_per_period": 1, "period": 60, "mitigation_timeout": 10}
    rules = [rule("few", 'http.host eq "www.a.test"', id="1", enabled=True, ratelimit=limit)]
    with store.transaction():
        store.put("zone", "z", {"id": "z", "name": "a.test"}, name="a.test")
        store.put("ruleset", "r", {"id": "r", "phase": RATE, "rules": rules}, owner="z", name=RATE)
    firewall = Firewall()

    def passes(client: str, now: float) -> bool:
        return firewall.refusal(store, HERE, client, now) is None

    assert passes("192.0.2.1", 100)
    assert not passes("192.0.2.1", 101)
    assert passes("192.0.2.2", 101)
    assert not passes("192.0.2.1", 159)
    assert passes("192.0.2.1", 160)
    assert not passes("192.0.2.1", 219)
    assert not passes("192.0.2.1", 228)
    assert passes("192.0.2.1", 229)
    store.close()
