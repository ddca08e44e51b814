"""What may leave a sandbox, as pure decisions."""

from typing import Any

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


NARROW = Rules(routes={"model": Route("https://chatgpt.com/backend-api/codex", paths=("responses", "v1/messages"))})


@pytest.mark.parametrize(
    "path", ["responses", "responses?x=1", "responses/compact", "v1/messages?beta=true", "v1/messages/count_tokens"]
)
def test_a_route_with_paths_serves_these_and_what_is_below_them(path: str) -> None:
    assert judge(NARROW, "POST", f"/model/{path}").target == f"/backend-api/codex/{path}"


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "?responses",
            "Responses",
            "responsesx",
            "/responses",
            "v1",
            "v1/",
            "v1/messagesx",
            "wham/accounts/check",
        ),
        *("responses/../wham", "responses/%2e%2e/wham", "responses%2f..%2fwham", "responses\\..\\wham", "%72esponses"),
        *("responses/%252e%252e/wham", "ps/plugins/list", "codex/analytics-events", "./responses", "x/responses"),
    ],
)
def test_a_route_with_paths_serves_no_other(path: str) -> None:
    assert judge(NARROW, "POST", f"/model/{path}").allowed is False


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
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("2002:808:808::", True),
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


KEY = {"Authorization": "Bearer k", "X-Own": "1"}
WHOLE = Rules(
    allowed=("pypi.org", "*.example.com", "other.example:8443", "10.0.0.5:80"),
    routes={"model": Route("https://api.example.net/v1x/", KEY), "plain": Route("http://Localhost:8080/base")},
)


def sent(reason: str, host: str, port: int, *, path: str = "", target: str = "", **more: Any) -> RequestDecision:
    return RequestDecision(allowed=True, reason=reason, host=host, port=port, path=path, target=target, **more)


def refused(reason: str, *, host: str = "", port: int = 0, path: str = "") -> RequestDecision:
    return RequestDecision(allowed=False, reason=reason, host=host, port=port, path=path)


FORBIDDEN = "the request's target has forbidden characters"
MODEL = {"tls": True, "trusted": True, "headers": KEY, "route": "model"}


@pytest.mark.parametrize(
    ("method", "target", "decision"),
    [
        ("CONNECT", "pypi.org:443", sent("allowed by pypi.org", "pypi.org", 443, tunnel=True)),
        ("CONNECT", "pypi.org:80", sent("allowed by pypi.org", "pypi.org", 80, tunnel=True)),
        ("CONNECT", "a.example.com:80", sent("allowed by *.example.com", "a.example.com", 80, tunnel=True)),
        ("CONNECT", "other.example:8443", sent("allowed by other.example:8443", "other.example", 8443, tunnel=True)),
        ("GET", "http://pypi.org/s/?a=b", sent("allowed by pypi.org", "pypi.org", 80, path="/s/", target="/s/?a=b")),
        ("GET", "http://pypi.org", sent("allowed by pypi.org", "pypi.org", 80, path="/", target="/")),
        ("GET", "HTTP://pypi.org?x", sent("allowed by pypi.org", "pypi.org", 80, path="/", target="/?x")),
        (
            "GET",
            "http://10.0.0.5/",
            sent("allowed by 10.0.0.5:80", "10.0.0.5", 80, path="/", target="/", trusted=True),
        ),
        (
            "POST",
            "/model/messages?beta=true",
            sent(
                "route model",
                "api.example.net",
                443,
                path="/model/messages",
                target="/v1x/messages?beta=true",
                **MODEL,
            ),
        ),
        ("GET", "/model/", sent("route model", "api.example.net", 443, path="/model/", target="/v1x/", **MODEL)),
        (
            "GET",
            "/plain/a/b",
            sent("route plain", "localhost", 8080, path="/plain/a/b", target="/base/a/b", trusted=True, route="plain"),
        ),
        ("CONNECT", "pypi.org", refused("CONNECT names no port", host="pypi.org")),
        ("CONNECT", "evil.example:443", refused("evil.example:443 is not allowed", host="evil.example", port=443)),
        (
            "CONNECT",
            "a.example.com:8443",
            refused("a.example.com:8443 is not allowed", host="a.example.com", port=8443),
        ),
        ("GET", "http://10.0.0.6/x?y", refused("10.0.0.6:80 is not allowed", host="10.0.0.6", port=80, path="/x")),
        ("GET", "http://@/x", refused("the request names no host", path="/x")),
        ("GET", "/plain", refused("unknown route", path="/plain")),
        ("GET", "/nothing/x", refused("unknown route", path="/nothing/x")),
        ("GET", "/model/%2e%2e/x", refused("the path leaves its route", path="/model/%2e%2e/x")),
        ("GET", "/model/./x", refused("the path leaves its route", path="/model/./x")),
        ("GET", "/model/a%2Fb", refused("the path leaves its route", path="/model/a%2Fb")),
        ("GET", "/model/a%5Cb", refused("the path leaves its route", path="/model/a%5Cb")),
        ("GET", "ftp://p/x?y", refused("only http, and https by CONNECT, is relayed", path="ftp://p/x")),
        ("GET", "http://pypi.org/x#y", refused(FORBIDDEN, path="http://pypi.org/x")),
        ("GET", "/model/a\\b", refused(FORBIDDEN, path="/model/a\\b")),
        ("GET", "a b\x7f", refused(FORBIDDEN, path="a?b?")),
        ("GET", "~" * 2000, refused("only http, and https by CONNECT, is relayed", path="~" * 1024)),
        ("CONNECT", "pypi.org:65535", refused("pypi.org:65535 is not allowed", host="pypi.org", port=65535)),
        ("CONNECT", "pypi.org:65536", refused("the request names no host")),
    ],
)
def test_the_whole_decision(method: str, target: str, decision: RequestDecision) -> None:
    assert judge(WHOLE, method, target) == decision


