"""Types and helpers for route handlers: the call, its parameters, answers, pages and GitLab's error bodies."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web

from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document, Store
from factory.system import loopback

NO_ROLE, GUEST, DEVELOPER, MAINTAINER, OWNER = 0, 10, 30, 40, 50
ADMIN = 60
PUBLIC = -1
LARGEST_ID, _DIGITS = 2**63 - 1, 19
# The texts that GitLab's parameters of the type Boolean accept.
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0", "", "none"})
_BY_STATUS: Mapping[int, type[web.HTTPException]] = {
    HTTPStatus.BAD_REQUEST: web.HTTPBadRequest,
    HTTPStatus.FORBIDDEN: web.HTTPForbidden,
    HTTPStatus.NOT_FOUND: web.HTTPNotFound,
}


@dataclass(frozen=True)
class Call:
    """One request: its user, project and parameters."""

    context: Context
    path: Mapping[str, str]
    params: Mapping[str, Any]
    body: bytes
    user: Document
    role: int
    token: Document
    project: Document = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The server's documents."""
        return self.context.store

    def need(self, name: str) -> Any:
        """Return a required parameter; raises 400 if it is missing."""
        if self.params.get(name) in (None, ""):
            raise bad_request(f"{name} is missing", key="error")
        return self.params[name]

    def text(self, name: str) -> str | None:
        """Return an optional text parameter; raises 400 if it is not text, or has a null byte."""
        value = self.params.get(name)
        if value is not None and not (isinstance(value, str) and "\0" not in value):
            raise bad_request(f"{name} is invalid", key="error")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a parameter as a boolean; raises 400 if it is not one."""
        text = str(self.params.get(name, default)).lower()
        if text not in _TRUE and text not in _FALSE:
            raise bad_request(f"{name} is invalid", key="error")
        return text in _TRUE

    def strings(self, name: str) -> list[str] | None:
        """Return a parameter that is a list or comma-separated text, or ``None`` if it is missing."""
        value = self.params.get(name)
        if value is None:
            return None
        items = value if isinstance(value, list) else str(value).split(",")
        return [str(item).strip() for item in items if str(item).strip()]

    def choice(self, name: str, values: Sequence[str], default: str) -> str:
        """Return a parameter; raises 400 if it is not one of ``values``."""
        value = self.params.get(name) or default
        if value not in values:
            raise bad_request(f"{name} does not have a valid value", key="error")
        return str(value)

    def integer(self, name: str) -> int:
        """Return a required parameter as a number; raises 400 if it is not one."""
        return as_int(self.need(name), name)

    def iid(self, name: str = "iid") -> int:
        """Return a number from the path; raises 404 if it is not a number or larger than any id (a SQL ``bigint``)."""
        if not is_id(self.path[name]):
            raise not_found()
        return int(self.path[name])

    def own(self, kind: str) -> Document:
        """Return the project's document with the path's ``iid``; raises 404 if it does not exist."""
        return require(self.store.by_iid(kind, self.project["id"], self.iid()))


@dataclass(frozen=True)
class Upload:
    """A parameter that is a file: its name without folders, and its content."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Answer:
    """A body with a status other than 200 or with extra headers."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


# GitLab's answer for an optional object that does not exist.
NULL = Answer(b"null", headers={"Content-Type": "application/json"})


@dataclass(frozen=True)
class Page:
    """A complete list; the client gets the page that it requests, each item as ``show`` returns it."""

    items: Sequence[Any]
    show: Callable[[Any], Any] = lambda item: item


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    """A method and path below ``/api/v4``, its handler, the minimum role in the project, and the largest body.

    ``files`` names the parameters that may be files.
    """

    method: str
    path: str
    handler: Handler
    role: int = GUEST
    largest: int = loopback.SMALL
    files: tuple[str, ...] = ()


def need_admin(call: Call) -> None:
    """Raise 403 if the user is not an administrator."""
    if not call.user["is_admin"]:
        raise forbidden()


def is_id(text: str) -> bool:
    """Return whether a text is a valid object id."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) <= LARGEST_ID


def as_int(value: Any, name: str) -> int:
    """Return a parameter as a number; raises 400 if it is not one or larger than any id (a SQL ``bigint``)."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = LARGEST_ID + 1
    if abs(number) > LARGEST_ID:
        raise bad_request(f"{name} is invalid", key="error")
    return number


def require(document: Document | None, what: str = "") -> Document:
    """Return the document; raises 404 if it is ``None``."""
    if document is None:
        raise not_found(what)
    return document


def need_premium(call: Call) -> None:
    """Raise 404 on Free, as GitLab does for Premium features."""
    if call.context.tier == "free":
        raise not_found()


def unsupported(what: str) -> web.HTTPException:
    """400 for what GitLab has and this server does not emulate; ignoring it would report what never happened."""
    return web.HTTPBadRequest(**_message(f"400 Bad request - {what} is not supported by the loopback GitLab"))


def refuse_unsupported(call: Call, names: Sequence[str]) -> None:
    """Raise 400 if the request sets one of these parameters, which this server does not emulate."""
    for name in names:
        if str(call.params.get(name, "")).lower() not in {"", "none", "false", "[]"}:
            raise unsupported(name)


def public(document: Document, *hidden: str) -> Document:
    """Return a document without private and hidden fields, as a client sees it."""
    return {key: value for key, value in document.items() if not key.startswith("_") and key not in hidden}


def not_found(what: str = "") -> web.HTTPException:
    """GitLab's 404."""
    return web.HTTPNotFound(**_message(f"404 {what} Not Found" if what else "404 Not Found"))


def forbidden(reason: str = "") -> web.HTTPException:
    """GitLab's 403: the role is too low."""
    return web.HTTPForbidden(**_message(f"403 Forbidden{f' - {reason}' if reason else ''}"))


def unauthorized() -> web.HTTPException:
    """GitLab's 401: the token is missing or unknown."""
    return web.HTTPUnauthorized(**_message("401 Unauthorized"))


def bad_request(reason: str, *, key: str = "message") -> web.HTTPException:
    """GitLab's 400; the key for parameter errors is ``error``."""
    return web.HTTPBadRequest(**_message(reason if key == "error" else f"400 Bad request - {reason}", key))


def invalid(fields: Mapping[str, Sequence[str]]) -> web.HTTPException:
    """GitLab's 400 for an invalid object: the reasons by field."""
    return web.HTTPBadRequest(**_message(fields))


def conflict(reason: Any) -> web.HTTPException:
    """GitLab's 409."""
    return web.HTTPConflict(**_message(reason))


def failed(status: int, reason: Any) -> web.HTTPException:
    """GitLab's 400, 403 or 404 with the message of a service, without the status before it."""
    return _BY_STATUS[status](**_message(reason))


def not_allowed() -> web.HTTPException:
    """GitLab's 405 for a merge request that cannot be merged."""
    return web.HTTPMethodNotAllowed("PUT", ["GET"], **_message("405 Method Not Allowed"))


def unprocessable(reason: Any, *, key: str = "message") -> web.HTTPException:
    """GitLab's 422; the key for a few of its reasons is ``error``."""
    return web.HTTPUnprocessableEntity(**_message(reason, key))


def _message(reason: Any, key: str = "message") -> dict[str, Any]:
    return {"text": json.dumps({key: reason}), "content_type": "application/json"}
