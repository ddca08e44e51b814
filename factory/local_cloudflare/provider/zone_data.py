"""Defines the provider double's data source ``cloudflare_zone``: reads a zone that exists, by id or by name."""

from collections.abc import Mapping
from typing import Protocol

from tf.iface import ReadDataContext
from tf.schema import Schema
from tf.utils import Diagnostics

from factory.errors import InvalidInput
from factory.local_cloudflare.provider.client import Cloudflare, attempt
from factory.local_cloudflare.provider.resource import shaped
from factory.local_cloudflare.provider.types import FLAG, NUMBER, TEXTS, UNKNOWN, Attribute, Object


class HasClient(Protocol):
    """The provider, which has the client."""

    def client(self) -> Cloudflare:
        """Return the client."""


class ZoneData:
    """The data source; the library creates an instance for every call from Terraform."""

    attributes = (
        Attribute("id", computed=True),
        Attribute("zone_id", optional=True, computed=True),
        Attribute(
            "filter",
            Object(
                [
                    Attribute("account", Object([Attribute("id", optional=True)]), optional=True),
                    Attribute("name", optional=True),
                ]
            ),
            optional=True,
        ),
        Attribute("account", Object([Attribute("id", computed=True), Attribute("name", computed=True)]), computed=True),
        Attribute("name", computed=True),
        Attribute("paused", FLAG, computed=True),
        Attribute("type", computed=True),
        Attribute("status", computed=True),
        Attribute("name_servers", TEXTS, computed=True),
        Attribute("development_mode", NUMBER, computed=True),
        Attribute(
            "plan", Object([Attribute("legacy_id", computed=True), Attribute("name", computed=True)]), computed=True
        ),
    )

    def __init__(self, provider: HasClient) -> None:
        self._provider = provider

    @classmethod
    def get_name(cls) -> str:
        """Return the type's name without the provider's prefix."""
        return "zone"

    @classmethod
    def get_schema(cls) -> Schema:
        """Return the schema."""
        return Schema(attributes=list(cls.attributes), version=0)

    def validate(self, diags: Diagnostics, _type_name: str, config: Mapping[str, object]) -> None:
        """Reject a data source that has not exactly one of id and filter."""
        given = [name for name in ("zone_id", "filter") if config.get(name) is not None]
        if len(given) != 1:
            diags.add_error("Invalid data source", "It must have either zone_id or filter.", path=["zone_id"])

    def read(self, ctx: ReadDataContext, config: Mapping[str, object]) -> Mapping[str, object] | None:
        """Return the zone; an error if there is none, or more than one."""
        client = self._provider.client()

        def fetch() -> Mapping[str, object] | None:
            found = _zone(client, config)
            values = {**found, "zone_id": found["id"], "filter": config.get("filter")}
            return {each.name: shaped(each.type, values.get(each.name)) for each in self.attributes}

        return attempt(ctx.diagnostics, fetch, otherwise=None, summary=f"Cannot read {ctx.type_name}: ")


def _zone(client: Cloudflare, config: Mapping[str, object]) -> Mapping[str, object]:
    key, wanted = config.get("zone_id"), config.get("filter")
    if key is not None and key is not UNKNOWN:
        result: Mapping[str, object] = client.send("GET", f"/zones/{key}")
        return result
    name, account = (wanted.get("name"), wanted.get("account")) if isinstance(wanted, dict) else (None, None)
    query = {"name": name, "account.id": account.get("id") if isinstance(account, dict) else None}
    found = client.send("GET", "/zones", params={key: value for key, value in query.items() if value is not None})
    if len(found) != 1:
        raise InvalidInput(f"{len(found)} zones match the filter, not one")
    first: Mapping[str, object] = found[0]
    return first
