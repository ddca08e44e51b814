"""Agents' write requests to the factory: typed, one JSON line each, in a file that the agent may append to.

The agent composes a line; the factory reads the file as untrusted text and judges each request. Pure except for
reading and appending that file.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar, Literal

from factory.errors import InvalidInput, NotFound, Refused
from factory.system import canonical, files

_FILE, _LINE, _LINES = 1024 * 1024, 64 * 1024, 100
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST = {"why": 300, "title": 120, "label": 100, "text": 20_000}
# Besides letters and digits: characters that GitLab neither links nor reads as a command in a title.
_IN_TITLES = frozenset(" .,:;'\"()?+=-_/")
_SHORTEST_TITLE = 8
# No reason quotes an agent's text, because the text may contain a secret.
_TAKEN = "its id names another request"
# A sequence of variation selectors can encode hidden text; U+FE0F is allowed, because emoji use it.
_SELECTOR = re.compile("[\ufe00-\ufe0e\U000e0000-\U000e0fff]")


@dataclass(frozen=True)
class Request:
    """One request: an id, so that it is applied only once, and the agent's reason."""

    kind: ClassVar[str]
    id: str
    why: str

    def said(self) -> dict[str, str]:
        """Return the request's own fields, without id and reason."""
        return {name: value for name, value in asdict(self).items() if name not in {"id", "why"}}

    def digest(self) -> str:
        """Return the digest of the kind and the request's own fields."""
        return canonical.digest_of({"kind": self.kind, **self.said()})


@dataclass(frozen=True)
class Comment(Request):
    """A note on the session's issue."""

    kind = "comment"
    text: str


@dataclass(frozen=True)
class Question(Request):
    """A question that a person must answer before the work can go on."""

    kind = "question"
    text: str


@dataclass(frozen=True)
class Label(Request):
    """A label on the session's issue."""

    kind = "label"
    label: str


@dataclass(frozen=True)
class FollowUp(Request):
    """A new issue about something that is not part of this one."""

    kind = "follow_up"
    title: str
    text: str


@dataclass(frozen=True)
class Done(Request):
    """The work is done; ``why`` says what proves it."""

    kind = "done"


@dataclass(frozen=True)
class Blocked(Request):
    """The work cannot be done; ``why`` says what blocks it."""

    kind = "blocked"


KINDS: Mapping[str, type[Request]] = {kind.kind: kind for kind in (Comment, Question, Label, FollowUp, Done, Blocked)}


@dataclass(frozen=True)
class Refusal:
    """A line of the file that is not a valid request, and the reason; line 0 is the whole file."""

    line: int
    reason: str


