"""The result of an agent's turn."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Reason(enum.StrEnum):
    """Why a turn ended; the same for every protocol."""

    DONE_FOR_REVIEW = "done_for_review"
    BLOCKED = "blocked"
    NEEDS_INPUT = "needs_input"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TURN_LIMIT = "turn_limit"
    STALLED = "stalled"
    TIMED_OUT = "timed_out"
    NO_PROGRESS = "no_progress"
    PROVIDER_LIMITED = "provider_limited"
    AUTH_FAILED = "auth_failed"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    CRASHED = "crashed"
    KILLED = "killed"
    CANCELLED_BY_HUMAN = "cancelled_by_human"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Turn:
    """One run of an agent on one brief: why it ended, the agent's message, and its usage.

    ``usage`` counts tokens by name; ``source`` says who counted them: ``provider``, ``agent`` or ``estimate``.
    ``calls`` counts tool calls. ``resume`` is the agent's id of the session, if the agent can continue it. ``reset_at``
    is when a limited provider serves again.
    """

    reason: Reason
    detail: str = ""
    message: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    source: str = "estimate"
    calls: int = 0
    resume: str = ""
    reset_at: str = ""
