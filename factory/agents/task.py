"""The task of an agent, independent of its protocol, and the driver for each protocol."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from factory.agents.attempt_limits import Bounds
from factory.agents.permissions import Permissions
from factory.agents.provider import Provider
from factory.agents.token_costs import FREE, Rates
from factory.model.agent import Reason, Turn
from factory.sandbox import watch
from factory.sandbox.limits import UNBOUNDED, Limits
from factory.system import process

Ending = tuple[Reason, str]
Record = Callable[[Mapping[str, object]], None]

# Imported only when needed: the ACP library alone takes half a second.
_DRIVERS: Mapping[str, str] = {
    "acp": "factory.agents.acp",
    "command": "factory.agents.command",
    "terminal": "factory.agents.terminal",
}


def driver(protocol: str) -> Callable[..., Turn]:
    """Return the ``run`` function of a protocol's driver; see ``acp.run``."""
    run: Callable[..., Turn] = importlib.import_module(_DRIVERS[protocol]).run
    return run


@dataclass(frozen=True)
class Tool:
    """An MCP server that the agent may use, on standard input and output."""

    name: str
    command: str
    arguments: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Task:
    """The brief of an agent, and its rules; ``resume`` is the id of an earlier session of the agent to continue.

    ``stdin`` tells whether a plain program gets the brief as its standard input. After its input is closed, an agent
    has ``saving_seconds`` to save its session.
    """

    brief: str
    worktree: Path
    permissions: Permissions
    bounds: Bounds
    rates: Rates = FREE
    mode: str = ""
    resume: str = ""
    tools: Sequence[Tool] = ()
    provider: Provider = field(default_factory=Provider)
    paused: Callable[[], bool] = lambda: False
    watched: Limits = UNBOUNDED
    stdin: bool = True
    saving_seconds: float = 1.0


def exited(who: str, code: int | None) -> Ending:
    """Return why a program ended before its turn did: killed from outside, such as by a machine without memory, or not.

    ``code`` is as for ``process.was_killed``.
    """
    return Reason.KILLED if process.was_killed(code) else Reason.CRASHED, f"{who} ended with {code}"


def exceeded(pid: int, watched: Limits) -> Ending | None:
    """Return which of the watched limits a program exceeds; the kernel of this machine cannot enforce those limits."""
    problem = watch.over(pid, watched) if watched.set_ones() else None
    return None if problem is None else (Reason.CRASHED, problem)
