"""Selects the skills in ``.agents/skills/`` that a brief names for an issue (agentskills.io: Specification). Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from factory.errors import InvalidInput
from factory.system import strict_yaml

FOLDER = ".agents/skills/"
FILE = "SKILL.md"
_LONGEST = 1024


@dataclass(frozen=True)
class Skill:
    """One skill: its file, and the labels of the issues to which it applies; without labels it applies to all."""

    name: str
    description: str
    labels: frozenset[str]
    path: str


def choose(files: Mapping[str, bytes], labels: Collection[str]) -> tuple[Skill, ...]:
    """Return the skills in ``files`` for an issue with these labels, by path; raises ``InvalidInput``."""
    found = [read(path, files[path]) for path in sorted(files) if _is_skill(path)]
    return tuple(skill for skill in found if not skill.labels or skill.labels & set(labels))


def _is_skill(path: str) -> bool:
    return path.startswith(FOLDER) and PurePosixPath(path).match(f"{FOLDER}*/{FILE}")


def read(path: str, content: bytes) -> Skill:
    """Read a skill's front matter; ``labels`` of its ``metadata`` separates labels by commas.

    Raises ``InvalidInput``. Other keys are for the agents that read the skill themselves.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text") from error
    opening, *rest = text.split("---\n", 2)
    if opening or len(rest) != 2:  # noqa: PLR2004 - front matter and body
        raise InvalidInput(f"{path}: a skill must begin with front matter between lines of ---")
    front = strict_yaml.load_mapping(rest[0], source=path)
    name, description, metadata = front.get("name"), front.get("description"), front.get("metadata") or {}
    if name != PurePosixPath(path).parent.name:
        raise InvalidInput(f"{path}: the name must be that of the folder")
    if not isinstance(description, str) or not 0 < len(description) <= _LONGEST:
        raise InvalidInput(f"{path}: the description must be a text of at most {_LONGEST} characters")
    labels = metadata.get("labels", "") if isinstance(metadata, dict) else None
    if not isinstance(labels, str):
        raise InvalidInput(f"{path}: the labels in metadata must be a text, separated by commas")
    return Skill(str(name), description, frozenset(filter(None, (label.strip() for label in labels.split(",")))), path)
