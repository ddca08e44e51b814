"""Renders a stack's drift as a markdown table.

Addresses and values are untrusted because anybody who can change the resources can choose them. Sensitive values were
redacted when the plan was read.
"""

import json
from collections.abc import Sequence

from factory.model.facts import PlannedChange
from factory.reports.markdown import count, fit, name, neutral

_SHARE, _VALUE = 12_000, 200


def render(changes: Sequence[PlannedChange]) -> str:
    """Return a table with a row for each attribute that differs and for each deleted resource."""
    rows = [row for change in sorted(changes, key=lambda item: item.address) for row in _rows(change)]
    head = ["| resource | attribute | in the state | actual |", "|---|---|---|---|"]
    return "\n".join([f"{count(len(changes), 'resource')}:", "", *head, *fit(rows, _SHARE)]) + "\n"


def _rows(change: PlannedChange) -> list[str]:
    shown = name(change.address)
    if change.actions != ("update",):
        word = "deleted" if change.actions == ("delete",) else neutral(", ".join(change.actions), _VALUE)
        return [f"| {shown} | (whole resource) | present | {word} |"]
    before, after = change.before or {}, change.after or {}
    return [
        f"| {shown} | {neutral(key, _VALUE)} | {_text(before.get(key))} | {_text(after.get(key))} |"
        for key in sorted({*before, *after})
    ]


def _text(value: object) -> str:
    if value is None:
        return "(none)"
    return neutral(value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False), _VALUE)
