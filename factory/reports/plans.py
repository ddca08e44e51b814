"""Renders Terraform plans as a note: which addresses are created, changed, replaced and destroyed.

Addresses and values are untrusted because a merge request chose them. Sensitive values were redacted when the plan was
read.
"""

import json
from collections.abc import Mapping, Sequence

from factory.model.facts import Plan, PlannedChange
from factory.reports.markdown import count, fit, folded, name, neutral

_SHARE, _VALUE, _ATTRIBUTES = 9000, 120, 40
# Terraform combines these with an update, or does them alone.
_BESIDE = {"import", "move"}
_VERBS = ("destroy", "replace", "import", "move", "update", "create", "other")
_SIGNS: Mapping[str, str] = {
    "destroy": "−",  # noqa: RUF001 - as wide as the other signs
    "replace": "±",
    "import": "<",
    "move": ">",
    "update": "~",
    "create": "+",
    "other": "?",
}


def verb(change: PlannedChange) -> str:
    """Return the action on a resource as one word."""
    actions = set(change.actions)
    if actions == {"create", "delete"}:
        return "replace"
    words = {"create": "create", "update": "update", "delete": "destroy", "import": "import", "move": "move"}
    return words.get(change.actions[-1], "other") if len(change.actions) == 1 or actions & _BESIDE else "other"


def headline(plan: Plan) -> str:
    """Return one line with a stack's number of changes of each kind."""
    if plan.problem:
        return f"**{neutral(plan.stack, _VALUE)}**: no plan: {neutral(plan.problem, _VALUE)}"
    counts = {word: sum(verb(change) == word for change in plan.changes) for word in _VERBS}
    text = ", ".join(f"{number} to {word}" for word, number in counts.items() if number) or "no changes"
    return f"**{neutral(plan.stack, _VALUE)}**: {text} ({count(len(plan.resources), 'resource')})"


def render(plans: Sequence[Plan]) -> str:
    """Return the note on a pipeline's plans as GitLab-flavoured markdown; destroyed resources come first."""
    if not plans:
        return "Terraform: the change affects no stack.\n"
    parts = ["Terraform plan:", ""]
    for plan in plans:
        parts += [f"* {headline(plan)}"]
    share = _SHARE // len(plans)
    for plan in plans:
        ordered = sorted(plan.changes, key=lambda change: (_VERBS.index(verb(change)), change.address))
        lines = [line for change in ordered for line in _change(change)]
        parts += ["", *folded(f"{neutral(plan.stack, _VALUE)}: {count(len(ordered), 'change')}", fit(lines, share))]
    return "\n".join(parts) + "\n"


def lines(plan: Plan) -> list[str]:
    """Return a plan's changes as lines for a terminal."""
    return [f"{_SIGNS[verb(change)]} {change.address}" for change in plan.changes]


def _change(change: PlannedChange) -> list[str]:
    word = verb(change)
    shown = f"* {_SIGNS[word]} **{word}** {name(change.address)}"
    rows = [f"  * {neutral(key, _VALUE)}: {before} → {after}" for key, before, after in _differences(change)]
    left = len(rows) - _ATTRIBUTES
    return [shown, *rows[:_ATTRIBUTES], *([f"  * … and {left} more attributes"] if left > 0 else [])]


def _differences(change: PlannedChange) -> list[tuple[str, str, str]]:
    """Return the attributes that differ, with their values before and after as text."""
    before, after, unknown = change.before or {}, change.after or {}, change.unknown or {}
    found = []
    for key in sorted({*before, *after, *unknown}):
        later = "(known after the apply)" if unknown.get(key) else _text(after.get(key))
        if unknown.get(key) or before.get(key) != after.get(key):
            found.append((key, _text(before.get(key)), later))
    return found


def _text(value: object) -> str:
    if value is None:
        return "(none)"
    return neutral(value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False), _VALUE)
