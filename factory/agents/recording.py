"""Reads and writes recordings: JSON files with an agent's session, which the replay agent plays. Pure.

A recording names the spec and the title that its brief must have. It contains the turns of each attempt: the agent's
text, a patch in git's format, and the tokens used. The agent, the base commit, the end reason and the tool calls are
for information only; write requests and a question are replayed.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Literal

from factory.agents.outputs import Request, compose
from factory.errors import InvalidInput
from factory.system import data
from factory.system.data import AfterValidator, Count, Field, Named, PlainValidator, WithJsonSchema

FORMAT: Literal[1] = 1
_HEADER = re.compile(r"^diff --git a/(.+) b/\1$", re.MULTILINE)
_ANY_HEADER = re.compile(r"^diff --git ", re.MULTILINE)
_LONGEST_SAY = 20_000


def paths(patch: str) -> list[str]:
    """Return the files that a patch changes; raises ``InvalidInput`` for a header with two paths or a quoted path."""
    found = _HEADER.findall(patch)
    if not patch.startswith("diff --git ") or len(found) != len(_ANY_HEADER.findall(patch)):
        raise InvalidInput("a patch must have, for each file, a plain line `diff --git a/<path> b/<path>`")
    return list(dict.fromkeys(found))


def _checked_patch(patch: str) -> str:
    try:
        if patch:
            paths(patch)
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    return patch


def _request(value: object) -> Request:
    if not isinstance(value, Mapping) or not all(isinstance(value.get(name), str) for name in ("kind", "why")):
        raise ValueError("expected an object with the texts kind and why")
    said = {str(name): item for name, item in value.items() if name not in {"kind", "why", "id"}}
    try:
        return compose(value["kind"], said, why=value["why"], name=str(value.get("id") or "") or None)
    except InvalidInput as error:
        raise ValueError(str(error)) from error


# The forms of the values in a file.
Patch = Annotated[
    str, AfterValidator(_checked_patch), WithJsonSchema({"type": "string", "pattern": "^(diff --git |$)"})
]
_TEXT = {"type": "string"}
_REQUEST = {"type": "object", "required": ["kind", "why"], "properties": {"kind": _TEXT, "why": _TEXT, "id": _TEXT}}
Requested = Annotated[Request, PlainValidator(_request), WithJsonSchema(_REQUEST)]


@dataclass(frozen=True)
class Tokens:
    """Tokens used: ``input`` includes ``cached``, ``output`` includes ``thought``."""

    input: Count = 0
    output: Count = 0
    cached: Count = 0
    thought: Count = 0

    @classmethod
    def metered(cls, usage: Mapping[str, int]) -> "Tokens":
        """Return the tokens of a usage in the names of ``token_costs``."""
        names = ("input_tokens", "output_tokens", "cached_read_tokens", "thought_tokens")
        return cls(*(usage.get(name, 0) for name in names))

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(*(one + another for one, another in zip(self._all(), other._all(), strict=True)))

    def to_json(self) -> dict[str, int]:
        """Return the tokens as a JSON value, without optional values of 0."""
        return {name: value for name, value in asdict(self).items() if value or name in {"input", "output"}}

    def _all(self) -> tuple[int, ...]:
        return self.input, self.output, self.cached, self.thought


@dataclass(frozen=True)
class Turn:
    """An agent's text, the tools that it then called, its patch, and the tokens used."""

    say: str = ""
    tools: tuple[str, ...] = ()
    patch: Patch = ""
    usage: Tokens = Tokens()

    def to_json(self) -> dict[str, object]:
        """Return the turn as a JSON value."""
        values = {"say": self.say, "tools": list(self.tools), "patch": self.patch}
        return {**{name: value for name, value in values.items() if value}, "usage": self.usage.to_json()}


@dataclass(frozen=True)
class Maker:
    """The agent of an attempt, its version and model, and the digest of the brief's template."""

    agent: Named
    version: str = ""
    model: str = ""
    brief: str = ""


