"""How a person steers a session that runs: a wish in the session's folder, looked for a few times per second."""

import enum
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from factory.errors import InvalidInput
from factory.model.agent import Reason
from factory.system import clock, files

_FILE = "control.json"


class ControlSignal(enum.StrEnum):
    """What a person wants of a session."""

    WORK = "work"
    PAUSE = "pause"
    CANCEL = "cancel"
    TAKEOVER = "takeover"


ENDINGS = {ControlSignal.CANCEL: Reason.CANCELLED_BY_HUMAN, ControlSignal.TAKEOVER: Reason.SUPERSEDED}


@dataclass(frozen=True)
class Control:
    """The latest wish: what, whose and when."""

    signal: ControlSignal = ControlSignal.WORK
    by: str = ""
    time: str = ""


def read(folder: Path) -> Control:
    """Return the latest wish for a session; without one, or where it cannot be read, to work."""
    path = folder / _FILE
    if not path.exists():
        return Control()
    try:
        value = json.loads(files.read_text(path))
        return Control(ControlSignal(value["signal"]), str(value["by"]), str(value["time"]))
    except (InvalidInput, ValueError, KeyError, TypeError):
        return Control()


def send(folder: Path, signal: ControlSignal, *, by: str) -> Control:
    """Leave a wish for a session."""
    made = Control(signal, by, clock.timestamp())
    files.write_atomic(folder / _FILE, json.dumps(asdict(made)).encode(), mode=0o600)
    return made


def ending(control: Control) -> tuple[Reason, str] | None:
    """Return the reason for which a wish ends an agent's attempt, or ``None``. Pure."""
    reason = ENDINGS.get(control.signal)
    return None if reason is None else (reason, f"{control.signal} by {control.by}")
