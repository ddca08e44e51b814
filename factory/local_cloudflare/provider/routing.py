"""Defines the provider double's routing resources: zones, DNS records, tunnels and tunnel configurations."""

import json
from collections.abc import Mapping
from typing import Any

from factory.errors import NotFound
from factory.local_cloudflare.provider.resource import Resource, State
from factory.local_cloudflare.provider.types import FLAG, NUMBER, TEXT_SET, TEXTS, UNKNOWN, Attribute, Object, objects

_ID = Attribute("id", computed=True)
_ACCOUNT_ID = Attribute("account_id", required=True, requires_replace=True)
_AUTOMATIC_TTL = 1
_DELETED = "Plan again: Terraform then creates another tunnel."


class Zone(Resource):
    """``cloudflare_zone``."""

    name = "zone"
    import_form = ("id",)
    attributes = (
        _ID,
        Attribute("account", Object([Attribute("id", optional=True)]), required=True, requires_replace=True),
        Attribute("name", required=True, requires_replace=True),
        Attribute("paused", FLAG, optional=True, computed=True, default=False),
        Attribute(
            "type",
            optional=True,
            computed=True,
            default="full",
            allowed=("full", "partial", "secondary", "internal"),
        ),
        Attribute("status", computed=True),
        Attribute("name_servers", TEXTS, computed=True),
        Attribute("development_mode", NUMBER, computed=True),
        Attribute("created_on", computed=True),
        Attribute("modified_on", computed=True, volatile=True),
        Attribute("activated_on", computed=True),
    )

    def collection(self, _state: State) -> str:
        """Return the path that creates a zone."""
        return "/zones"

    def create(self, ctx: Any, planned: State) -> State | None:
        """Create the zone, then pause it if planned, because the API cannot create a paused zone."""
        zone = super().create(ctx, planned)
        return self.update(ctx, zone, planned) if zone and zone["paused"] != planned["paused"] else zone

    def from_result(self, result: Mapping[str, Any], known: State) -> State:
        """Return the state, with only the id of the account."""
        return super().from_result({**result, "account": {"id": result["account"]["id"]}}, known)


class DnsRecord(Resource):
    """``cloudflare_dns_record``."""

    name = "dns_record"
    import_form = ("zone_id", "id")
    update_method = "PUT"
    attributes = (
        _ID,
        Attribute("zone_id", required=True, requires_replace=True),
        Attribute("name", required=True),
        Attribute("type", required=True, allowed=("A", "AAAA", "CNAME", "MX", "NS", "OPENPGPKEY", "PTR", "TXT")),
        Attribute("ttl", NUMBER, required=True),
        Attribute("content", optional=True),
        Attribute("priority", NUMBER, optional=True),
        Attribute("proxied", FLAG, optional=True, computed=True, default=False),
        Attribute("comment", optional=True),
        Attribute("tags", TEXT_SET, optional=True),
        Attribute("proxiable", FLAG, computed=True),
        Attribute("created_on", computed=True),
        Attribute("modified_on", computed=True, volatile=True),
    )

    def collection(self, state: State) -> str:
        """Return the path that creates a record."""
        return f"/zones/{state['zone_id']}/dns_records"

    def validate(self, diags: Any, type_name: str, config: State) -> None:
        """Reject a TTL for a proxied record: Cloudflare would replace it with 1, which would be permanent drift."""
        super().validate(diags, type_name, config)
        if config.get("proxied") is True and config.get("ttl") not in (_AUTOMATIC_TTL, UNKNOWN):
            diags.add_error("Invalid ttl", "A proxied record must have the ttl 1 (automatic).", path=["ttl"])

    def from_result(self, result: Mapping[str, Any], known: State) -> State:
        """Return the state; a relative name stays as in the configuration."""
        written = known.get("name")
        same = isinstance(written, str) and (written == "@" or result["name"].startswith(f"{written.lower()}."))
        return super().from_result(result, known) | ({"name": written} if same else {})


class Tunnel(Resource):
    """``cloudflare_zero_trust_tunnel_cloudflared``."""

    name = "zero_trust_tunnel_cloudflared"
    import_form = ("account_id", "id")
    attributes = (
        _ID,
        _ACCOUNT_ID,
        Attribute("name", required=True),
        Attribute(
            "config_src",
            optional=True,
            computed=True,
            default="local",
            requires_replace=True,
            allowed=("local", "cloudflare"),
        ),
        Attribute("tunnel_secret", optional=True, sensitive=True),
        Attribute("account_tag", computed=True),
        Attribute("created_at", computed=True),
        Attribute("deleted_at", computed=True),
        Attribute("conns_active_at", computed=True),
        Attribute("conns_inactive_at", computed=True),
        Attribute("remote_config", FLAG, computed=True),
        Attribute("status", computed=True),
        Attribute("tun_type", computed=True),
        Attribute("metadata", computed=True),
    )

    def collection(self, state: State) -> str:
        """Return the path that creates a tunnel."""
        return f"/accounts/{state['account_id']}/cfd_tunnel"

    def request_body(self, planned: State) -> State:
        """Return the body without the account, which is in the path."""
        return {key: value for key, value in super().request_body(planned).items() if key != "account_id"}

    def from_result(self, result: Mapping[str, Any], known: State) -> State:
        """Return the state; ``metadata`` is JSON text."""
        return super().from_result({**result, "metadata": json.dumps(result["metadata"], sort_keys=True)}, known)

    def _fetch(self, state: State) -> Mapping[str, Any]:
        result = super()._fetch(state)
        if result["deleted_at"] is not None:
            raise NotFound(f"the tunnel {state['id']} is deleted", hint=_DELETED)
        return result


