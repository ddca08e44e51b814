"""Defines the steps of a model script, reads them from JSON, and selects the steps that answer a request.

A model ends its turn with a reply that has no tool call. A script therefore divides into replies: each has the steps
up to and including one tool call, and the number of tool results since the last prompt selects the reply.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from factory.errors import InvalidInput


@dataclass(frozen=True)
class Usage:
    """The tokens of one reply; ``cached`` is part of ``input``, ``reasoning`` is part of ``output``."""

    input: int = 100
    output: int = 10
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Say:
    """Say a text."""

    text: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Run:
    """Run a shell command with the tool that the agent offers for it."""

    command: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Write:
    """Write a file; ``path`` is relative to the agent's working directory or absolute."""

    path: str
    content: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Call:
    """Call the offered tool with the name ``tool``, or with a name that ends with it, as for tools of MCP servers."""

    tool: str
    arguments: Mapping[str, Any]
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Fail:
    """Answer with an HTTP error; ``type`` is the provider's error type, ``retry_after`` is in seconds or ``None``."""

    status: int
    type: str = ""
    retry_after: int | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Hang:
    """Wait for ``seconds`` before the next step."""

    seconds: float
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Garbage:
    """Answer with status 200 and bytes that no client can read."""

    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Flood:
    """Say a text of ``size`` bytes."""

    size: int
    usage: Usage = field(default_factory=Usage)


Step = Say | Run | Write | Call | Fail | Hang | Garbage | Flood
Act = Run | Write | Call
Break = Fail | Garbage


@dataclass(frozen=True)
class Reply:
    """One answer of the model: wait, then either say ``text`` and do ``act``, or send the ``broken`` answer."""

    text: str = ""
    act: Act | None = None
    broken: Break | None = None
    wait: float = 0.0
    usage: Usage = field(default_factory=Usage)


def reply(steps: Sequence[Step], position: int, final: str = "Done.") -> Reply:
    """Return the reply to a request with ``position`` tool results; after the last step, its text is ``final``."""
    passed = 0
    rest = list(steps)
    while passed < position and rest:
        passed += isinstance(rest.pop(0), Act)
    texts: list[str] = []
    wait, usage = 0.0, Usage()
    for number, step in enumerate(rest):
        usage = step.usage if number == 0 or step.usage != Usage() else usage
        if isinstance(step, Act):
            return Reply("".join(texts), act=step, wait=wait, usage=usage)
        if isinstance(step, Break):
            return Reply(broken=step, wait=wait, usage=usage)
        if isinstance(step, Hang):
            wait += step.seconds
        else:
            texts.append(step.text if isinstance(step, Say) else "x" * step.size)
    return Reply("".join(texts) or final, wait=wait, usage=usage)


def read(data: Any) -> tuple[Step, ...]:
    """Return the steps of a JSON list such as ``[{"run": "make"}, {"say": "built", "usage": {"output": 7}}]``.

    Raises ``InvalidInput`` naming the invalid step.
    """
    if not isinstance(data, list):
        raise InvalidInput("a model script must be a list of steps")
    return tuple(_step(number, each) for number, each in enumerate(data, 1))


def _step(number: int, data: Any) -> Step:
    if not isinstance(data, dict):
        raise InvalidInput(f"step {number} of the model script is not an object")
    kinds = data.keys() - {"usage"}
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind not in _KINDS:
        raise InvalidInput(f"step {number} of the model script must have exactly one of: {', '.join(_KINDS)}")
    value = data[kind]
    try:
        usage = Usage(**data.get("usage", {}))
        step: Step = _KINDS[kind](**value, usage=usage) if isinstance(value, dict) else _KINDS[kind](value, usage=usage)
    except TypeError as error:
        raise InvalidInput(f"step {number} of the model script, {kind}: {error}") from error
    return step


_KINDS: dict[str, Any] = {
    "say": Say,
    "run": Run,
    "write": Write,
    "call": Call,
    "fail": Fail,
    "hang": Hang,
    "garbage": lambda _, usage: Garbage(usage),
    "flood": Flood,
}
