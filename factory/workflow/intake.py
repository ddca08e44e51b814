"""Freezes an issue at its claim: normalised, screened, named by a digest. Pure."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from factory.model.gitlab import Issue
from factory.specs.read import cited
from factory.system import canonical
from factory.workflow import screen

# What the commits of a small issue name instead of a spec.
SMALL = "small"
_ACCEPTANCE = re.compile(r"^[-*] (?:\[[ xX]\] )?\S.+", re.MULTILINE)
_LONGEST_TITLE = 255
# How the factory marks an issue that an agent asked for.
_ASKED_FOR = "<!-- factory:output "


@dataclass(frozen=True)
class Frozen:
    """An issue as it was when it was claimed."""

    iid: int
    title: str
    text: str
    author: str
    author_role: str
    spec: str
    warnings: tuple[str, ...]
    links: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the frozen issue as a JSON value."""
        return asdict(self) | {"warnings": list(self.warnings), "links": list(self.links)}

    def digest(self) -> str:
        """Return the digest by which evidence names this text."""
        return canonical.digest_of(self.to_json())


def freeze(issue: Issue, *, author_role: str, limit: int, small: str) -> Frozen:
    """Return the issue as an agent may read it: cleaned, the title one line, the text at most ``limit`` characters.

    What looks like an instruction to the agent is kept, as text, and named in ``warnings``; its links are listed. An
    issue that names no spec, and has the label ``small`` and a list of what must hold afterwards, is a small one.
    """
    title = " ".join(screen.clean(issue.title).split())[:_LONGEST_TITLE].rstrip()
    whole = screen.clean(issue.description)
    text = whole[:limit].rstrip()
    found = set(screen.warnings(f"{issue.title}\n{issue.description}", f"{title}\n{text}"))
    found |= {"cut"} if len(whole) > limit else set()
    found |= {"agent"} if issue.description.startswith(_ASKED_FOR) else set()
    named = cited(whole) or ""
    is_small = small in issue.labels and _ACCEPTANCE.search(whole)
    spec = named if named not in {"", SMALL} else (SMALL if is_small else "")
    links = screen.links(f"{title}\n{text}")
    return Frozen(issue.iid, title, text, issue.author, author_role, spec, tuple(sorted(found)), links)


def thaw(value: dict[str, Any]) -> Frozen:
    """Return the frozen issue that ``to_json`` wrote."""
    return Frozen(**{**value, "warnings": tuple(value["warnings"]), "links": tuple(value.get("links", ()))})