@dataclass(frozen=True)
class Attempt:
    """One attempt: its turns, question and write requests, its agent, its base commit, and its end reason."""

    turns: tuple[Turn, ...]
    made_by: Maker | None = None
    base: str = ""
    reason: str = ""
    question: str = ""
    outputs: tuple[Requested, ...] = ()

    @property
    def says(self) -> str:
        """Return all of the agent's text."""
        return "\n".join(turn.say for turn in self.turns)

    def to_json(self) -> dict[str, object]:
        """Return the attempt as a JSON value."""
        by = {name: value for name, value in asdict(self.made_by).items() if value} if self.made_by else None
        requests = [{"kind": item.kind, **asdict(item)} for item in self.outputs]
        head = {"made_by": by, "base": self.base, "reason": self.reason, "question": self.question, "outputs": requests}
        return {**{name: item for name, item in head.items() if item}, "turns": [turn.to_json() for turn in self.turns]}


@dataclass(frozen=True)
class Recording:
    """The attempts for one issue in their order; ``session`` is the recorded session."""

    spec: Named
    title: Named
    attempts: Annotated[tuple[Attempt, ...], Field(min_length=1)]
    session: str = ""
    format: Literal[1] = FORMAT

    def encode(self) -> bytes:
        """Return the recording's file, in ASCII: equal recordings have equal bytes, and all characters are visible."""
        session = {"session": self.session} if self.session else {}
        head = {"format": self.format, "spec": self.spec, "title": self.title, **session}
        value = {**head, "attempts": [attempt.to_json() for attempt in self.attempts]}
        return json.dumps(value, indent=1).encode() + b"\n"


def read(content: bytes, *, source: str) -> Recording:
    """Return the recording in a file; raises ``InvalidInput`` with ``source`` and the invalid key."""
    return data.parse(Recording, content, source=source)


def schema() -> Mapping[str, object]:
    """Return the JSON Schema of a recording's file, for editors and other tools."""
    about = "The attempts of an agent for one issue, which the replay agent plays."
    return data.schema(Recording, title="Recording", description=about)


def turns(events: Iterable[Mapping[str, object]], *, patch: str, usage: Tokens) -> tuple[Turn, ...]:
    """Return the turns of a transcript's events; the last turn gets the patch and the tokens."""
    found: list[Turn] = []
    said: list[str] = []
    tools: dict[str, str] = {}

    def end() -> None:
        if said or tools:
            say = "".join(said).strip()[:_LONGEST_SAY]
            found.append(Turn(say, tuple(title for title in tools.values() if title)))
        said.clear()
        tools.clear()

    for event in events:
        kind = event.get("event")
        if kind in {"message", "output"}:
            if tools:
                end()
            said.append(str(event.get("text", "")) + ("\n" if kind == "output" else ""))
        elif kind == "tool":
            name = str(event.get("id", ""))
            tools[name] = tools.get(name) or str(event.get("title", ""))
    end()
    *before, last = found or [Turn()]
    return (*before, replace(last, patch=patch, usage=usage))


def without(recording: Recording, clean: Callable[[str], str]) -> Recording:
    """Return the recording with ``clean`` applied to every text that an agent wrote, except patches."""

    def turn(item: Turn) -> Turn:
        return replace(item, say=clean(item.say), tools=tuple(clean(title) for title in item.tools))

    def request(item: Request) -> Request:
        said = {name: clean(text) for name, text in item.said().items()}
        return compose(item.kind, said, why=clean(item.why), name=item.id)

    def attempt(item: Attempt) -> Attempt:
        requests = tuple(map(request, item.outputs))
        return replace(item, turns=tuple(map(turn, item.turns)), question=clean(item.question), outputs=requests)

    return replace(recording, title=clean(recording.title), attempts=tuple(map(attempt, recording.attempts)))


def fitting(recordings: Sequence[tuple[str, Recording]], brief: str) -> tuple[str, Recording] | None:
    """Return name and recording for a brief, or ``None``: of the recordings with its spec, the longest title in it."""
    spec = _SPEC.search(brief)
    fit = [item for item in recordings if spec and item[1].spec == spec.group(1) and item[1].title in brief]
    return max(fit, key=lambda item: len(item[1].title), default=None)


def attempt_of(brief: str) -> int:
    """Return the attempt's number in a brief, or 0."""
    found = _NUMBER.search(brief)
    return int(found.group(1)) if found else 0


_SPEC = re.compile(r"^Spec: (\S+)$", re.MULTILINE)
_NUMBER = re.compile(r"^Attempt: (\d{1,4})$", re.MULTILINE)
