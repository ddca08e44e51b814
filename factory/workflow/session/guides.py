"""Selects the guides in ``docs/skills/`` that an agent gets for an issue. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from factory.errors import InvalidInput
from factory.system import strict_yaml

FOLDER = "docs/skills/"
# A guide with this label is in every brief.
ALWAYS = "always"
_KEYS = {"id", "title", "labels"}


@dataclass(frozen=True)
class Skill:
    """One guide: its file, and the labels of the issues to which it applies."""

    id: str
    title: str
    labels: frozenset[str]
    path: str


def choose(files: Mapping[str, bytes], labels: Collection[str]) -> tuple[Skill, ...]:
    """Return the guides in ``files`` for an issue with these labels, by path; raises ``InvalidInput``."""
    wanted = {*labels, ALWAYS}
    found = [read(path, files[path]) for path in sorted(files) if path.startswith(FOLDER) and path.endswith(".md")]
    return tuple(skill for skill in found if skill.labels & wanted)


def read(path: str, content: bytes) -> Skill:
    """Read a guide with front matter between lines of ``---``; raises ``InvalidInput``."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text") from error
    opening, *rest = text.split("---\n", 2)
    if opening or len(rest) != 2:  # noqa: PLR2004 - front matter and body
        raise InvalidInput(f"{path}: a guide must begin with front matter between lines of ---")
    front = strict_yaml.load_mapping(rest[0], source=path)
    labels = front.get("labels")
    if set(front) != _KEYS or not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InvalidInput(f"{path}: the front matter must have exactly id, title and a list of labels")
    if f"{FOLDER}{front['id']}.md" != path or not isinstance(front["title"], str):
        raise InvalidInput(f"{path}: the id must be the file's name, and the title must be a string")
    return Skill(front["id"], front["title"], frozenset(labels), path)
