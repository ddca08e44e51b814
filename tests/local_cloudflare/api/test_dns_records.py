"""What Cloudflare takes as a DNS record, and with which code it refuses the rest."""

from typing import Any

import pytest

from factory.local_cloudflare.api.dns_records import Problem, clash, record

A = {"type": "A", "name": "www", "content": "192.0.2.1"}
CNAME = {"type": "CNAME", "name": "www", "content": "t.cfargotunnel.com"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("www", "www.hello.test"),
        ("WWW.Hello.Test.", "www.hello.test"),
        ("@", "hello.test"),
        ("hello.test", "hello.test"),
        ("*", "*.hello.test"),
        ("other.test", "other.test.hello.test"),
    ],
)
def test_a_name_becomes_a_full_name(name: str, expected: str) -> None:
    made = record(A | {"name": name}, zone="hello.test")
    assert not isinstance(made, Problem)
    assert made["name"] == expected


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"type": "NOPE"}, 1004),
        ({"type": ["A"]}, 1004),
        ({"type": "SRV"}, 1004),
        ({"name": None}, 9000),
        ({"name": "no spaces"}, 9000),
        ({"ttl": 59}, 9021),
        ({"ttl": 86_401}, 9021),
        ({"ttl": True}, 9021),
        ({"ttl": "60"}, 9021),
        ({"proxied": "yes"}, 1004),
        ({"content": "300.1.1.1"}, 9005),
        ({"content": None}, 9101),
        ({"content": 7}, 9101),
        ({"type": "AAAA"}, 9006),
        ({"type": "CNAME", "content": "no spaces"}, 9007),
        ({"type": "CNAME", "content": "www.hello.test"}, 9039),
        ({"type": "TXT", "content": "x", "proxied": True}, 9004),
        ({"type": "MX", "content": "mail.test"}, 9100),
        ({"comment": "x" * 101}, 9205),
        ({"tags": "x"}, 1004),
        ({"type": "SRV", "data": {"priority": 1, "weight": 1, "port": 70_000, "target": "sip.test"}}, 1004),
        ({"type": "CAA", "data": {"flags": 0, "tag": "all", "value": "ca.test"}}, 1004),
        ({"type": "CAA", "data": ["issue"]}, 1004),
        ({"type": "TLSA", "data": {}}, 1004),
    ],
)
def test_a_bad_record_has_a_code(body: dict[str, Any], code: int) -> None:
    problem = record(A | body, zone="hello.test")
    assert isinstance(problem, Problem)
    assert problem.code == code
    assert problem.message


@pytest.mark.parametrize("ttl", [1, 60, 86_400])
def test_a_ttl_is_automatic_or_a_minute_to_a_day(ttl: int) -> None:
    made = record(A | {"ttl": ttl}, zone="hello.test")
    assert not isinstance(made, Problem)
    assert made["ttl"] == ttl


@pytest.mark.parametrize(
    ("new", "other", "code"),
    [
        (A, A, 81058),
        (A, CNAME, 81053),
        (CNAME, A, 81053),
        (CNAME, CNAME | {"content": "other.test"}, 81053),
        (A, A | {"content": "192.0.2.2"}, None),
        (A, A | {"name": "other"}, None),
        (CNAME, {"type": "TXT", "name": "www", "content": "x"}, None),
    ],
)
def test_records_that_cannot_stand_together(new: dict[str, Any], other: dict[str, Any], code: int | None) -> None:
    problem = clash(new, [other])
    assert (problem and problem.code) == code


def test_cloudflare_makes_the_content_of_a_record_with_data() -> None:
    srv = {"priority": 10, "weight": 5, "port": 5060, "target": "sip.hello.test"}
    made = record({"type": "SRV", "name": "_sip._tcp", "data": srv}, zone="hello.test")
    assert not isinstance(made, Problem)
    assert (made["name"], made["content"], made["priority"]) == ("_sip._tcp.hello.test", "5 5060 sip.hello.test", 10)
    caa = {"flags": 0, "tag": "issue", "value": "letsencrypt.org"}
    made = record({"type": "CAA", "name": "@", "data": caa}, zone="hello.test")
    assert not isinstance(made, Problem)
    assert (made["content"], made["data"]) == ('0 issue "letsencrypt.org"', caa)
