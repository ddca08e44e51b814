"""Holds a plan that returns the traffic against the applied plan: it may only undo changes of that plan.

A person approved the applied plan. The return needs no second approval because each of its changes is the inverse of
an approved change.
"""

import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from factory.errors import NotFound, Refused
from factory.model.facts import SENSITIVE, Plan, PlannedChange
from factory.system import files
from factory.terraform import apply as applying
from factory.terraform import plan as planning

_OUTPUT = "releases"


def applied(folder: Path) -> Plan:
    """Return the plan in a folder after its complete apply; raises ``Refused`` if it was not applied completely."""
    try:
        phase: str = applying.read_result(folder).phase
    except NotFound:
        phase = "not started"
    if phase != "done":
        raise Refused(
            f"the apply is {phase}; only a finished apply can be undone", hint="Follow runbooks/apply-unknown.md."
        )
    plan = planning.read_facts(folder)
    if plan.problem:
        raise Refused(f"the applied plan cannot be read: {plan.problem}")
    return plan


def releases_before(folder: Path) -> Mapping[str, str]:
    """Return the release of each app that served traffic before the plan in ``folder``.

    It is read from the root's output ``releases``; raises ``Refused`` if that output has no value before the plan.
    """
    outputs: Mapping[str, Any] = json.loads(files.read_bytes(folder / planning.PLAN_JSON))["output_changes"]
    before = (outputs.get(_OUTPUT) or {}).get("before")
    if not isinstance(before, dict) or not before or not all(isinstance(name, str) for name in before.values()):
        raise Refused(
            "the applied plan has no earlier release in the root's output `releases`",
            hint="No release served traffic before. Fix the release and merge the fix.",
        )
    return before


def unmanaged_changes(there: Plan, back: Plan) -> list[str]:
    """Return the addresses of the changes in ``back`` that are not the inverse of a change in ``there``."""
    known = {change.address: change for change in there.changes}
    return [change.address for change in back.changes if not _undoes(change, known.get(change.address))]


def _undoes(back: PlannedChange, change: PlannedChange | None) -> bool:
    if change is None or not tuple(back.actions) == tuple(change.actions) == ("update",):
        return False
    # Sensitive values are redacted and cannot be compared.
    if SENSITIVE in json.dumps([back.before, back.after]):
        return False
    return _same(change.before, back.after, back.unknown) and _same(back.before, change.after, change.unknown)


def _same(known: Any, planned: Any, unknown: Any) -> bool:
    """Return whether a planned value equals a known value, except for the parts that are known only after the apply."""
    if unknown is True:
        return True
    if isinstance(known, Mapping) and isinstance(planned, Mapping):
        named = unknown if isinstance(unknown, Mapping) else {}
        return all(_same(known.get(key), planned.get(key), named.get(key)) for key in {*known, *planned})
    if isinstance(known, list) and isinstance(planned, list) and len(known) == len(planned):
        marks = unknown if isinstance(unknown, list) else []
        return all(_same(*each) for each in zip_longest(known, planned, marks[: len(known)]))
    return bool(known == planned)
