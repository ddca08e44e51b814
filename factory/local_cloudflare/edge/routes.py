"""Decides where the edge sends a request: host and path, then DNS record, tunnel, ingress rule and service."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory.local_cloudflare.store import Store

# A socket of a host: of a release, named by app and 12 digits of the commit, or the one that says which release it is.
# No other file of the machine is one: who writes a plan does not choose what on the machine answers.
_SOCKET = re.compile(r"unix:/run/factory/([a-z][a-z0-9_-]*/[a-z][a-z0-9-]*-[0-9a-f]{12}(?:\.release)?\.sock)", re.ASCII)
_TUNNEL_SUFFIX = ".cfargotunnel.com"
_LOOPBACK_SERVICE = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\]):([0-9]{1,5})")
_PORTS = range(1, 65_536)
_STATUS_SERVICE = re.compile(r"http_status:([1-5][0-9]{2})")


@dataclass(frozen=True)
class Socket:
    """A socket of a host on this machine, by its path below the folder of all environments."""

    path: str


@dataclass(frozen=True)
class Loopback:
    """A server on this machine: ``host`` in URL syntax, and port."""

    host: str
    port: int


@dataclass(frozen=True)
class Answer:
    """An answer of the edge itself: HTTP status, the reason, and Cloudflare's error code if it has one.

    ``retry_after`` is in seconds.
    """

    status: int
    reason: str
    code: int | None = None
    retry_after: int | None = None


Route = Socket | Loopback | Answer


def route(store: Store, host: str, path: str) -> Route:
    """Return the route for ``host`` (lower case, without port) and ``path``; it never leaves loopback."""
    record = _record(store, host)
    if record is None:
        return Answer(530, f"this account has no DNS record for {host}", code=1016)
    if not record["proxied"]:
        return Answer(530, f"the DNS record of {host} is not proxied", code=1016)
    target: str = record["content"]
    if record["type"] != "CNAME" or not target.endswith(_TUNNEL_SUFFIX):
        return Answer(530, f"the DNS record of {host} does not point to a tunnel", code=1016)
    tunnel = store.get("tunnel", target.removesuffix(_TUNNEL_SUFFIX))
    if tunnel is None or tunnel["deleted_at"] is not None:
        return Answer(530, f"the tunnel of {host} does not exist", code=1033)
    configuration = store.get("configuration", tunnel["id"]) if tunnel["remote_config"] else None
    if configuration is None:
        return Answer(503, f"the tunnel of {host} has no ingress rules, or its config_src is local")
    return _service(_rule(configuration["config"]["ingress"], host, path)["service"])


def _record(store: Store, host: str) -> dict[str, Any] | None:
    for name in (host, f"*.{host.partition('.')[2]}"):
        for record in store.find("dns_record", name=name):
            if record["type"] in {"A", "AAAA", "CNAME"}:
                return record
    return None


def _rule(rules: Sequence[Mapping[str, Any]], host: str, path: str) -> Mapping[str, Any]:
    return next((rule for rule in rules if _matches(rule, host, path)), rules[-1])


def _matches(rule: Mapping[str, Any], host: str, path: str) -> bool:
    pattern = rule.get("hostname") or "*"
    right_host = pattern in {"*", host} or (pattern.startswith("*.") and host.endswith(pattern[1:]))
    return right_host and (not rule.get("path") or re.search(rule["path"], path) is not None)


def _service(service: str) -> Route:
    status = _STATUS_SERVICE.fullmatch(service)
    if status:
        return Answer(int(status[1]), f"the ingress rule answers {service}")
    server = _LOOPBACK_SERVICE.fullmatch(service)
    if server and int(server[2]) in _PORTS:
        return Loopback("127.0.0.1" if server[1] == "localhost" else server[1], int(server[2]))
    socket = _SOCKET.fullmatch(service)
    if socket:
        return Socket(socket[1])
    return Answer(502, f"the loopback double does not route to {service}")
