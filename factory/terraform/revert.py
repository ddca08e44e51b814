"""Going back to the releases that took the traffic before an apply: never more than the applied plan changed.

A person approved the way there; the way back needs no second approval because each of its changes is the inverse of
one of theirs.
"""

import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from factory.errors import Refused
from factory.model.facts import SENSITIVE, Plan, PlannedChange
from factory.system import files
from factory.terraform import apply as applying
from factory.terraform import plan as planning

_OUTPUT = "releases"


def applied(folder: Path) -> Plan:
    """Return the plan in a folder whose apply ended well; raises ``Refused`` where nothing was applied, or not all."""
    result = folder / applying.RESULT
    phase = json.loads(files.read_bytes(result))["phase"] if result.exists() else "never begun"
    if phase != "done":
        raise Refused(
            f"the apply is {phase}: there is nothing to go back from", hint="Look at runbooks/apply-unknown.md."
        )
    plan = planning.read_facts(folder)
    if plan.problem:
        raise Refused(f"the applied plan cannot be read: {plan.problem}")
    return plan


def releases_before(folder: Path) -> Mapping[str, str]:
    """Return which release of each app took the traffic before the plan in ``folder``.

    The root's output ``releases`` says so; raises ``Refused`` where it does not.
    """
    outputs: Mapping[str, Any] = json.loads(files.read_bytes(folder / planning.PLAN_JSON))["output_changes"]
    before = (outputs.get(_OUTPUT) or {}).get("before")
    if not isinstance(before, dict) or not before or not all(isinstance(name, str) for name in before.values()):
        raise Refused(
            "the applied plan names no release before it (the root's output `releases`)",
            hint="Nothing took the traffic before; mend the release and merge that.",
        )
    return before


def unmanaged_changes(there: Plan, back: Plan) -> list[str]:
    """Return the addresses of those changes of ``back`` that are not the inverse of a change of ``there``."""
    known = {change.address: change for change in there.changes}
    return [change.address for change in back.changes if not _undoes(change, known.get(change.address))]


def _undoes(back: PlannedChange, there: PlannedChange | None) -> bool:
    if there is None or not tuple(back.actions) == tuple(there.actions) == ("update",):
        return False
    # Nobody sees whether a sensitive value is the one that it was.
    if SENSITIVE in json.dumps([back.before, back.after]):
        return False
    return _same(there.before, back.after, back.unknown) and _same(back.before, there.after, there.unknown)


def _same(known: Any, planned: Any, unknown: Any) -> bool:
    """Tell whether a planned value is a known one, apart from what is known only after the apply."""
    if unknown is True:
        return True
    if isinstance(known, Mapping) and isinstance(planned, Mapping):
        named = unknown if isinstance(unknown, Mapping) else {}
        return all(_same(known.get(key), planned.get(key), named.get(key)) for key in {*known, *planned})
    if isinstance(known, list) and isinstance(planned, list) and len(known) == len(planned):
        marks = unknown if isinstance(unknown, list) else []
        return all(_same(*each) for each in zip_longest(known, planned, marks[: len(known)]))
    return bool(known == planned)
