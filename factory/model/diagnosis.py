"""The findings of the doctor commands about a machine or a server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnosis:
    """One checked item. Its state is ``ok``, ``missing``, ``unknown`` or ``fix``; the field ``fix`` says what to do."""

    thing: str
    state: str
    found: str
    fix: str = ""
    required: bool = True
