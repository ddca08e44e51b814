"""What commits and merge requests say they are about: the spec, requirements and issue in their trailers."""

import re
from dataclasses import dataclass

from factory.specs.read import CITED, ID, cited

_REQUIREMENT = re.compile(r"^Requirements?:[ \t]*(.+)$", re.MULTILINE)
_ISSUE = re.compile(r"^Issue:[ \t]*#([1-9][0-9]{0,8})[ \t]*$", re.MULTILINE)
# GitLab's default merge commit message ends so (docs: Commit message templates).
_MERGE_REQUEST = re.compile(r"^(?:Merge-Request:[ \t]*|See merge request \S*?)!([1-9][0-9]{0,8})[ \t]*$", re.MULTILINE)
_NAME = re.compile(rf"(?<![\w-]){ID}(?![\w-])")


@dataclass(frozen=True)
class Trailers:
    """What a commit or merge request says it is about; an ``issue`` or ``merge_request`` of 0 is none."""

    spec: str = ""
    requirements: tuple[str, ...] = ()
    issue: int = 0
    merge_request: int = 0


def trailers(message: str) -> Trailers:
    """Return what a commit's message or a merge request's description cites."""
    listed = [name for line in _REQUIREMENT.findall(message) for name in _NAME.findall(line)]
    issue, request = _ISSUE.search(message), _MERGE_REQUEST.search(message)
    return Trailers(
        cited(message) or "",
        tuple(dict.fromkeys(listed)),
        int(issue[1]) if issue else 0,
        int(request[1]) if request else 0,
    )


def specs_of(text: str) -> frozenset[str]:
    """Return every spec id that a text names on a line of its own."""
    return frozenset(CITED.findall(text))
