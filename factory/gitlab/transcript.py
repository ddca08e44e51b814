"""What a server answered the product's own calls, without what differs from run to run: statuses, shapes of bodies."""

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
# What nobody can tell of a shape: a list of nothing.
_EMPTY, _NULL = "empty", "null"
Shape = Any


@dataclass(frozen=True)
class Answer:
    """One kind of answer: a call, its status, whether it is a page of a list, and the shape of its body."""

    call: str
    status: int
    paged: bool
    shape: Shape

    @property
    def key(self) -> tuple[str, int]:
        """What two transcripts are compared by."""
        return self.call, self.status

    def to_json(self) -> dict[str, Any]:
        """Return the answer as a JSON value."""
        return {"call": self.call, "status": self.status, "paged": self.paged, "shape": self.shape}


@dataclass
class Recorder:
    """Collects what a connection is answered; ``project`` is the path that stands as ``:id``."""

    project: str
    answers: dict[tuple[str, int], Answer] = field(default_factory=dict)

    def note(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Take one response in; two of a kind give one answer, whose shape holds what either has."""
        call = f"{response.request.method} {template(urlsplit(str(response.request.url)).path, self.project)}"
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        shape = of(response.json()) if kind == "application/json" and response.content else kind or None
        made = Answer(call, response.status_code, _PAGED in response.headers, shape)
        known = self.answers.get(made.key)
        self.answers[made.key] = made if known is None else Answer(*made.key, made.paged, both(known.shape, shape))

    def listed(self) -> list[Answer]:
        """Return the answers in an order that no run changes."""
        return [self.answers[key] for key in sorted(self.answers)]


@contextmanager
def recording(connection: Connection, recorder: Recorder) -> Iterator[None]:
    """Note every answer that the connection gets inside the block."""
    hooks = connection.client.session.hooks["response"]
    hooks.append(recorder.note)
    try:
        yield
    finally:
        hooks.remove(recorder.note)


def template(path: str, project: str) -> str:
    """Return a path with names of its parts instead of numbers, commits and the project's own path."""
    parts = path.partition("/api/v4")[2].split("/")
    known = [unquote(part) for part in parts]
    return "/".join(
        ":id" if part == project else ":number" if _NUMBER.match(part) else _SHA.sub(":sha", part) for part in known
    )


def of(value: Any) -> Shape:
    """Return the shape of a JSON value: types by field; a list has the shape of all its items."""
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
    """Return the shape that holds two: every field of either, and all types that stand there; null fits anything."""
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


def faults(real: list[Answer], double: list[Answer]) -> list[str]:
    """Return where a double answers as the real server does not: another status, or a field of another type or none.

    What the double leaves out is no fault: it says in its description that such fields may be absent.
    """
    there = {answer.key: answer for answer in real}
    found = []
    for answer in double:
        known = there.get(answer.key)
        if known is None:
            others = [str(key[1]) for key in there if key[0] == answer.call]
            found.append(f"{answer.call}: {answer.status}, where the real one answers {', '.join(others) or 'nothing'}")
            continue
        if known.paged != answer.paged:
            found.append(f"{answer.call}: {'' if answer.paged else 'not '}a page")
        found += [f"{answer.call} {answer.status}: {text}" for text in _unlike(known.shape, answer.shape, "")]
    return found


def _unlike(real: Shape, double: Shape, where: str) -> Iterator[str]:
    if real == double or {_EMPTY, _NULL} & {item for item in (real, double) if isinstance(item, str)}:
        return
    if isinstance(real, dict) and isinstance(double, dict):
        for key, shape in double.items():
            if key not in real:
                yield f"{where}.{key} is not there"
            else:
                yield from _unlike(real[key], shape, f"{where}.{key}")
    elif isinstance(real, list) and isinstance(double, list):
        yield from _unlike(real[0], double[0], f"{where}[]")
    elif not _names(double) <= _names(real):
        yield f"{where or 'body'} is {'/'.join(sorted(_names(double)))}, not {'/'.join(sorted(_names(real)))}"


def _names(shape: Shape) -> set[str]:
    """Return the types that may stand at one place."""
    if isinstance(shape, dict):
        return {"object"}
    return {"array"} if isinstance(shape, list) else set(str(shape).split("|"))
