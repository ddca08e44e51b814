"""One log line per event on standard error: time, name, fields; values that are secret are never passed in."""

import json
import sys
from typing import Any

from factory.system import clock


def event(name: str, **fields: Any) -> None:
    """Write one JSON line to standard error."""
    line = json.dumps({"time": clock.timestamp(), "event": name, **fields}, default=str, ensure_ascii=False)
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
