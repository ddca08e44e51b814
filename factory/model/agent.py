"""What an agent's turn comes to."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Reason(enum.StrEnum):
    """Why a turn ended: one set for every adapter."""

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
    CANCELLED_BY_HUMAN = "cancelled_by_human"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Turn:
    """One agent run against one brief: why it ended, in its words or ours, and what it used.

    ``usage`` counts tokens by name and ``source`` says whose figure it is: the ``provider``'s, the ``agent``'s or an
    ``estimate``; ``calls`` counts tool calls; ``resume`` is the agent's own name of the session, where it can go on.
    """

    reason: Reason
    detail: str = ""
    message: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    source: str = "estimate"
    calls: int = 0
    resume: str = ""
    reset_at: str = ""
