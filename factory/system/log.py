"""Writes one log line per event to standard error: time, name, fields. Callers must not pass secrets."""

import json
import sys

from factory.system import clock


def event(name: str, **fields: object) -> None:
    """Write one JSON line to standard error."""
    line = json.dumps({"time": clock.timestamp(), "event": name, **fields}, default=str, ensure_ascii=False)
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
