"""Runs one attempt of any program that takes a brief and changes files; only its diff is judged.

The program speaks no known protocol, so its tool calls are not counted, and its tokens are the provider's count or an
estimate. ``{brief}`` in the command line stands for the brief's path; without it, the brief is the standard input.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

from factory.agents import attempt_limits, pause, token_costs
from factory.agents.attempt_limits import Consumption
from factory.agents.task import Ending, Record, Task, exceeded, exited
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import PreparedLaunch
from factory.system import clock, process

_TICK = 0.2
_LONGEST_MESSAGE = 4000
_LONGEST_LINE = 64_000
_LAST_WORDS_SECONDS = 1.0
BRIEF = "{brief}"


def argv(command: tuple[str, ...], brief: Path) -> tuple[str, ...]:
    """Return a command line with ``{brief}`` replaced by the brief's path."""
    return tuple(str(brief) if word == BRIEF else word for word in command)


def run(
    prepared: PreparedLaunch, task: Task, *, record: Record, errors: IO[bytes], tick: Callable[[], Ending | None]
) -> Turn:
    """Run the program until it ends or reaches a limit; an exit code other than 0 is a crash. See ``acp.run``."""
    return asyncio.run(_Run(task, record, tick, errors).to_its_end(prepared, errors))


class _Run:
    """One run of a program: its output, and the checks against its limits."""

    def __init__(self, task: Task, record: Record, tick: Callable[[], Ending | None], errors: IO[bytes]) -> None:
        self._task = task
        self._record = record
        self._tick = tick
        self._errors = errors.fileno()
        self._printed = bytearray()
        self._received = 0
        self._start = self._heard = clock.monotonic()

    async def to_its_end(self, prepared: PreparedLaunch, errors: IO[bytes]) -> Turn:
        group = await process.start_async(prepared.argv, env=prepared.env, cwd=prepared.cwd, stderr=errors)
        self._record({"event": "prompt", "text": self._task.brief})
        pump = asyncio.create_task(self._pump(group))
        try:
            ending = await self._watch(group)
            await asyncio.wait({pump}, timeout=0 if ending else _LAST_WORDS_SECONDS)
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            code = group.process.returncode
            await group.kill()
        turn = _outcome(ending, code, self._task)
        usage, source = _tokens(self._task, self._received)
        message = bytes(self._printed[-_LONGEST_MESSAGE:]).decode(errors="replace")
        end = {"reason": turn.reason.value, "detail": turn.detail, "usage": usage, "source": source}
        self._record({"event": "end", **end})
        return replace(turn, message=message, usage=usage, source=source)

    async def _watch(self, group: process.AsyncGroup) -> Ending | None:
        """Wait until the program exits, even if a child keeps its pipes open; return the limit reached, if any."""
        task = self._task
        gone = asyncio.create_task(group.process.wait())
        try:
            while True:
                await asyncio.wait({gone}, timeout=_TICK)
                if group.process.returncode is not None:
                    return None
                if held := await pause.hold(
                    group.process.pid,
                    paused=task.paused,
                    ended=lambda: self._tick() is not None,
                    provider=task.provider,
                    record=self._record,
                ):
                    self._start += held
                    self._heard = clock.monotonic()
                ending = attempt_limits.over(self._spent(), task.bounds) or task.provider.lost() or self._tick()
                ending = ending or exceeded(group.process.pid, task.watched)
                if ending is not None:
                    return ending
        finally:
            gone.cancel()

    def _spent(self) -> Consumption:
        now = clock.monotonic()
        usage, _ = _tokens(self._task, self._received)
        return Consumption(
            seconds=now - self._start,
            silent=now - max(self._heard, self._task.provider.heard),
            output=self._received + os.fstat(self._errors).st_size,
            tokens=token_costs.total(usage),
            usd_micros=token_costs.cost(usage, self._task.rates),
        )

    async def _pump(self, group: process.AsyncGroup) -> None:
        """Send the brief to the program, and record its output line by line until it closes its output."""
        stdin, stdout = group.process.stdin, group.process.stdout
        if stdin is not None:
            if self._task.stdin:
                stdin.write(self._task.brief.encode())
            stdin.close()
        rest = b""
        while stdout is not None and (chunk := await stdout.read(65536)):
            self._received += len(chunk)
            self._heard = clock.monotonic()
            if self._received > self._task.bounds.output_bytes:
                return
            self._printed += chunk
            del self._printed[: -2 * _LONGEST_MESSAGE]
            *lines, rest = (rest + chunk).split(b"\n")
            while len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest[:_LONGEST_LINE]], rest[_LONGEST_LINE:]
            for line in lines:
                self._record_line(line)
        self._record_line(rest)

    def _record_line(self, line: bytes) -> None:
        if line:
            self._record({"event": "output", "text": line.decode(errors="replace").rstrip("\r")})


def _outcome(ending: Ending | None, code: int | None, task: Task) -> Turn:
    reason, detail = ending or (Reason.DONE_FOR_REVIEW, "the program ended with 0")
    if ending is None and code != 0:
        reason, detail = exited("the program", code)
    # A program may exit with 0 although its model failed.
    if (ending is None or reason is Reason.STALLED) and (trouble := task.provider.trouble()):
        reason, detail = trouble
    return Turn(reason, detail, reset_at=task.provider.reset_at if reason is Reason.PROVIDER_LIMITED else "")


def _tokens(task: Task, received: int) -> tuple[dict[str, int], str]:
    if counted := task.provider.usage():
        return counted, "estimate" if task.provider.estimated else "provider"
    if task.provider.sent:
        return token_costs.estimate(task.provider.sent, task.provider.received), "estimate"
    return token_costs.estimate(len(task.brief), received), "estimate"
