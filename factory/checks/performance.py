"""Benchmarks of a change against its base: measured in one run, in turn, so that the machine's mood hits both alike."""

import json
import shlex
import statistics
from pathlib import Path

from factory.model.facts import Timing

ROUNDS = 5
_SIDES = ("base", "head")


def script(base: str, command: str) -> str:
    """Return a shell script that runs a command for the apps of two checkouts in turn.

    It is run in the checkout of the head, with the program in ``$PY`` and the folder for results in ``$OUT``. The
    command finds the apps under ``$APPS``, and prints one JSON object, names to seconds, as its last line.
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
    """Return the medians of each benchmark that ran at both sides; ``None`` where nothing was measured or readable."""
    seen: list[dict[str, list[float]]] = []
    for side in _SIDES:
        path = folder / f"{side}.jsonl"
        try:
            seen.append(_collected(path.read_bytes().splitlines()))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None
    base, head = seen
    both = sorted(base.keys() & head.keys())
    return tuple(Timing(name, statistics.median(base[name]), statistics.median(head[name])) for name in both)


def _collected(lines: list[bytes]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in lines:
        for name, seconds in json.loads(line).items():
            if not 0 <= float(seconds) < float("inf"):
                raise ValueError("a time is not finite")
            found.setdefault(str(name), []).append(float(seconds))
    return found
