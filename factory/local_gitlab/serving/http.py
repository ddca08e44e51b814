"""Reads request parameters and renders HTTP responses: JSON, forms, pagination, ETags."""

import hashlib
import json
from collections.abc import Collection
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from factory.local_gitlab.serving import call as api
from factory.system import loopback


async def parameters(
    request: web.Request, most: int = loopback.SMALL, files: Collection[str] = ()
) -> tuple[dict[str, Any], bytes]:
    """Return the merged parameters of query string and body, and the raw body, of at most ``most`` bytes.

    Raises 400 for a file that is none of the parameters ``files``.
    """
    params = _collect(request.query.items())
    if request.content_type == "multipart/form-data":
        try:
            form = await loopback.read_form(request, most)
        except ValueError:
            raise api.bad_request("body is not valid multipart", key="error") from None
        return params | _collect((key, _field(key, value, files)) for key, value in form.items()), b""
    body = await loopback.read(request, most) if request.can_read_body else b""
    if not body:
        return params, body
    if request.content_type == "application/json":
        try:
            value = json.loads(body.decode())
        except (ValueError, RecursionError):
            raise api.bad_request("body is not valid JSON", key="error") from None
        if b"\\ud" in body.lower() and not _encodable(value):
            raise api.bad_request("body has text that is not Unicode", key="error")
        if isinstance(value, dict):
            params.update(value)
    elif request.content_type == "application/x-www-form-urlencoded":
        params.update(_collect(parse_qsl(body.decode(errors="replace"), keep_blank_values=True)))
    return params, body


def render(request: web.Request, result: Any) -> web.Response:
    """Return the HTTP response for a handler's result."""
    answer = result if isinstance(result, api.Answer) else api.Answer(result, 204 if result is None else 200)
    headers = dict(answer.headers)
    body = answer.body
    if isinstance(body, api.Page):
        body, page_headers = _page(request, body)
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
    # As bytes, because aiohttp adds a charset to text, and GitLab names none.
    return web.Response(body=text.encode(), status=answer.status, headers=headers, content_type="application/json")


def _field(key: str, value: Any, files: Collection[str]) -> str | api.Upload:
    """Return a field of a form; raises 400 for a file that is none of the parameters ``files``."""
    if isinstance(value, str):
        return value
    if key not in files or not isinstance(value, web.FileField):
        raise api.unsupported(f"the file {key}")
    return api.Upload(value.filename.replace("\\", "/").rsplit("/", 1)[-1], value.file.read())


def _encodable(value: Any) -> bool:
    """Return whether JSON is free of lone surrogates, which UTF-8 cannot encode (RFC 8259 section 8.2)."""
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
    """Return a number from the query string, limited to 1..``LARGEST_ID``; raises 400 if it is not a number."""
    text = request.query.get(name, "")
    try:
        return min(api.LARGEST_ID, max(1, int(text))) if text else default
    except ValueError:
        raise api.bad_request(f"{name} is invalid", key="error") from None


def _page(request: web.Request, found: api.Page) -> tuple[list[Any], dict[str, str]]:
    page, size = (_bounded(request, name, default) for name, default in (("page", 1), ("per_page", 20)))
    size = min(100, size)
    pages = max(1, -(-len(found.items) // size))
    headers = {
        "X-Page": str(page),
        "X-Per-Page": str(size),
        "X-Next-Page": str(page + 1) if page < pages else "",
        "X-Prev-Page": str(page - 1) if page > 1 else "",
        "X-Total": str(len(found.items)),
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
    return [found.show(item) for item in found.items[(page - 1) * size : page * size]], headers
