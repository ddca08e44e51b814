"""What every route shares: the call, its answer, parameters, pages and GitLab's error bodies."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from factory.local_gitlab.context import Context
from factory.local_gitlab.store import Document, Store

NO_ROLE, GUEST, DEVELOPER, MAINTAINER, OWNER = 0, 10, 30, 40, 50
ADMIN = 60
PUBLIC = -1
LARGEST_ID = 2**63 - 1
_BY_STATUS: Mapping[int, type[web.HTTPException]] = {
    HTTPStatus.BAD_REQUEST: web.HTTPBadRequest,
    HTTPStatus.FORBIDDEN: web.HTTPForbidden,
    HTTPStatus.NOT_FOUND: web.HTTPNotFound,
}


@dataclass(frozen=True)
class Call:
    """One request: who asks, for which project, with which parameters."""

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
        """Return a parameter; raises 400 as GitLab does where it is missing."""
        if self.params.get(name) in (None, ""):
            raise bad_request(f"{name} is missing", key="error")
        return self.params[name]

    def text(self, name: str) -> str | None:
        """Return an optional parameter as text; raises 400 where it is something else."""
        value = self.params.get(name)
        if value is not None and not isinstance(value, str):
            raise bad_request(f"{name} is invalid", key="error")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a parameter as a boolean."""
        value = self.params.get(name, default)
        return value if isinstance(value, bool) else str(value).lower() in {"true", "1", "yes"}

    def strings(self, name: str) -> list[str] | None:
        """Return a parameter that is a list or comma-separated text, or ``None`` where it is not given."""
        value = self.params.get(name)
        if value is None:
            return None
        items = value if isinstance(value, list) else str(value).split(",")
        return [str(item).strip() for item in items if str(item).strip()]

    def choice(self, name: str, values: Sequence[str], default: str) -> str:
        """Return a parameter that is one of ``values``; raises 400 where it is something else."""
        value = self.params.get(name) or default
        if value not in values:
            raise bad_request(f"{name} does not have a valid value", key="error")
        return str(value)

    def integer(self, name: str) -> int:
        """Return a required parameter as a number; raises 400 where it is none."""
        return as_int(self.need(name), name)

    def iid(self, name: str = "iid") -> int:
        """Return a number from the path; raises 404 where it is none, or larger than any id (a SQL ``bigint``)."""
        if not is_id(self.path[name]):
            raise not_found()
        return int(self.path[name])


@dataclass(frozen=True)
class Answer:
    """A body with a status other than 200, or with headers of its own."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


# What GitLab answers where an object that may be absent is.
NULL = Answer(b"null", headers={"Content-Type": "application/json"})


@dataclass(frozen=True)
class Page:
    """A whole list, of which the client gets the page it asks for."""

    items: Sequence[Any]


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    """A method and path below ``/api/v4``, its handler, and the least role it needs in the project."""

    method: str
    path: str
    handler: Handler
    role: int = GUEST


def is_id(text: str) -> bool:
    """Tell whether a text could be an object's number."""
    return text.isascii() and text.isdigit() and int(text) <= LARGEST_ID


def as_int(value: Any, name: str) -> int:
    """Return a parameter as a number; raises 400 where it is none, or larger than any id (a SQL ``bigint``)."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = LARGEST_ID + 1
    if abs(number) > LARGEST_ID:
        raise bad_request(f"{name} is invalid", key="error")
    return number


def require(document: Document | None, what: str = "") -> Document:
    """Return the document; raises 404 where there is none."""
    if document is None:
        raise not_found(what)
    return document


def need_premium(call: Call) -> None:
    """Raise GitLab's 404 for what only Premium has, on Free."""
    if call.context.tier == "free":
        raise not_found()


def public(document: Document, *hidden: str) -> Document:
    """Return what a client may see of a document."""
    return {key: value for key, value in document.items() if not key.startswith("_") and key not in hidden}


def not_found(what: str = "") -> web.HTTPException:
    """GitLab's 404."""
    return web.HTTPNotFound(**_message(f"404 {what} Not Found" if what else "404 Not Found"))


def forbidden(reason: str = "") -> web.HTTPException:
    """GitLab's 403: the role is too low."""
    return web.HTTPForbidden(**_message(f"403 Forbidden{f'  - {reason}' if reason else ''}"))


def unauthorized() -> web.HTTPException:
    """GitLab's 401: no token, or one it does not know."""
    return web.HTTPUnauthorized(**_message("401 Unauthorized"))


def bad_request(reason: str, *, key: str = "message") -> web.HTTPException:
    """GitLab's 400; parameter errors come under ``error``."""
    return web.HTTPBadRequest(**_message(reason if key == "error" else f"400 Bad request - {reason}", key))


