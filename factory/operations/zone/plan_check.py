"""Refuses plans that would remove rules of somebody else, or need what the zone's Cloudflare plan cannot do."""

from collections.abc import Mapping

from factory.cloudflare import zones
from factory.cloudflare.client import Reader
from factory.errors import Refused
from factory.model.cloudflare import (
    RATE_LIMIT,
    SETTINGS,
    PlannedRuleset,
    Rule,
    Ruleset,
    beyond_plan,
    foreign_rules,
    visible,
)
from factory.reports.markdown import count
from factory.terraform import rulesets
from factory.terraform.plan import Check, Stack

_SHOWN = 10


def of(reader: Reader) -> Check:
    """Return the check of a plan, which reads the rules and the plan of each zone whose rulesets the plan changes.

    It raises ``Refused``, and the errors of ``Reader.get``.
    """

    def check(stack: Stack, plan: Mapping[str, object]) -> None:
        for item in rulesets.changed(plan):
            if not item.owned:
                require_own(stack.name, item, zones.entrypoint(reader, item.zone, item.phase))
            if item.phase == RATE_LIMIT and item.rules:
                _require_possible(stack.name, item, zones.read(reader, item.zone).plan)

    return check


def require_own(stack: str, planned: PlannedRuleset, live: Ruleset | None) -> None:
    """Raise ``Refused`` if a plan would remove rules that Terraform did not make, or fail because of a ruleset."""
    lost = foreign_rules(live, planned)
    if lost:
        raise Refused(
            f"{planned.address} would remove {count(len(lost), 'rule')} of others in {planned.phase}: "
            f"{described(lost)}",
            hint=f"Set {_off(planned.phase, stack)}, or write these rules into Terraform with their ref.",
        )
    if live is not None and not planned.id:
        raise Refused(
            f"{planned.address} cannot be created: the zone has an empty ruleset in {planned.phase} already",
            hint=f'Import it: import {{ to = {planned.address}, id = "zones/{planned.zone}/{live.id}" }}',
        )


def _require_possible(stack: str, planned: PlannedRuleset, plan: str) -> None:
    reasons = beyond_plan(plan, planned.rules)
    if reasons:
        raise Refused(
            f"Cloudflare's plan {plan} cannot do {planned.address}: {visible('; '.join(reasons), 600)}",
            hint=f"Set {_off(planned.phase, stack)}, or upgrade the zone's plan at Cloudflare.",
        )


def described(rules: tuple[Rule, ...]) -> str:
    """Return description and expression of rules in one line."""
    shown = [
        f"{visible(rule.description) or '(no description)'}: {visible(rule.expression)}" for rule in rules[:_SHOWN]
    ]
    more = [f"and {len(rules) - _SHOWN} more"] if len(rules) > _SHOWN else []
    return "; ".join([*shown, *more])


def _off(phase: str, stack: str) -> str:
    return f"`{SETTINGS.get(phase, 'the ruleset')} = false` in terraform/live/{stack}/zone.tf"
