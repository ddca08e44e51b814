"""Detects that an agent makes no progress and chooses what the next attempt tries. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from factory.model.attempt import Escalation
from factory.system import canonical

_VARIES = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{7,64}\b|\d+|/[^\s:'\"]*/")
_STABLE = ("gate: ", "rule: ", "file: ", "what: ")
_BACK_AND_FORTH = 3


@dataclass(frozen=True)
class Sample:
    """The number of tool calls so far, and a digest of the worktree's difference from its base at that moment."""

    calls: int
    digest: str


def fingerprint(feedback: Sequence[str]) -> str:
    """Return a digest of a failure that does not depend on numbers, folders and addresses in it."""
    lines = [line.strip() for item in feedback for line in item.splitlines()]
    stable = [line for line in lines if line.startswith(_STABLE)] or lines
    return canonical.digest("\n".join(_VARIES.sub("#", line) for line in stable).encode())


def next_escalation(failures: Sequence[str], *, stronger: bool, circling: bool = False) -> Escalation:
    """Return the next step after failures, given by their fingerprints, oldest first.

    ``stronger`` is true if a stronger agent exists. ``circling`` is true if the last attempt ended at an earlier failed
    state; that counts as the same failure. If a failure repeats, the next step is another strategy, then a stronger
    model, then a person.
    """
    if not failures:
        return Escalation.AGAIN
    same = 0
    for item in reversed(failures):
        if item != failures[-1]:
            break
        same += 1
    ladder = [Escalation.AGAIN, Escalation.OTHER, *([Escalation.STRONGER] if stronger else []), Escalation.PERSON]
    return ladder[min(max(same, 2 if circling else 1), len(ladder)) - 1]


def stuck(samples: Sequence[Sample], *, idle_turns: int) -> str:
    """Return why the agent makes no progress (no change for long, or repeated states), or an empty string."""
    if not samples:
        return ""
    now = samples[-1]
    since = next((item.calls for item in reversed(samples) if item.digest != now.digest), samples[0].calls)
    if now.calls - since > idle_turns:
        return f"{now.calls - since} tool calls without a change"
    changes = [
        item.digest for index, item in enumerate(samples) if not index or item.digest != samples[index - 1].digest
    ]
    returns = changes.count(now.digest) - 1
    if returns >= _BACK_AND_FORTH:
        return f"its changes went back and forth: the same state {returns + 1} times"
    return ""


def repeats(digests: Sequence[str]) -> bool:
    """Return whether the last attempt ended at the state of an earlier one, with another state in between."""
    return len(digests) > 2 and digests[-1] in digests[:-2] and digests[-1] != digests[-2]  # noqa: PLR2004