def invalid(fields: Mapping[str, Sequence[str]]) -> web.HTTPException:
    """GitLab's 400 where an object would not be valid: the reasons by field."""
    return web.HTTPBadRequest(**_message(fields))


def conflict(reason: Any) -> web.HTTPException:
    """GitLab's 409."""
    return web.HTTPConflict(**_message(reason))


def failed(status: int, reason: Any) -> web.HTTPException:
    """GitLab's 400, 403 or 404 in a service's own words, without the status before them."""
    return _BY_STATUS[status](**_message(reason))


def not_allowed() -> web.HTTPException:
    """GitLab's 405 for a merge request that cannot be merged."""
    return web.HTTPMethodNotAllowed("PUT", ["GET"], **_message("405 Method Not Allowed"))


def unprocessable(reason: Any, *, key: str = "message") -> web.HTTPException:
    """GitLab's 422; a few of its reasons come under ``error``."""
    return web.HTTPUnprocessableEntity(**_message(reason, key))


def _message(reason: Any, key: str = "message") -> dict[str, Any]:
    return {"text": json.dumps({key: reason}), "content_type": "application/json"}


async def parameters(request: web.Request) -> tuple[dict[str, Any], bytes]:
    """Return the parameters of query string and body merged, and the raw body."""
    params = _collect(request.query.items())
    if request.content_type == "multipart/form-data":
        try:
            form = await request.post()
        except ValueError:
            raise bad_request("body is not valid multipart", key="error") from None
        return params | _collect((key, value) for key, value in form.items() if isinstance(value, str)), b""
    body = await request.read() if request.can_read_body else b""
    if not body:
        return params, body
    if request.content_type == "application/json":
        try:
            value = json.loads(body)
        except ValueError:
            raise bad_request("body is not valid JSON", key="error") from None
        if b"\\ud" in body.lower() and not _encodable(value):
            raise bad_request("body has text that is not Unicode", key="error")
        if isinstance(value, dict):
            params.update(value)
    elif request.content_type == "application/x-www-form-urlencoded":
        params.update(_collect(parse_qsl(body.decode(errors="replace"), keep_blank_values=True)))
    return params, body


def render(request: web.Request, result: Any) -> web.Response:
    """Return the HTTP answer to a handler's result."""
    answer = result if isinstance(result, Answer) else Answer(result, 204 if result is None else 200)
    headers = dict(answer.headers)
    body = answer.body
    if isinstance(body, Page):
        body, page_headers = _page(request, body.items)
        headers.update(page_headers)
    if isinstance(body, bytes):
        headers.setdefault("Content-Type", "application/octet-stream")
        return web.Response(status=answer.status, body=body, headers=headers)
    if body is None:
        return web.Response(status=answer.status, headers=headers)
    text = json.dumps(body)
    if answer.status == HTTPStatus.OK and request.method in {"GET", "HEAD"}:
        headers["ETag"] = f'W/"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}"'
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(text=text, status=answer.status, headers=headers, content_type="application/json")


def _encodable(value: Any) -> bool:
    """Tell whether JSON is free of lone surrogates, which no UTF-8 text can hold (RFC 8259 section 8.2)."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _collect(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in items:
        if key.endswith("[]"):
            found.setdefault(key[:-2], []).append(value)
        else:
            found[key] = value
    return found


def _bounded(request: web.Request, name: str, default: int) -> int:
    """Return a number of a list's query that is at least 1 and no larger than an id; raises 400 where it is none."""
    text = request.query.get(name, "")
    try:
        return min(LARGEST_ID, max(1, int(text))) if text else default
    except ValueError:
        raise bad_request(f"{name} is invalid", key="error") from None


def _page(request: web.Request, items: Sequence[Any]) -> tuple[list[Any], dict[str, str]]:
    page, size = (_bounded(request, name, default) for name, default in (("page", 1), ("per_page", 20)))
    size = min(100, size)
    pages = max(1, -(-len(items) // size))
    headers = {
        "X-Page": str(page),
        "X-Per-Page": str(size),
        "X-Next-Page": str(page + 1) if page < pages else "",
        "X-Prev-Page": str(page - 1) if page > 1 else "",
        "X-Total": str(len(items)),
        "X-Total-Pages": str(pages),
    }
    links = {"first": 1, "last": pages}
    if page > 1:
        links["prev"] = page - 1
    if page < pages:
        links["next"] = page + 1
    base = f"{request.scheme}://{request.host}{request.rel_url.raw_path}"
    headers["Link"] = ", ".join(
        f'<{base}?{urlencode({**request.query, "page": number, "per_page": size})}>; rel="{name}"'
        for name, number in links.items()
    )
    return list(items[(page - 1) * size : page * size]), headers
