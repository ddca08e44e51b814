"""Keeps the newest checkpoint that this machine has seen of each log, so that a log that was rewritten is found."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from factory.config import state_home
from factory.errors import FactoryError
from factory.evidence.trust import Trust
from factory.system import clock, data, files

_FOLDER = "checkpoints"


@dataclass(frozen=True)
class SeenCheckpoint:
    """A checkpoint as it was read, and when (RFC 3339)."""

    note: str
    seen: str


def folder(environment: Mapping[str, str]) -> Path:
    """Return where checkpoints are kept: below ``$XDG_STATE_HOME``, by default ``~/.local/state``."""
    return state_home(environment) / _FOLDER


def read(kept: Path, trust: Trust) -> SeenCheckpoint | None:
    """Return the newest checkpoint of the trusted log that this machine has seen; raises ``InvalidInput``."""
    path = _path(kept, trust)
    return data.read(SeenCheckpoint, files.read_bytes(path), source=str(path)) if path.exists() else None


def trusted(kept: Path, trust: Trust) -> Trust:
    """Return the trust root with the newest checkpoint that this machine has seen, if it names none itself."""
    seen = read(kept, trust) if trust.previous_checkpoint is None else None
    return replace(trust, previous_checkpoint=seen.note.encode()) if seen else trust


def keep(kept: Path, trust: Trust, note: bytes) -> None:
    """Keep a checkpoint that was verified; where nothing can be written, nothing is kept."""
    with suppress(FactoryError):
        files.write_atomic(_path(kept, trust), data.write(SeenCheckpoint(note.decode(), clock.timestamp())))


def _path(kept: Path, trust: Trust) -> Path:
    # Logs of one name but of other founders are other logs, as those of two demos are.
    founder = min(trust.keys.values(), key=lambda key: key.since).public
    return kept / f"{hashlib.sha256(f'{trust.origin} {founder}'.encode()).hexdigest()[:32]}.json"
