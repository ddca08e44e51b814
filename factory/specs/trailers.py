"""Reads the trailers of commits and merge requests: spec, requirements, issue and merge request."""

import re
from dataclasses import dataclass

from factory.specs.read import CITED, ID, cited

_REQUIREMENT = re.compile(r"^Requirements?:[ \t]*(.+)$", re.MULTILINE)
_ISSUE = re.compile(r"^Issue:[ \t]*#([1-9][0-9]{0,8})[ \t]*$", re.MULTILINE)
# GitLab's default merge commit message ends with this line (docs: Commit message templates).
_MERGE_REQUEST = re.compile(r"^(?:Merge-Request:[ \t]*|See merge request \S*?)!([1-9][0-9]{0,8})[ \t]*$", re.MULTILINE)
_AGENT = re.compile(r"^Agent:[ \t]*(\S.{0,99}?)[ \t]*$", re.MULTILINE)
_NAME = re.compile(rf"(?<![\w-]){ID}(?![\w-])")


@dataclass(frozen=True)
class Trailers:
    """The trailers of a commit or merge request; an ``issue`` or ``merge_request`` of 0 means none.

    ``agents`` are those that a person says helped with the commit.
    """

    spec: str = ""
    requirements: tuple[str, ...] = ()
    issue: int = 0
    merge_request: int = 0
    agents: tuple[str, ...] = ()


def trailers(message: str) -> Trailers:
    """Return the trailers in a commit's message or a merge request's description."""
    listed = [name for line in _REQUIREMENT.findall(message) for name in _NAME.findall(line)]
    issue, request = _ISSUE.search(message), _MERGE_REQUEST.search(message)
    return Trailers(
        cited(message) or "",
        tuple(dict.fromkeys(listed)),
        int(issue[1]) if issue else 0,
        int(request[1]) if request else 0,
        tuple(dict.fromkeys(_AGENT.findall(message))),
    )


def specs_of(text: str) -> frozenset[str]:
    """Return every spec id that a text names on a separate line ``Spec: <id>``."""
    return frozenset(CITED.findall(text))
