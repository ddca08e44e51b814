"""Runs a benchmark at the base and at the head of a change, in turn, so that the machine's mood hits both alike."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from factory.model.facts import Timing
from factory.sandbox import launch
from factory.system import files, process

_ROUNDS = 5
_LIMIT = 300.0


def measure(
    command: Sequence[str],
    base: Path,
    head: Path,
    *,
    scratch: Path,
    env: Mapping[str, str],
    readable: tuple[Path, ...],
) -> tuple[Timing, ...]:
    """Return the medians of each benchmark in two checkouts.

    The command prints one JSON object per run, name to seconds. Raises ``ToolFailed`` or ``ValueError`` where it
    cannot run or prints something else.
    """
    seen: dict[str, tuple[list[float], list[float]]] = {}
    for _ in range(_ROUNDS):
        for side, folder in enumerate((base, head)):
            for name, seconds in _once(command, folder, scratch, env, readable).items():
                seen.setdefault(name, ([], []))[side].append(seconds)
    return tuple(
        Timing(name, statistics.median(before), statistics.median(after))
        for name, (before, after) in sorted(seen.items())
        if before and after
    )


def _once(
    command: Sequence[str], folder: Path, scratch: Path, env: Mapping[str, str], readable: tuple[Path, ...]
) -> dict[str, float]:
    files.private_folder(scratch)
    prepared = launch.prepare(
        launch.Launch(
            argv=process.ours(command),
            cwd=folder,
            env={**env, "HOME": str(scratch), "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"},
            writable=(scratch,),
            readable=(*readable, folder),
        )
    )
    done = process.run(prepared.argv, cwd=prepared.cwd, env=prepared.env, timeout=_LIMIT)
    value = json.loads(done.text.splitlines()[-1] if done.text.strip() else "null")
    if not isinstance(value, dict):
        raise ValueError("the benchmark printed no JSON object")  # noqa: TRY004 - the text is wrong, not a type of ours
    return {str(name): float(seconds) for name, seconds in value.items()}