@dataclass(frozen=True)
class RequestFile:
    """An agent's requests in their order, and the refused lines."""

    requests: tuple[Request, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Caps:
    """The policy's limits for one session: requests per kind, allowed labels, characters of a text."""

    most: Mapping[str, int]
    labels: frozenset[str]
    characters: int


@dataclass(frozen=True)
class EarlierRequest:
    """An earlier request of the same session, already applied."""

    kind: str
    digest: str


@dataclass(frozen=True)
class Decision:
    """The decision about a request; ``reason`` says why it is refused."""

    request: Request
    result: Literal["admitted", "repeated", "refused"]
    reason: str = ""


def compose(kind: str, said: Mapping[str, object], *, why: str, name: str | None = None) -> Request:
    """Return a request with the id ``name``, or with a hash of its content as id; raises ``InvalidInput``."""
    return _request({"kind": kind, "why": why, **said} | ({"id": name} if name else {}))


def append(path: Path, request: Request) -> None:
    """Append a request to the file, as one line."""
    with files.appender(path) as write:
        write(json.dumps({"kind": request.kind, **asdict(request)}).encode() + b"\n")


def read(path: Path) -> RequestFile:
    """Return the requests in the file: none if the file is missing, one refusal if it is not a regular file."""
    try:
        data, more = files.read_untrusted(path, _FILE)
    except NotFound:
        return RequestFile()
    except Refused as refused:
        return RequestFile(refusals=(Refusal(0, str(refused)),))
    return parse(data, more=more)


def parse(data: bytes, *, more: bool = False) -> RequestFile:
    """Return the requests in lines of JSON; ``more`` says that ``data`` is truncated, so the last line is dropped."""
    found: dict[str, Request] = {}
    refused = []
    numbered = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    if more or len(numbered) > _LINES:
        numbered = numbered[: min(_LINES, len(numbered) - 1)]
        refused.append(Refusal(0, f"the file is too large: only the first {len(numbered)} lines are read"))
    for number, line in numbered:
        try:
            request = _request(_object(line))
        except (InvalidInput, ValueError, RecursionError) as error:
            refused.append(Refusal(number, str(error)[:200]))
            continue
        if found.setdefault(request.id, request).digest() != request.digest():
            refused.append(Refusal(number, _TAKEN))
    return RequestFile(tuple(found.values()), tuple(refused))


def admit(
    requests: Sequence[Request],
    caps: Caps,
    applied: Mapping[str, EarlierRequest],
    *,
    leaks: Callable[[str], Iterable[str]] = lambda _: (),
) -> tuple[Decision, ...]:
    """Decide about each request.

    ``applied`` are the session's earlier requests by id, which count towards the caps. ``leaks`` returns the names of
    the secrets in a text.
    """
    used = Counter(item.kind for item in applied.values())
    decisions = []
    for request in requests:
        before = applied.get(request.id)
        if before == EarlierRequest(request.kind, request.digest()):
            decisions.append(Decision(request, "repeated"))
            continue
        reason = _TAKEN if before else _against(request, caps, leaks)
        if not reason and used[request.kind] >= caps.most.get(request.kind, 0):
            reason = f"more than {caps.most.get(request.kind, 0)} of kind {request.kind} in one session"
        used[request.kind] += not reason
        decisions.append(Decision(request, "refused" if reason else "admitted", reason))
    return tuple(decisions)


def _against(request: Request, caps: Caps, leaks: Callable[[str], Iterable[str]]) -> str:
    """Return why one request is refused regardless of the others, or an empty text."""
    said = request.said()
    texts = [line for text in (request.id, request.why, *said.values()) for line in (text, *text.split("\n"))]
    if leaked := sorted({name for text in texts for name in leaks(text)}):
        return f"it contains text that looks like a secret: {', '.join(leaked)}"
    if len(said.get("text", "")) > caps.characters:
        return f"its text is longer than {caps.characters} characters"
    if isinstance(request, Label) and request.label not in caps.labels:
        return "policies/outputs.yml does not list this label"
    return _title(request.title) if isinstance(request, FollowUp) else ""


def _title(title: str) -> str:
    if len(title) < _SHORTEST_TITLE:
        return f"its title is shorter than {_SHORTEST_TITLE} characters"
    if not title[0].isalnum() or any(not sign.isalnum() and sign not in _IN_TITLES for sign in title):
        return "its title must begin with a letter or digit, and contain only letters, digits and plain punctuation"
    return ""


def _object(line: bytes) -> dict[str, object]:
    if len(line) > _LINE:
        raise InvalidInput(f"the line is longer than {_LINE} bytes")
    value = json.loads(line.decode(), object_pairs_hook=_pairs, parse_constant=_constant)
    if not isinstance(value, dict):
        raise InvalidInput("the line is not a JSON object")
    return value


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise InvalidInput("duplicate key")
    return dict(pairs)


def _constant(name: str) -> object:
    raise InvalidInput(f"{name} is not valid JSON")


def _request(value: Mapping[str, object]) -> Request:
    """Return a value as a request; raises ``InvalidInput`` naming the wrong field."""
    kind_name = value.get("kind")
    kind = KINDS.get(kind_name) if isinstance(kind_name, str) else None
    if kind is None:
        raise InvalidInput(f"kind must be one of {', '.join(KINDS)}")
    names = {field.name for field in fields(kind)}
    if set(value) - {"kind", "id"} != names - {"id"}:
        required = ", ".join(sorted(names - {"id"}))
        raise InvalidInput(f"{kind.kind} must have exactly the fields {required}, and optionally id")
    texts = {name: _text(name, value[name]) for name in sorted(names - {"id"})}
    name = value.get("id", "")
    if name != "" and not (isinstance(name, str) and _ID.fullmatch(name)):
        raise InvalidInput("id must be 1 to 64 letters, digits, dots, dashes and underscores")
    request = kind(id=name, **texts)
    return request if name else kind(id=request.digest().removeprefix("sha256:")[:16], **texts)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be a string")
    text = value.strip()
    if not text or len(text) > _LONGEST[name]:
        raise InvalidInput(f"{name} must have 1 to {_LONGEST[name]} characters")
    if any(_invisible(character) and (name != "text" or character not in "\n\t") for character in text):
        raise InvalidInput(f"{name} contains an invisible character")
    return text


def _invisible(character: str) -> bool:
    return not character.isprintable() or _SELECTOR.fullmatch(character) is not None
