"""The issue of a session, frozen at the claim."""

from dataclasses import asdict, dataclass
from typing import Any, Self

# The commits of a small issue name this instead of a spec.
SMALL = "small"


@dataclass(frozen=True)
class FrozenIssue:
    """An issue as of its claim."""

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

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return the frozen issue that ``to_json`` wrote."""
        return cls(**{**value, "warnings": tuple(value["warnings"]), "links": tuple(value.get("links", ()))})
