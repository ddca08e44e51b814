"""Reads a spec: a markdown file with front matter (id, title, status, version, owner)."""

import re
from dataclasses import dataclass

from factory.errors import InvalidInput
from factory.system import canonical, strict_yaml

STATUSES = ("draft", "decided", "superseded")
_FRONT = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_REQUIREMENT = re.compile(r"^-\s+\*\*([A-Z][A-Z0-9]*-\d+)\*\*:?\s+(.*)$", re.MULTILINE)
_CITED = re.compile(r"^Spec:\s*([a-z][a-z0-9-]*)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Spec:
    """A spec as written; ``requirements`` maps ids to their first line, ``digest`` is that of the file."""

    id: str
    title: str
    status: str
    version: int
    owner: str
    body: str
    requirements: dict[str, str]
    digest: str


def read(content: bytes, *, source: str) -> Spec:
    """Return the spec in a file's bytes; raises ``InvalidInput`` naming ``source`` and what is wrong."""
    match = _FRONT.match(content.decode(errors="replace"))
    if match is None:
        raise InvalidInput(f"{source}:1: a spec begins with front matter between lines of ---")
    front = strict_yaml.load_mapping(match.group(1), source=source)
    missing = [key for key in ("id", "title", "status", "version", "owner") if key not in front]
    if missing:
        raise InvalidInput(f"{source}: the front matter lacks {', '.join(missing)}")
    if front["status"] not in STATUSES:
        raise InvalidInput(f"{source}: status must be one of {', '.join(STATUSES)}, not {front['status']!r}")
    if not isinstance(front["version"], int) or isinstance(front["version"], bool):
        raise InvalidInput(f"{source}: version must be a whole number")
    return Spec(
        id=str(front["id"]),
        title=str(front["title"]),
        status=str(front["status"]),
        version=front["version"],
        owner=str(front["owner"]),
        body=match.group(2).strip(),
        requirements=dict(_REQUIREMENT.findall(match.group(2))),
        digest=canonical.digest(content),
    )


def cited(text: str) -> str | None:
    """Return the spec id that an issue, commit or merge request names on a line ``Spec: <id>``."""
    match = _CITED.search(text)
    return match.group(1) if match else None


def path_of(spec: str) -> str:
    """Return the file of a spec by its id."""
    return f"specs/{spec}.md"
