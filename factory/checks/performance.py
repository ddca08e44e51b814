"""Compares benchmarks at the base and the head of a change, alternating both so that machine load affects both."""

import json
import shlex
import statistics
from pathlib import Path

from factory.checks import report
from factory.errors import Refused
from factory.model.facts import Timing

ROUNDS = 5
_SIDES = ("base", "head")


def script(base: str, command: str) -> str:
    """Return a shell script that runs a command alternately for the apps of two checkouts.

    The script runs in the checkout of the head; ``$PY`` is Python and ``$OUT`` the folder for results. The command
    reads the apps from ``$APPS`` and prints one JSON object (benchmark to seconds) as its last line.
    """
    return f"""#!/bin/sh
set -eu
git worktree add --quiet --force --detach .factory/base {shlex.quote(base)}
for round in $(seq {ROUNDS}); do
  APPS="$PWD/.factory/base/apps" {command} | tail -n 1 >> "$OUT/base.jsonl"
  APPS="$PWD/apps" {command} | tail -n 1 >> "$OUT/head.jsonl"
done
"""


def read(folder: Path) -> tuple[Timing, ...] | None:
    """Return the medians of each benchmark that ran at both commits; ``None`` without valid result files."""
    seen: list[dict[str, list[float]]] = []
    for side in _SIDES:
        path = folder / f"{side}.jsonl"
        try:
            seen.append(_collected((report.content(path) or b"").splitlines()))
        except (Refused, ValueError, TypeError, AttributeError, RecursionError):
            return None
    base, head = seen
    both = sorted(base.keys() & head.keys())
    return tuple(Timing(name, statistics.median(base[name]), statistics.median(head[name])) for name in both)


def _collected(lines: list[bytes]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in lines:
        for name, seconds in json.loads(line).items():
            if not 0 <= float(seconds) < float("inf"):
                raise ValueError(f"{name}: {seconds} is not a valid time")
            found.setdefault(str(name), []).append(float(seconds))
    return found
