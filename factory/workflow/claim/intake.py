"""Freezes the text of an issue when it is claimed: normalises it, screens it and computes its digest. Pure."""

import re
from dataclasses import asdict

from factory.model.gitlab import Issue
from factory.model.issue import SMALL, FrozenIssue
from factory.specs.read import cited
from factory.system import canonical
from factory.workflow.claim import sanitize

_ACCEPTANCE = re.compile(r"^[-*] (?:\[[ xX]\] )?\S.+", re.MULTILINE)
_LONGEST_TITLE = 255
# The description of an issue that the factory created at an agent's request begins with this.
_REQUESTED_MARK = "<!-- factory:output "


def freeze(issue: Issue, *, author_role: str, limit: int, small: str) -> FrozenIssue:
    """Return the issue as an agent reads it: cleaned, with a one-line title and at most ``limit`` characters of text.

    Text that looks like an instruction to the agent is kept and named in ``warnings``; ``links`` lists its links. An
    issue is small if it names no spec, has the label ``small`` and contains an acceptance list.
    """
    title = " ".join(sanitize.clean(issue.title).split())[:_LONGEST_TITLE].rstrip()
    whole = sanitize.clean(issue.description)
    text = whole[:limit].rstrip()
    found = set(sanitize.warnings(f"{issue.title}\n{issue.description}", f"{title}\n{text}"))
    found |= {"cut"} if len(whole) > limit else set()
    found |= {"agent"} if issue.description.startswith(_REQUESTED_MARK) else set()
    named = cited(whole) or ""
    is_small = small in issue.labels and _ACCEPTANCE.search(whole)
    spec = named if named not in {"", SMALL} else (SMALL if is_small else "")
    links = sanitize.links(f"{title}\n{text}")
    return FrozenIssue(issue.iid, title, text, issue.author, author_role, spec, tuple(sorted(found)), links)


def digest(frozen: FrozenIssue) -> str:
    """Return the digest that identifies the frozen issue in the evidence."""
    return canonical.digest_of(asdict(frozen))
