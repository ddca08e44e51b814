"""Instance settings for administrators (docs: Application settings API); all but two have one value here."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import PUBLIC, Call, Route
from factory.local_gitlab.serving.store import Document, Store

_KIND = "application_settings"
_PROTECTION = "default_branch_protection"
_DEFAULTS: Document = {"allow_local_requests_from_web_hooks_and_services": False, _PROTECTION: 2}
# Of GitLab's values 0 to 4, the one that lets developers push before a branch is protected.
_AFTER_INITIAL_PUSH = 4
_FIXED: Document = {
    "asset_proxy_allowlist": [],
    "asset_proxy_enabled": False,
    "enforce_ci_inbound_job_token_scope_enabled": False,
    "require_two_factor_authentication": False,
    "signup_enabled": False,
}


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
    return {"id": 1} | _FIXED | current(call.store)


def _change(call: Call) -> Any:
    api.need_admin(call)
    for name, value in call.params.items():
        if name not in _DEFAULTS and str(value).lower() != str(_FIXED.get(name)).lower():
            raise api.unsupported(name)
    before = current(call.store)
    changed: Document = {key: call.flag(key, default=before[key]) for key in before if key != _PROTECTION}
    changed[_PROTECTION] = api.as_int(call.params.get(_PROTECTION, before[_PROTECTION]), _PROTECTION)
    if changed[_PROTECTION] == _AFTER_INITIAL_PUSH:
        raise api.unsupported(f"{_PROTECTION} {_AFTER_INITIAL_PUSH}")
    if not 0 <= changed[_PROTECTION] < _AFTER_INITIAL_PUSH:
        raise api.bad_request(f"{_PROTECTION} does not have a valid value", key="error")
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
