"""Freezes an issue at its claim: normalised, screened, named by a digest. Pure."""

import re
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

from factory.model.gitlab import Issue
from factory.specs.read import cited
from factory.system import canonical

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\uffa0\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
# What the commits of a small issue name instead of a spec.
SMALL = "small"
_ACCEPTANCE = re.compile(r"^[-*] (?:\[[ xX]\] )?\S.+", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
_SUSPECT = (
    (
        "instruction",
        re.compile(
            r"(?i)\b(ignore|disregard|forget)\b.{0,40}\b(previous|above|prior|all)\b.{0,40}\b(instruction|rule|polic)"
        ),
    ),
    (
        "credential",
        re.compile(r"(?i)\b(print|send|reveal|exfiltrate|upload)\b.{0,40}\b(token|secret|password|credential|key)s?\b"),
    ),
    ("judge", re.compile(r"(?i)\b(disable|skip|weaken|bypass|remove)\b.{0,40}\b(gate|policy|pipeline|check|test)s?\b")),
)


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

    def to_json(self) -> dict[str, Any]:
        """Return the frozen issue as a JSON value."""
        return asdict(self) | {"warnings": list(self.warnings)}

    def digest(self) -> str:
        """Return the digest by which evidence names this text."""
        return canonical.digest_of(self.to_json())


def freeze(issue: Issue, *, author_role: str, limit: int, small: str) -> Frozen:
    """Return the issue with invisible characters and HTML comments removed, at most ``limit`` characters long.

    What looks like an instruction to the agent is kept, as text, and named in ``warnings``. An issue that names no
    spec, and has the label ``small`` and a list of what must hold afterwards, is a small one.
    """
    title, text = _clean(issue.title), _clean(issue.description)
    warnings = [name for name, shape in _SUSPECT if shape.search(f"{title}\n{text}")]
    if _INVISIBLE.search(issue.title + issue.description):
        warnings.append("invisible")
    if len(text) > limit:
        warnings.append("cut")
    named = cited(text) or ""
    spec = named if named not in {"", SMALL} else (SMALL if small in issue.labels and _ACCEPTANCE.search(text) else "")
    return Frozen(issue.iid, title, text[:limit], issue.author, author_role, spec, tuple(sorted(warnings)))


def thaw(value: dict[str, Any]) -> Frozen:
    """Return the frozen issue that ``to_json`` wrote."""
    return Frozen(**{**value, "warnings": tuple(value["warnings"])})


def _clean(text: str) -> str:
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    shown = "".join(c for c in plain if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
    return _COMMENT.sub("", shown).strip()
