"""What the stub model does: steps, how they are read from JSON, and which of them answer a request.

A model that speaks without calling a tool ends its turn. So a script falls into replies: each is what is said up to
and including one tool call, and the number of tool results since the last prompt says which reply is next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from factory.errors import InvalidInput


@dataclass(frozen=True)
class Usage:
    """What one reply costs, in tokens; ``cached`` is part of ``input``, ``reasoning`` part of ``output``."""

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
    """Run a shell command, with the tool that the agent offers for it."""

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
    """Call the offered tool whose name is ``tool`` or ends with it, as those of MCP servers do."""

    tool: str
    arguments: Mapping[str, Any]
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Fail:
    """Answer with an HTTP error; ``type`` is the provider's word for it, ``retry_after`` seconds or ``None``."""

    status: int
    type: str = ""
    retry_after: int | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Hang:
    """Answer nothing for so many seconds, then go on."""

    seconds: float
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Garbage:
    """Answer with status 200 and bytes that no client can read."""

    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Flood:
    """Say a text of so many bytes."""

    size: int
    usage: Usage = field(default_factory=Usage)


Step = Say | Run | Write | Call | Fail | Hang | Garbage | Flood
Act = Run | Write | Call
Break = Fail | Garbage


@dataclass(frozen=True)
class Reply:
    """One answer of the model: wait, then say, then act; or break."""

    text: str = ""
    act: Act | None = None
    broken: Break | None = None
    wait: float = 0.0
    usage: Usage = field(default_factory=Usage)


def reply(steps: Sequence[Step], position: int, final: str = "Done.") -> Reply:
    """Return what answers a request that carries ``position`` tool results; past the last step, ``final``."""
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

    Raises ``InvalidInput`` naming the step that is none.
    """
    if not isinstance(data, list):
        raise InvalidInput("a model script is a list of steps")
    return tuple(_step(number, each) for number, each in enumerate(data, 1))


def _step(number: int, data: Any) -> Step:
    if not isinstance(data, dict):
        raise InvalidInput(f"step {number} of the model script is no object")
    kinds = data.keys() - {"usage"}
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind not in _KINDS:
        raise InvalidInput(f"step {number} of the model script names not exactly one of: {', '.join(_KINDS)}")
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
