"""Records the status and the shape of a server's responses to the product's calls, and compares two recordings."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from factory.gitlab.connect import Connection

_SHA = re.compile(r"\b[0-9a-f]{40}\b")
_NUMBER = re.compile(r"^\d+$")
_PAGED = "X-Page"
# Shapes that say nothing about a type: the items of an empty list, and null.
_EMPTY, _NULL = "empty", "null"
Shape = Any


@dataclass(frozen=True)
class Answer:
    """One kind of response: its call and status, whether it is a page of a list, and the shape of its body."""

    call: str
    status: int
    paged: bool
    shape: Shape

    @property
    def key(self) -> tuple[str, int]:
        """The call and status, by which two transcripts are compared."""
        return self.call, self.status

    def to_json(self) -> dict[str, Any]:
        """Return the answer as a JSON value."""
        return {"call": self.call, "status": self.status, "paged": self.paged, "shape": self.shape}


@dataclass
class Recorder:
    """Collects a connection's responses; ``project`` is the path that is recorded as ``:id``."""

    project: str
    answers: dict[tuple[str, int], Answer] = field(default_factory=dict)

    def note(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Add one response; two with the same call and status become one answer with the merged shape."""
        call = f"{response.request.method} {template(urlsplit(str(response.request.url)).path, self.project)}"
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        shape = of(response.json()) if kind == "application/json" and response.content else kind or None
        answer = Answer(call, response.status_code, _PAGED in response.headers, shape)
        known = self.answers.get(answer.key)
        shape = shape if known is None else both(known.shape, shape)
        self.answers[answer.key] = Answer(*answer.key, answer.paged, shape)

    def listed(self) -> list[Answer]:
        """Return the answers sorted by call and status."""
        return [self.answers[key] for key in sorted(self.answers)]


@contextmanager
def recording(connection: Connection, recorder: Recorder) -> Iterator[None]:
    """Record every response that the connection gets inside the block."""
    hooks = connection.client.session.hooks["response"]
    hooks.append(recorder.note)
    try:
        yield
    finally:
        hooks.remove(recorder.note)


def template(path: str, project: str) -> str:
    """Return a path with placeholders for numbers, commits and the project's own path."""
    parts = path.partition("/api/v4")[2].split("/")
    known = [unquote(part) for part in parts]
    return "/".join(
        ":id" if part == project else ":number" if _NUMBER.match(part) else _SHA.sub(":sha", part) for part in known
    )


def of(value: Any) -> Shape:
    """Return the shape of a JSON value: types by field; for a list, the merged shape of its items."""
    if isinstance(value, Mapping):
        return {str(key): of(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        found: Shape = _EMPTY
        for item in value:
            found = both(found, of(item))
        return [found]
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"))
    return next((name for kind, name in kinds if isinstance(value, kind)), _NULL)


def both(one: Shape, other: Shape) -> Shape:
    """Return the merged shape: all fields of both, each with the types of both; null and empty add no type."""
    if one == other or other in (_EMPTY, _NULL):
        return one
    if one in (_EMPTY, _NULL):
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return {key: both(one.get(key, _NULL), other.get(key, _NULL)) for key in keys}
    if isinstance(one, list) and isinstance(other, list):
        return [both(one[0], other[0])]
    return "|".join(sorted(_names(one) | _names(other)))


def faults(real: list[Answer], loopback: list[Answer]) -> list[str]:
    """Return how the loopback GitLab's responses differ: another status, or a field of another type or of no real one.

    A field that it leaves out is not a fault: its OpenAPI description says that such fields may be absent.
    """
    recorded = {answer.key: answer for answer in real}
    found = []
    for answer in loopback:
        known = recorded.get(answer.key)
        if known is None:
            others = [str(key[1]) for key in recorded if key[0] == answer.call]
            found.append(f"{answer.call}: {answer.status}, the real server answers {', '.join(others) or 'nothing'}")
            continue
        if known.paged != answer.paged:
            found.append(f"{answer.call}: {'' if answer.paged else 'not '}a page")
        found += [f"{answer.call} {answer.status}: {text}" for text in _unlike(known.shape, answer.shape, "")]
    return found


def _unlike(real: Shape, loopback: Shape, where: str) -> Iterator[str]:
    if real == loopback or {_EMPTY, _NULL} & {item for item in (real, loopback) if isinstance(item, str)}:
        return
    if isinstance(real, dict) and isinstance(loopback, dict):
        for key, shape in loopback.items():
            if key not in real:
                yield f"{where}.{key} is not in the real response"
            else:
                yield from _unlike(real[key], shape, f"{where}.{key}")
    elif isinstance(real, list) and isinstance(loopback, list):
        yield from _unlike(real[0], loopback[0], f"{where}[]")
    elif not _names(loopback) <= _names(real):
        yield f"{where or 'body'} is {'/'.join(sorted(_names(loopback)))}, not {'/'.join(sorted(_names(real)))}"


def _names(shape: Shape) -> set[str]:
    """Return the types of a shape."""
    if isinstance(shape, dict):
        return {"object"}
    return {"array"} if isinstance(shape, list) else set(str(shape).split("|"))
