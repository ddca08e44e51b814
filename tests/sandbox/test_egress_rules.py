"""What may leave a sandbox, as pure decisions."""

import pytest

from factory.errors import InvalidInput
from factory.sandbox.egress_rules import RequestDecision, Route, Rules, judge, onward, public

RULES = Rules(
    allowed=("pypi.org", "*.example.com", "other.example:8443", "10.0.0.5:80"),
    routes={"model": Route("https://api.example.net/v1x/")},
)


@pytest.mark.parametrize(
    ("method", "target", "host", "port"),
    [
        ("CONNECT", "pypi.org:443", "pypi.org", 443),
        ("CONNECT", "PyPI.org.:443", "pypi.org", 443),
        ("GET", "http://pypi.org/simple/", "pypi.org", 80),
        ("GET", "HTTP://pypi.org?x", "pypi.org", 80),
        ("CONNECT", "a.b.example.com:443", "a.b.example.com", 443),
        ("CONNECT", "other.example:8443", "other.example", 8443),
        ("GET", "http://10.0.0.5/", "10.0.0.5", 80),
        ("POST", "/model/messages", "api.example.net", 443),
    ],
)
def test_allowed(method: str, target: str, host: str, port: int) -> None:
    found = judge(RULES, method, target)
    assert (found.allowed, found.host, found.port) == (True, host, port)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("CONNECT", "pypi.org:22"),
        ("CONNECT", "pypi.org"),
        ("CONNECT", "pypi.org:443@evil.example:443"),
        ("CONNECT", "evil.example:443"),
        ("CONNECT", "pypi.org.evil.example:443"),
        ("CONNECT", "evilpypi.org:443"),
        ("CONNECT", "example.com:443"),
        ("CONNECT", ".example.com:443"),
        ("CONNECT", "xexample.com:443"),
        ("CONNECT", "other.example:443"),
        ("CONNECT", "pypi.org:99999"),
        ("CONNECT", "pypi.org:0"),
        ("CONNECT", "[::1]:443"),
        ("CONNECT", "127.0.0.1:443"),
        ("CONNECT", "0x0a000005:80"),
        ("CONNECT", "167772165:80"),
        ("CONNECT", "pypi.org%00.evil:443"),
        ("CONNECT", "p\u0443pi.org:443"),
        ("GET", "http://evil.example/?http://pypi.org/"),
        ("GET", "http://user@pypi.org/"),
        ("GET", "http://pypi.org\\@evil.example/"),
        ("GET", "http://pypi.org#.evil.example/"),
        ("GET", "https://pypi.org/"),
        ("GET", "ftp://pypi.org/"),
        ("GET", "//pypi.org/"),
        ("GET", "/"),
        ("GET", "/model"),
        ("GET", "/modelx/v1"),
        ("GET", "/model/../admin"),
        ("GET", "/model/%2e%2e/admin"),
        ("GET", "/model/%252e%252e/admin"),
        ("GET", "/model/..%2fadmin"),
        ("GET", "/model/..%5cadmin"),
        ("GET", "*"),
        ("GET", ""),
    ],
)
def test_refused(method: str, target: str) -> None:
    assert judge(RULES, method, target).allowed is False


def test_a_route_keeps_path_and_query_and_shows_the_path_alone() -> None:
    found = judge(RULES, "POST", "/model/messages?beta=true")
    assert (found.target, found.path, found.tls) == ("/v1x/messages?beta=true", "/model/messages", True)


@pytest.mark.parametrize(
    "rule", ["*", "*.com", "", "a b", "http://pypi.org", "pypi.org/x", "pypi.org:0", "a..b", "*.*.com", "user@host"]
)
def test_what_is_no_host_is_no_rule(rule: str) -> None:
    with pytest.raises(InvalidInput):
        Rules(allowed=(rule,))


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("model", Route("ftp://x")),
        ("model", Route("https://user:pw@x")),
        ("Model", Route("https://x")),
        ("model", Route("https://x", {"A": "b\r\nC: d"})),
    ],
)
def test_what_cannot_be_a_route(name: str, route: Route) -> None:
    with pytest.raises(InvalidInput):
        Rules(routes={name: route})


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("151.101.0.223", True),
        ("2a04:4e42::223", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public(address: str, *, expected: bool) -> None:
    assert public(address) is expected


@pytest.mark.parametrize(
    ("host", "port", "tls", "sent"),
    [
        ("::1", 8080, False, "[::1]:8080"),
        ("2001:db8::7", 443, True, "[2001:db8::7]"),
        ("api.test", 80, False, "api.test"),
        ("api.test", 80, True, "api.test:80"),
        ("api.test", 443, False, "api.test:443"),
    ],
)
def test_the_host_header_names_host_and_port(host: str, port: int, tls: bool, sent: str) -> None:  # noqa: FBT001 - a row
    decision = RequestDecision(allowed=True, reason="", host=host, port=port, tls=tls)
    assert onward([("Host", "forged"), ("X", "1")], decision)[0] == ("Host", sent)
