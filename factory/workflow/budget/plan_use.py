"""Keeps the newest windows of each agent's plan, as its provider told them, in this machine's state."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from factory.errors import InvalidInput
from factory.model.plan_window import PlanWindow
from factory.system import clock, data, files

_FOLDER = "plan-windows"


@dataclass(frozen=True)
class PlanUse:
    """The windows of the plan of an agent, and when they were told (ISO 8601)."""

    agent: str
    at: str
    windows: tuple[PlanWindow, ...]

    def lines(self, now: datetime) -> list[str]:
        """Describe each window for people."""
        return [f"{self.agent} · {window.text(now)}" for window in self.windows]


def keep(state: Path, agent: str, windows: tuple[PlanWindow, ...]) -> None:
    """Keep the windows that an attempt's provider told last; nothing if it told none."""
    if windows:
        content = data.write(PlanUse(agent, clock.timestamp(), windows))
        files.write_atomic(files.private_folder(state / _FOLDER) / f"{agent}.json", content)


def newest(state: Path) -> list[PlanUse]:
    """Return what is kept, by agent; a file that cannot be read is left out."""
    found = []
    for path in sorted((state / _FOLDER).glob("*.json")):
        try:
            found.append(data.read(PlanUse, files.read_bytes(path), source=str(path)))
        except InvalidInput:
            continue
    return found
