"""Instance settings for administrators (docs: Application settings API): which addresses webhooks may call."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import PUBLIC, Call, Route
from factory.local_gitlab.serving.store import Document, Store

_KIND = "application_settings"
_DEFAULTS: Document = {"allow_local_requests_from_web_hooks_and_services": False}


def current(store: Store) -> Document:
    """Return the instance's settings."""
    return _DEFAULTS | {key: value for key, value in (store.find(_KIND, _KIND) or {}).items() if key in _DEFAULTS}


def is_address(store: Store, url: str) -> bool:
    """Return whether GitLab accepts a webhook URL: HTTP(S), and no local address unless the settings allow it."""
    host = _host(url)
    return bool(host) and (not _is_local(host) or current(store)["allow_local_requests_from_web_hooks_and_services"])


def lets_call(store: Store, url: str) -> bool:
    """Return whether the server calls a webhook URL: only loopback addresses that the settings allow."""
    host = _host(url)
    loopback = host == "localhost" or (_ip(host) is not None and ipaddress.ip_address(host).is_loopback)
    return loopback and is_address(store, url)


def _host(url: str) -> str:
    """Return a URL's host; an empty text if it is not a valid HTTP(S) URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    return "" if parts.scheme not in {"http", "https"} or not host or port == 0 or " " in url else host


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_local(host: str) -> bool:
    address = _ip(host)
    return host == "localhost" or (address is not None and not address.is_global)


def _show(call: Call) -> Any:
    api.need_admin(call)
    return {"id": 1} | current(call.store)


def _change(call: Call) -> Any:
    api.need_admin(call)
    api.refuse_unsupported(call, [name for name in call.params if name not in _DEFAULTS])
    changed = {key: call.flag(key, default=value) for key, value in current(call.store).items()}
    found = call.store.find(_KIND, _KIND)
    if found:
        call.store.save(_KIND, found | changed)
    else:
        call.store.add(_KIND, changed, name=_KIND)
    return _show(call)


ROUTES = (
    Route("GET", "/application/settings", _show, PUBLIC),
    Route("PUT", "/application/settings", _change, PUBLIC),
)
