"""What a tool, or an app's own check, found in a change."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One finding of a tool: the tool's rule, the place and the tool's message."""

    rule: str
    path: str
    line: int
    message: str


# The rule of a finding that a comment in the source silences.
SUPPRESSED = "suppressed"
# The rule of the one finding of a command that failed and leaves no report.
BY_EXIT_CODE = "exit-code"


@dataclass(frozen=True)
class ToolRun:
    """All findings of one tool; ``problem`` says why the tool could not run."""

    problems: tuple[Problem, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class OwnCheck:
    """A check that an app runs by a command of its own, by its gate.

    ``told`` says how it runs. ``run`` is what it reported, ``None`` if it did not run.
    """

    app: str
    gate: str
    told: str
    run: ToolRun | None = None


def newer(after: Sequence[Problem], before: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return the problems that were not there before; their lines may differ."""
    left = Counter((item.path, item.rule, item.message) for item in before)
    found = []
    for item in after:
        key = (item.path, item.rule, item.message)
        left[key] -= 1
        if left[key] < 0:
            found.append(item)
    return tuple(found)
