"""Defines the provider double's protection resources: zone settings, rulesets and API tokens of an account."""

import json
from collections.abc import Mapping
from typing import Any

from factory.local_cloudflare.provider.resource import Resource, State
from factory.local_cloudflare.provider.types import (
    FLAG,
    NUMBER,
    TEXTS,
    UNKNOWN,
    Attribute,
    Dynamic,
    Object,
    object_set,
    objects,
)

_ID = Attribute("id", computed=True)


class ZoneSetting(Resource):
    """``cloudflare_zone_setting``: every zone has every setting, so settings are never created or deleted."""

    name = "zone_setting"
    import_form = ("zone_id", "setting_id")
    attributes = (
        _ID,
        Attribute("zone_id", required=True, requires_replace=True),
        Attribute("setting_id", required=True, requires_replace=True),
        Attribute("value", Dynamic(), required=True),
        Attribute("editable", FLAG, computed=True),
        Attribute("modified_on", computed=True, volatile=True),
    )

    def collection(self, state: State) -> str:
        """Return the path of the zone's settings."""
        return f"/zones/{state['zone_id']}/settings"

    def item(self, state: State) -> str:
        """Return the path of the setting, which ends with its name."""
        return f"{self.collection(state)}/{state['setting_id']}"

    def create(self, ctx: Any, planned: State) -> State | None:
        """Set the value when the setting enters the state."""
        return self.first_update(ctx, planned)

    def delete(self, ctx: Any, _current: State) -> None:
        """Drop the setting from the state with a warning, as Cloudflare's provider does."""
        ctx.diagnostics.add_warning(
            "Resource Destruction Considerations",
            "The setting leaves the Terraform state; in the API it keeps its value.",
        )

    def request_body(self, planned: State) -> State:
        """Return the value; the path has the rest."""
        return {"value": planned["value"]}


_RATE_LIMIT = Object(
    [
        Attribute("characteristics", TEXTS, required=True),
        Attribute("period", NUMBER, required=True),
        Attribute("requests_per_period", NUMBER, optional=True),
        Attribute("mitigation_timeout", NUMBER, optional=True),
        Attribute("counting_expression", optional=True),
        Attribute("requests_to_origin", FLAG, optional=True),
    ]
)
_RESPONSE = Object(
    [
        Attribute("content", required=True),
        Attribute("content_type", required=True),
        Attribute("status_code", NUMBER, required=True),
    ]
)
_RULE = (
    _ID,
    Attribute("action", required=True),
    Attribute("expression", required=True),
    Attribute("description", optional=True, computed=True, default=""),
    Attribute("enabled", FLAG, optional=True, computed=True, default=True),
    Attribute("ref", optional=True, computed=True),
    Attribute(
        "action_parameters",
        Object(
            [
                Attribute("response", _RESPONSE, optional=True),
                Attribute("ruleset", optional=True),
                Attribute("phases", TEXTS, optional=True),
                Attribute("products", TEXTS, optional=True),
            ]
        ),
        optional=True,
    ),
    Attribute("ratelimit", _RATE_LIMIT, optional=True),
)


