"""Keeps one issue about one comparison: opens it, updates it if the result changes, and closes it once all is equal.

The hidden mark of the issue has the digest of the differences. If it has not changed, nothing is written, so an issue
that a person closed stays closed until the differences change.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from factory.gitlab import issues, tracking_issue
from factory.system import canonical

if TYPE_CHECKING:
    from factory.workflow.context import Context

_EQUAL = "clean"


@dataclass(frozen=True)
class Subject:
    """What is compared: the name in the issue's mark, its title, and what the terminal shows when it is opened."""

    name: str
    title: str
    opened: str


def settle(context: "Context", subject: Subject, differences: Sequence[object], body: str) -> int | None:
    """Update the issue if the differences have changed; return its number if it was written.

    ``differences`` are JSON values, and empty if everything is equal.
    """
    mark = f"<!-- factory:{subject.name} "
    digest = canonical.digest_of(list(differences)) if differences else _EQUAL
    found = tracking_issue.find(context.bot, mark)
    if not found and not differences:
        return None
    text = f"{mark}{digest} -->\n{body}"
    if not found:
        label = context.policies().session.labels.drift
        created = tracking_issue.open_once(context.bot, mark, title=subject.title, description=text, labels=[label])
        context.say(f"#{created.iid} {subject.opened}")
        return created.iid
    issue = found[0]
    known = re.match(rf"\A{re.escape(mark)}(\S+) -->", issue.description)
    if known and known.group(1) == digest:
        return None
    event: Literal["close", "reopen"] | None = None
    if not differences:
        event = "close"
    elif issue.state == "closed":
        event = "reopen"
    said = "The drift has changed. The description shows the differences." if differences else "The drift is gone."
    issues.say(context.bot, "issues", issue.iid, marker=f"{subject.name}-note {digest}", body=said)
    tracking_issue.change(context.bot, issue.iid, description=text, event=event)
    context.say(f"#{issue.iid}: {said}")
    return issue.iid
