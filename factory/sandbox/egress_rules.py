"""Decides which requests may leave a sandbox: allowed hosts, and routes with a credential. No I/O."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from factory.errors import InvalidInput

_DEFAULT_PORTS = (443, 80)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_ROUTE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HARMLESS = re.compile(r"[\x21-\x7e]+")
_LONGEST_SHOWN = 1024

# Headers that could carry an agent's own credential; the headers that the route sets are removed as well.
_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "x-amz-security-token"}
)
# RFC 9110, section 7.6.1: headers that apply to one connection only.
_HOP_BY_HOP = frozenset(
    {"connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "expect"}
    | {"proxy-authorization", "proxy-authenticate"}
)


@dataclass(frozen=True)
class Route:
    """The base URL for requests to ``/<name>/…``, and the headers (a credential) that the proxy adds.

    ``paths`` are the only paths below the base URL that pass, each with what is below it; empty means all.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rules:
    """All that a sandbox may reach.

    ``allowed`` lists hosts: ``pypi.org``, ``*.example.com`` (its subdomains), each on the ports 443 and 80 or on the
    named port. Raises ``InvalidInput`` for an invalid host or URL.
    """

    allowed: tuple[str, ...] = ()
    routes: Mapping[str, Route] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rule in self.allowed:
            _parse(rule)
        for name, route in self.routes.items():
            parts = urlsplit(route.base_url)
            if not _ROUTE.fullmatch(name):
                raise InvalidInput(f"invalid route name {name!r}: use lower-case letters, digits and hyphens")
            if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
                raise InvalidInput(f"the base URL of the route {name} is not http(s)://host[:port][/path]")
            for key, value in route.headers.items():
                if not re.fullmatch(r"[A-Za-z0-9-]+", key) or not re.fullmatch(r"[\x20-\x7e]*", value):
                    raise InvalidInput(f"the route {name} has an invalid header")


@dataclass(frozen=True)
class RequestDecision:
    """The decision about one request: refused for ``reason``, or sent to ``host:port``.

    ``path`` is the recorded path, without query; ``target`` is sent to the server. ``tunnel`` is a CONNECT.
    ``trusted`` tells that the rule itself names the address, so a private address is allowed.
    """

    allowed: bool
    reason: str
    host: str = ""
    port: int = 0
    path: str = ""
    target: str = field(default="", repr=False)
    tunnel: bool = False
    tls: bool = False
    trusted: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    route: str = ""


def judge(rules: Rules, method: str, target: str) -> RequestDecision:
    """Decide about a request line: CONNECT, the absolute form of a proxy request, or a path under a route's name."""
    shown = _shown(target)
    if not _HARMLESS.fullmatch(target) or "\\" in target or "#" in target:
        return RequestDecision(allowed=False, reason="the request's target has forbidden characters", path=shown)
    if method == "CONNECT":
        return _host(rules, target, tunnel=True)
    if target.startswith("/"):
        return _route(rules, target, shown)
    if target.lower().startswith("http://"):
        rest = target[len("http://") :]
        authority = re.split(r"[/?]", rest, maxsplit=1)[0]
        path = rest[len(authority) :]
        return _host(rules, authority, tunnel=False, target=path if path.startswith("/") else f"/{path}")
    return RequestDecision(allowed=False, reason="only http, and https by CONNECT, is relayed", path=shown)


def public(address: str) -> bool:
    """Tell whether an address is on the public internet: not loopback, private, link-local, multicast or reserved."""
    found = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found in ipaddress.ip_network("64:ff9b::/96"):  # NAT64 (RFC 6052)
            return public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return public(str(inner))
    return found.is_global and not found.is_multicast


