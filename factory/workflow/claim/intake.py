"""Freezes an issue at its claim: normalised, screened, named by a digest. Pure."""

import re

from factory.model.gitlab import Issue
from factory.model.issue import SMALL, FrozenIssue
from factory.specs.read import cited
from factory.system import canonical
from factory.workflow.claim import sanitize

_ACCEPTANCE = re.compile(r"^[-*] (?:\[[ xX]\] )?\S.+", re.MULTILINE)
_LONGEST_TITLE = 255
# How the factory marks an issue that an agent asked for.
_ASKED_FOR = "<!-- factory:output "


def freeze(issue: Issue, *, author_role: str, limit: int, small: str) -> FrozenIssue:
    """Return the issue as an agent may read it: cleaned, the title one line, the text at most ``limit`` characters.

    What looks like an instruction to the agent is kept, as text, and named in ``warnings``; its links are listed. An
    issue that names no spec, and has the label ``small`` and a list of what must hold afterwards, is a small one.
    """
    title = " ".join(sanitize.clean(issue.title).split())[:_LONGEST_TITLE].rstrip()
    whole = sanitize.clean(issue.description)
    text = whole[:limit].rstrip()
    found = set(sanitize.warnings(f"{issue.title}\n{issue.description}", f"{title}\n{text}"))
    found |= {"cut"} if len(whole) > limit else set()
    found |= {"agent"} if issue.description.startswith(_ASKED_FOR) else set()
    named = cited(whole) or ""
    is_small = small in issue.labels and _ACCEPTANCE.search(whole)
    spec = named if named not in {"", SMALL} else (SMALL if is_small else "")
    links = sanitize.links(f"{title}\n{text}")
    return FrozenIssue(issue.iid, title, text, issue.author, author_role, spec, tuple(sorted(found)), links)


def digest(frozen: FrozenIssue) -> str:
    """Return the digest by which evidence names the frozen text."""
    return canonical.digest_of(frozen.to_json())
