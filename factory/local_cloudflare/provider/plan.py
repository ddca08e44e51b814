"""Adds what the library ``tf`` lacks for plans: defaults, computed attributes inside objects, values of any type.

The library plans an update from the prior state without the configuration. An attribute that is both optional and
computed would therefore keep a value that was set outside Terraform.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tf import provider as library
from tf.utils import read_dynamic_value, to_dynamic_value

from factory.local_cloudflare.provider.types import UNKNOWN, Attribute, Dynamic, Object, is_set


def completed(
    attributes: Sequence[Attribute], config: Mapping[str, Any], proposed: Mapping[str, Any], *, inner: bool = False
) -> dict[str, Any]:
    """Return the proposed state with the defaults of the attributes that ``config`` does not set.

    A computed attribute inside an object (``inner``) with neither default nor prior value becomes unknown; for the
    attributes of the resource itself, the library does this.
    """
    state = dict(proposed)
    for each in attributes:
        configured, planned = config.get(each.name), proposed.get(each.name)
        if configured is not None:
            state[each.name] = _within(each, configured, planned)
        elif each.default is not UNKNOWN:
            state[each.name] = each.default
        elif inner and each.computed and planned is None:
            state[each.name] = UNKNOWN
    return state


def servicer(provider: Any) -> Any:
    """Return the library's servicer for a provider, with the additions of this module."""
    result = _LIBRARY_SERVICER(provider)
    plan, upgrade = result.PlanResourceChange, result.UpgradeResourceState
    attributes = {f"{provider.get_model_prefix()}{kind.name}": kind.attributes for kind in provider.get_resources()}

    def plan_completed(request: Any, context: Any) -> Any:
        config, proposed = read_dynamic_value(request.config), read_dynamic_value(request.proposed_new_state)
        if config is not None and proposed is not None:
            state = completed(attributes[request.type_name], config, proposed)
            request.proposed_new_state.CopyFrom(to_dynamic_value(state))
        return plan(request, context)

    def upgrade_dynamic(request: Any, context: Any) -> Any:
        response = upgrade(request, context)
        kinds = {each.name: each.type for each in attributes[request.type_name] if isinstance(each.type, Dynamic)}
        if kinds:
            state = json.loads(request.raw_state.json)
            wire = {name: kinds[name].from_state(value) if name in kinds else value for name, value in state.items()}
            response.upgraded_state.CopyFrom(to_dynamic_value(wire))
        return response

    result.PlanResourceChange = plan_completed
    result.UpgradeResourceState = upgrade_dynamic
    return result


def install() -> None:
    """Make the library's runner use ``servicer`` by replacing the class in its module; the library has no option."""
    library.ProviderServicer = servicer


def _within(attribute: Attribute, configured: Any, planned: Any) -> Any:
    """Return the planned value with the objects inside it completed, except in sets, which need nothing computed."""
    if isinstance(attribute.type, Object) and isinstance(configured, dict) and isinstance(planned, dict):
        return completed(attribute.type.attributes, configured, planned, inner=True)
    element = getattr(attribute.type, "element_type", None)
    if not isinstance(element, Object) or is_set(attribute.type) or not _lists(configured, planned):
        return planned
    return [
        completed(element.attributes, one, other, inner=True) if _objects((one, other)) else other
        for one, other in zip(configured, planned, strict=True)
    ]


def _lists(configured: Any, planned: Any) -> bool:
    return isinstance(configured, list) and isinstance(planned, list) and len(configured) == len(planned)


def _objects(values: Iterable[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


_LIBRARY_SERVICER = library.ProviderServicer