# Maps attribute names to the API's names, which are camelCase as in cloudflared's own configuration.
_ORIGIN_REQUEST = {
    "ca_pool": "caPool",
    "connect_timeout": "connectTimeout",
    "disable_chunked_encoding": "disableChunkedEncoding",
    "http_host_header": "httpHostHeader",
    "keep_alive_connections": "keepAliveConnections",
    "keep_alive_timeout": "keepAliveTimeout",
    "no_happy_eyeballs": "noHappyEyeballs",
    "no_tls_verify": "noTLSVerify",
    "origin_server_name": "originServerName",
    "proxy_type": "proxyType",
    "tcp_keep_alive": "tcpKeepAlive",
    "tls_timeout": "tlsTimeout",
}
_NUMBERS = frozenset(
    {"connect_timeout", "keep_alive_connections", "keep_alive_timeout", "tcp_keep_alive", "tls_timeout"}
)
_FLAGS = frozenset({"disable_chunked_encoding", "no_happy_eyeballs", "no_tls_verify"})


def _origin_request() -> Attribute:
    kinds = {name: {"type": NUMBER} for name in _NUMBERS} | {name: {"type": FLAG} for name in _FLAGS}
    return Attribute(
        "origin_request",
        Object([Attribute(name, optional=True, **kinds.get(name, {})) for name in _ORIGIN_REQUEST]),
        optional=True,
    )


class TunnelConfig(Resource):
    """``cloudflare_zero_trust_tunnel_cloudflared_config``: belongs to its tunnel and can't be deleted alone."""

    name = "zero_trust_tunnel_cloudflared_config"
    import_form = ("account_id", "tunnel_id")
    update_method = "PUT"
    attributes = (
        _ID,
        _ACCOUNT_ID,
        Attribute("tunnel_id", required=True, requires_replace=True),
        Attribute(
            "config",
            Object(
                [
                    Attribute(
                        "ingress",
                        objects(
                            Attribute("hostname", optional=True),
                            Attribute("path", optional=True),
                            Attribute("service", required=True),
                            _origin_request(),
                        ),
                        optional=True,
                    ),
                    _origin_request(),
                ]
            ),
            optional=True,
        ),
        Attribute("source", optional=True, computed=True, allowed=("local", "cloudflare")),
        Attribute("version", NUMBER, computed=True, volatile=True),
        Attribute("created_at", computed=True, volatile=True),
    )

    def collection(self, state: State) -> str:
        """Return the path of the tunnel's only configuration."""
        return f"/accounts/{state['account_id']}/cfd_tunnel/{state['tunnel_id']}/configurations"

    def item(self, state: State) -> str:
        """Return the same path, because a configuration has no id."""
        return self.collection(state)

    def create(self, ctx: Any, planned: State) -> State | None:
        """Create the configuration with PUT, because the API has no POST for it."""
        return self.first_update(ctx, planned)

    def delete(self, ctx: Any, _current: State) -> None:
        """Drop the configuration from the state with a warning, as Cloudflare's provider does."""
        ctx.diagnostics.add_warning(
            "Resource Destruction Considerations",
            "The tunnel's configuration leaves the Terraform state; in the API it stays until the tunnel is deleted.",
        )

    def request_body(self, planned: State) -> State:
        """Return the configuration with the API's names."""
        config = planned.get("config") or {}
        sent: State = {"ingress": [_sent(rule) for rule in config.get("ingress") or []]}
        return {"config": sent | _sent({"origin_request": config.get("origin_request")})}

    def from_result(self, result: Mapping[str, Any], known: State) -> State:
        """Return the state with Terraform's names and the tunnel's id."""
        config = result["config"]
        shown = config and {
            "ingress": [_shown(rule, ("hostname", "path", "service")) for rule in config["ingress"]],
            **_shown(config, ()),
        }
        return super().from_result({**result, "config": shown, "id": result["tunnel_id"]}, known)

    def _fetch(self, state: State) -> Mapping[str, Any]:
        tunnel = f"/accounts/{state['account_id']}/cfd_tunnel/{state['tunnel_id']}"
        if self._client.send("GET", tunnel)["deleted_at"] is not None:
            raise NotFound(f"the tunnel {state['tunnel_id']} is deleted", hint=_DELETED)
        return super()._fetch(state)


def _sent(rule: Mapping[str, Any]) -> State:
    request = {
        _ORIGIN_REQUEST[key]: value for key, value in (rule.get("origin_request") or {}).items() if value is not None
    }
    plain = {key: value for key, value in rule.items() if key != "origin_request" and value is not None}
    return plain | ({"originRequest": request} if request else {})


def _shown(rule: Mapping[str, Any], plain: tuple[str, ...]) -> State:
    request = rule.get("originRequest") or None
    shown = request and {name: request.get(wire_name) for name, wire_name in _ORIGIN_REQUEST.items()}
    return {key: rule.get(key) for key in plain} | {"origin_request": shown}
