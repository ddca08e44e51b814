"""Sends a signal to a running session through a file in its folder, which the session reads several times a second."""

import enum
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from factory.errors import InvalidInput
from factory.model.agent import Reason
from factory.system import clock, files

_FILE = "control.json"


class ControlSignal(enum.StrEnum):
    """What a session must do."""

    WORK = "work"
    PAUSE = "pause"
    CANCEL = "cancel"
    TAKEOVER = "takeover"


ENDINGS = {ControlSignal.CANCEL: Reason.CANCELLED_BY_HUMAN, ControlSignal.TAKEOVER: Reason.SUPERSEDED}


@dataclass(frozen=True)
class Control:
    """The latest signal, who sent it and when."""

    signal: ControlSignal = ControlSignal.WORK
    by: str = ""
    time: str = ""


def read(folder: Path) -> Control:
    """Return the latest signal for a session; ``WORK`` if there is none or it cannot be read."""
    path = folder / _FILE
    if not path.exists():
        return Control()
    try:
        value = json.loads(files.read_text(path))
        return Control(ControlSignal(value["signal"]), str(value["by"]), str(value["time"]))
    except (InvalidInput, ValueError, KeyError, TypeError):
        return Control()


def send(folder: Path, signal: ControlSignal, *, by: str) -> Control:
    """Send a signal to a session."""
    control = Control(signal, by, clock.timestamp())
    files.write_atomic(folder / _FILE, json.dumps(asdict(control)).encode(), mode=0o600)
    return control


def ending(control: Control) -> tuple[Reason, str] | None:
    """Return the reason and text with which a signal ends an attempt, or ``None``. Pure."""
    reason = ENDINGS.get(control.signal)
    return None if reason is None else (reason, f"{control.signal} by {control.by}")
