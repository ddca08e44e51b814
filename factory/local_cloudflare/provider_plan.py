"""Defaults in a plan: an attribute that the configuration no longer names goes back to its default.

The library ``tf`` plans an update from the prior state and never looks at the configuration, so that an attribute
which is both optional and computed would keep whatever somebody set it to behind Terraform's back.
"""

from collections.abc import Sequence
from typing import Any

from tf import provider as library
from tf.utils import read_dynamic_value, to_dynamic_value

from factory.local_cloudflare.provider_types import UNKNOWN, Attribute


def with_defaults(attributes: Sequence[Attribute], config: dict[str, Any], proposed: dict[str, Any]) -> dict[str, Any]:
    """Return the proposed state with the default of every attribute that ``config`` leaves out and that has one."""
    defaults = {
        each.name: each.default for each in attributes if each.default is not UNKNOWN and config.get(each.name) is None
    }
    return proposed | defaults


def servicer(provider: Any) -> Any:
    """Return the library's servicer for a provider, with a plan that knows defaults."""
    made = _LIBRARY_SERVICER(provider)
    plan = made.PlanResourceChange
    attributes = {f"{provider.get_model_prefix()}{kind.name}": kind.attributes for kind in provider.get_resources()}

    def plan_with_defaults(request: Any, context: Any) -> Any:
        config, proposed = read_dynamic_value(request.config), read_dynamic_value(request.proposed_new_state)
        if config is not None and proposed is not None:
            state = with_defaults(attributes[request.type_name], config, proposed)
            request.proposed_new_state.CopyFrom(to_dynamic_value(state))
        return plan(request, context)

    made.PlanResourceChange = plan_with_defaults
    return made


def install() -> None:
    """Make the library's runner use ``servicer``: it takes the class from its own module and offers no other way."""
    library.ProviderServicer = servicer


_LIBRARY_SERVICER = library.ProviderServicer