class Ruleset(Resource):
    """``cloudflare_ruleset`` of a zone."""

    name = "ruleset"
    import_form = ("zone_id", "id")
    import_prefix = "zones"
    update_method = "PUT"
    attributes = (
        _ID,
        Attribute("zone_id", optional=True, requires_replace=True),
        Attribute("kind", required=True, requires_replace=True, allowed=("zone",)),
        Attribute("phase", required=True, requires_replace=True),
        Attribute("name", required=True),
        Attribute("description", optional=True, computed=True, default=""),
        Attribute("rules", objects(*_RULE), optional=True),
        Attribute("version", computed=True, volatile=True),
        Attribute("last_updated", computed=True, volatile=True),
    )

    def collection(self, state: State) -> str:
        """Return the path that creates a ruleset."""
        return f"/zones/{state['zone_id']}/rulesets"

    def validate(self, diags: Any, type_name: str, config: State) -> None:
        """Reject rulesets of an account, which the double does not have."""
        super().validate(diags, type_name, config)
        if config.get("zone_id") is None:
            diags.add_error("Invalid zone_id", "The loopback double supports only rulesets of zones.", path=["zone_id"])

    def plan(self, ctx: Any, current: State | None, planned: State) -> State:
        """Give each rule the id that belongs to its ``ref``; Terraform's proposal matches rules by their position."""
        state = super().plan(ctx, current, planned)
        if not isinstance(state["rules"], list) or "rules" not in ctx.changed_fields:
            return state
        ids = {rule["ref"]: rule["id"] for rule in (current or {}).get("rules") or []}
        rules = [
            {**rule, "id": UNKNOWN if rule["ref"] is UNKNOWN else ids.get(rule["ref"], UNKNOWN)}
            for rule in state["rules"]
        ]
        return {**state, "rules": rules}

    def request_body(self, planned: State) -> State:
        """Return the body without the zone, which is in the path, and without rule ids; the API uses ``ref``."""
        body = {key: value for key, value in super().request_body(planned).items() if key != "zone_id"}
        rules = [{key: value for key, value in rule.items() if key != "id"} for rule in body.get("rules") or []]
        return {**body, "rules": rules}


_ADDRESSES = Object([Attribute("in", TEXTS, optional=True), Attribute("not_in", TEXTS, optional=True)])


class AccountToken(Resource):
    """``cloudflare_account_token``: the API returns the value only at creation, and the state stores it."""

    name = "account_token"
    import_form = ("account_id", "id")
    update_method = "PUT"
    attributes = (
        _ID,
        Attribute("account_id", required=True, requires_replace=True),
        Attribute("name", required=True),
        Attribute(
            "policies",
            object_set(
                Attribute("effect", required=True),
                Attribute("permission_groups", object_set(Attribute("id", required=True)), required=True),
                Attribute("resources", required=True),
            ),
            required=True,
        ),
        Attribute("status", optional=True, computed=True, default="active", allowed=("active", "disabled")),
        Attribute("expires_on", optional=True),
        Attribute("not_before", optional=True),
        Attribute("condition", Object([Attribute("request_ip", _ADDRESSES, optional=True)]), optional=True),
        Attribute("value", computed=True, sensitive=True),
        Attribute("issued_on", computed=True),
        Attribute("modified_on", computed=True, volatile=True),
        Attribute("last_used_on", computed=True),
    )

    def collection(self, state: State) -> str:
        """Return the path that creates a token."""
        return f"/accounts/{state['account_id']}/tokens"

    def validate(self, diags: Any, type_name: str, config: State) -> None:
        """Reject resources that are not a JSON object, at plan time."""
        super().validate(diags, type_name, config)
        policies = config.get("policies")
        for policy in policies if isinstance(policies, list) else []:
            resources = policy.get("resources") if isinstance(policy, dict) else None
            if isinstance(resources, str) and not _is_object(resources):
                diags.add_error(
                    "Invalid policies", "The resources of a policy must be a JSON object.", path=["policies"]
                )

    def request_body(self, planned: State) -> State:
        """Return the body without the account, which is in the path, and with resources as objects."""
        body = {key: value for key, value in super().request_body(planned).items() if key != "account_id"}
        policies = [{**policy, "resources": json.loads(policy["resources"])} for policy in body["policies"]]
        return {**body, "policies": policies}

    def from_result(self, result: Mapping[str, Any], known: State) -> State:
        """Return the state; resources become JSON text, in the configuration's spelling if equivalent."""
        written = [each["resources"] for each in known.get("policies") or [] if isinstance(each["resources"], str)]
        policies = [{**each, "resources": _text(each["resources"], written)} for each in result["policies"]]
        return super().from_result({**result, "policies": policies}, known)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _text(resources: Mapping[str, Any], written: list[str]) -> str:
    return next((text for text in written if json.loads(text) == resources), json.dumps(resources, sort_keys=True))
