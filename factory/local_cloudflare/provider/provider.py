"""Simulates Cloudflare's Terraform provider 5.14.0; it talks only to a loopback address.

Terraform starts it through the executable that ``mirror`` writes. The double has the real provider's address, so that
``terraform/`` needs no change. Every entry point therefore rejects a URL outside loopback before it sends anything.
"""

import sys
from collections.abc import Mapping
from typing import Any

from tf import runner
from tf.schema import Schema

from factory.errors import Refused
from factory.local_cloudflare.provider import plan
from factory.local_cloudflare.provider.client import Cloudflare, attempt, require_loopback
from factory.local_cloudflare.provider.protection import AccountToken, Ruleset, ZoneSetting
from factory.local_cloudflare.provider.resource import Resource, State
from factory.local_cloudflare.provider.routing import DnsRecord, Tunnel, TunnelConfig, Zone
from factory.local_cloudflare.provider.types import UNKNOWN, Attribute
from factory.local_cloudflare.provider.zone_data import ZoneData

ADDRESS = "registry.terraform.io/cloudflare/cloudflare"
VERSION = "5.14.0"

_ATTRIBUTES = (
    Attribute("api_token", optional=True, sensitive=True),
    Attribute("base_url", optional=True),
)


class Provider:
    """The provider, as the library ``tf`` calls it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._client: Cloudflare | None = None

    def full_name(self) -> str:
        """Return the provider's address."""
        return ADDRESS

    def get_model_prefix(self) -> str:
        """Return the prefix of the resource types' names."""
        return "cloudflare_"

    def get_provider_schema(self, _diags: Any) -> Any:
        """Return the schema of the provider block."""
        return Schema(attributes=list(_ATTRIBUTES))

    def validate_config(self, diags: Any, config: State) -> None:
        """Reject a provider block with a URL outside loopback."""
        base_url = config.get("base_url")
        if base_url not in (None, UNKNOWN):
            attempt(diags, lambda: require_loopback(base_url), otherwise="")

    def configure_provider(self, diags: Any, config: State) -> None:
        """Create the client from the provider block or, for missing settings, from the environment.

        The token is verified here, so that a bad token gives one error and not one for every resource. Cloudflare's
        own provider does not verify it.
        """
        base_url = config.get("base_url") or self._environment.get("CLOUDFLARE_BASE_URL")
        token = config.get("api_token") or self._environment.get("CLOUDFLARE_API_TOKEN")
        self._client = attempt(diags, lambda: _checked(Cloudflare(base_url, token)), otherwise=None)

    def client(self) -> Cloudflare:
        """Return the client; raises ``Refused`` if the provider is not configured."""
        if self._client is None:
            raise Refused("the provider is not configured")
        return self._client

    def get_resources(self) -> list[type[Resource]]:
        """Return the resource types."""
        return [Zone, ZoneSetting, DnsRecord, Ruleset, Tunnel, TunnelConfig, AccountToken]

    def get_data_sources(self) -> list[type[ZoneData]]:
        """Return the data sources."""
        return [ZoneData]

    def get_functions(self) -> list[Any]:
        """Return no functions."""
        return []

    def new_resource(self, kind: type[Resource]) -> Resource:
        """Return a resource instance for one call."""
        return kind(self)

    def new_data_source(self, kind: type[ZoneData]) -> ZoneData:
        """Return a data source instance for one call."""
        return kind(self)


def _checked(client: Cloudflare) -> Cloudflare:
    client.require_active()
    return client


def main(environment: Mapping[str, str]) -> None:
    """Serve the provider until Terraform ends it, with ``CLOUDFLARE_API_TOKEN`` and ``_BASE_URL`` of ``environment``.

    If ``CLOUDFLARE_BASE_URL`` is outside loopback, the process exits with the exit code of ``Refused``.
    """
    base_url = environment.get("CLOUDFLARE_BASE_URL")
    try:
        if base_url:
            require_loopback(base_url)
    except Refused as error:
        # Terraform shows a plugin's first line of output if that line is not the handshake.
        sys.stdout.write(f"{error}. {error.hint}\n")
        sys.exit(Refused.exit_code)
    plan.install()
    runner.run_provider(Provider(environment))
