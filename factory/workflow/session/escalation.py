"""Is an agent getting anywhere, and what to try when it is not: the ladder. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from factory.model.attempt import Escalation
from factory.system import canonical

_VARIES = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{7,64}\b|\d+|/[^\s:'\"]*/")
_TOLD = ("gate: ", "rule: ", "file: ", "what: ")
_BACK_AND_FORTH = 3


@dataclass(frozen=True)
class Sample:
    """The worktree at one moment: the agent's tool calls so far, and a digest of what differs from its base."""

    calls: int
    digest: str


def fingerprint(feedback: Sequence[str]) -> str:
    """Return a digest of a failure that numbers, paths and addresses do not change."""
    lines = [line.strip() for item in feedback for line in item.splitlines()]
    told = [line for line in lines if line.startswith(_TOLD)] or lines
    return canonical.digest("\n".join(_VARIES.sub("#", line) for line in told).encode())


def next_escalation(failures: Sequence[str], *, stronger: bool, circling: bool = False) -> Escalation:
    """Return what follows on failures (their fingerprints, oldest first); ``stronger`` tells whether there is one.

    ``circling`` tells that the attempts went back to a state that had failed before: that counts as the same failure.

    The same failure twice is never answered by simply trying again: first by another strategy, then by a stronger
    model, then by a person.
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
    """Return why the agent gets nowhere, or nothing: no change for long, or the same states again and again."""
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
    """Tell whether an attempt ended at a state that an earlier one had ended at, with another in between."""
    return len(digests) > 2 and digests[-1] in digests[:-2] and digests[-1] != digests[-2]  # noqa: PLR2004
