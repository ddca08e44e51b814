"""Suspends an agent while a person pauses its session."""

import asyncio
from collections.abc import Callable, Mapping

from factory.agents.provider import Provider
from factory.system import clock, process_tree

_TICK = 0.2


async def hold(
    pid: int,
    *,
    paused: Callable[[], bool],
    ended: Callable[[], bool],
    provider: Provider,
    record: Callable[[Mapping[str, object]], None],
) -> float:
    """Suspend a process and its descendants while ``paused`` and not ``ended``; return the pause in seconds."""
    if not paused():
        return 0.0
    began = clock.monotonic()
    record({"event": "notice", "text": "paused"})
    process_tree.suspend(pid)
    while paused() and not ended():  # noqa: ASYNC110 - ``paused`` reads a file that another process writes
        await asyncio.sleep(_TICK)
    process_tree.carry_on(pid)
    record({"event": "notice", "text": "resumed"})
    held = clock.monotonic() - began
    provider.held(held)
    return held
