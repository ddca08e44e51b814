"""Builds responses in Cloudflare's envelope: ``{success, errors, messages, result, result_info}``."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

_FAILURES: Mapping[int, type[web.HTTPException]] = {
    400: web.HTTPBadRequest,
    401: web.HTTPUnauthorized,
    403: web.HTTPForbidden,
    404: web.HTTPNotFound,
    409: web.HTTPConflict,
    422: web.HTTPUnprocessableEntity,
    500: web.HTTPInternalServerError,
}
_MAXIMUM_PER_PAGE = 5000


def success(result: Any, *, status: int = 200, info: Any = None, messages: Sequence[Any] = ()) -> web.Response:
    """Return ``result`` in the envelope."""
    body = {"success": True, "errors": [], "messages": list(messages), "result": result}
    if info is not None:
        body["result_info"] = info
    return web.json_response(body, status=status)


def page(items: Sequence[Any], query: Mapping[str, str]) -> web.Response:
    """Return the page of ``items`` that ``page`` and ``per_page`` of ``query`` select (default 1 and 100)."""
    number = _whole(query.get("page"), default=1, maximum=2**31)
    size = _whole(query.get("per_page"), default=100, maximum=_MAXIMUM_PER_PAGE)
    shown = items[(number - 1) * size : number * size]
    info = {
        "page": number,
        "per_page": size,
        "count": len(shown),
        "total_count": len(items),
        "total_pages": -(-len(items) // size),
    }
    return success(list(shown), info=info)


def failure(status: int, *errors: tuple[int, str]) -> web.HTTPException:
    """Return the exception for an HTTP status and Cloudflare's ``(code, message)`` pairs."""
    body = {
        "success": False,
        "errors": [{"code": code, "message": message} for code, message in errors],
        "messages": [],
        "result": None,
    }
    return _FAILURES[status](text=json.dumps(body, ensure_ascii=False), content_type="application/json")


def _whole(text: str | None, *, default: int, maximum: int) -> int:
    if text is None or not text.isascii() or not text.isdigit():
        return default
    return min(max(int(text[:10]), 1), maximum)
