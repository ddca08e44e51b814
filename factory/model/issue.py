"""The issue of a session, frozen at the claim."""

from dataclasses import dataclass

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
