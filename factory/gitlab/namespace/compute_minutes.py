"""Reads the compute minutes of a project's top-level namespace: what GitLab's hosted runners spent, and what is left.

GitLab shows them to owners of the namespace, and not in every version (GitLab docs: Namespaces API).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from factory.errors import NotFound, Refused
from factory.gitlab.connect import Connection, translated

# The job time that a shipped change may take; `make bench` measures it.
OF_A_CHANGE = 5


@dataclass(frozen=True)
class ComputeMinutes:
    """Minutes spent in this month, and minutes left; ``None`` is a number that GitLab does not tell."""

    namespace: str
    spent: int | None
    left: int | None

    @property
    def enough(self) -> bool:
        """Whether the minutes left, as far as GitLab tells, are enough for one more change."""
        return self.left is None or self.left >= OF_A_CHANGE


def read(connection: Connection) -> ComputeMinutes | None:
    """Return the minutes, or ``None`` if the server counts none: none are spent, and there is no limit."""
    root = connection.project_path.partition("/")[0]
    shown = _shown(connection, root)
    used = shown.get("ci_minutes_usage")
    spent = _number(used.get("total_minutes_used")) if isinstance(used, dict) else None
    limit, extra = (_number(shown.get(f"{part}shared_runners_minutes_limit")) for part in ("", "extra_"))
    if spent == 0 and not limit:
        return None
    left = max(0, limit + (extra or 0) - spent) if limit and spent is not None else None
    return ComputeMinutes(root, spent, left)


def _shown(connection: Connection, root: str) -> Mapping[str, object]:
    with suppress(NotFound, Refused), translated(f"show the namespace {root}"):
        return connection.client.namespaces.get(root).attributes
    return {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
