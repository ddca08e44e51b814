"""Drives one attempt of any program that takes a brief and changes files: judged by its diff alone.

It says nothing that we understand, so its turns are not counted and its tokens are those that its provider counted, or
an estimate. ``{brief}`` in its command line names the file with the brief; without it, the brief is its standard input.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

from factory.agents import metering
from factory.agents.acp import Ending, Task, exceeded
from factory.agents.acp_client import Record
from factory.agents.metering import Spent
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import Prepared
from factory.system import clock, process

_TICK = 0.2
_LONGEST_MESSAGE = 4000
BRIEF = "{brief}"


def argv(command: tuple[str, ...], brief: Path) -> tuple[str, ...]:
    """Return a command line with the brief's file in its place."""
    return tuple(str(brief) if word == BRIEF else word for word in command)


def run(
    prepared: Prepared, task: Task, *, record: Record, errors: IO[bytes], tick: Callable[[], Ending | None]
) -> Turn:
    """Run the program to its end or to a limit; an exit code other than 0 is a crash. See ``acp.run``."""
    return asyncio.run(_run(prepared, task, record, errors, tick))


async def _run(
    prepared: Prepared, task: Task, record: Record, errors: IO[bytes], tick: Callable[[], Ending | None]
) -> Turn:
    group = await process.start_async(prepared.argv, env=prepared.env, cwd=prepared.cwd, stderr=errors)
    said = bytearray()
    heard = [0, clock.monotonic()]
    record({"event": "prompt", "text": task.brief})
    pump = asyncio.create_task(_pump(group, task.brief, said, heard, record))
    start = clock.monotonic()
    ending: Ending | None = None
    try:
        while not pump.done() and ending is None:
            await asyncio.wait({pump}, timeout=_TICK)
            now = clock.monotonic()
            usage, _ = _tokens(task, int(heard[0]))
            spent = Spent(
                seconds=now - start,
                silent=now - max(heard[1], task.provider.heard),
                output=int(heard[0]),
                tokens=metering.total(usage),
                usd_micros=metering.cost(usage, task.rates),
            )
            ending = None if pump.done() else metering.over(spent, task.bounds) or tick()
            ending = ending or exceeded(group.process.pid, task.watched)
        code = await group.process.wait() if ending is None else 0
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        await group.kill()
    turn = _outcome(ending, code, task)
    usage, source = _tokens(task, int(heard[0]))
    message = bytes(said[-_LONGEST_MESSAGE:]).decode(errors="replace")
    record({"event": "end", "reason": turn.reason.value, "detail": turn.detail, "usage": usage, "source": source})
    return replace(turn, message=message, usage=usage, source=source)


async def _pump(group: process.AsyncGroup, brief: str, said: bytearray, heard: list[float], record: Record) -> None:
    """Give the program its brief, and record what it prints line by line until it closes its output."""
    stdin, stdout = group.process.stdin, group.process.stdout
    if stdin is not None:
        stdin.write(brief.encode())
        stdin.close()
    while stdout is not None and (chunk := await stdout.read(65536)):
        heard[0] += len(chunk)
        heard[1] = clock.monotonic()
        said += chunk
        del said[: -2 * _LONGEST_MESSAGE]
        for line in chunk.decode(errors="replace").splitlines():
            record({"event": "output", "text": line})


def _outcome(ending: Ending | None, code: int, task: Task) -> Turn:
    if ending is not None:
        return Turn(*ending)
    if code == 0:
        return Turn(Reason.DONE_FOR_REVIEW, "the program ended with 0")
    reason, detail = task.provider.trouble() or (Reason.CRASHED, f"the program ended with {code}")
    return Turn(reason, detail, reset_at=task.provider.reset_at if reason is Reason.PROVIDER_LIMITED else "")


def _tokens(task: Task, received: int) -> tuple[dict[str, int], str]:
    if counted := task.provider.usage():
        return counted, "provider"
    if task.provider.sent:
        return metering.estimate(task.provider.sent, task.provider.received), "estimate"
    return metering.estimate(len(task.brief), received), "estimate"
