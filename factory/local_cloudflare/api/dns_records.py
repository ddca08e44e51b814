"""Validates DNS records as Cloudflare does, with pure functions from a request's body to a record or a problem."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PROXIABLE = frozenset({"A", "AAAA", "CNAME"})
PRIORITISED = frozenset({"MX", "SRV"})
CONTENT_TYPES = PROXIABLE | {"MX", "NS", "OPENPGPKEY", "PTR", "TXT"}
_FREE_TEXT = frozenset({"OPENPGPKEY", "TXT"})
# Types whose content Cloudflare makes of ``data``: the two that the double has, and the others.
DATA_TYPES = frozenset({"CAA", "SRV"})
_MISSING_TYPES = frozenset({"CERT", "DNSKEY", "DS", "HTTPS", "LOC", "NAPTR", "SMIMEA", "SSHFP", "SVCB", "TLSA", "URI"})
_CAA_TAGS = ("issue", "issuewild", "iodef")
AUTOMATIC_TTL = 1

_TTL = range(60, 86_400 + 1)
_PRIORITY = range(65_536)
_HOSTNAME = re.compile(r"(?=.{1,253}$)(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_COMMENT_LENGTH = 100


@dataclass(frozen=True)
class Problem:
    """Why a request is rejected: Cloudflare's error code and message."""

    code: int
    message: str


def hostname(text: Any) -> bool:
    """Return whether ``text`` is a full domain name in lower case."""
    return isinstance(text, str) and _HOSTNAME.fullmatch(text) is not None


def record(body: Mapping[str, Any], *, zone: str) -> dict[str, Any] | Problem:
    """Return the fields of a record as Cloudflare stores them, or the first problem of the request.

    ``name`` may be ``@``, relative, or a full name; it becomes a full name within ``zone``. A proxied record's
    ``ttl`` is always 1 (automatic), even if the request has another value.
    """
    kind = str(body.get("type"))
    if kind in _MISSING_TYPES:
        return Problem(1004, f"DNS Validation Error: the loopback double has no {kind} records.")
    if kind not in CONTENT_TYPES | DATA_TYPES:
        return Problem(1004, "DNS Validation Error: record type is invalid.")
    name = _full_name(body.get("name"), zone)
    if not hostname(name):
        return Problem(9000, "DNS name is invalid.")
    ttl, proxied, comment = body.get("ttl", AUTOMATIC_TTL), body.get("proxied") or False, body.get("comment")
    data = _data(kind, body.get("data")) if kind in DATA_TYPES else {}
    if isinstance(data, Problem):
        return data
    content: Any = _DATA_CONTENT[kind](data) if data else body.get("content")
    priority = data.get("priority", body.get("priority"))
    problem = (
        _ttl_problem(ttl)
        or _proxied_problem(kind, proxied)
        or _priority_problem(kind, priority)
        or (None if data else _content_problem(kind, name, content))
        or _comment_problem(comment, body.get("tags"))
    )
    if problem:
        return problem
    fields = {
        "name": name,
        "type": kind,
        "content": content if data else _canonical_content(kind, content),
        "proxiable": kind in PROXIABLE,
        "proxied": proxied,
        "ttl": AUTOMATIC_TTL if proxied else ttl,
        "comment": comment or None,
        "tags": list(body.get("tags") or []),
    }
    return fields | ({"priority": priority} if kind in PRIORITISED else {}) | ({"data": data} if data else {})


def _data(kind: str, data: Any) -> dict[str, Any] | Problem:
    """Return the components of an SRV or CAA record, as Cloudflare's API documents them (DNS Records), or a problem."""
    given = data if isinstance(data, dict) else {}
    if kind == "SRV":
        found = {name: given.get(name) for name in ("priority", "weight", "port", "target")}
        good = all(_is_short(found[name], 65_535) for name in ("priority", "weight", "port"))
        good = good and (found["target"] == "." or hostname(found["target"]))
    else:
        found = {name: given.get(name) for name in ("flags", "tag", "value")}
        good = _is_short(found["flags"], 255) and found["tag"] in _CAA_TAGS and isinstance(found["value"], str)
    return found if good else Problem(1004, f"DNS Validation Error: {kind} record data is invalid.")


_DATA_CONTENT: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "SRV": lambda data: f"{data['weight']} {data['port']} {data['target']}",
    "CAA": lambda data: f'{data["flags"]} {data["tag"]} "{data["value"]}"',
}


def _is_short(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def clash(new: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> Problem | None:
    """Return why ``new`` conflicts with the zone's other records, or ``None``."""
    for other in others:
        if other["name"] != new["name"]:
            continue
        if (other["type"], other["content"]) == (new["type"], new["content"]):
            return Problem(81058, "An identical record already exists.")
        if "CNAME" in {other["type"], new["type"]} and {other["type"], new["type"]} <= PROXIABLE:
            return Problem(81053, "An A, AAAA, or CNAME record with that host already exists.")
    return None


def _full_name(name: Any, zone: str) -> Any:
    if not isinstance(name, str):
        return None
    plain = name.lower().rstrip(".")
    if plain in {"@", zone}:
        return zone
    return plain if plain.endswith("." + zone) else f"{plain}.{zone}"


def _ttl_problem(ttl: Any) -> Problem | None:
    if type(ttl) is int and (ttl == AUTOMATIC_TTL or ttl in _TTL):
        return None
    return Problem(9021, "Invalid TTL. Must be between 60 and 86,400 seconds, or 1 for Automatic.")


def _proxied_problem(kind: str, proxied: Any) -> Problem | None:
    if not isinstance(proxied, bool):
        return Problem(1004, "DNS Validation Error: proxied must be a boolean.")
    return Problem(9004, f"{kind} records cannot be proxied.") if proxied and kind not in PROXIABLE else None


def _priority_problem(kind: str, priority: Any) -> Problem | None:
    if kind not in PRIORITISED or (type(priority) is int and priority in _PRIORITY):
        return None
    return Problem(9100, "priority must be a number between 0 and 65535.")


def _content_problem(kind: str, name: str, content: Any) -> Problem | None:
    if not isinstance(content, str) or not content:
        return Problem(9101, f"Content for {kind} record is required.")
    target = _canonical_content(kind, content)
    problem = None
    if kind in {"A", "AAAA"}:
        code, version = (9005, 4) if kind == "A" else (9006, 6)
        if not _address(content, version):
            problem = Problem(code, f"Content for {kind} record must be a valid IPv{version} address.")
    elif kind not in _FREE_TEXT and not hostname(target):
        problem = Problem(9007, f"Content for {kind} record is invalid.")
    elif kind == "CNAME" and target == name:
        problem = Problem(9039, "CNAME content cannot reference itself.")
    return problem


def _comment_problem(comment: Any, tags: Any) -> Problem | None:
    if comment is not None and not (isinstance(comment, str) and len(comment) <= _COMMENT_LENGTH):
        return Problem(9205, f"Comment is limited to {_COMMENT_LENGTH} characters.")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        return Problem(1004, "DNS Validation Error: tags must be a list of text.")
    return None


def _canonical_content(kind: str, content: str) -> str:
    return content if kind in _FREE_TEXT else content.lower().rstrip(".")


def _address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