def onward(headers: Iterable[tuple[str, str]], judged: RequestDecision) -> list[tuple[str, str]]:
    """Return the headers to relay; on a route, the route's headers replace the agent's credentials."""
    headers = list(headers)
    named = {
        part.strip().lower() for name, value in headers if name.lower() == "connection" for part in value.split(",")
    }
    dropped = _HOP_BY_HOP | named
    if judged.route:
        # The tap reads the answers of a route, so they must not be compressed.
        dropped |= _CREDENTIALS | {"accept-encoding"} | {name.lower() for name in judged.headers}
    relayed = [(name, value) for name, value in headers if name.lower() not in dropped]
    port = "" if judged.port == (443 if judged.tls else 80) else f":{judged.port}"
    host = f"[{judged.host}]" if ":" in judged.host else judged.host
    return [("Host", host + port), *relayed, *judged.headers.items(), ("Connection", "close")]


def _host(rules: Rules, authority: str, *, tunnel: bool, target: str = "") -> RequestDecision:
    path = _shown(target) if target else ""
    try:
        host, port = _split(authority)
    except InvalidInput:
        return RequestDecision(allowed=False, reason="the request names no host", path=path)
    if port is None:
        if tunnel:
            return RequestDecision(allowed=False, reason="CONNECT names no port", host=host)
        port = 80
    for rule in rules.allowed:
        name, only = _parse(rule)
        matches = host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name
        if matches and (port == only if only else port in _DEFAULT_PORTS):
            return RequestDecision(
                allowed=True,
                reason=f"allowed by {rule}",
                host=host,
                port=port,
                path=path,
                target=target,
                tunnel=tunnel,
                trusted=_is_address(name),
            )
    return RequestDecision(allowed=False, reason=f"{host}:{port} is not allowed", host=host, port=port, path=path)


def _route(rules: Rules, target: str, shown: str) -> RequestDecision:
    name, slash, rest = target[1:].partition("/")
    route = rules.routes.get(name)
    if route is None or not slash:
        return RequestDecision(allowed=False, reason="unknown route", path=shown)
    path, mark, query = rest.partition("?")
    plain = unquote(unquote(path))
    if any(part in {".", ".."} for part in re.split(r"[/\\]", plain)) or "%2f" in path.lower() or "\\" in plain:
        return RequestDecision(allowed=False, reason="the path leaves its route", path=shown)
    if route.paths and not any(path == only or path.startswith(f"{only}/") for only in route.paths):
        return RequestDecision(allowed=False, reason=f"the route {name} does not serve this path", path=shown)
    parts = urlsplit(route.base_url)
    tls = parts.scheme == "https"
    return RequestDecision(
        allowed=True,
        reason=f"route {name}",
        host=(parts.hostname or "").lower(),
        port=parts.port or (443 if tls else 80),
        path=shown,
        target=f"{parts.path.rstrip('/')}/{path}{mark}{query}",
        tls=tls,
        trusted=True,
        headers=route.headers,
        route=name,
    )


def _parse(rule: str) -> tuple[str, int | None]:
    """Return a rule's host or pattern, and its port; raises ``InvalidInput``."""
    star = rule.startswith("*.")
    try:
        host, port = _split(rule[2:] if star else rule)
    except InvalidInput:
        raise InvalidInput(f"{rule!r} is not a host, such as pypi.org, *.example.com or example.com:8443") from None
    if star and "." not in host:
        raise InvalidInput(f"{rule!r} allows a whole top-level domain")
    return ("*." if star else "") + host, port


def _split(authority: str) -> tuple[str, int | None]:
    """Return host (lower case, no final dot) and port of ``host[:port]``; raises ``InvalidInput``."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?]+)(?::([0-9]{1,5}))?", authority)
    if not found:
        raise InvalidInput("no host")
    host = found[1].strip("[]").lower().removesuffix(".")
    port = int(found[2]) if found[2] else None
    if not (_is_address(host) or _NAME.fullmatch(host)) or port == 0 or (port or 0) > 65535:  # noqa: PLR2004 - TCP
        raise InvalidInput("no host")
    return host, port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _shown(target: str) -> str:
    path = target.split("?", 1)[0].split("#", 1)[0][:_LONGEST_SHOWN]
    return "".join(letter if _HARMLESS.fullmatch(letter) else "?" for letter in path)
