"""What a doctor command finds on a machine or a server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was checked: its state is ``ok``, ``missing``, ``unknown`` or ``fix``; ``fix`` says what to do."""

    thing: str
    state: str
    found: str
    fix: str = ""
    required: bool = True
