"""Serves a zone's settings (``/zones/:id/settings/:setting_id``), with Cloudflare's defaults for a new zone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from factory.local_cloudflare.api import envelope
from factory.local_cloudflare.api.call import Call
from factory.local_cloudflare.api.zones import zone_of
from factory.system import clock

_SWITCH = ("on", "off")


@dataclass(frozen=True)
class _Setting:
    default: str
    values: tuple[str, ...] = _SWITCH


# Names, values and defaults from Cloudflare's API documentation (Zone settings); the double has only these.
_SETTINGS: Mapping[str, _Setting] = {
    "always_use_https": _Setting("off"),
    "automatic_https_rewrites": _Setting("on"),
    "brotli": _Setting("on"),
    "browser_check": _Setting("on"),
    "email_obfuscation": _Setting("on"),
    "http3": _Setting("on"),
    "ipv6": _Setting("on"),
    "min_tls_version": _Setting("1.0", ("1.0", "1.1", "1.2", "1.3")),
    "opportunistic_encryption": _Setting("on"),
    "security_level": _Setting("medium", ("off", "essentially_off", "low", "medium", "high", "under_attack")),
    "ssl": _Setting("off", ("off", "flexible", "full", "strict", "origin_pull")),
    "tls_1_3": _Setting("off", ("on", "off", "zrt")),
    "websockets": _Setting("on"),
}


def list_settings(call: Call) -> web.Response:
    """Return all settings of a zone."""
    zone = zone_of(call)
    return envelope.page([_current(call, zone["id"], name) for name in _SETTINGS], call.query)


def get_setting(call: Call) -> web.Response:
    """Return one setting, with its default value if it was never changed."""
    zone = zone_of(call)
    return envelope.success(_current(call, zone["id"], _name(call)))


def edit_setting(call: Call) -> web.Response:
    """Change one setting."""
    zone, name, value = zone_of(call), _name(call), call.body.get("value")
    if value not in _SETTINGS[name].values:
        known = ", ".join(_SETTINGS[name].values)
        raise envelope.failure(400, (1007, f"Invalid value for zone setting {name}: it is one of {known}"))
    setting = _shown(name, value, clock.timestamp())
    call.store.put("zone_setting", f"{zone['id']}/{name}", setting, owner=zone["id"], name=name)
    return envelope.success(setting)


def _current(call: Call, zone: str, name: str) -> dict[str, Any]:
    return call.store.get("zone_setting", f"{zone}/{name}") or _shown(name, _SETTINGS[name].default, None)


def _shown(name: str, value: str, modified_on: str | None) -> dict[str, Any]:
    return {"id": name, "value": value, "editable": True, "modified_on": modified_on}


def _name(call: Call) -> str:
    name = call.path["setting_id"]
    if name not in _SETTINGS:
        raise envelope.failure(400, (1006, f"Unrecognized zone setting name: the loopback double has no {name}"))
    return name