CONNECTION_HEADERS = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "expect",
    "proxy-authorization",
    "proxy-authenticate",
]
CREDENTIALS = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "x-amz-security-token",
    "accept-encoding",
    "x-own",
]


@pytest.mark.parametrize("name", CONNECTION_HEADERS)
def test_headers_of_one_connection_are_not_relayed(name: str) -> None:
    decision = judge(WHOLE, "GET", "http://pypi.org/")
    found = onward([(name.title(), "x"), ("Accept", "y")], decision)
    assert found == [("Host", "pypi.org"), ("Accept", "y"), ("Connection", "close")]


@pytest.mark.parametrize("name", CREDENTIALS)
def test_an_agents_credential_is_replaced_on_a_route_alone(name: str) -> None:
    there = onward([(name.title(), "x"), ("Accept", "y")], judge(WHOLE, "GET", "/model/x"))
    assert there == [("Host", "api.example.net"), ("Accept", "y"), *KEY.items(), ("Connection", "close")]
    elsewhere = onward([(name.title(), "x")], judge(WHOLE, "GET", "http://pypi.org/"))
    assert ((name.title(), "x") in elsewhere) is (name != "proxy-authorization")


def test_what_a_connection_header_names_is_not_relayed() -> None:
    found = onward([("Connection", "X-One, x-two"), ("x-One", "1"), ("X-Two", "2")], judge(WHOLE, "GET", "/plain/"))
    assert found == [("Host", "localhost:8080"), ("Connection", "close")]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("*.com", "'*.com' allows a whole top-level domain"),
        ("a b", "'a b' is not a host, such as pypi.org, *.example.com or example.com:8443"),
        ("-a.org", "'-a.org' is not a host, such as pypi.org, *.example.com or example.com:8443"),
    ],
)
def test_an_invalid_rule_is_named(rule: str, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Rules(allowed=(rule,))
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("", Route("https://x")),
        ("a" * 64, Route("https://x")),
        ("model", Route("https://x?q")),
        ("model", Route("https:///p")),
        ("model", Route("https://x", {"A b": "c"})),
        ("model", Route("https://x", {"": "c"})),
        ("model", Route("https://x", {"A": "\x7f"})),
    ],
)
def test_what_else_cannot_be_a_route(name: str, route: Route) -> None:
    with pytest.raises(InvalidInput):
        Rules(routes={name: route})


def test_what_a_route_may_be() -> None:
    assert Rules(routes={"a" * 63: Route("http://x:1/p", {"A-1": " ~"})}).routes


@pytest.mark.parametrize(
    ("base", "host", "port", "tls"),
    [
        ("https://a.example/v1", "a.example", 443, True),
        ("http://A.example/v1", "a.example", 80, False),
        ("http://a.example:8080", "a.example", 8080, False),
    ],
)
def test_a_route_leads_to_its_servers_port(base: str, host: str, port: int, *, tls: bool) -> None:
    found = judge(Rules(routes={"m": Route(base)}), "GET", "/m/x")
    assert (found.host, found.port, found.tls, found.trusted, found.route) == (host, port, tls, True, "m")


def test_a_refusal_has_no_more_than_its_reason() -> None:
    assert judge(RULES, "GET", "ftp://x/y") == RequestDecision(
        allowed=False, reason="only http, and https by CONNECT, is relayed", path="ftp://x/y"
    )


def test_a_rule_by_address_in_brackets() -> None:
    rules = Rules(allowed=("[2606:4700::1111]:443",))
    assert judge(rules, "CONNECT", "[2606:4700::1111]:443").host == "2606:4700::1111"
    assert not judge(rules, "CONNECT", "[2606:4700::1112]:443").allowed


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "X-Api-Key",
        "Api-Key",
        "X-Goog-Api-Key",
        "Cookie",
        "X-Amz-Security-Token",
    ],
)
def test_no_credential_of_the_agent_goes_on(name: str) -> None:
    rules = Rules(routes={"m": Route("https://a.example", {"X-Own": "k"})})
    assert name not in dict(onward([(name, "mine"), ("A", "b")], judge(rules, "GET", "/m/x")))


@pytest.mark.parametrize("authority", ["pypi.org:0", "pypi.org:65536", "pypi.org:"])
def test_a_port_that_cannot_be_is_refused(authority: str) -> None:
    assert not judge(RULES, "CONNECT", authority).allowed
