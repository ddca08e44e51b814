"""Short guides for agents, in ``docs/skills/``: which of them fit an issue. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from factory.errors import InvalidInput
from factory.system import strict_yaml

FOLDER = "docs/skills/"
# The label of a guide that every brief names.
ALWAYS = "always"
_KEYS = {"id", "title", "labels"}


@dataclass(frozen=True)
class Skill:
    """One guide: its file, and the labels of the issues that it is for."""

    id: str
    title: str
    labels: frozenset[str]
    path: str


def choose(files: Mapping[str, bytes], labels: Collection[str]) -> tuple[Skill, ...]:
    """Return the guides among files for an issue with these labels, by id; raises ``InvalidInput``."""
    wanted = {*labels, ALWAYS}
    found = [read(path, files[path]) for path in sorted(files) if path.startswith(FOLDER) and path.endswith(".md")]
    return tuple(skill for skill in found if skill.labels & wanted)


def read(path: str, content: bytes) -> Skill:
    """Return the guide in a file: front matter between lines of ``---``; raises ``InvalidInput``."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text") from error
    opening, *rest = text.split("---\n", 2)
    if opening or len(rest) != 2:  # noqa: PLR2004 - front matter and body
        raise InvalidInput(f"{path}: a guide begins with front matter between lines of ---")
    front = strict_yaml.load_mapping(rest[0], source=path)
    labels = front.get("labels")
    if set(front) != _KEYS or not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InvalidInput(f"{path}: the front matter has id, title and a list of labels")
    if f"{FOLDER}{front['id']}.md" != path or not isinstance(front["title"], str):
        raise InvalidInput(f"{path}: the id is the file's name, and the title a text")
    return Skill(front["id"], front["title"], frozenset(labels), path)
